"""Filters written in Python: `F.state.is_in("Failed", "TimedOut") & ~F.tags.has("flaky")`.

They are checked by the rules of the expression language, and give the trees that its parser gives.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Set
from datetime import timedelta

from tocsin_hooks.filters.labels import text_of
from tocsin_hooks.filters.lexer import name_text, quote
from tocsin_hooks.filters.parser import parse
from tocsin_hooks.filters.tree import Filter, Flag, Ref, any_of

Text = str | int | float | bool
"""What a label can be equal to; numbers stand for their digits, True and False for `true` and `false`."""


class Label:
    """A label; its operators and methods make filters. `F.params.owner` is the label `params.owner`."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Label:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Label:
        return Label(f"{self._name}.{name}")

    def __eq__(self, value: object) -> Filter:  # type: ignore[override]
        return self._match("=", value)

    def __ne__(self, value: object) -> Filter:  # type: ignore[override]
        return self._match("!=", value)

    __hash__ = None  # type: ignore[assignment]

    def __lt__(self, other: Label | Text | timedelta) -> Filter:
        return self._compare("<", other)

    def __le__(self, other: Label | Text | timedelta) -> Filter:
        return self._compare("<=", other)

    def __gt__(self, other: Label | Text | timedelta) -> Filter:
        return self._compare(">", other)

    def __ge__(self, other: Label | Text | timedelta) -> Filter:
        return self._compare(">=", other)

    def __repr__(self) -> str:
        return f"F[{self._name!r}]"

    def is_in(self, *values: Text | Collection[Text]) -> Filter:
        """Whether the label is one of `values`, or of one list of them; of `tags`, whether one is among the tags."""
        if len(values) == 1 and not isinstance(values[0], Text):
            listed = values[0]
            values = tuple(sorted(listed, key=str) if isinstance(listed, Set) else listed)
        if not values:
            raise TypeError(f"{self!r}.is_in() needs a value at least")
        return any_of(*(self._match("=", value) for value in values))

    def has(self, tag: str) -> Filter:
        """Whether `tag` is among the tags."""
        if self._name != "tags":
            raise TypeError(f"{self!r} holds one value; only F.tags.has() looks into a set")
        return self._match("=", tag)

    def matches(self, regex: str) -> Filter:
        """Whether the whole of the label's text matches `regex`; of `tags`, whether that of one of them does."""
        return self._match("=~", regex)

    def _match(self, op: str, value: object) -> Filter:
        if isinstance(value, bool):
            value = "true" if value else "false"
        if not isinstance(value, Text):
            raise TypeError(f"{self!r} can be equal to a text or a number, not to {value!r}")
        return _checked(f"{name_text(self._name)}{op}{quote(text_of(value))}")

    def _compare(self, op: str, other: Label | Text | timedelta) -> Filter:
        if isinstance(other, timedelta):
            other = other.total_seconds()
        right = name_text(other._name) if isinstance(other, Label) else quote(str(other))
        return _checked(f"{name_text(self._name)}{op}{right}")


class Labels:
    """The labels of an event as attributes; `F["odd name"]` for a name that cannot be one."""

    is_pending = Flag("is_pending")
    is_scheduled = Flag("is_scheduled")
    is_queued = Flag("is_queued")
    is_submitted = Flag("is_submitted")
    is_retrying = Flag("is_retrying")
    is_running = Flag("is_running")
    is_finished = Flag("is_finished")
    is_looped = Flag("is_looped")
    is_successful = Flag("is_successful")
    is_skipped = Flag("is_skipped")
    is_cached = Flag("is_cached")
    is_mapped = Flag("is_mapped")
    is_failed = Flag("is_failed")
    is_timed_out = Flag("is_timed_out")
    is_trigger_failed = Flag("is_trigger_failed")
    is_crashed = Flag("is_crashed")
    is_cancelled = Flag("is_cancelled")
    is_flow = Flag("is_flow")
    is_task = Flag("is_task")
    will_retry = Flag("will_retry")
    has_cause = Flag("has_cause")

    def __getattr__(self, name: str) -> Label:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Label:
        return Label(name)

    def named(self, name: str) -> Filter:
        """The filter `@name`, to be bound later."""
        _checked(f"@{name_text(name)}")
        return Ref(name)


F = Labels()
"""Where filters written in Python begin."""


def _checked(text: str) -> Filter:
    """The filter of `text`; without its span, which would point into a text that nobody wrote."""
    return dataclasses.replace(parse(text), span=None)
