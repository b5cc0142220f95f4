"""What a config says together with the files that it includes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tocsin.settings.document import Document, Part
from tocsin.settings.issues import Problem, nearest
from tocsin.settings.parsing import parse
from tocsin.settings.source import Source, override

LISTS = ("routes", "inhibit", "watch")
"""What the files have of these stands one behind the other: first the including one's, then each included one's."""

_MOST = 100


def read(source: Source) -> tuple[Document | None, list[Problem]]:
    """The document of a source, included files and overrides put in; None when one of the files is no TOML.

    Each file is read once, however often it is included. A path in `include` starts at the folder of the file that it
    stands in; all other paths start at the folder of the first file.
    """
    document, problems = parse(source)
    if document is None:
        return None, problems
    included, problems = _included(document)
    if problems:
        return None, problems
    document, problems = _together(document, included)
    overridden, found = override(document.data, source.overrides)
    return replace(document, overridden=overridden), problems + found


def _included(top: Document) -> tuple[list[Document], list[Problem]]:
    """The files that `top` includes, and those that they include, in the order in which they are read."""
    found: dict[Path, Document] = {}
    problems: list[Problem] = []
    start = (top.source.path or top.source.base / top.source.name).resolve()
    above: dict[Path, tuple[Path, ...]] = {start: (start,)}
    waiting = [(top, start)]
    while waiting:
        document, here = waiting.pop(0)
        for index, text in _names(document):
            path = _resolved(document, text)
            place = document.at(("include", index))
            if path in above[here]:
                circle = (*above[here][above[here].index(path) :], path)
                shown = " -> ".join(f"'{each.name}'" for each in circle)
                problems.append(Problem("E112", f"files include each other in a circle: {shown}", place))
            elif path not in found and path != start:
                included, faults = _read(document, text, index)
                problems += faults
                if included is None or len(found) >= _MOST:
                    continue
                found[path], above[path] = included, (*above[here], path)
                waiting.append((included, path))
    return [*found.values()], problems


def _names(document: Document) -> Iterator[tuple[int, str]]:
    names = document.data.get("include")
    for index, text in enumerate(names if isinstance(names, list) else ()):
        if isinstance(text, str) and text and "\0" not in text:
            yield index, text


def _resolved(document: Document, text: str) -> Path:
    return (document.source.base / text).resolve()


def _read(document: Document, text: str, index: int) -> tuple[Document | None, list[Problem]]:
    """The file that `document` includes as `text`."""
    if "://" in text:
        place = document.at(("include", index))
        return None, [Problem("E111", "an address cannot be included", place, "name a file")]
    path = document.source.base / text
    name = str(Path(document.source.name).parent / text)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        place = document.at(("include", index))
        return None, [Problem("E111", f"the included file '{name}' {reason}", place, _instead(path))]
    return parse(Source(path, data, name, path.parent.absolute()))


def _instead(path: Path) -> str:
    """What would do instead of a file that cannot be read."""
    if any(char in path.name for char in "*?["):
        return "there are no patterns here: name each file"
    if path.is_dir():
        return "name each file of that folder"
    try:
        beside = [each.name for each in islice(path.parent.iterdir(), _MOST) if each.suffix == ".toml"]
    except OSError:
        return f"there is no folder '{path.parent.name}' that could be read"
    return nearest(path.name, beside)


# ---------------------------------------------------------------- put together


def _together(top: Document, included: list[Document]) -> tuple[Document, list[Problem]]:
    data = {key: _copied(value) for key, value in top.data.items()}
    problems: list[Problem] = []
    whole = replace(top, data=data)
    for document in included:
        lists = {key: value for key, value in document.data.items() if key in LISTS and isinstance(value, list)}
        first = {key: len(data[key]) if isinstance(data.get(key), list) else 0 for key in lists}
        problems += _merge(whole, document)
        part = Part(document, first, {key: len(value) for key, value in lists.items()})
        whole = replace(whole, parts=(*whole.parts, part))
    return whole, problems


def _copied(value: Any) -> Any:
    """`value` with a top of its own, which can be added to."""
    return dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value


def _merge(whole: Document, document: Document) -> Iterator[Problem]:
    """Put the data of `document` into that of `whole`; yield a problem for each key that both have."""
    for key, value in document.data.items():
        there = whole.data.get(key)
        if key in ("include", "version") and there is not None:
            continue
        if there is None:
            whole.data[key] = _copied(value)
        elif key in LISTS and isinstance(there, list) and isinstance(value, list):
            there += value
        elif isinstance(there, dict) and isinstance(value, dict):
            for name, inner in value.items():
                if name in there:
                    yield _twice(whole, document, (key, name))
                else:
                    there[name] = inner
        else:
            yield _twice(whole, document, (key,))


def _twice(whole: Document, document: Document, path: tuple[str, ...]) -> Problem:
    first = whole.at(path, key=True).position
    text = f"'{'.'.join(path)}' stands in two files"
    return Problem("E104", text, document.at(path, key=True), f"it is first at {first}")
