"""Events, times and spans as people write them down: labels without a flow that ran."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pendulum

from tocsin.clock import Clock
from tocsin_hooks.durations import parse_duration
from tocsin_hooks.errors import TocsinError
from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.states import State, family

Moment = dt.datetime | dt.date | str
"""A time: aware, or taken as UTC; as text in ISO 8601; a day, for its midnight."""
Span = dt.timedelta | str | float
"""How long: a `timedelta`, a text such as `10m`, or seconds."""


def moment(time: Moment) -> pendulum.DateTime:
    """A time as UTC. Raises ValueError for what is no time.

    >>> moment("2026-03-01 12:00").isoformat()
    '2026-03-01T12:00:00+00:00'
    """
    if isinstance(time, str):
        parsed = pendulum.parse(time)
        if not isinstance(parsed, pendulum.DateTime):
            raise ValueError(f"'{time}' is no moment; write it as '2026-03-01T12:00:00Z'")  # noqa: TRY004
        return parsed.in_timezone("UTC")
    if not isinstance(time, dt.date):
        raise ValueError(f"{time!r} is no moment; give a datetime, or a text such as '2026-03-01T12:00:00Z'")  # noqa: TRY004
    if not isinstance(time, dt.datetime):
        time = dt.datetime(time.year, time.month, time.day)  # noqa: DTZ001
    return pendulum.instance(time).in_timezone("UTC")


def duration(span: Span) -> dt.timedelta:
    """How long. Raises ValueError for a text that is no duration."""
    if isinstance(span, str):
        return parse_duration(span)
    return span if isinstance(span, dt.timedelta) else dt.timedelta(seconds=span)


# ---------------------------------------------------------------- events

_TEXTS = (
    "flow",
    "task",
    "project",
    "run_id",
    "run_name",
    "task_run_id",
    "old_state",
    "message",
    "severity",
    "url",
    "host",
    "source",
)
_NUMBERS = ("attempt", "max_attempts", "loop_count", "map_index", "blocks")


def event_of(labels: Mapping[str, Any], clock: Clock) -> Event:
    """An event with these labels. What is no field of an event becomes a label of its own, `params.x` a parameter.

    What `Event.to_dict` wrote gives that event. Raises TocsinError for a value that a field cannot hold.
    """
    if {"version", "id", "time", "state_family"} <= labels.keys():
        return Event.from_dict(labels).replace(sequence=None)
    given = {name: value for name, value in labels.items() if value is not None}
    state = state_of(given)
    fields: dict[str, Any] = {name: str(given.pop(name)) for name in _TEXTS if given.get(name) is not None}
    fields |= {name: _whole(name, given.pop(name)) for name in _NUMBERS if given.get(name) is not None}
    if (given_duration := given.pop("duration", None)) is not None:
        fields["duration"] = duration(given_duration).total_seconds()
    if (exception := given.pop("exception", None)) is not None:
        summary = summary_of(exception)
        fields["exception"] = replace(summary, message=str(given.pop("exception.message", summary.message)))
    for name in ("causes", "blocked", "state_family"):
        if name in given:
            fields[name] = tuple(map(str, given.pop(name)))
    given |= {f"context.{name}": value for name, value in dict(given.pop("context", {})).items()}
    tags = given.pop("tags", ())
    parameters = dict(given.pop("params", given.pop("parameters", {})))
    given = {**dict(given.pop("labels", {})), **given}
    own = {}
    time = given.pop("time", None)
    identity = str(given.pop("id", "") or clock.new_id())
    will_retry = bool(given.pop("will_retry", False))
    for name, value in given.items():
        if name.startswith("params."):
            parameters[name.removeprefix("params.")] = value
        elif value is not None:
            own[name] = str(value).lower() if isinstance(value, bool) else str(value)
    fields.setdefault("flow", "")
    fields.setdefault("run_id", "")
    fields.setdefault("state_family", family_of(state))
    return Event(
        id=identity,
        time=clock.now() if time is None else moment(time),
        state=state,
        tags=frozenset([tags] if isinstance(tags, str) else map(str, tags)),
        parameters=parameters,
        labels=own,
        will_retry=will_retry,
        **fields,
    )


_FLAGS = {
    "is_failed": "Failed", "is_successful": "Success", "is_retrying": "Retrying", "is_running": "Running",
    "is_skipped": "Skipped", "is_cached": "Cached", "is_mapped": "Mapped", "is_timed_out": "TimedOut",
    "is_trigger_failed": "TriggerFailed", "is_crashed": "Crashed", "is_cancelled": "Cancelled",
    "is_pending": "Pending", "is_scheduled": "Scheduled", "is_queued": "Queued", "is_submitted": "Submitted",
    "is_finished": "Finished", "is_looped": "Looped",
}  # fmt: skip


def state_of(given: dict[str, Any]) -> str:
    """Take the state out of labels: by name, as a state or its class, or as `is_failed` and the like.

    Raises TocsinError for a flag that the state contradicts.

    >>> state_of({"state": "TimedOut", "is_failed": True}), state_of({"is_failed": "true"}), state_of({})
    ('TimedOut', 'Failed', '')
    """
    state = given.pop("state", "")
    if isinstance(state, State):
        state = type(state)
    name = state.__name__ if isinstance(state, type) else str(state)
    flags = {flag: str(given.pop(flag)).lower() == "true" for flag in _FLAGS if flag in given}
    name = name or next((_FLAGS[flag] for flag, holds in flags.items() if holds), "")
    for flag, holds in flags.items():
        if holds != (_FLAGS[flag] in family_of(name)):
            raise TocsinError(f"label '{flag}' of the event cannot be {str(holds).lower()} in the state '{name}'")
    return name


def summary_of(exception: Any) -> ExceptionSummary:
    """An exception, as itself, as a mapping or as the text `Type: message`.

    >>> summary_of("ValueError: no rows") == summary_of(ValueError("no rows"))
    True
    """
    if isinstance(exception, ExceptionSummary):
        return exception
    if isinstance(exception, BaseException):
        return ExceptionSummary(type(exception).__name__, str(exception))
    if isinstance(exception, Mapping):
        texts = [str(exception.get(name, "")) for name in ("type", "message", "traceback")]
        return ExceptionSummary(*texts)
    kind, _, text = str(exception).partition(":")
    return ExceptionSummary(kind.strip(), text.strip())


def family_of(state: str) -> tuple[str, ...]:
    """The names of a state's class and its ancestors; of an unknown one its own.

    >>> family_of("TimedOut"), family_of("Lost"), family_of("")
    (('TimedOut', 'Failed', 'Finished'), ('Lost',), ())
    """
    known = {kind.__name__: kind for kind in State.children() if isinstance(kind, type)}
    if state in known:
        return family(known[state])
    return (state,) if state else ()


def _whole(name: str, value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise TocsinError(f"label '{name}' of the event is a whole number, found '{value}'") from None
