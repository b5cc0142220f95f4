"""What a filter's text means: `or` binds loosest, then `and` and `,`, then `not`, then parentheses.

The comma list of matchers, with or without braces around it, is Alertmanager's strict grammar.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NoReturn

from tocsin_hooks.filters.checks import NUMBER_OPERATORS, Checks
from tocsin_hooks.filters.labels import FLAG_LABELS, did_you_mean, known_states, shown
from tocsin_hooks.filters.lexer import NAME_ENDS, Scanner, Token
from tocsin_hooks.filters.tree import And, Compare, Filter, Flag, Match, Not, Ref, all_of, any_of

_DEEPEST = 50
_NO_CHARACTER = re.compile("[\ud800-\udfff]")  # half a character, from bytes that were not UTF-8
_BYTE_ORDER_MARK = "\ufeff"
_BRACES = "; braces go around a whole expression, parentheses around a part"
_MEANT = {"AND": "and", "&": "and", "&&": "and", "OR": "or", "|": "or", "||": "or", "NOT": "not", "!": "not"}


def parse(text: str, *, named: Mapping[str, Filter] | None = None, labels: Iterable[str] | None = None) -> Filter:
    """The filter that `text` describes; raises `FilterError` where it describes none.

    With `named`, every `@name` is bound to its filter there; otherwise `Filter.bind` does it later. With `labels`,
    the names of the events' own labels, a label that is neither one of them nor tocsin's is refused.

    >>> parse('flow=etl, state=~"Failed|TimedOut"').to_text()
    'flow=etl and state=~Failed|TimedOut'
    """
    if not isinstance(text, str):
        raise TypeError(f"a filter is written as text, not as {type(text).__name__}")
    tree = _Parser(text, labels).whole()
    return tree if named is None else tree.bind(named)


@lru_cache(maxsize=1024)
def when(text: str) -> Filter:
    """The filter that `text` describes; raises `FilterError` where it describes none.

    >>> when("is_failed and tags=prod").labels() == {"is_failed", "tags"}
    True
    """
    return parse(text)


class _Parser:
    """One reading of one text, by recursive descent."""

    def __init__(self, text: str, labels: Iterable[str] | None) -> None:
        self._scanner = Scanner(text)
        self._checks = Checks(text, labels)
        self._depth = 0
        self._end = 0
        """Where the latest term ends."""

    def whole(self) -> Filter:
        self._check_characters()
        if not self._scanner.peek():
            return And((), span=(0, len(self._scanner.text)))
        tree = self._expression()
        if self._scanner.peek():
            self._unexpected("the end")
        return tree

    def _check_characters(self) -> None:
        text = self._scanner.text
        if text.startswith(_BYTE_ORDER_MARK):
            self._scanner.fail("the text begins with a byte order mark; remove it", 0)
        if not text.isascii() and (half := _NO_CHARACTER.search(text)):
            self._scanner.fail(f"'{shown(half[0])}' is no character; the text was not UTF-8", half.start())

    def _expression(self) -> Filter:
        opening = self._scanner.take("{")
        if opening is None:
            return self._any()
        tree = And(()) if self._scanner.peek() == "}" else self._any()
        if not self._scanner.take("}"):
            self._unexpected("'}'")
        if self._scanner.peek() not in ("", ")" if self._depth else ""):
            self._unexpected("the end" if self._depth == 0 else "')'", after_braces=True)
        return tree if tree.span else And((), span=(opening.start, self._scanner.pos))

    def _any(self) -> Filter:
        start = self._start()
        terms = [self._all()]
        while self._keyword("or"):
            terms.append(self._all())
        return any_of(*terms, span=(start, self._end))

    def _all(self) -> Filter:
        start = self._start()
        terms = [self._term()]
        while self._keyword("and") or self._scanner.take(","):
            trailing = self._scanner.text[self._scanner.pos - 1] == ","
            if trailing and self._scanner.peek() in ("", "}", ")"):
                break
            terms.append(self._term())
        tree = all_of(*terms, span=(start, self._end))
        if isinstance(tree, And) and len(terms) > 1:
            self._checks.conjunction(tree)
        return tree

    def _start(self) -> int:
        self._scanner.peek()
        return self._scanner.pos

    def _term(self) -> Filter:
        tree = self._read_term()
        self._end = self._scanner.pos
        return tree

    def _read_term(self) -> Filter:
        char = self._scanner.peek()
        start = self._scanner.pos
        if self._scanner.word() == "not" and not self._scanner.operator_follows(start + 3):
            self._scanner.pos += 3
            return Not(self._deeper(self._term, start), span=(start, self._scanner.pos))
        if char == "(":
            self._scanner.pos += 1
            tree = self._deeper(self._expression, start)
            if not self._scanner.take(")"):
                self._unexpected("')'")
            return tree
        return self._ref() if char == "@" else self._matcher()

    def _matcher(self) -> Filter:
        scanner = self._scanner
        if scanner.peek() in NAME_ENDS - {'"'} or not scanner.peek():
            self._no_matcher()
        name = scanner.name()
        op = scanner.operator(name.value)
        if op is None:
            return self._flag(name)
        self._checks.label(name)
        value = scanner.value(op.value)
        span = (name.start, value.end)
        if op.value in NUMBER_OPERATORS:
            return Compare(name.value, op.value, self._checks.number(name, op, value), span=span)
        self._checks.match(name, op, value)
        return Match(name.value, op.value, value.value, span=span)

    def _flag(self, name: Token) -> Filter:
        if name.value not in FLAG_LABELS:
            self._no_operator(name)
        self._scanner.pos = name.end  # the look for an operator has passed white space
        return Flag(name.value, span=(name.start, name.end))

    def _no_operator(self, name: Token) -> NoReturn:
        if name.value in ("and", "or", "not", *_MEANT) and not name.quoted:
            self._scanner.pos = name.start
            self._no_matcher()
        found = f", found {self._scanner.found()}"
        self._scanner.fail(
            f"expected an operator after '{shown(name.value)}'{_what_was_meant(name.value) or found}",
            name.start,
            name.end,
        )

    def _ref(self) -> Filter:
        scanner = self._scanner
        start = scanner.pos
        scanner.pos += 1
        following = scanner.text[scanner.pos : scanner.pos + 1]
        if not following or (following in NAME_ENDS and following != '"'):
            scanner.fail("expected the name of a filter right after '@'", start)
        name = scanner.name()
        if not name.value:
            scanner.fail("the name of a filter cannot be empty", start, name.end)
        if scanner.operator_follows(name.end):
            scanner.fail(f"'@{shown(name.value)}' is a filter; it takes no operator", start, name.end)
        return Ref(name.value, source=scanner.text, span=(start, name.end))

    def _keyword(self, word: str) -> bool:
        if self._scanner.word() != word:
            return False
        self._scanner.pos += len(word)
        return True

    def _deeper(self, read: Callable[[], Filter], start: int) -> Filter:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._scanner.fail(f"nested more than {_DEEPEST} deep; give a part a name and use '@name'", start)
        tree = read()
        self._depth -= 1
        return tree

    def _no_matcher(self) -> NoReturn:
        scanner = self._scanner
        found, start, end = scanner.found(), scanner.pos, scanner.found_end()
        hint = _hint(found)
        if op := scanner.operator_text():
            found, end, hint = f"'{op}'", start + len(op), "; a label stands before an operator"
        scanner.fail(f"expected a matcher, found {found}{hint}", start, end)

    def _unexpected(self, instead: str, *, after_braces: bool = False) -> NoReturn:
        scanner = self._scanner
        found = scanner.found()
        hint = _hint(found)
        if scanner.peek() == ")":
            hint = "; a value that holds an unbalanced ')' must be in double quotes"
        before = "" if after_braces else "'and', 'or', ',' or "
        if after_braces:
            hint = _BRACES
        scanner.fail(f"expected {before}{instead}, found {found}{hint}", scanner.pos, scanner.found_end())


def _hint(found: str) -> str:
    inner = found[1:-1]
    meant = _MEANT.get(inner.upper())
    if meant and meant != inner:
        return f"; write '{meant}'"
    if inner in ("'", "`"):
        return "; quotes are double quotes"
    return _BRACES if inner in ("{", "}") else ""


def _what_was_meant(name: str) -> str:
    """What to say of a label without an operator, where it looks like something else.

    >>> _what_was_meant("failed"), _what_was_meant("team")
    ("; did you mean 'is_failed'?", '')
    """
    if name in known_states():
        return f"; write 'state={name}', and 'or' between two of them"
    if name.startswith(("is_", "will_")) or {name.lower(), f"is_{name.lower()}"} & FLAG_LABELS:
        return did_you_mean(f"is_{name.lower()}" if f"is_{name.lower()}" in FLAG_LABELS else name, FLAG_LABELS)
    return ""
