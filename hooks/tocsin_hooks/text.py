"""How text is made fit for a service or a log: cut, cleaned, and as JSON that every reader takes."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from tocsin_hooks.secrets import redact

_DEEPEST = 50
"""How deep JSON may nest: what lies deeper goes as text. Readers have limits of their own."""
_JOINER = "\u200d"


def cut(text: str, limit: int) -> str:
    """`text`, at most `limit` code points of it; an ellipsis at the end says that it was cut.

    What belongs to one visible character stays together: marks above and below letters, joined emoji.

    >>> cut("hello", 5), cut("hello!", 5), cut("cafe\u0301s", 5)
    ('hello', 'hell…', 'caf…')
    """
    if len(text) <= limit:
        return text
    end = max(limit - 1, 0)
    while end and (_continues(text[end]) or text[end - 1] == _JOINER):
        end -= 1
    return f"{text[:end]}…"


def _continues(char: str) -> bool:
    return char == _JOINER or bool(unicodedata.combining(char)) or unicodedata.category(char) in ("Mn", "Me", "Sk")


def one_line(text: str) -> str:
    r"""`text` without line breaks, control characters and double spaces.

    >>> one_line(" bad\r\n\ttitle\x00 ")
    'bad title'
    """
    return " ".join("".join(char if char.isprintable() else " " if char.isspace() else "" for char in text).split())


def excerpt(text: bytes | str, limit: int = 500) -> str:
    r"""The start of what a service said, fit for a log: one line, without control characters and secrets.

    >>> excerpt(b"bad \x1b[31mtoken\r\n for https://h.example.org/T0/B0")
    'bad [31mtoken for https://h.example.org/...'
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return cut(redact(one_line(text)), limit)


def to_json(value: Any) -> bytes:
    r"""`value` as compact JSON in UTF-8 that every reader takes: what JSON cannot hold goes as its text.

    >>> to_json({"a": float("nan"), 1: {"b"}, "c": "\ud800"}).decode()
    '{"a":"nan","1":["b"],"c":"\ufffd"}'
    """
    return json.dumps(_plain(value, 0), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is str:  # first what nearly all of a message is
        return whole(value)
    if kind is dict and depth < _DEEPEST:
        return {
            key if type(key) is str and key.isascii() else whole(str(key)): _plain(item, depth + 1)
            for key, item in value.items()
        }
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth < _DEEPEST:
            return {whole(str(key)): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple() if depth < _DEEPEST:
            return [_plain(item, depth + 1) for item in value]
        case set() | frozenset() if depth < _DEEPEST:
            return sorted(whole(str(item)) for item in value)
        case _:
            return whole(str(value))


def whole(text: str) -> str:
    r"""`text` as UTF-8 can hold it: half a surrogate pair becomes the replacement character.

    >>> whole("a\udc80b\ud83d\ude00")
    'a\ufffdb😀'
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
