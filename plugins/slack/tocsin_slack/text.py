"""How text from anywhere becomes text that Slack shows as it was meant: cleaned, escaped, and cut where it may be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator

MARK = "…"
"""Stands where text was cut away."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_LINE_ENDS = re.compile(r"\r\n?|\x85|\u2028|\u2029")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def clean(text: str) -> str:
    r"""`text` without terminal colours, control characters and halves of surrogate pairs; lines end in a line feed.

    >>> clean("\x1b[31mred\x1b[0m\r\nnext\x00")
    'red\nnext'
    """
    text = _LINE_ENDS.sub("\n", _ANSI.sub("", text))
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def one_line(text: str) -> str:
    r"""`text`, cleaned, on one line.

    >>> one_line(" a\r\n  b ")
    'a b'
    """
    return " ".join(clean(text).split())


def escape(text: str) -> str:
    """`text` for mrkdwn: nothing in it is read as a link or a mention any more.

    >>> escape("a & b <!channel>")
    'a &amp; b &lt;!channel&gt;'
    """
    return text.translate(_ENTITIES)


def cut(text: str, limit: int, cost: Callable[[str], int] = len) -> str:
    r"""`text` in at most `limit` code points, its end replaced by an ellipsis if need be.

    What is seen as one character stays whole: letters with their accents, flags, families of emoji.

    >>> cut("naive", 4), cut("nai\u0308ve", 4)
    ('nai…', 'na…')
    """
    if cost(text) <= limit:
        return text
    kept = _start(clusters(text), limit - 1, cost) or _start(text, limit - 1, cost)  # one character may be too long
    return kept + MARK


def cut_escaped(text: str, limit: int) -> str:
    """`text`, escaped, in at most `limit` code points; no entity is cut apart.

    >>> cut_escaped("a<<b", 6)
    'a&lt;…'
    """
    return escape(cut(text, limit, lambda part: len(escape(part))))


def cut_start(text: str, limit: int) -> str:
    r"""The end of `text` in at most `limit` code points: whole lines if one fits, an ellipsis for the rest.

    >>> cut_start("first\nsecond\nthird", 12)
    '…\nthird'
    """
    if len(text) <= limit:
        return text
    tail = text[-(limit - 2) :] if limit > 2 else ""
    _, newline, lines = tail.partition("\n")
    if newline and lines.strip():
        return f"{MARK}\n{lines}"
    # One line longer than the limit: its first visible character may have lost its beginning
    whole = list(clusters(text[-(limit + 64) :]))
    while whole and sum(map(len, whole)) > limit - 1:
        del whole[0]
    return MARK + "".join(whole)


def clusters(text: str) -> Iterator[str]:
    r"""The parts of `text` that are seen as one character each.

    >>> [len(part) for part in clusters("e\u0301x\U0001f468\u200d\U0001f469\U0001f1e9\U0001f1ea")]
    [2, 1, 3, 2]
    """
    cluster = ""
    for character in text:
        if cluster and not _joins(cluster, character):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def _start(parts: Iterator[str] | str, room: int, cost: Callable[[str], int]) -> str:
    kept = []
    for part in parts:
        room -= cost(part)
        if room < 0:
            break
        kept.append(part)
    return "".join(kept)


def _joins(cluster: str, character: str) -> bool:
    """Whether `character` is seen as part of the `cluster` before it."""
    code = ord(character)
    if code < 0x300:
        return False
    if cluster[-1] == "\u200d" or character in "\u200c\u200d":
        return True
    if unicodedata.category(character) in ("Mn", "Mc", "Me"):  # accents, vowel signs, variation selectors, keycaps
        return True
    if 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F:  # skin tones, tags of flags
        return True
    if 0x1160 <= code <= 0x11FF or 0xD7B0 <= code <= 0xD7FF:  # Hangul vowels and finals
        return True
    return _regional(character) and sum(map(_regional, cluster)) % 2 == 1


def _regional(character: str) -> bool:
    return 0x1F1E6 <= ord(character) <= 0x1F1FF
