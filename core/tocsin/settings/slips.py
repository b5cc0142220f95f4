"""What somebody who wrote no TOML probably meant: quotes of a word processor, other letters, colons, bare words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from tocsin.settings.locate import Span

_QUOTES = "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2018\u2019\u201a\u201b\u00b4`"
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2212"
_ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0442\u043a\u043c\u043d\u0432"  # Cyrillic
    "\u03bf\u03b1\u03c1\u03bd\u03b9",  # Greek
    "aeopcyxijstkmhboapvi",
)
_WORD = re.compile(r"[\w-]+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BRACKETS = "the header is opened and closed by different numbers of brackets"
_WORDS = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_OF_KEYS = ("Expected '='", "Expected ']", "Invalid initial character for a key", "Invalid statement")
_NOTHING = ("none", "null", "nil", "undefined")
_SPAN = re.compile(r"=[ \t]*(?P<number>\d+(?:\.\d+)?)[ \t]*(?P<unit>ms|s|m|h|d|w|y)\b")


@dataclass(frozen=True, slots=True)
class Slip:
    """What is wrong at some characters of a text, and what would do; without a `reason`, what TOML says is said."""

    span: Span
    cure: str
    reason: str = ""


def slip_at(text: str, offset: int, complaint: str) -> Slip | None:
    """What probably was meant where a TOML parser stopped at `offset` with `complaint`, if that can be told.

    >>> slip_at("[größe]", 3, "Expected ']'").cure
    'put it in quotes: "größe"'
    >>> slip_at("isolate = yes", 10, "Invalid value").cure
    'write true'
    >>> slip_at("project: 'x'", 7, "Expected '='").cure
    "type '=' instead"
    >>> slip_at("a = 1", 0, "Cannot overwrite a value") is None
    True
    """
    found = (rule(text, offset, complaint) for rule in _RULES)
    return next((slip for slip in found if slip is not None), None)


def _odd_character(text: str, offset: int, _: str) -> Slip | None:
    """A character that looks like one of TOML's, or like nothing."""
    char, here = text[offset : offset + 1], Span(offset, offset + 1)
    named = f"{unicodedata.name(char, 'no name') if char else ''} (U+{ord(char or ' '):04X})"
    if char and char in _QUOTES:
        return Slip(here, 'type " instead', f"'{char}' is no quotation mark of TOML")
    if char and char in _DASHES:
        return Slip(here, "type '-' instead", f"this is no '-' but {named}")
    if unicodedata.category(char or " ") in ("Zs", "Cf", "Zl", "Zp") and char not in ("", " "):
        return Slip(here, "delete it; what spaces there are must be plain ones", f"here is an invisible {named}")
    plain = unicodedata.normalize("NFKC", char)
    if not char.isascii() and plain.isascii() and len(plain) == 1 and not plain.isalnum():
        return Slip(here, f"type '{plain}' instead", f"this is no '{plain}' but {named}")
    return None


def _foreign_key(text: str, offset: int, complaint: str) -> Slip | None:
    """A bare key with other letters than TOML takes there."""
    if not complaint.startswith(_OF_KEYS) or text[offset : offset + 1].isascii():
        return None
    word = next((each for each in _WORD.finditer(text, text.rfind("\n", 0, offset) + 1) if each.end() > offset), None)
    if word is None or word.start() > offset:
        return None
    span, plain = Span(*word.span()), word[0].translate(_ALIKE)
    if _BARE.fullmatch(plain):
        char = word[0][offset - word.start()]
        reason = f"'{word[0]}' has a letter in it that only looks like one of A to Z: {unicodedata.name(char, char)}"
        return Slip(span, f"type '{plain}' anew", reason)
    return Slip(span, f'put it in quotes: "{word[0]}"', "a key without quotes has only A to Z, 0 to 9, _ and -")


def _no_equals(text: str, offset: int, complaint: str) -> Slip | None:
    if not complaint.startswith("Expected '='"):
        return None
    if text.startswith(":", offset):
        return Slip(Span(offset, offset + 1), "type '=' instead", "between a key and its value stands '=', and no ':'")
    if (word := _BARE.match(text, offset)) is not None:
        return Slip(Span(*word.span()), "join the words, or put them in quotes", "a key of more than one word")
    return None


def _no_value(text: str, offset: int, complaint: str) -> Slip | None:
    if complaint != "Invalid value":
        return None
    word = _WORD.match(text, offset)
    if word is None:
        missing = offset >= len(text) or text[offset] in "\n#,]}"
        at = max(0, text.rfind("=", 0, offset))
        return Slip(Span(at, at + 1), "", "the value is missing") if missing else None
    span, low = Span(*word.span()), word[0].lower()
    if low in _WORDS:
        return Slip(span, f"write {_WORDS[low]}")
    if low in _NOTHING:
        return Slip(span, "leave the key out where there is nothing to say")
    return Slip(span, "text stands in double quotes")


def _more_on_the_line(text: str, offset: int, complaint: str) -> Slip | None:
    if not complaint.startswith("Expected newline"):
        return None
    start, here = text.rfind("\n", 0, offset) + 1, Span(offset, offset + 1)
    char, before = text[offset : offset + 1], text[:offset].rstrip()[-1:]
    if span := next((each for each in _SPAN.finditer(text, start) if each.start("unit") == offset), None):
        said = f"{span['number']}{span['unit']}"
        return Slip(Span(span.start("number"), span.end()), f'put it in quotes: "{said}"', "a span of time is a text")
    if char == ",":
        return Slip(here, "leave it out", "a comma at the end of a line")
    if char == "]" and text[start:offset].lstrip().startswith("["):
        return Slip(here, "", _BRACKETS)
    if before == "'":
        return Slip(here, "a text with a ' in it stands in double quotes", "the text ends before this")
    if before == '"':
        return Slip(here, 'inside a text a " is written \\"', "the text ends before this")
    return None


def _half_closed(text: str, offset: int, complaint: str) -> Slip | None:
    if complaint.startswith("Expected ']]'") and text.startswith("]", offset):
        return Slip(Span(offset, offset + 1), "", _BRACKETS)
    return None


def _no_comment(text: str, offset: int, complaint: str) -> Slip | None:
    if complaint == "Invalid statement" and text.startswith(("//", "/*", ";", "--"), offset):
        return Slip(Span(offset, offset + 1), "a comment begins with '#'")
    return None


_RULES: tuple[Callable[[str, int, str], Slip | None], ...] = (
    _odd_character,
    _foreign_key,
    _no_equals,
    _no_value,
    _more_on_the_line,
    _half_closed,
    _no_comment,
)
