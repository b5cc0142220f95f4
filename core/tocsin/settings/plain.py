"""A config that is given as dictionaries and lists, as the text that somebody could have written."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any


def toml_of(config: Mapping[str, Any]) -> str:
    r"""The TOML of a config; a key without a value is left out. Raises TypeError for what no TOML can say.

    >>> print(toml_of({"defaults": {"send": ["ops"]}, "routes": [{"when": "flow=\"a b\"", "stop": True}]}), end="")
    defaults = {"send" = ["ops"]}
    routes = [{"when" = "flow=\"a b\"", "stop" = true}]
    """
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in config.items() if value is not None)


def _key(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a key of a config is text, found {name!r}")
    return name if name.isascii() and name.isidentifier() else _value(name)


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case dt.timedelta():
            return f'"{value.total_seconds():.6f}s"'
        case Mapping():
            pairs = ((name, each) for name, each in value.items() if each is not None)
            return "{" + ", ".join(f"{_quoted(name)} = {_value(each)}" for name, each in pairs) + "}"
        case set() | frozenset():
            return _value(sorted(value))
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
        case dt.date() | dt.time():
            return value.isoformat()
    return _value(str(value)) if hasattr(value, "__fspath__") else _refused(value)


def _quoted(name: Any) -> str:
    return _value(name) if isinstance(name, str) else _key(name)


def _refused(value: Any) -> str:
    raise TypeError(f"a config holds texts, numbers, dictionaries and lists, found {value!r}")
