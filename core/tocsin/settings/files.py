"""Which files a config is made of, whether it is right or wrong at the moment."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_MOST = 1000


def files_of(path: Path | None, known: tuple[Path, ...] = ()) -> tuple[Path, ...]:
    """The file of a config, those that it includes, and those of its templates, be they there or not.

    As long as one of them cannot be read, what was `known` before stays in.

    >>> files_of(None)
    ()
    """
    found: dict[Path, None] = {}
    waiting = [] if path is None else [path]
    while waiting and len(found) < _MOST:
        file = waiting.pop()
        if file in found:
            continue
        found[file] = None
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            found |= dict.fromkeys(each for each in known if each not in waiting)
            continue
        table = data.get("tool", {}).get("tocsin", {}) if file.name == "pyproject.toml" else data
        waiting += [(file.parent / name).resolve() for name in _texts(table.get("include"))]
        found |= dict.fromkeys((path or file).parent / name for name in _template_files(table.get("templates")))
    return tuple(found)


def _template_files(templates: Any) -> Iterator[str]:
    for template in templates.values() if isinstance(templates, dict) else ():
        if isinstance(template, dict):
            yield from _texts([template.get("file")])


def _texts(value: Any) -> Iterator[str]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, str) and each and "\0" not in each:
            yield each
