"""How what is kept is written as JSON: events, and plain dataclasses, field by field, read back as they were."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from tocsin.store.records import storable
from tocsin_hooks.events import EVENT_VERSION, Event

T = TypeVar("T")


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if (adapter := _ADAPTERS.get(kind)) is None:
        adapter = _ADAPTERS[kind] = TypeAdapter(kind)
    return adapter


def dump(value: Any) -> str:
    """A dataclass of plain values as JSON, without the fields that have their defaults; half characters become `?`.

    >>> from tocsin.store.records import Planned
    >>> from tocsin_hooks.messages import Action
    >>> dump(Planned("ops", "pages", Action.OPEN))
    '{"channel":"ops","route":"pages","action":"open"}'
    """
    adapter = _adapter(type(value))
    try:
        return adapter.serializer.to_json(value, exclude_defaults=True).decode()
    except PydanticSerializationError:  # half a character somewhere: rare, so looked for only now
        return json.dumps(_storable(adapter.dump_python(value, mode="json", exclude_defaults=True)))


def dump_event(event: Event) -> str:
    """An event as `Event.from_json` reads it, without the fields that have their defaults.

    >>> from tocsin_hooks.testing import sample_event
    >>> event = sample_event(labels={}, exception=None)
    >>> "labels" in dump_event(event), Event.from_json(dump_event(event)) == event
    (False, True)
    """
    data = event.fields()
    data["version"], data["time"] = EVENT_VERSION, event.time.isoformat()
    if event.next_attempt_at is not None:
        data["next_attempt_at"] = event.next_attempt_at.isoformat()
    if event.exception is not None:
        data["exception"] = event.exception.to_dict()
    try:
        return to_json(data).decode()
    except PydanticSerializationError:  # half a character, which JSON can hold as long as it is escaped
        whole = event.to_dict().items()
        return json.dumps({name: value for name, value in whole if name in data}, separators=(",", ":"))


def _storable(data: Any) -> Any:
    match data:
        case str():
            return storable(data)
        case dict():
            return {storable(name): _storable(value) for name, value in data.items()}
        case list():
            return [_storable(value) for value in data]
    return data


def load(kind: type[T], text: str) -> T:
    """The value that `dump` wrote; a field it does not know, of a later version, is passed over."""
    value: T = _adapter(kind).validator.validate_json(text)
    return value
