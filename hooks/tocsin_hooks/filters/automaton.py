"""Matching a regex in time that grows with the text's length only, whatever the pattern.

The regex becomes a nondeterministic automaton; sets of its states are followed, and remembered, character by
character. Slower per character than `re`, but it never goes back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache

from tocsin_hooks.filters.regex_tree import Alt, At, Char, Node, Repeat, Seq

_END = ""
_LAST_LINE_BREAK = "\n$"  # a line break that ends the text: `$` matches before it
_MAX_REMEMBERED = 200_000  # states in all sets together: some ten megabytes


class _Situation:
    """A set of states, the sort of character just read, and the ways on that have been followed before."""

    __slots__ = ("before", "states", "ways")

    def __init__(self, states: frozenset[int], before: str) -> None:
        self.states = states
        self.before = before
        self.ways: dict[str, _Situation] = {}


class Automaton:
    """Tells whether whole texts match; it remembers sets of at most about `most` states.

    >>> from tocsin_hooks.filters.regex_tree import parse_regex
    >>> Automaton(parse_regex("(a|a)*b")).fullmatch("a" * 5000)
    False
    """

    def __init__(self, root: Node, *, most: int = _MAX_REMEMBERED) -> None:
        self._most = most
        self._tests: list[Callable[[str], bool] | None] = [None]  # of each state; state 0 is the end
        self._places: list[At | None] = [None]
        self._next: list[tuple[int, ...]] = [()]
        self._placed = False
        start = self._add(root, 0)
        self._situations: dict[tuple[frozenset[int], str], _Situation] = {}
        self._remembered = 0
        self._start = self._situation(frozenset({start}), "start")

    def fullmatch(self, text: str) -> bool:
        """Whether all of `text` matches."""
        symbols: Iterable[str] = text
        if self._placed and text.endswith("\n"):
            symbols = [*text[:-1], _LAST_LINE_BREAK]
        here = self._start
        for symbol in symbols:
            here = here.ways.get(symbol) or self._follow(here, symbol)
            if not here.states:
                return False
        return 0 in self._reach(here, _END)

    def _follow(self, here: _Situation, symbol: str) -> _Situation:
        char = symbol[0]
        after = frozenset(
            self._next[state][0]
            for state in self._reach(here, symbol)
            if (test := self._tests[state]) is not None and test(char)
        )
        before = _sort(char) if self._placed else ""
        if self._remembered >= self._most:
            self._situations.clear()
            self._remembered = 0
            self._start.ways.clear()
        self._remembered += 1 + len(after)
        here.ways[symbol] = there = self._situation(after, before)
        return there

    def _situation(self, states: frozenset[int], before: str) -> _Situation:
        key = (states, before)
        found = self._situations.get(key)  # threads share this: another may forget everything meanwhile
        if found is None:
            found = self._situations[key] = _Situation(states, before)
        return found

    def _reach(self, here: _Situation, symbol: str) -> set[int]:
        """The states that can be entered from `here` without reading, when `symbol` comes next."""
        seen: set[int] = set()
        ahead = list(here.states)
        while ahead:
            state = ahead.pop()
            if state in seen:
                continue
            seen.add(state)
            place = self._places[state]
            if self._tests[state] is None and (place is None or _holds(place, here.before, symbol)):
                ahead.extend(self._next[state])
        return seen

    def _state(self, following: tuple[int, ...], test: Callable[[str], bool] | None = None) -> int:
        self._tests.append(test)
        self._places.append(None)
        self._next.append(following)
        return len(self._next) - 1

    def _add(self, node: Node, end: int) -> int:
        """Add the states of `node`, which lead to `end`; return the first."""
        match node:
            case Char(source, flags):
                return self._state((end,), _char_test(source, flags))
            case At():
                state = self._state((end,))
                self._places[state] = node
                self._placed = True
                return state
            case Seq(items):
                for item in reversed(items):
                    end = self._add(item, end)
                return end
            case Alt(choices):
                return self._state(tuple(self._add(choice, end) for choice in choices))
            case Repeat(body, low, high):
                return self._add_repeat(body, low, high, end)

    def _add_repeat(self, body: Node, low: int, high: int | None, end: int) -> int:
        if high is None:
            start = self._state(())
            self._next[start] = (self._add(body, start), end)
        else:
            start = end
            for _ in range(high - low):
                start = self._state((self._add(body, start), end))
        for _ in range(low):
            start = self._add(body, start)
        return start


@lru_cache(maxsize=4096)
def _char_test(source: str, flags: int) -> Callable[[str], bool]:
    found = re.compile(source, flags).fullmatch
    return lambda char: found(char) is not None


def _sort(char: str) -> str:
    if char == "\n" or not _char_test(r"\w", 0)(char):
        return char if char == "\n" else "other"
    return "word" if char.isascii() else "word beyond ASCII"


def _holds(place: At, before: str, symbol: str) -> bool:
    """Whether `place` lies between a character of the sort `before` and the symbol that comes next."""
    match place.kind:
        case "AT_BEGINNING" | "AT_BEGINNING_STRING":
            return before == "start"
        case "AT_BEGINNING_LINE":
            return before in ("start", "\n")
        case "AT_END":
            return symbol in (_END, _LAST_LINE_BREAK)
        case "AT_END_STRING":
            return symbol == _END
        case "AT_END_LINE":
            return symbol in (_END, "\n", _LAST_LINE_BREAK)
    in_words = ("word",) if place.flags & re.ASCII else ("word", "word beyond ASCII")
    at_edge = (before in in_words) != (symbol != _END and _sort(symbol[0]) in in_words)
    return at_edge == (place.kind == "AT_BOUNDARY")
