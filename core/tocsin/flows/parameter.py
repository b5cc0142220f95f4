"""A value that a flow is given when it is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

from tocsin.errors import ParameterError, did_you_mean
from tocsin.flows.signals import FAIL
from tocsin.flows.task import Task, forget_unused
from tocsin.results.plain import PrefectResult
from tocsin_hooks.states import run_context

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow


class _NoDefault:
    def __reduce__(self) -> str:
        return "NO_DEFAULT"

    def __repr__(self) -> str:
        return "<no default>"


NO_DEFAULT = _NoDefault()
no_default = NO_DEFAULT
"""Prefect 1's name for it."""


class Parameter(Task):
    """A task whose result is the value given to the run under its name.

    Required unless a default is given or `required=False`. A flow has one parameter of a name, and a parameter waits
    for nothing.
    """

    def __init__(
        self, name: str, default: Any = NO_DEFAULT, required: bool | None = None, tags: Iterable[str] | None = None
    ) -> None:
        self.required: bool = default is NO_DEFAULT if required is None else required
        self.default: Any = None if default is NO_DEFAULT else default
        super().__init__(name=name, slug=name, tags=tags, checkpoint=True, result=PrefectResult())

    def __call__(self, *, flow: Flow | None = None) -> Self:  # type: ignore[override]  # takes no arguments
        """Put this parameter into the flow. It is not copied: its name may stand there only once."""
        forget_unused(self)
        return self.bind(flow=flow)

    def run(self) -> Any:
        """The value given, else the default."""
        given: Mapping[str, Any] = run_context.get().get("parameters") or {}
        if self.name in given:
            return given[self.name]
        if self.required:
            raise FAIL(f"parameter '{self.name}' is required but was not given")
        return self.default

    def copy(self, name: str | None = None, **task_args: Any) -> Self:
        """A parameter like this one under another name; its slug is its name."""
        name = self.name if name is None else name
        return super().copy(**{"name": name, "slug": name, **task_args})


class DateTimeParameter(Parameter):
    """A parameter whose value is a time: text is read as one."""

    def __init__(self, name: str, required: bool = True, tags: Iterable[str] | None = None) -> None:
        super().__init__(name=name, required=required, tags=tags)

    def run(self) -> Any:
        """The time given, None when none is."""
        import pendulum

        value = super().run()
        return pendulum.parse(value) if isinstance(value, str) else value


def check_names(flow: str, parameters: Iterable[Parameter], given: Mapping[str, Any]) -> None:
    """Raise ParameterError when a name is unknown to the flow or a required one is missing."""
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            raise ParameterError(f"flow '{flow}' has no parameter '{name}'{did_you_mean(name, known)}")
    missing = sorted(name for name, parameter in known.items() if parameter.required and name not in given)
    if missing:
        names = ", ".join(f"'{name}'" for name in missing)
        raise ParameterError(f"flow '{flow}' needs a value for {names}; pass parameters={{'{missing[0]}': ...}}")


def check_parameters(given: Mapping[str, Any]) -> None:
    """Raise ParameterError when a value is not plain JSON data. A run takes any object; the command line does not.

    >>> check_parameters({"day": object()})
    Traceback (most recent call last):
    tocsin.errors.ParameterError: parameter 'day' is of type 'object', which has no JSON form; give plain data
    """
    for name, value in given.items():
        if not is_plain(value):
            kind = type(value).__name__
            raise ParameterError(f"parameter '{name}' is of type '{kind}', which has no JSON form; give plain data")


def is_plain(value: Any) -> bool:
    """Whether a value survives JSON.

    >>> is_plain({"a": [1, None]}), is_plain({"a": {1}})
    (True, False)
    """
    import json

    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
