"""How what alerting remembers is written as JSON: plain dataclasses, field by field, read back as they were."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError

from tocsin.store.records import storable

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
        return adapter.dump_json(value, exclude_defaults=True).decode()
    except PydanticSerializationError:  # half a character somewhere: rare, so looked for only now
        return json.dumps(_storable(adapter.dump_python(value, mode="json", exclude_defaults=True)))


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
    value: T = _adapter(kind).validate_json(text)
    return value
