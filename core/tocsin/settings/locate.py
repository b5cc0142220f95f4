"""Where in a TOML text each key and value stands.

`tomllib` tells the values but not their places. The scanner here reads the same text for places only: it takes for
granted that `tomllib` accepts the text, and where it does not, keeps what it has seen up to the fault.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of tables and indices of arrays, from the top."""

DEEPEST = 60
"""How many arrays and inline tables may stand inside each other."""

_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}#\n]*")
_STRINGS = {
    '"""': re.compile(r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}', re.DOTALL),
    "'''": re.compile(r"'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"),
    '"': re.compile(r'"(?:[^"\\\n]++|\\.)*+"'),
    "'": re.compile(r"'[^'\n]*+'"),
}
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|[ \t]*\n[ \t\n]*|.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the text, as offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A key or table that stands in the text for a second time."""

    path: KeyPath
    first: Span
    again: Span


@dataclass(frozen=True, slots=True)
class Fault:
    """Where the scanner could not go on: `path` was being read, `opener` is the bracket or quote left open."""

    offset: int
    path: KeyPath
    opener: Span | None = None
    too_deep: bool = False


@dataclass(frozen=True)
class Locations:
    """The places of a TOML text. Lines and columns count from 1, columns in characters."""

    text: str
    keys: dict[KeyPath, Span] = field(default_factory=dict)
    values: dict[KeyPath, Span] = field(default_factory=dict)
    repeats: list[Repeat] = field(default_factory=list)
    fault: Fault | None = None

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def paths(self) -> set[KeyPath]:
        """Every key of every table and every element of every array."""
        return {*self.keys, *self.values}

    def position(self, offset: int) -> tuple[int, int]:
        """The line and column of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line_start(self, line: int) -> int:
        """The offset at which a line begins."""
        return self._starts[line - 1]

    def line(self, line: int) -> str:
        """The text of a line."""
        end = self._starts[line] - 1 if line < len(self._starts) else len(self.text)
        return self.text[self._starts[line - 1] : end]

    def nearest(self, path: KeyPath) -> Span | None:
        """The key at `path`, or the closest one above it that stands in the text."""
        for length in range(len(path), 0, -1):
            span = self.keys.get(path[:length]) or self.values.get(path[:length])
            if span:
                return span
        return None

    def depth(self, path: KeyPath) -> int:
        """How much of `path` stands in the text."""
        return next((n for n in range(len(path), 0, -1) if path[:n] in self.keys or path[:n] in self.values), 0)

    def inside(self, path: KeyPath, start: int, end: int) -> Span | None:
        """The place of the characters `start` to `end` of the string at `path`, as it reads once decoded."""
        span = self.values.get(path)
        if span is None or self.text[span.start] not in "\"'":
            return None
        offsets = content_offsets(self.text[span.start : span.end])
        last = len(offsets) - 1
        first, after = offsets[min(start, last)], offsets[min(max(start, end), last)]
        return Span(span.start + first, span.start + max(after, first + 1))


def content_offsets(literal: str) -> list[int]:
    r"""The offset in a TOML string literal of each character it stands for, and of its end.

    >>> content_offsets(r'"a\tb"')
    [1, 2, 4, 5]
    """
    quote = literal[:3] if literal[:3] in ('"""', "'''") and len(literal) >= 6 else literal[0]
    at, end = len(quote), len(literal) - len(quote)
    if len(quote) == 3 and literal.startswith("\n", at):
        at += 1
    offsets = []
    while at < end:
        escape = _ESCAPE.match(literal, at, end) if quote[0] == '"' else None
        if escape is None:
            offsets.append(at)
            at += 1
        else:
            if escape[0][1] not in " \t\n":  # a backslash at the end of a line stands for nothing
                offsets.append(at)
            at = escape.end()
    return [*offsets, end]


def locate(text: str) -> Locations:
    r"""The places of every key and value of `text`, up to the first fault if there is one.

    >>> found = locate('[channels.ops]\ntype = "slack"\n')
    >>> found.position(found.values["channels", "ops", "type"].start)
    (2, 8)
    """
    scanner = _Scanner(text)
    fault = None
    try:
        scanner.document()
    except _StopHere as stop:
        fault = stop.fault
    return Locations(text, scanner.keys, scanner.values, scanner.repeats, fault)


