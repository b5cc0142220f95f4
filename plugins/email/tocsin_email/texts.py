"""How much of a text fits into a mail, and in what shape."""

from __future__ import annotations

import re
import unicodedata
from html import escape

_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_JOINERS = "\u200d\ufe0e\ufe0f"


def clean(text: str) -> str:
    r"""`text` as lines of characters that can be shown: no control characters, no halves of characters.

    >>> clean("a\u00a0b\x1b[31m\r\nc\ud800")
    'a b[31m\nc\ufffd'
    """
    text = _LINE_ENDS.sub("\n", text).replace("\u00a0", " ")
    return _LONE_SURROGATE.sub("\ufffd", _UNWANTED.sub("", text))


def one_line(text: str, limit: int) -> str:
    r"""`text` in one line of at most `limit` characters.

    >>> one_line("bad row\r\nBcc: eve@example.org", 12)
    'bad row Bcc…'
    """
    text = " ".join(clean(text[: limit * 20]).split())  # all that could fit, however much white space goes
    return text if len(text) <= limit else f"{text[: _whole(text, limit - 1)].rstrip()}…"


def head(text: str, budget: int) -> str:
    r"""The start of `text`, of at most `budget` bytes once escaped as HTML; a cut is marked.

    >>> head("abcdefghij <b>", 60) == "abcdefghij <b>", head("x" * 100, 60)
    (True, 'xxxxxxxxxxxxxxxxxxxx\n[80 more characters were cut]')
    """
    if _fits(text, budget):
        return text
    end = _whole(text, _count(text, budget - _MARK))
    return f"{text[:end]}\n[{len(text) - end} more characters were cut]"


def tail(text: str, budget: int) -> str:
    r"""The end of `text`, of at most `budget` bytes once escaped as HTML; a cut is marked, and made between lines.

    >>> tail("first\n" + "x" * 80 + "\nlast", 60)
    '[87 characters before this were cut]\nlast'
    """
    if _fits(text, budget):
        return text
    kept = _count(text[: -budget - 1 : -1], budget - _MARK)
    start = len(text) - kept
    line_start = text.find("\n", start) + 1
    if line_start and len(text) - line_start > 0:
        start = line_start
    while start < len(text) and _continues(text[start]):
        start += 1
    return f"[{start} characters before this were cut]\n{text[start:]}"


_MARK = 40  # room for the words that say so


def _fits(text: str, budget: int) -> bool:
    return len(text) <= budget and _count(text, budget) == len(text)


def _count(characters: str, budget: int) -> int:
    """How many of the first characters cost at most `budget` bytes."""
    for index, character in enumerate(characters):
        budget -= 2 if character == "\n" else len(escape(character).encode())  # lines end in two bytes
        if budget < 0:
            return index
    return len(characters)


def _whole(text: str, end: int) -> int:
    """The last place at or before `end` that is not inside a character made of several."""
    while 0 < end < len(text) and (_continues(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    return end


def _continues(character: str) -> bool:
    return bool(unicodedata.combining(character)) or character in _JOINERS
