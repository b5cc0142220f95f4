"""What a regex consists of, when it is a regular expression in the strict sense.

The tree is made from Python's own reading of the pattern, so syntax and the meaning of each character class are
`re`'s. What no automaton can match (look-around, references back, possessive and atomic groups) is refused here.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from tocsin_hooks.filters.regex_syntax import RegexError, python_regex

_parser: Any = import_module("re._parser")  # `re` keeps it private; typeshed has no stubs for it
_MAX_LENGTH = 10_000
_MAX_RANGE = 64
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip
_REFUSED = {
    "ASSERT": "look-ahead and look-behind are not supported; combine two matchers with 'and'",
    "ASSERT_NOT": "look-ahead and look-behind are not supported; combine with 'and' and a matcher '!~'",
    "GROUPREF": "references back to a group are not supported",
    "GROUPREF_EXISTS": "conditional groups are not supported",
    "ATOMIC_GROUP": "atomic groups are not supported; no regex here can run away",
    "POSSESSIVE_REPEAT": "possessive repeats are not supported; no regex here can run away",
}


@dataclass(frozen=True, slots=True)
class Char:
    """One character that `source`, a pattern itself, matches; `choices` lists all such where they are few."""

    source: str
    flags: int
    choices: str | None = None

    @property
    def is_any(self) -> bool:
        """Whether every character is matched."""
        return self.source == "." and bool(self.flags & re.DOTALL)


@dataclass(frozen=True, slots=True)
class At:
    """A place between characters, by the name that `re` gives it; it takes up no character."""

    kind: str
    flags: int


@dataclass(frozen=True, slots=True)
class Seq:
    """One after another."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alt:
    """Any one of several."""

    choices: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """The same at least `low` and at most `high` times; None is no limit."""

    body: Node
    low: int
    high: int | None


Node = Char | At | Seq | Alt | Repeat


