"""What an answer of a plugin is taken for, and which answers are junk.

All of this runs as part of the plugin's call, for an answer may be made of the plugin's own code, too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from tocsin_hooks.decisions import RoutingDecision
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter
from tocsin_hooks.states import State
from tocsin_hooks.text import cut

Predicate = Callable[[Event], object]
Verdict = tuple[bool, Exception | None]
"""What a predicate says, and what it raised."""
Judge = Callable[[Callable[[], Verdict]], Verdict]
"""Asks a predicate, whatever that does."""


class JunkError(Exception):
    """An answer that is not what its hook asks for."""

    def __init__(self, answer: object, wanted: str) -> None:
        super().__init__(f"returned '{type(answer).__name__}', which is no {wanted}")


def anything(answer: object) -> object:
    """The answer, for hooks whose answers mean nothing."""
    return answer


def state(answer: object) -> State | None:
    """The state that is proposed, if one is.

    >>> state("Success")
    Traceback (most recent call last):
    tocsin.plugins.answers.JunkError: returned 'str', which is no State
    """
    if answer is None or isinstance(answer, State):
        return answer
    raise JunkError(answer, "State")


MOST_LABELS, LONGEST_NAME, LONGEST_LABEL = 100, 200, 4_000
"""How many labels a plugin can add to an event, and of how many characters: they are stored with it and sent along."""


def labels(answer: object) -> dict[str, str]:
    """Labels as text: the first ones, and of each the beginning.

    >>> labels({"tier": 1}), labels(None), labels({"log": "x" * 9_999})["log"][-3:]
    ({'tier': '1'}, {}, 'xx…')
    """
    if answer is None:
        return {}
    if not isinstance(answer, Mapping):
        raise JunkError(answer, "mapping")
    first = islice(answer.items(), MOST_LABELS)
    return {cut(str(name), LONGEST_NAME): cut(str(value), LONGEST_LABEL) for name, value in first}


def items(answer: Any) -> list[Any]:
    """What is in the answer.

    >>> items(None), items(("a",))
    ([], ['a'])
    """
    if answer is None:
        return []
    try:
        return list(answer)
    except TypeError:
        raise JunkError(answer, "sequence") from None


def filters(answer: object) -> dict[str, Predicate]:
    """Predicates by name."""
    if answer is None:
        return {}
    if not isinstance(answer, Mapping):
        raise JunkError(answer, "mapping")
    found = dict(answer)
    for name, predicate in found.items():
        if not isinstance(name, str):
            raise JunkError(name, "name of a filter")
        if not callable(predicate) and not isinstance(predicate, Filter):
            raise JunkError(predicate, "predicate")
    return found


def channels(answer: object) -> tuple[str, ...] | None:
    """Names of channels, each once.

    >>> channels(None), channels("ops"), channels(["ops", "mail", "ops"]), channels([])
    (None, ('ops',), ('ops', 'mail'), ())
    """
    if answer is None:
        return None
    if isinstance(answer, str):
        return (answer,)
    if isinstance(answer, RoutingDecision):
        return answer.channels
    if not isinstance(answer, list | tuple | set | frozenset):
        raise JunkError(answer, "list of channels")
    for name in answer:
        if not isinstance(name, str):
            raise JunkError(name, "name of a channel")
    return tuple(dict.fromkeys(answer if isinstance(answer, list | tuple) else sorted(answer)))


def functions(answer: object) -> dict[str, Callable[..., Any]]:
    """Functions by names that can stand in a template.

    >>> functions({"euro-sign": len})
    Traceback (most recent call last):
    tocsin.plugins.answers.JunkError: returned 'str', which is no name of a template filter
    """
    if answer is None:
        return {}
    if not isinstance(answer, Mapping):
        raise JunkError(answer, "mapping")
    found = dict(answer)
    for name, function in found.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise JunkError(name, "name of a template filter")
        if not callable(function):
            raise JunkError(function, "function")
    return found


class Bounded:
    """A predicate of a plugin that is asked through `judge`. In another process it is the predicate itself."""

    def __init__(self, predicate: Predicate, judge: Judge) -> None:
        self._predicate, self._judge = predicate, judge
        functools.update_wrapper(self, predicate, updated=())

    def __call__(self, event: Event) -> bool:
        """What the predicate says; raises what it raises, if that is an Exception."""
        verdict, error = self._judge(lambda: self._verdict(event))
        if error is not None:
            raise error
        return verdict

    def _verdict(self, event: Event) -> Verdict:
        try:
            return bool(self._predicate(event)), None
        except Exception as error:  # for whoever asks to say
            return False, error

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bounded) and self._predicate == other._predicate

    def __hash__(self) -> int:
        return hash(self._predicate)

    def __reduce__(self) -> tuple[Any, ...]:
        return anything, (self._predicate,)
