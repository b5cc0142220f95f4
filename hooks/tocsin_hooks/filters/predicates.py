"""The tests that a filter's nodes run: plain functions of an event, with everything looked up beforehand."""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from tocsin_hooks.events import Event
from tocsin_hooks.filters.labels import FLAG_LABELS, Number, flag_test, number_of, reader, shown, text_reader
from tocsin_hooks.filters.regex import compile_regex

Test = Callable[[Event], bool]

_COMPARISONS: dict[str, Callable[[Number, Number], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NO_TAGS = frozenset({""})


def all_hold(parts: Sequence[Test]) -> Test:
    """The test that holds when all `parts` do."""
    if len(parts) == 2:
        first, second = parts
        return lambda event: first(event) and second(event)

    def holds(event: Event) -> bool:
        for part in parts:  # noqa: SIM110  (a generator would cost more than the tests)
            if not part(event):
                return False
        return True

    return holds


def any_holds(parts: Sequence[Test]) -> Test:
    """The test that holds when one of `parts` does."""
    if len(parts) == 2:
        first, second = parts
        return lambda event: first(event) or second(event)

    def holds(event: Event) -> bool:
        for part in parts:  # noqa: SIM110
            if part(event):
                return True
        return False

    return holds


def one_of(label: str, values: frozenset[str]) -> Test:
    """The test that holds when `label` has one of `values`; an absent label has the empty one."""
    if label == "tags":
        return lambda event: not values.isdisjoint(event.tags or _NO_TAGS)
    if "" in values:
        return any_holds([_equality(label, value) for value in sorted(values)])
    read = text_reader(label)
    return lambda event: read(event) in values


def matcher(label: str, op: str, value: str) -> Test:
    """The test of `label op value`; a regex matches the whole of the label's text."""
    holds = _equality(label, value) if op in ("=", "!=") else _regex(label, value)
    if op in ("=", "=~"):
        return holds
    return lambda event: not holds(event)


def _equality(label: str, value: str) -> Test:
    if label in FLAG_LABELS:
        test = flag_test(label)
        return test if value == "true" else lambda event: value == "false" and not test(event)
    if label == "tags":
        return lambda event: value in (event.tags or _NO_TAGS)
    read = text_reader(label)
    if not value:
        return lambda event: not read(event)  # null in an event of another source is no text, and absent all the same
    return lambda event: read(event) == value


def _regex(label: str, pattern: str) -> Test:
    matches = compile_regex(pattern).matches
    if label == "tags":
        return lambda event: any(map(matches, event.tags or _NO_TAGS))
    read = text_reader(label)
    return lambda event: matches(read(event) or "")


def comparison(label: str, op: str, limit: Number) -> Test:
    """The test of `label op limit`; false where the label is no number."""
    read, compare = reader(label), _COMPARISONS[op]

    def holds(event: Event) -> bool:
        number = number_of(read(event))
        return number is not None and compare(number, limit)

    return holds


def comparison_of_labels(label: str, op: str, other: str) -> Test:
    """The test of `label op other`; false where one of the two labels is no number."""
    read, read_other, compare = reader(label), reader(other), _COMPARISONS[op]

    def holds(event: Event) -> bool:
        number, limit = number_of(read(event)), number_of(read_other(event))
        return number is not None and limit is not None and compare(number, limit)

    return holds


def values_needed(op: str, value: str) -> frozenset[str] | None:
    """The values of which a label must have one for a matcher to hold, or None if they cannot be listed."""
    if op == "=":
        return frozenset({value})
    return compile_regex(value).words if op == "=~" else None


def ask(predicate: Callable[[Event], object], event: Event) -> tuple[bool, BaseException | None]:
    """What a Python predicate says of `event`; one that raises says no."""
    try:
        return bool(predicate(event)), None
    except (Exception, SystemExit) as error:  # it is a stranger's code, and must not disturb the run
        return False, error


def said(error: BaseException) -> str:
    """What a predicate raised, for people, on one line.

    >>> said(KeyError("etl"))
    "raised KeyError: 'etl'"
    """
    try:
        text = str(error)
    except Exception:  # an exception of a stranger's, too
        text = ""
    return f"raised {type(error).__name__}" + (f": {shown(text)}" if text else "")


_heard: ContextVar[Callable[[str, Event, BaseException | None], None] | None] = ContextVar("heard", default=None)


@contextmanager
def heard_by(listener: Callable[[str, Event, BaseException | None], None]) -> Iterator[None]:
    """Tell `listener` of each Python predicate that is asked within a `with` block: its name, and what it raised."""
    token = _heard.set(listener)
    try:
        yield
    finally:
        _heard.reset(token)


def guarded(predicate: Callable[[Event], object], name: str, log: logging.Logger) -> Test:
    """The test that a Python predicate makes; its first exception is logged, the others are not."""
    complained = False

    def holds(event: Event) -> bool:
        nonlocal complained
        verdict, error = ask(predicate, event)
        if error is not None and not complained:
            complained = True
            log.warning("filter %s raised %s; it counts as false", name, type(error).__name__, exc_info=error)
        if (listener := _heard.get()) is not None:
            listener(name, event, error)
        return verdict

    return holds
