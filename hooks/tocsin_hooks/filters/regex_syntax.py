r"""How a regex is written: what RE2 writes otherwise than Python is put in Python's way.

Understood beyond `re`: `\z`, `\Q...\E`, `\x{...}`, `\pL`, `\P{L}`, `[[:alpha:]]`, `(?<name>...)`, `(?U)` and flags in
the middle. Refused at its place: look-around, references back, possessive and atomic parts, conditions, counts above
1000 and the flag `x`.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import groupby
from typing import NoReturn

MOST_REPEATS = 1000
"""The largest count in `{...}`, as in RE2."""


class RegexError(ValueError):
    """A regex that cannot be used; `position` is an offset into the pattern, where one place is to blame."""

    def __init__(self, reason: str, position: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.position = position


_CANNOT_RUN_AWAY = "no regex here can run away"
_REFUSED_GROUPS = {
    "(?=": "look-ahead and look-behind are not supported; combine two matchers with 'and'",
    "(?!": "look-ahead and look-behind are not supported; combine with 'and' and a matcher '!~'",
    "(?<=": "look-ahead and look-behind are not supported; combine two matchers with 'and'",
    "(?<!": "look-ahead and look-behind are not supported; combine with 'and' and a matcher '!~'",
    "(?>": f"atomic groups are not supported; {_CANNOT_RUN_AWAY}",
    "(?(": "conditional groups are not supported",
    "(?P=": "references back to a group are not supported",
}
_FLAGS = re.compile(r"\(\?([A-Za-z]*)(?:-([A-Za-z]*))?([:)])")
_NAME = re.compile(r"\(\?<(\w+)>")
_COUNT = re.compile(r"\{(\d*)(,?)(\d*)\}")
_CODE = re.compile(r"\\x\{([0-9A-Fa-f]{1,8})\}")
_OCTAL = re.compile(r"\\[0-7]{3}")
_PROPERTY = re.compile(r"\\([pP])(?:\{(\^?)(\w+)\}|(\w))")
_POSIX = re.compile(r"\[:(\^?)([a-z]+):\]")
_POSIX_SETS = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_CATEGORY = re.compile("C[cfos]?|L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?")


def python_regex(pattern: str) -> tuple[str, list[int]]:
    r"""`pattern` as `re` reads it, and where in `pattern` each of its characters comes from; or `RegexError`.

    >>> python_regex(r"a(?i)b|\x{41}\z")[0]
    'a(?i:b)|(?i:\\U00000041\\Z)'
    """
    return _Translation(pattern).whole()


class _Translation:
    """One reading of one pattern, from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._pos = 0
        self._parts: list[str] = []
        self._sources: list[int] = []
        self._open: list[list[str]] = [[]]
        """Of each group that is open, the flags that were switched in it so far: each is a group of Python's."""
        self._repeated = False
        """Whether a repeat has just been read."""

    def whole(self) -> tuple[str, list[int]]:
        while self._pos < len(self._pattern):
            was_repeated, self._repeated = self._repeated, False
            _STEPS.get(self._pattern[self._pos], _Translation._literal)(self)
            if was_repeated and self._repeated and self._pattern[self._pos - 1] == "+":
                self._fail(f"possessive repeats are not supported; {_CANNOT_RUN_AWAY}", self._pos - 1)
        self._close_flags()
        return "".join(self._parts), self._sources

    def _put(self, text: str, length: int) -> None:
        """Write `text` for the next `length` characters of the pattern."""
        self._parts.append(text)
        at = self._pos
        exact = len(text) == length
        self._sources += range(at, at + length) if exact else [at] * len(text)
        self._pos += length

    def _fail(self, reason: str, position: int | None = None) -> NoReturn:
        raise RegexError(f"bad regex: {reason}", self._pos if position is None else position)

    def _literal(self) -> None:
        self._put(self._pattern[self._pos], 1)

    def _repeat(self) -> None:
        self._repeated = True
        self._put(self._pattern[self._pos], 1)

    def _count(self) -> None:
        found = _COUNT.match(self._pattern, self._pos)
        if found is None or not (found[1] or found[3]):
            self._put("{", 1)
            return
        if any(int(count[:9]) > MOST_REPEATS for count in (found[1], found[3]) if count):
            self._fail(f"a count above {MOST_REPEATS}; write '*' or '+'")
        self._repeated = True
        self._put(found[0], len(found[0]))

    # ------------------------------------------------------------ groups and flags

    def _group(self) -> None:
        for start, reason in _REFUSED_GROUPS.items():
            if self._pattern.startswith(start, self._pos):
                self._fail(reason)
        if self._pattern.startswith("(?#", self._pos):
            end = self._pattern.find(")", self._pos)
            if end == -1:
                self._fail("the comment has no end; a ')' is missing")
            self._put("", end + 1 - self._pos)
            return
        if name := _NAME.match(self._pattern, self._pos):
            self._put(f"(?P<{name[1]}>", len(name[0]))
        elif flags := _FLAGS.match(self._pattern, self._pos):
            self._flags(flags)
            return
        elif self._pattern.startswith("(?", self._pos):
            self._put("(?", 2)
        else:
            self._put("(", 1)
        self._open.append([])

    def _flags(self, found: re.Match[str]) -> None:
        on, off = (
            found[1].replace("U", ""),
            (found[2] or "").replace("U", ""),
        )  # which repeat is lazy makes no difference
        if "x" in on:
            self._fail("the flag 'x' is not supported; write the regex without spaces and comments")
        switched = f"{on}-{off}" if off else on
        if found[3] == ":":
            self._put(f"(?{switched}:", len(found[0]))
            self._open.append([])
        elif not switched and "U" not in found[0]:
            self._put(found[0], len(found[0]))  # `re` says what is wrong with it
        elif switched:
            self._open[-1].append(switched)
            self._put(f"(?{switched}:", len(found[0]))
        else:
            self._put("", len(found[0]))

    def _close(self) -> None:
        self._close_flags()
        if len(self._open) > 1:
            self._open.pop()
        self._put(")", 1)

    def _bar(self) -> None:
        """`|`: flags that were switched before it hold after it, too."""
        self._close_flags()
        self._put("|", 1)
        for switched in self._open[-1]:
            self._put(f"(?{switched}:", 0)

    def _close_flags(self) -> None:
        self._put(")" * len(self._open[-1]), 0)

    # ------------------------------------------------------------ escapes and sets

    def _escape(self) -> None:
        following = self._pattern[self._pos + 1 : self._pos + 2]
        if following == "z":
            self._put(r"\Z", 2)
        elif following == "Q":
            self._quoted()
        elif following in ("p", "P"):
            self._property(inside=False)
        elif following in tuple("123456789") and not _OCTAL.match(self._pattern, self._pos):
            self._fail("references back to a group are not supported")
        else:
            self._character()

    def _character(self) -> None:
        """An escape that stands for a character or for a class of them."""
        if code := _CODE.match(self._pattern, self._pos):
            if int(code[1], 16) > sys.maxunicode:
                self._fail(f"'{code[0]}' is no character")
            self._put(f"\\U{int(code[1], 16):08x}", len(code[0]))
        else:
            self._put(self._pattern[self._pos : self._pos + 2], len(self._pattern[self._pos : self._pos + 2]))

    def _quoted(self) -> None:
        end = self._pattern.find(r"\E", self._pos + 2)
        until = len(self._pattern) if end == -1 else end
        self._put("", 2)
        while self._pos < until:
            self._put(re.escape(self._pattern[self._pos]), 1)
        self._put("", 0 if end == -1 else 2)

    def _property(self, *, inside: bool) -> None:
        found = _PROPERTY.match(self._pattern, self._pos)
        name = (found[3] or found[4]) if found else ""
        if found is None or not _CATEGORY.fullmatch(name):
            known = "the general categories, such as '\\p{L}', '\\p{Lu}' and '\\p{N}'"
            shown = found[0] if found else self._pattern[self._pos : self._pos + 2]
            self._fail(f"unknown class of characters '{shown}'; known: {known}")
        ranges = _category(name, negated=(found[1] == "P") != bool(found[2]))
        self._put(ranges if inside else f"[{ranges}]", len(found[0]))

    def _set(self) -> None:
        start = self._pos
        for opening in ("[", "^", "]"):  # a `]` that comes first is a member
            if self._pattern.startswith(opening, self._pos):
                self._literal()
        while not self._pattern.startswith("]", self._pos):
            if self._pos >= len(self._pattern):
                self._fail("unterminated character set", start)
            self._member()
        self._literal()

    def _member(self) -> None:
        char, following = self._pattern[self._pos], self._pattern[self._pos + 1 : self._pos + 2]
        if posix := _POSIX.match(self._pattern, self._pos):
            if posix[2] not in _POSIX_SETS:
                self._fail(f"unknown class of characters '{posix[0]}'; known: {', '.join(sorted(_POSIX_SETS))}")
            self._put(_complement(_POSIX_SETS[posix[2]]) if posix[1] else _POSIX_SETS[posix[2]], len(posix[0]))
        elif char == "[" or (char in "&~|" and following == char):
            self._put("\\" + char, 1)  # a member; Python reserves it for sets inside sets
        elif char == "\\" and following in ("p", "P"):
            self._property(inside=True)
        elif char == "\\":
            self._character()
        else:
            self._literal()


