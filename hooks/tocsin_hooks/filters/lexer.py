"""How the text of a filter divides into names, operators and values.

Names and values follow Alertmanager's strict matcher grammar: bare, or in double quotes with Go's escapes. What may
be bare depends on where it stands (`<` ends a name, not a value; a value may hold balanced parentheses), so the
parser asks for the kind of token it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters.labels import STATE_LABELS, shown

SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B))))
"""White space as Unicode defines it; `str.isspace` counts four control characters more."""
RESERVED = SPACE | frozenset("{}!=~,\\\"'`")
"""What no bare name or value holds."""
NAME_ENDS = RESERVED | frozenset("()<>")

_OPERATOR_STARTS = "=!~<>"
_OPERATORS = ("=~", "!~", "!=", "<=", ">=", "=", "<", ">")
_SIMPLE_ESCAPES = {
    '"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v",
}  # fmt: skip
_UNESCAPES = {char: escape for escape, char in _SIMPLE_ESCAPES.items()}
_CODE_DIGITS = {"u": 4, "U": 8}
_BYTE_DIGITS = {"x": (1, 2, 16)} | dict.fromkeys("01234567", (0, 3, 8))  # letter: digits start at, how many, base


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text, its meaning, and where each character of the meaning comes from."""

    value: str
    start: int
    end: int
    quoted: bool = False
    offsets: tuple[int, ...] = ()

    def offset(self, index: int) -> int:
        """Where in the text character `index` of the value stands."""
        if not self.quoted:
            return self.start + index
        return self.offsets[index] if index < len(self.offsets) else self.end - 1


