"""Which labels an event has, and what each of them reads.

A label is absent, a text, a number, or (`tags`) a set of texts. Matchers see every label as text and an absent one as
the empty text; comparisons see numbers only.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

from tocsin_hooks.events import Event
from tocsin_hooks.states import State

Number = int | float
Value = str | Number | frozenset[str] | None
"""What a label can hold: text, a number, the set `tags`, or nothing."""

_TEXT_FIELDS = (
    "project", "flow", "task", "state", "old_state", "severity", "run_id", "run_name", "task_run_id", "message",
    "host", "url", "source",
)  # fmt: skip
_FAMILY_FLAGS = {
    "is_pending": ("Pending",),
    "is_scheduled": ("Scheduled", "Queued"),
    "is_queued": ("Queued",),
    "is_submitted": ("Submitted",),
    "is_retrying": ("Retrying",),
    "is_running": ("Running",),
    "is_finished": ("Finished",),
    "is_looped": ("Looped",),
    "is_successful": ("Success",),
    "is_skipped": ("Skipped",),
    "is_cached": ("Cached",),
    "is_mapped": ("Mapped",),
    "is_failed": ("Failed",),
    "is_timed_out": ("TimedOut",),
    "is_trigger_failed": ("TriggerFailed",),
    "is_crashed": ("Crashed",),
    "is_cancelled": ("Cancelled",),
}

FLAG_LABELS = frozenset({*_FAMILY_FLAGS, "will_retry", "has_cause", "is_flow", "is_task"})
"""Labels that are true or false, and may stand alone as a matcher."""
NUMBER_LABELS = frozenset({"attempt", "max_attempts", "loop_count", "duration", "map_index", "sequence", "blocks"})
STATE_LABELS = frozenset({"state", "old_state"})
TEXT_LABELS = frozenset({*_TEXT_FIELDS, "exception", "exception.message", "tags"})
"""Labels that no number operator fits."""
KNOWN_LABELS = FLAG_LABELS | NUMBER_LABELS | TEXT_LABELS
"""Every label that each event has; `params.*`, `context.*` and the event's own labels come on top."""
OPEN_PREFIXES = ("params.", "context.")

_EXACT = 2**53  # below, a float holds every whole number
_LONGEST_NAME = 100
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def value_of(event: Event, label: str) -> Value:
    """What `label` holds for `event`; None when it is absent."""
    return reader(label)(event)


@lru_cache(maxsize=4096)
def reader(label: str) -> Callable[[Event], Value]:
    """The function that reads `label`; asked once, it costs no look-up by name per event."""
    if label in _TEXT_FIELDS or label in NUMBER_LABELS or label == "tags":
        return attrgetter(label)
    if label in FLAG_LABELS:
        test = flag_test(label)
        return lambda event: "true" if test(event) else "false"
    if label == "exception":
        return lambda event: event.exception.type if event.exception else None
    if label == "exception.message":
        return lambda event: event.exception.message if event.exception else None
    if label.startswith("params."):
        path = label.removeprefix("params.")
        return lambda event: _plain(_look_up(event.parameters, path))
    if label.startswith("context."):
        short = label.removeprefix("context.")
        return lambda event: _plain(event.labels.get(label, event.labels.get(short)))
    return lambda event: _plain(event.labels.get(label))


def flag_test(label: str) -> Callable[[Event], bool]:
    """The test behind a boolean label."""
    if label == "will_retry":
        return attrgetter("will_retry")
    if label == "has_cause":
        return lambda event: bool(event.causes)
    if label == "is_flow":
        return lambda event: not event.task
    if label == "is_task":
        return lambda event: bool(event.task)
    first, *others = _FAMILY_FLAGS[label]
    if others:
        wanted = (first, *others)
        return lambda event: any(name in event.state_family for name in wanted)
    return lambda event: first in event.state_family


def text_reader(label: str) -> Callable[[Event], str]:
    """The function that reads `label` as matchers see it."""
    read = reader(label)
    return read if label in _TEXT_FIELDS else lambda event: text_of(read(event))  # type: ignore[return-value]


def text_of(value: Value) -> str:
    """A label's value as matchers see it: nothing is the empty text.

    A whole number is written as one, so that `duration=90` holds for 90.0 seconds.

    >>> [text_of(value) for value in (None, "a", 3, 0.5, 90.0, frozenset({"b", "a"}))]
    ['', 'a', '3', '0.5', '90', 'a,b']
    """
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value) if value.is_integer() and abs(value) < _EXACT else value)
    return "" if value is None else ",".join(sorted(value))


def number_of(value: Value) -> Number | None:
    """A label's value as comparisons see it: a number, or a text that is one.

    >>> [number_of(value) for value in (3, "2.5", "many", None)]
    [3, 2.5, None, None]
    """
    if isinstance(value, str):
        return parse_number(value)
    return value if isinstance(value, int | float) else None


def parse_number(text: str) -> Number | None:
    """The finite number that `text` spells in decimal, or None.

    >>> [parse_number(text) for text in ("3", "-.5", "1e3", "1e999", "3s", "nan")]
    [3, -0.5, 1000.0, None, None, None]
    """
    if len(text) > 400 or not _NUMBER.fullmatch(text):  # longer than any float; bounds the work
        return None
    if text.lstrip("+-").isdigit():
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None


def is_known(label: str, extra: Iterable[str] = ()) -> bool:
    """Whether events can have `label`, given the names of their own labels in `extra`.

    >>> is_known("params.owner"), is_known("team"), is_known("team", {"team"})
    (True, False, True)
    """
    return label in KNOWN_LABELS or label.startswith(OPEN_PREFIXES) or label in extra


def is_numeric(label: str) -> bool:
    """Whether a bare value of that name, to the right of `<` and its like, is that label."""
    return label in NUMBER_LABELS or label.startswith(OPEN_PREFIXES)


def known_states() -> frozenset[str]:
    """The names of all state classes, a pipeline's own included once they are defined."""
    return frozenset(map(str, State.children(names_only=True)))


def did_you_mean(name: str, known: Iterable[str], prefix: str = "", *, cutoff: float = 0.6) -> str:
    """The end of an error about an unknown name: the nearest known one, if any is near.

    >>> did_you_mean("Faild", ["Failed", "Success"])
    "; did you mean 'Failed'?"
    >>> did_you_mean("xyz", ["Failed", "Success"])
    ''
    """
    if len(name) > _LONGEST_NAME:  # nobody meant a known one, and the search takes the square of the length
        return ""
    names = sorted(known)
    nearest = [other for other in names if other.casefold() == name.casefold()]
    nearest = nearest or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)
    return f"; did you mean '{prefix}{nearest[0]}'?" if nearest else ""


def shown(text: str) -> str:
    r"""`text` as a part of a message for people: on one line, and cut where it is long.

    >>> shown("a\nb"), len(shown("x" * 1000))
    ('a\\nb', 100)
    """
    cut = text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in cut)


def _look_up(parameters: Mapping[str, Any], path: str) -> Any:
    """The parameter `path`, or a value inside a parameter: a name holding dots beats a way through mappings."""
    if path in parameters:
        return parameters[path]
    head, dot, rest = path.partition(".")
    inner = parameters.get(head) if dot else None
    return _look_up(inner, rest) if isinstance(inner, Mapping) else None


def _plain(value: Any) -> Value:
    """Any JSON value as a label: true and false as text, lists and objects as JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, default=str)
    except (TypeError, ValueError):  # keys that are no text, a value inside itself: no JSON, but no reason to raise
        return repr(value)