class _StopHere(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.keys: dict[KeyPath, Span] = {}
        self.values: dict[KeyPath, Span] = {}
        self.repeats: list[Repeat] = []
        self._lengths: dict[KeyPath, int] = {}  # of the arrays of tables
        self._headers: set[KeyPath] = set()
        self._table: KeyPath = ()
        self._path: KeyPath = ()
        self._depth = 0

    def document(self) -> None:
        self._blank()
        while self.at < len(self.text):
            self._path = self._table
            if self._next("["):
                self._header()
            else:
                self._pair(self._table)
            self._blank()

    def _header(self) -> None:
        double = self._next("[[")
        self.at += 2 if double else 1
        parts = self._key()
        self._expect("]]" if double else "]")
        path: KeyPath = ()
        for name, span in parts[:-1]:
            path = (*path, name)
            self.keys.setdefault(path, span)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        name, span = parts[-1]
        path = (*path, name)
        if double:
            self.keys.setdefault(path, span)
            index = self._lengths[path] = self._lengths.get(path, 0) + 1
            path = (*path, index - 1)
            self.keys[path] = span
        else:
            if path in self._headers or path in self.values or path in self._lengths:
                self.repeats.append(Repeat(path, self.keys[path], span))
            self._headers.add(path)
            self.keys.setdefault(path, span)
        self._table = path

    def _pair(self, table: KeyPath) -> None:
        path = table
        parts = self._key()
        for name, span in parts:
            path = (*path, name)
            first = self.keys.setdefault(path, span)
        if first is not span:
            self.repeats.append(Repeat(path, first, span))
        self._path = path
        self._blank()
        self._expect("=")
        self._blank()
        self._value(path)

    def _key(self) -> list[tuple[str, Span]]:
        parts = [self._part()]
        while self._next("."):
            self.at += 1
            parts.append(self._part())
        return parts

    def _part(self) -> tuple[str, Span]:
        self._blank()
        start = self.at
        if self._next('"') or self._next("'"):
            self._string()
            raw = self.text[start : self.at]
            name = _decoded(raw) if "\\" in raw else raw[1:-1]
        elif match := _BARE.match(self.text, self.at):
            name = match[0]
            self.at = match.end()
        else:
            raise self._stop()
        span = Span(start, self.at)
        self._blank()
        return name, span

    def _value(self, path: KeyPath) -> None:
        start = self.at
        self._path = path
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._stop(too_deep=True)
        if self._next("["):
            self._array(path)
        elif self._next("{"):
            self._inline_table(path)
        elif self._next('"') or self._next("'"):
            self._string()
        else:
            match = _SCALAR.match(self.text, self.at)
            assert match is not None
            self.at += len(match[0].rstrip())
        self._depth -= 1
        self.values[path] = Span(start, self.at)

    def _array(self, path: KeyPath) -> None:
        opener = Span(self.at, self.at + 1)
        self.at += 1
        index = 0
        self._blank(opener)
        while not self._next("]"):
            self._value((*path, index))
            index += 1
            self._blank(opener)
            if not self._next("]"):
                self._expect(",", opener)
                self._blank(opener)
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        opener = Span(self.at, self.at + 1)
        self.at += 1
        self._blank(opener)
        while not self._next("}"):
            self._pair(path)
            self._blank(opener)
            if not self._next("}"):
                self._expect(",", opener)
                self._blank(opener)
        self.at += 1

    def _string(self) -> None:
        quote = next(quote for quote in _STRINGS if self._next(quote))
        match = _STRINGS[quote].match(self.text, self.at)
        if match is None:
            raise self._stop(Span(self.at, self.at + len(quote)))
        self.at = match.end()

    def _next(self, mark: str) -> bool:
        return self.text.startswith(mark, self.at)

    def _blank(self, opener: Span | None = None) -> None:
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        if opener and self.at == len(self.text):
            raise self._stop(opener)

    def _expect(self, mark: str, opener: Span | None = None) -> None:
        if not self._next(mark):
            raise self._stop(opener)
        self.at += len(mark)

    def _stop(self, opener: Span | None = None, *, too_deep: bool = False) -> _StopHere:
        return _StopHere(Fault(self.at, self._path, opener, too_deep))


def _decoded(literal: str) -> str:
    try:
        return str(tomllib.loads(f"key = {literal}")["key"])
    except tomllib.TOMLDecodeError:  # a text that tomllib refuses is scanned too, for where its fault is
        return literal[1:-1]
