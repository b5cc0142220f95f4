"""What a config file says by itself, or why it is no TOML: said where the mistake is, without what may be secret."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace

from tocsin.settings.document import MASK, Document, place_of
from tocsin.settings.issues import Place, Position, Problem
from tocsin.settings.locate import DEEPEST, Locations, Repeat, Span, locate
from tocsin.settings.models import is_own_key
from tocsin.settings.secret_like import names_database, secret_in
from tocsin.settings.slips import slip_at
from tocsin.settings.source import Source

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_HEADER = re.compile(r"\s*\[{1,2}[\w. -]*\]{0,2}")
_KEY = re.compile(r"[^='\"]*=|\s*[\w-]+:(?=\s)")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def parse(source: Source) -> tuple[Document | None, list[Problem]]:
    """What the file of a source says by itself, and what is wrong with it as a TOML file; None when it is none."""
    try:
        text = source.data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = source.data.count(b"\n", 0, error.start) + 1
        column = error.start - source.data.rfind(b"\n", 0, error.start)
        place = Place(Position(source.name, line, column))
        found = "UTF-16" if source.data.startswith(_UTF_16) else "not UTF-8"
        return None, [Problem("E102", f"the file is {found} text", place, "save it as UTF-8")]
    locations = locate(text)
    try:
        data = tomllib.loads(text)
    except RecursionError:
        return None, [_too_deep(source, locations)]
    except ValueError as error:  # also a number too long to be converted, which is no TOMLDecodeError
        return None, [_syntax_problem(source, locations, str(error))]
    if locations.fault:
        return None, [_too_deep(source, locations)]
    for part in source.table:
        data = data.get(str(part), {}) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        table = Document(source, {}, locations)
        return None, [Problem("E107", "'tool.tocsin' expects a table", table.at(()))]
    return Document(source, data, locations), []


def _too_deep(source: Source, locations: Locations) -> Problem:
    offset = locations.fault.offset if locations.fault else 0
    place = _fault_place(source, locations, Span(offset, offset + 1))
    return Problem("E103", f"arrays or tables stand more than {DEEPEST} deep in each other", place)


def _syntax_problem(source: Source, locations: Locations, message: str) -> Problem:
    """What `tomllib` complains of, said where the mistake is rather than where the parser noticed it."""
    if message.startswith("Cannot ") and locations.repeats:
        return _repeat_problem(source, locations, locations.repeats[-1])
    at = _AT.search(message)
    reason = _AT.sub("", message)
    offset = len(locations.text.rstrip())
    if at and at[1]:
        offset = locations.line_start(int(at[1])) + int(at[2]) - 1
    span, suggestion = Span(offset, offset + 1), ""
    fault = locations.fault
    if fault and fault.opener and (opened := _unclosed(locations.text, fault.opener, fault.offset)):
        reason, span = opened, fault.opener
    elif reason.startswith("Unescaped") and "\\" in locations.text[max(0, offset - 2) : offset]:
        span = Span(locations.text.rindex("\\", 0, offset), offset)
        suggestion = "in single quotes a backslash stands for itself"
    elif slip := slip_at(locations.text, offset, reason):
        reason, span, suggestion = slip.reason or reason, slip.span, slip.cure
    elif locations.text.startswith("\n", offset) and "key part" in reason:
        suggestion = "an inline table stands on one line"
    text = f"not TOML: {reason[:1].lower()}{reason[1:]}"
    return Problem("E103", text, _fault_place(source, locations, span), suggestion)


def _unclosed(text: str, opener: Span, offset: int) -> str:
    """What was opened and never closed, if the text ends before it is."""
    mark = text[opener.start]
    if mark in "\"'":
        return "this text has no closing quote"
    if offset < len(text.rstrip()):
        return ""
    return "this array is never closed" if mark == "[" else "this table is never closed"


def _repeat_problem(source: Source, locations: Locations, repeat: Repeat) -> Problem:
    name = ".".join(str(part) for part in repeat.path)
    first = Position(source.name, *locations.position(repeat.first.start))
    place = _fault_place(source, locations, repeat.again)
    return Problem("E104", f"'{name}' stands in the file twice", place, f"it is first at {first}")


def _fault_place(source: Source, locations: Locations, span: Span) -> Place:
    """The place of a mistake in a text that cannot be read. Of lines that may hold a secret only the key is shown."""
    place = place_of(source.name, locations, span)
    if _shows_no_secret(source, locations, span.start):
        return place
    start = _HEADER.match(place.shown) or _KEY.match(place.shown)
    if start and start.end() == len(place.shown):
        return place
    shown = f"{start[0]} {MASK}" if start else MASK
    if start and place.caret + place.width - 1 <= start.end():
        return replace(place, shown=shown)
    return replace(place, shown=shown, caret=min(place.caret, len(shown)), width=1)


def _shows_no_secret(source: Source, locations: Locations, offset: int) -> bool:
    """Whether the line at `offset` is about keys that hold no secrets, as far as the text could be read."""
    line = locations.position(offset)[0]
    start = locations.line_start(line)
    end = start + len(locations.line(line))
    said = locations.line(line)
    if "://" in said or secret_in(said) or names_database(said.partition("=")[2]):
        return False
    around = [path for path, span in locations.keys.items() if start <= span.start < end]
    if not around:
        return False
    before = [(span.start, path) for path, span in locations.keys.items() if span.start < start]
    around += [max(before, key=lambda found: found[0])[1]] if before else []
    if locations.fault:
        if locations.fault.offset < start:
            return False
        around += [locations.fault.path] if locations.fault.path else []
    depth = len(source.table)
    own = [path[depth:] for path in around if path[:depth] == source.table and len(path) > depth]
    return bool(own) and "=" in locations.line(line) and all(path[0] != "channels" and is_own_key(path) for path in own)
