"""How places in the data of a config are found, and called in messages."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from pydantic import BaseModel

from tocsin.settings.locate import KeyPath


def at(data: Any, path: KeyPath) -> Any:
    """The value at `path`; None where there is none."""
    for part in path:
        if not _has(data, part):
            return None
        data = data[part]
    return data


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def data_path(data: Any, location: tuple[str | int, ...]) -> KeyPath:
    """The part of pydantic's location that the data has: it also names alternatives and keys that are missing.

    >>> data_path({"send": ["ops", 3]}, ("send", "list[str]", 1))
    ('send', 1)
    """
    path: KeyPath = ()
    for part in location:
        if _has(data, part):
            data, path = data[part], (*path, part)
    return path


def spoken(data: Any, path: KeyPath) -> tuple[str, str]:
    """How a path is called: its table, and the key in it.

    >>> spoken({"routes": [{"name": "pages"}]}, ("routes", 0, "send", 1))
    ("route 'pages'", 'send[1]')
    >>> spoken({}, ("channels", "ops", "retry", "tries")), spoken({}, ("store", "path")), spoken({}, ("version",))
    (('[channels.ops]', 'retry.tries'), ('[store]', 'path'), ('', 'version'))
    """
    match path:
        case ("routes" | "inhibit" | "watch" as section, int(index), *rest):
            table = _CALLED[section](at(data, path[:2]), index)
        case ("channels" | "templates" | "windows" | "escalations" as section, str(name), *rest):
            table = f"[{section}.{name}]"
        case (str(section), str(first), *others):
            table, rest = f"[{section}]", [first, *others]
        case _:
            table, rest = "", list(path)
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in rest)
    return (table, key.removeprefix(".")) if key or not table else ("", table)


def route_name(table: Any, index: int) -> str:
    """How messages call a route.

    >>> route_name({"name": "pages"}, 0), route_name({}, 0)
    ("route 'pages'", 'route 1')
    """
    return _numbered("route", table, index)


def _numbered(word: str, table: Any, index: int) -> str:
    name = table.get("name") if isinstance(table, dict) else None
    return f"{word} '{name}'" if isinstance(name, str) and name else f"{word} {index + 1}"


_CALLED: Mapping[str, Callable[[Any, int], str]] = {
    "routes": route_name,
    "inhibit": partial(_numbered, "inhibition"),
    "watch": partial(_numbered, "watch"),
}


def keys_at(model: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    """The keys that are known where `location` ends, as far as annotations tell."""
    models = [model]
    for part in location[:-1]:
        below = [
            inner
            for outer in models
            if (info := outer.model_fields.get(str(part)))
            for inner in _within(info.annotation, lambda kind: isinstance(kind, type) and issubclass(kind, BaseModel))
        ]
        models = below or models
    return [info.alias or name for known in models for name, info in known.model_fields.items()]


def _within(annotation: Any, wanted: Callable[[Any], bool]) -> list[Any]:
    """The parts of an annotation that are `wanted`."""
    if wanted(annotation):
        return [annotation]
    return [found for inner in typing.get_args(annotation) for found in _within(inner, wanted)]
