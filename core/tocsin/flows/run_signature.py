"""What the signature of a task's `run` says: which arguments it takes, which names are refused, what it returns."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from tocsin.errors import ArgumentError, FlowError

RESERVED = frozenset({"upstream_tasks", "downstream_tasks", "mapped", "task_args", "flow"})
"""Argument names that calling a task gives a meaning of its own."""


_signatures: WeakKeyDictionary[type, inspect.Signature] = WeakKeyDictionary()


def class_signature(kind: type) -> inspect.Signature:
    """The signature of a class's `run` as its objects see it: a method without its `self`."""
    found = _signatures.get(kind)
    if found is None:
        found = _signatures[kind] = _class_signature(kind)
    return found


def _class_signature(kind: type) -> inspect.Signature:
    run: Any = inspect.getattr_static(kind, "run")
    if isinstance(run, staticmethod | classmethod):
        return inspect.signature(getattr(kind, "run"))  # noqa: B009  (types do not have it, as far as mypy knows)
    signature = inspect.signature(run)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def check_signature(name: str, signature: inspect.Signature) -> None:
    """Raise FlowError when arguments could not be given by name, or have a name that is taken."""
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            raise FlowError(f"task '{name}' takes '*{parameter.name}'; give its arguments names")
        if parameter.name in RESERVED:
            raise FlowError(f"task '{name}' has an argument '{parameter.name}'; rename it, the name is taken")


def named_arguments(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """The arguments of a call by name; TypeError when they do not fit."""
    try:
        arguments = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise ArgumentError(f"task '{name}' takes {signature}: {error}") from None
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name, {}))
    return arguments


def takes(signature: inspect.Signature, key: str) -> bool:
    """Whether there is an argument of this name.

    >>> takes(inspect.signature(lambda rows: rows), "rows")
    True
    """
    found = signature.parameters
    return key in found or any(each.kind is inspect.Parameter.VAR_KEYWORD for each in found.values())


def result_count(annotation: Any) -> int | None:
    """How many results a return annotation promises, None when it says nothing.

    >>> result_count(tuple[int, str]), result_count(tuple[int, ...]), result_count(int)
    (2, None, None)
    """
    if typing.get_origin(annotation) is not tuple:
        return None
    items = typing.get_args(annotation)
    if not items:
        return 0 if annotation in (tuple[()], typing.Tuple[()]) else None  # noqa: UP006  (typing's own is not equal)
    return None if Ellipsis in items else len(items)


def return_annotation(run: Callable[..., Any], signature: inspect.Signature) -> Any:
    """What `run` is said to return, `Any` when it does not say; a type that is not there yet stays text."""
    said = signature.return_annotation
    if said is inspect.Signature.empty:
        return Any
    return resolved(run).get("return", said) if isinstance(said, str) else said


def described_inputs(run: Callable[..., Any], signature: inspect.Signature) -> dict[str, dict[str, Any]]:
    """Each argument with its `type` and whether it is `required`."""
    parameters = signature.parameters
    hints = resolved(run) if any(isinstance(each.annotation, str) for each in parameters.values()) else {}
    empty = inspect.Parameter.empty
    return {
        name: {
            "type": Any if each.annotation is empty else hints.get(name, each.annotation),
            "required": each.default is empty and each.kind is not inspect.Parameter.VAR_KEYWORD,
        }
        for name, each in parameters.items()
    }


def resolved(run: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations of a function as types; nothing when a name in them cannot be found."""
    try:
        return typing.get_type_hints(inspect.unwrap(run))
    except Exception:  # an annotation may be any expression
        return {}