class Scanner:
    """Reads a filter's text from left to right; every complaint is a `FilterError` with its place."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.pos = 0

    def fail(self, reason: str, start: int, end: int | None = None) -> NoReturn:
        """Raise the error `reason` about the text from `start` to `end`."""
        raise FilterError(reason, self.text, start, end)

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        text, pos = self.text, self.pos
        while pos < len(text) and text[pos] in SPACE:
            pos += 1
        self.pos = pos
        return text[pos : pos + 1]

    def take(self, char: str) -> Token | None:
        """The character `char`, if it comes next."""
        if self.peek() != char:
            return None
        self.pos += 1
        return Token(char, self.pos - 1, self.pos)

    def word(self) -> str:
        """The bare name that comes next, left in place; empty if none does."""
        self.peek()
        return self.text[self.pos : self._while(lambda char: char not in NAME_ENDS)]

    def found(self) -> str:
        """What comes next, for an error.

        >>> Scanner(" foo=1").found(), Scanner(" ").found()
        ("'foo'", 'the end')
        """
        found = self.word() or self.peek()
        quote_mark = '"' if found == "'" else "'"
        return f"{quote_mark}{shown(found)}{quote_mark}" if found else "the end"

    def found_end(self) -> int:
        """Where that which comes next ends."""
        return self.pos + max(1, len(self.word()))

    def operator_follows(self, after: int) -> bool:
        """Whether an operator comes after the offset `after`."""
        rest = Scanner(self.text)
        rest.pos = after
        char = rest.peek()
        return bool(char) and char in _OPERATOR_STARTS

    def operator_text(self) -> str:
        """The operator that comes next, left in place; empty if none does."""
        self.peek()
        return next((op for op in _OPERATORS if self.text.startswith(op, self.pos)), "")

    def name(self) -> Token:
        """A label's or a filter's name."""
        return self.quoted() if self.peek() == '"' else self._bare(self._while(lambda char: char not in NAME_ENDS))

    def operator(self, label: str) -> Token | None:
        """The operator that comes next, after the name `label`, if any does."""
        if self.peek() not in _OPERATOR_STARTS or not self.peek():
            return None
        start = self.pos
        found = self.operator_text()
        if self.text.startswith("==", start):
            self.fail("'==' is no operator; write '='", start, start + 2)
        if not found:
            char = self.text[start]
            hint = "write '=~' to match a regex" if char == "~" else "expected '!=' or '!~'"
            if char == "~" and label in STATE_LABELS:
                hint += ", or a label such as 'is_failed' for a state and those below it"
            self.fail(f"'{char}' is no operator; {hint}", start)
        self.pos += len(found)
        return Token(found, start, self.pos)

    def value(self, after: str) -> Token:
        """The value that the operator `after` needs."""
        char = self.peek()
        if char == '"':
            return self.quoted()
        token = self._bare(self._value_end())
        following = self.text[token.end : token.end + 1]
        if not token.value and (not char or char in ",)}"):
            wanted = "a number or a label" if after[0] in "<>" else "a value"
            hint = "" if after[0] in "<>" else '; an empty one is written ""'
            self.fail(f"expected {wanted} after '{after}', found {self.found()}{hint}", self.pos)
        if following in ("'", "`"):
            self.fail(f"a value is quoted with double quotes, not with {following}", token.end)
        if following == '"':
            self.fail("a quote in the middle of a value; put all of it in double quotes", token.end)
        if following and following in "{!=~\\":
            self.fail(f"a value that holds '{following}' must be in double quotes", token.end)
        return token

    def quoted(self) -> Token:
        """A text in double quotes; its escapes are Go's."""
        start = self.pos
        chars: list[str] = []
        offsets: list[int] = []
        self.pos += 1
        while (char := self.text[self.pos : self.pos + 1]) != '"':
            if not char:
                self.fail("the closing '\"' is missing", start, len(self.text))
            if char == "\n":
                self.fail("a quoted text ends on the line it starts on; write a line break as '\\n'", self.pos)
            at = self.pos
            piece = self._escape() if char == "\\" else self._char()
            chars.append(piece)
            offsets += [at] * len(piece)
        self.pos += 1
        return Token("".join(chars), start, self.pos, quoted=True, offsets=tuple(offsets))

    def _char(self) -> str:
        self.pos += 1
        return self.text[self.pos - 1]

    def _escape(self) -> str:
        start = self.pos
        letter = self.text[start + 1 : start + 2]
        if not letter:
            self.fail("the text ends after a '\\'; a closing '\"' is missing", start)
        if letter in _BYTE_DIGITS:
            return self._bytes()
        if letter in _CODE_DIGITS:
            self.pos = start + 2 + _CODE_DIGITS[letter]
            code = self._digits(start, start + 2, 16)
            if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
                self.fail(f"'{self.text[start : self.pos]}' is no Unicode character", start, self.pos)
            return chr(code)
        if letter not in _SIMPLE_ESCAPES:
            self.fail(f"unknown escape '\\{shown(letter)}'; a backslash is written '\\\\'", start, start + 2)
        self.pos += 2
        return _SIMPLE_ESCAPES[letter]

    def _bytes(self) -> str:
        """The text that a run of byte escapes spells; together they are UTF-8."""
        start = self.pos
        run = bytearray()
        while (
            self.text.startswith("\\", self.pos) and (letter := self.text[self.pos + 1 : self.pos + 2]) in _BYTE_DIGITS
        ):
            first, count, base = _BYTE_DIGITS[letter]
            at, self.pos = self.pos, self.pos + 1 + first + count
            byte = self._digits(at, at + 1 + first, base)
            if byte > 0xFF:
                self.fail(f"'{self.text[at : self.pos]}' is no byte", at, self.pos)
            run.append(byte)
        try:
            return run.decode()
        except UnicodeDecodeError:
            self.fail(f"'{shown(self.text[start : self.pos])}' is not UTF-8", start, self.pos)

    def _digits(self, start: int, first: int, base: int) -> int:
        """The number spelled from `first` to here, for the escape at `start`."""
        digits = self.text[first : self.pos]
        allowed = "01234567" if base == 8 else "0123456789abcdefABCDEF"
        if len(digits) < self.pos - first or not all(digit in allowed for digit in digits):
            found = self.text[start : self.pos]
            kind = "octal" if base == 8 else "hexadecimal"
            needed = f"{self.pos - first} {kind} digits"
            self.fail(f"'{shown(found)}' is no escape; it needs {needed}", start, start + len(found))
        return int(digits, base)

    def _bare(self, end: int) -> Token:
        start, self.pos = self.pos, end
        return Token(self.text[start:end], start, end)

    def _while(self, holds: Callable[[str], bool]) -> int:
        pos = self.pos
        while pos < len(self.text) and holds(self.text[pos]):
            pos += 1
        return pos

    def _value_end(self) -> int:
        """Where the bare value that starts here ends: at a `)` that it did not open, if not before."""
        depth = 0

        def belongs(char: str) -> bool:
            nonlocal depth
            depth += (char == "(") - (char == ")")
            return depth >= 0 and char not in RESERVED

        return self._while(belongs)


def name_text(name: str) -> str:
    """A label's or filter's name as it is written in an expression.

    >>> name_text("params.owner"), name_text("foo bar"), name_text("not")
    ('params.owner', '"foo bar"', '"not"')
    """
    plain = name.isprintable() and not any(char in NAME_ENDS for char in name)
    return name if name and plain and name[0] != "@" and name not in ("and", "or", "not") else quote(name)


def value_text(value: str) -> str:
    """A matcher's value as it is written in an expression.

    >>> value_text("prod"), value_text(""), value_text("(a|b).+")
    ('prod', '""', '"(a|b).+"')
    """
    plain = value.isprintable() and not any(char in NAME_ENDS or char == "*" for char in value)
    return value if value and plain else quote(value)


def quote(text: str) -> str:
    r"""`text` in double quotes, as `Scanner.quoted` reads it.

    >>> print(quote('a "b"\n'))
    "a \"b\"\n"
    """
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in _UNESCAPES:
        return "\\" + _UNESCAPES[char]
    if char.isprintable() or "\ud800" <= char <= "\udfff":  # a lone surrogate has no escape
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