def parse_regex(pattern: str) -> Node:
    """The tree of `pattern`, or `RegexError`. `.` matches line breaks too: messages have several lines.

    >>> tree = parse_regex("a?")
    >>> tree.body.choices, tree.low, tree.high
    ('a', 0, 1)
    """
    if len(pattern) > _MAX_LENGTH:
        raise RegexError(f"a regex of {len(pattern)} characters; at most {_MAX_LENGTH} are allowed")
    source, origins = python_regex(pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = _parser.parse(source, re.DOTALL)
    except re.error as error:
        hint = "; any text is written '.*'" if error.msg == "nothing to repeat" and pattern[:1] == "*" else ""
        raise RegexError(f"bad regex: {error.msg}{hint}", _origin(origins, error.pos, pattern)) from None
    except Warning as warning:
        where = re.search(r"at position (\d+)", str(warning))
        reason = "bad regex: a set inside a set is not supported; escape a '-' in a set with '\\'"
        raise RegexError(reason, _origin(origins, int(where[1]), pattern) if where else None) from None
    except OverflowError:
        raise RegexError("bad regex: too large a repeat") from None
    return _sequence(parsed, parsed.state.flags)


def _origin(origins: list[int], position: int | None, pattern: str) -> int | None:
    if position is None:
        return None
    return origins[position] if position < len(origins) else len(pattern)


def min_width(node: Node) -> int:
    """How many characters `node` takes up at least."""
    match node:
        case Char():
            return 1
        case At():
            return 0
        case Seq(items):
            return sum(map(min_width, items))
        case Alt(choices):
            return min(map(min_width, choices))
        case Repeat(body, low, _):
            return low * min_width(body)


def size(node: Node) -> int:
    """How many states an automaton for `node` has, about; counted repeats are written out."""
    match node:
        case Char() | At():
            return 1
        case Seq(items) | Alt(items):
            return 1 + sum(map(size, items))
        case Repeat(body, low, high):
            return 1 + size(body) * max(1, low + 1 if high is None else high)


def accepts_everything(node: Node) -> bool:
    """Whether `node` surely matches every text; False when that cannot be seen at once.

    >>> [accepts_everything(parse_regex(p)) for p in (".*", "(.*)|x", "x?.*", ".+", ".*x")]
    [True, True, True, False, False]
    """
    match node:
        case Repeat(Char() as char, 0, None):
            return char.is_any
        case Seq(items):
            return any(map(accepts_everything, items)) and all(_accepts_nothing(item) for item in items)
        case Alt(choices):
            return any(map(accepts_everything, choices))
    return False


def words(node: Node, most: int) -> frozenset[str] | None:
    """All texts that `node` matches, if they are no more than `most`.

    >>> sorted(words(parse_regex("(dev|test)-[12]"), 10))
    ['dev-1', 'dev-2', 'test-1', 'test-2']
    """
    match node:
        case Char(choices=choices):
            return frozenset(choices) if choices is not None else None
        case Seq(items):
            return _joined(items, most)
        case Alt(choices):
            parts = [words(choice, most) for choice in choices]
            found = frozenset[str]().union(*(part or () for part in parts))
            return None if None in parts or len(found) > most else found
        case Repeat(body, 0, 1):
            once = words(body, most)
            return None if once is None else once | {""}
    return None


def _joined(items: tuple[Node, ...], most: int) -> frozenset[str] | None:
    found = frozenset({""})
    for item in items:
        part = words(item, most)
        if part is None or len(found) * len(part) > most:
            return None
        found = frozenset(head + tail for head in found for tail in part)
    return found


def _accepts_nothing(node: Node) -> bool:
    """Whether `node` matches the empty text wherever it stands."""
    match node:
        case Seq(items):
            return all(map(_accepts_nothing, items))
        case Alt(choices):
            return any(map(_accepts_nothing, choices))
        case Repeat(body, low, _):
            return low == 0 or _accepts_nothing(body)
    return False


def _sequence(parsed: Any, flags: int) -> Node:
    items = tuple(_node(op.name if hasattr(op, "name") else str(op), arg, flags) for op, arg in parsed)
    return items[0] if len(items) == 1 else Seq(items)


def _node(op: str, arg: Any, flags: int) -> Node:
    kept = flags & (re.IGNORECASE | re.ASCII | re.DOTALL)
    match op:
        case "LITERAL":
            return Char(_code(arg), kept, None if flags & re.IGNORECASE else chr(arg))
        case "NOT_LITERAL":
            return Char(f"[^{_code(arg)}]", kept)
        case "ANY":
            return Char(".", kept)
        case "IN":
            return _set(arg, kept)
        case "BRANCH":
            return Alt(tuple(_sequence(choice, flags) for choice in arg[1]))
        case "SUBPATTERN":
            _, added, removed, inner = arg
            if added & (re.ASCII | re.UNICODE):
                flags &= ~(re.ASCII | re.UNICODE)
            return _sequence(inner, (flags | added) & ~removed)
        case "MAX_REPEAT" | "MIN_REPEAT":  # lazy or greedy: the texts matched as a whole are the same
            low, high, inner = arg
            return Repeat(_sequence(inner, flags), low, None if high == _parser.MAXREPEAT else int(high))
        case "AT":
            line = flags & re.MULTILINE and str(arg) in ("AT_BEGINNING", "AT_END")
            return At(f"{arg}_LINE" if line else str(arg), kept)
    raise RegexError(f"bad regex: {_REFUSED.get(op, 'a construct that is not supported')}")


def _set(members: Any, flags: int) -> Char:
    source, choices = "", ""
    listed = not flags & re.IGNORECASE
    for op, arg in members:
        match str(op):
            case "NEGATE":
                source, listed = "^", False
            case "LITERAL":
                source += _code(arg)
                choices += chr(arg)
            case "RANGE":
                low, high = arg
                source += f"{_code(low)}-{_code(high)}"
                listed = listed and high - low < _MAX_RANGE
                choices += "".join(map(chr, range(low, high + 1))) if listed else ""
            case category:
                source += _CATEGORIES[str(arg)] if category == "CATEGORY" else ""
                listed = False
    return Char(f"[{source}]", flags, choices if listed else None)


def _code(code: int) -> str:
    return f"\\U{code:08x}"
