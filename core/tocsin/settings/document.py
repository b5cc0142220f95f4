"""What a config file says, and where it says it, ready to be shown without its secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from tocsin.settings.issues import Place, Position
from tocsin.settings.locate import KeyPath, Locations, Span
from tocsin.settings.models import is_own_key
from tocsin.settings.secret_like import names_database, secret_in
from tocsin.settings.source import Source

MASK = "***"
"""What stands in the place of what must not be shown."""

_REFERENCES = ("env", "file", "keyring")


@dataclass(frozen=True)
class Document:
    """The data of a config with overrides applied, and the place of each part of it.

    `plain` holds the keys `("channels", NAME, KEY)` whose text may be shown; that of all other channel settings is
    masked, for it may be a secret.
    """

    source: Source
    data: dict[str, Any]
    locations: Locations
    overridden: Mapping[KeyPath, str] = field(default_factory=dict)
    plain: frozenset[KeyPath] = frozenset()
    parts: tuple[Part, ...] = ()
    """The included files; `data` holds theirs, too."""

    def at(self, path: KeyPath, *, key: bool = False) -> Place:
        """The place of the value at `path`, or of its key; of what is closest above where it is not in the file."""
        if name := self._variable(path):
            return Place(Position(name))
        owner, full = self._owner(path)
        span = None if key else owner.locations.values.get(full)
        return owner._place(span or owner.locations.nearest(full))

    def within(self, path: KeyPath, start: int, end: int) -> Place:
        """The place of the characters `start` to `end` of the text at `path`."""
        if name := self._variable(path):
            return Place(Position(name))
        owner, full = self._owner(path)
        span = owner.locations.inside(full, start, end)
        return owner._place(span) if span else self.at(path)

    def with_plain(self, plain: frozenset[KeyPath]) -> Document:
        """The same, with other keys that may be shown."""
        parts = (replace(part, document=replace(part.document, plain=plain)) for part in self.parts)
        return replace(self, plain=plain, parts=tuple(parts))

    def _owner(self, path: KeyPath) -> tuple[Document, KeyPath]:
        """The file in which `path` stands, or most of it, and its path in the text of that file."""
        own = (*self.source.table, *path)
        if not self.parts:
            return self, own
        found = [(self, own), *((part.document, local) for part in self.parts if (local := part.local(path)))]
        return max(found, key=lambda each: each[0].locations.depth(each[1]))  # the first, where several are as good

    def is_overridden(self, path: KeyPath) -> bool:
        """Whether the value at `path` comes from the environment."""
        return self._variable(path) is not None

    def _variable(self, path: KeyPath) -> str | None:
        """The variable that has set the value at `path`, or, where the file has no such table, a part of it."""
        for length in range(len(path), 0, -1):
            if name := self.overridden.get(path[:length]):
                return name
        for length in range(len(path), 0, -1):
            if (*self.source.table, *path[:length]) in self.locations.keys:
                return None
            for below, name in self.overridden.items():
                if below[:length] == path[:length]:
                    return name
        return None

    def _place(self, span: Span | None) -> Place:
        if span is None:
            return Place(Position(self.source.name))
        telling = _telling_comment(self.locations, span.start)
        return place_of(self.source.name, self.locations, span, (*self._masked, *telling))

    @cached_property
    def _masked(self) -> tuple[Span, ...]:
        """What must not be shown: the insides of texts that may be secrets."""
        depth = len(self.source.table)
        return tuple(
            Span(span.start + 1, span.end - 1)
            for path, span in self.locations.values.items()
            if path[:depth] == self.source.table
            and self.locations.text[span.start] in "\"'"
            and self._may_be_secret(path[depth:], self.locations.text[span.start : span.end])
        )

    def _may_be_secret(self, path: KeyPath, text: str) -> bool:
        if path[-1] in _REFERENCES and ((path[0] == "channels" and len(path) > 3) or path[:2] == ("store", "url")):
            return False
        if path == ("store", "path") and names_database(text):
            return True
        return "://" in text or secret_in(text) is not None or not (is_own_key(path) or path[:3] in self.plain)


@dataclass(frozen=True)
class Part:
    """An included file. `first` and `count` say which elements of each list of tables are its own."""

    document: Document
    first: Mapping[str, int]
    count: Mapping[str, int]

    def local(self, path: KeyPath) -> KeyPath:
        """The path in this file of what is at `path` in the whole config; empty, where that is another file's."""
        match path:
            case (str(section), int(index), *rest) if section in self.first:
                index -= self.first[section]
                return (section, index, *rest) if 0 <= index < self.count[section] else ()
            case (str(section), int(), *_):
                return ()
        return path


def _telling_comment(locations: Locations, offset: int) -> tuple[Span, ...]:
    """The comment of the line at `offset`, where it may hold a secret: it has a setting in it, or what looks like one.

    >>> from tocsin.settings.locate import locate
    >>> [len(_telling_comment(locate(f"a = '#' # {said}"), 0)) for said in ("b = 'pw'", "the new one")]
    [1, 0]
    """
    line = locations.position(offset)[0]
    start, text = locations.line_start(line), locations.text
    end = start + len(locations.line(line))
    texts = [span for span in (*locations.values.values(), *locations.keys.values()) if text[span.start] in "\"'"]
    marks = (at for at in range(start, end) if text[at] == "#")
    begin = next((at for at in marks if not any(span.start < at < span.end for span in texts)), end)
    said = text[begin + 1 : end]
    return (Span(begin + 1, end),) if re.search("[=\"']", said) or secret_in(said) else ()


def place_of(name: str, locations: Locations, span: Span, masked: tuple[Span, ...] = ()) -> Place:
    """The place of a span, with its line to show; the parts in `masked` are left out of that."""
    line, column = locations.position(span.start)
    start, text = locations.line_start(line), locations.line(line)
    after = min(span.end - start, len(text))
    hidden = sorted(
        (max(0, part.start - start), min(len(text), part.end - start))
        for part in masked
        if part.start < start + len(text) and part.end > start
    )
    first, last = _moved(column - 1, hidden), _moved(after, hidden)
    return Place(
        Position(name, line, column),
        length=max(1, after - column + 1),
        shown=_hide(text, hidden),
        caret=first + 1,
        width=max(1, last - first),
    )


def _hide(text: str, hidden: list[tuple[int, int]]) -> str:
    """`text` with the hidden parts masked.

    >>> _hide('token = "xoxb-1" # new', [(9, 15)])
    'token = "***" # new'
    """
    for start, end in reversed(hidden):
        text = f"{text[:start]}{MASK}{text[end:]}"
    return text


def _moved(at: int, hidden: list[tuple[int, int]]) -> int:
    """Where the character at `at` stands once the hidden parts are masked."""
    moved = at
    for start, end in hidden:
        if at >= end:
            moved += len(MASK) - (end - start)
        elif at > start:
            moved -= max(0, at - start - len(MASK))
    return moved
