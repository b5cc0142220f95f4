"""How `name=value` is read from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import click


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """The values of an option that takes `name=value`, by name; a usage error for what has no name.

    >>> pairs(["day=2024-01-01", "where=a=b"], "--param")
    {'day': '2024-01-01', 'where': 'a=b'}
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise click.UsageError(f"{option} takes NAME=VALUE, found '{text}'")
        found[name.strip()] = value
    return found


def parameters(given: Iterable[str], option: str = "--param") -> dict[str, Any]:
    """Parameters by name: JSON where the text is JSON, else the text itself.

    >>> parameters(["n=3", "day=2024-01-01", 'ids=[1, 2]', 'zip="01234"', "rate=NaN"])
    {'n': 3, 'day': '2024-01-01', 'ids': [1, 2], 'zip': '01234', 'rate': 'NaN'}
    """
    return {name: _parsed(text) for name, text in pairs(given, option).items()}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
