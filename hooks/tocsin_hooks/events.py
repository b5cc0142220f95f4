"""The immutable record of one state change."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pendulum

EVENT_VERSION = 1
"""Version of an event's JSON form. It grows when a field changes its meaning or goes; new fields do not count."""

_NAMESPACE = uuid.UUID("6f1d5a0e-30a8-5c5b-9d0c-7a1a2f3c9b11")  # drawn once, for the ids of tocsin's events


def event_id(
    source: str,
    run_id: str,
    task_run_id: str,
    map_index: int | None,
    attempt: int,
    loop_count: int,
    state: str,
) -> str:
    """The id of a state change: a UUIDv5 of what it happened to, so that a change reported twice is one event.

    >>> event_id("tocsin", "r", "t", None, 1, 1, "Failed")
    'aab0ad51-5328-583e-9785-2e8f55a4c736'
    """
    identity = json.dumps((source, run_id, task_run_id, map_index, attempt, loop_count, state))
    digest = hashlib.sha1(_NAMESPACE.bytes + identity.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    # what str(uuid.uuid5(_NAMESPACE, identity)) gives, in half the time: it is made for every change of every task
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


@dataclass(frozen=True, slots=True)
class ExceptionSummary:
    """An exception as text: what a person needs, and nothing that must be unpickled."""

    type: str
    message: str
    traceback: str = ""

    def to_dict(self) -> dict[str, str]:
        """The summary as plain JSON data."""
        return {"type": self.type, "message": self.message, "traceback": self.traceback}


@dataclass(frozen=True)
class Event:
    """One settled change of the state of a flow run or a task run.

    A change of the flow run itself has an empty `task`. Times are UTC; `duration` is in seconds. `state_family`
    names the state's class and its ancestors, nearest first, so that `is_failed` can be asked of an event whose
    state class is not known here. All values are plain data: the JSON form is what webhooks carry.
    """

    id: str
    time: pendulum.DateTime
    flow: str
    run_id: str
    state: str
    state_family: tuple[str, ...]
    old_state: str = ""
    sequence: int | None = None
    """Position in the store's history; None until it is stored."""
    source: str = "tocsin"
    project: str = ""
    run_name: str = ""
    task: str = ""
    task_run_id: str = ""
    map_index: int | None = None
    attempt: int = 1
    max_attempts: int = 1
    loop_count: int = 1
    message: str = ""
    tags: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    exception: ExceptionSummary | None = None
    duration: float | None = None
    will_retry: bool = False
    """Whether this failure is not the last word: a `Retrying` follows."""
    next_attempt_at: pendulum.DateTime | None = None
    severity: str = ""
    url: str = ""
    host: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Extra labels, from the pipeline or from `tocsin_enrich`."""
    causes: tuple[str, ...] = ()
    """The subjects in the same run whose failure is the reason for this one; empty where it stands by itself."""
    blocks: int = 0
    """How many tasks of the run cannot run because of this failure."""
    blocked: tuple[str, ...] = ()
    """The first of them, by name."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """The id, for an event that was made without: most are never stored, and need none."""
            identity = self.__dict__.get("_identity") if name == "id" else None
            if identity is None:
                raise AttributeError(f"an event has no {name!r}")
            value = self.__dict__["id"] = event_id(*identity)
            return value

    @cached_property
    def subject(self) -> str:
        """What the change happened to, for people: `flow`, `flow/task` or `flow/task[3]`."""
        if not self.task:
            return self.flow
        index = "" if self.map_index is None else f"[{self.map_index}]"
        return f"{self.flow}/{self.task}{index}"

    def is_a(self, state: str) -> bool:
        """Whether the state entered is of the class `state` or below it."""
        return state in self.state_family

    @classmethod
    def of_change(cls, identity: tuple[Any, ...], **fields: Any) -> Event:
        """An event with these fields, its id to be made of `identity` (as of `event_id`) when first asked for.

        Fields without a plain default must all be given. Four times as fast as the constructor, which sets each frozen
        field by a call; a runner makes three of these for every task.
        """
        event: Event = object.__new__(cls)
        fields["_identity"] = identity
        object.__setattr__(event, "__dict__", fields)
        return event

    def replace(self, **changes: Any) -> Event:
        """A copy with some fields changed."""
        if not changes.keys() <= _NAMES:
            raise TypeError(f"an event has no {min(changes.keys() - _NAMES)!r}")
        event: Event = object.__new__(type(self))
        event.__dict__.update(self.__dict__, **changes)
        event.__dict__.pop("subject", None)  # it is made of other fields
        return event

    def fields(self) -> dict[str, Any]:
        """The fields that do not have their defaults, by name, as they are.

        >>> from tocsin_hooks.testing import sample_event
        >>> {"severity", "map_index", "attempt"} & sample_event(severity="", map_index=0, attempt=1).fields().keys()
        {'map_index'}
        """
        found, default = {"id": self.id}, _DEFAULTS.get
        found |= {name: value for name, value in self.__dict__.items() if value != default(name)}
        for name in _NO_FIELDS:
            found.pop(name, None)
        return found

    def to_dict(self) -> dict[str, Any]:
        """The event as plain JSON data; times in ISO 8601 with offset."""
        data: dict[str, Any] = {"version": EVENT_VERSION}
        for name in _FIELDS:
            data[name] = getattr(self, name)
        data["time"] = self.time.isoformat()
        data["next_attempt_at"] = self.next_attempt_at.isoformat() if self.next_attempt_at else None
        data["state_family"] = list(self.state_family)
        data["tags"] = sorted(self.tags)
        data["parameters"] = dict(self.parameters)
        data["labels"] = dict(self.labels)
        data["causes"] = list(self.causes)
        data["blocked"] = list(self.blocked)
        data["exception"] = self.exception.to_dict() if self.exception else None
        return data

    def to_json(self) -> str:
        """The event as one line of JSON, which any file or database takes."""
        data = self.to_dict()
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:  # half a character, as in names of files that are no UTF-8
            text = json.dumps(data, separators=(",", ":"))
        return text

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event:
        """The event that `to_dict` wrote; fields of a later version are passed over.

        Raises ValueError for a form newer than this one, KeyError and TypeError for what is no event.
        """
        if data.get("version", EVENT_VERSION) > EVENT_VERSION:
            raise ValueError(f"event of version {data['version']}; this tocsin reads up to {EVENT_VERSION}")
        known = {name: value for name, value in data.items() if name in _NAMES}
        known["time"] = _time(data["time"])
        known["next_attempt_at"] = _time(data.get("next_attempt_at"))
        known["state_family"] = tuple(data["state_family"])
        known["tags"] = frozenset(data.get("tags", ()))
        known["causes"] = tuple(data.get("causes", ()))
        known["blocked"] = tuple(data.get("blocked", ()))
        known["exception"] = ExceptionSummary(**data["exception"]) if data.get("exception") else None
        if not known.keys() >= _REQUIRED:
            raise TypeError(f"an event needs {min(_REQUIRED - known.keys())!r}")
        event: Event = object.__new__(cls)  # as `of_change` does, for all that is sent was read
        event.__dict__.update({"parameters": {}, "labels": {}}, **known)
        return event

    @classmethod
    def from_json(cls, text: str) -> Event:
        """The event that `to_json` wrote."""
        return cls.from_dict(json.loads(text))


_FIELDS = tuple(f.name for f in dataclasses.fields(Event))
_NAMES = frozenset(_FIELDS)
_DEFAULTS: dict[str, Any] = {
    f.name: f.default for f in dataclasses.fields(Event) if f.default is not dataclasses.MISSING
} | {"parameters": {}, "labels": {}}
_REQUIRED = _NAMES - _DEFAULTS.keys()

_NO_FIELDS = ("_identity", "subject")  # what else an event carries

_WRITTEN = (25, 32)  # characters of a UTC time in whole seconds, and of one with microseconds


def _time(text: str | None) -> Any:
    if text is None:
        return None
    import pendulum

    if len(text) in _WRITTEN and text.endswith("+00:00"):  # as we write it: read in a tenth of the time
        with suppress(ValueError):
            at = datetime.fromisoformat(text)
            return pendulum.DateTime(
                at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond, pendulum.UTC
            )
    return pendulum.parse(text)