_STEPS: dict[str, Callable[[_Translation], None]] = {
    "\\": _Translation._escape,
    "[": _Translation._set,
    "(": _Translation._group,
    ")": _Translation._close,
    "|": _Translation._bar,
    "*": _Translation._repeat,
    "+": _Translation._repeat,
    "?": _Translation._repeat,
    "{": _Translation._count,
}


@lru_cache(maxsize=128)
def _category(name: str, *, negated: bool) -> str:
    """The members of a set that hold the characters whose general category is `name` or begins with it."""
    return "".join(
        f"\\U{first:08x}-\\U{last:08x}"
        for first, last, category in _categories()
        if category.startswith(name) != negated
    )


@cache
def _categories() -> list[tuple[int, int, str]]:
    """All characters in order, as runs of one general category: the first, the last, the category."""
    runs: list[tuple[int, int, str]] = []
    codes = range(sys.maxunicode + 1)
    for category, run in groupby(codes, key=lambda code: unicodedata.category(chr(code))):
        members = list(run)
        runs.append((members[0], members[-1], category))
    return runs


def _complement(members: str) -> str:
    r"""The members of a set of all that is not among the ASCII `members`.

    >>> _complement(r"\x01-\x7f")
    '\\x00\\x80-\\U0010ffff'
    """
    belongs = re.compile(f"[{members}]").match
    others = [code for code in range(0x80) if not belongs(chr(code))]
    return "".join(f"\\x{code:02x}" for code in others) + r"\x80-\U0010ffff"
