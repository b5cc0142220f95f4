"""How a value is matched against a regex, so that no pattern and no value can stall a run.

A pattern that lists words is looked up in a set. Any other runs on `re` up to the length for which its backtracking
is bounded by `_STEPS` (or by a multiple of the length), and on an automaton beyond. The bound is worked out from the
pattern's tree: an upper bound on the work done, and on the ways to match a beginning of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from tocsin_hooks.filters.automaton import Automaton
from tocsin_hooks.filters.regex_syntax import RegexError, python_regex
from tocsin_hooks.filters.regex_tree import (
    Alt,
    At,
    Char,
    Node,
    Repeat,
    Seq,
    accepts_everything,
    min_width,
    parse_regex,
    size,
    words,
)

_STEPS = 200_000  # some milliseconds of backtracking
_STEPS_PER_CHAR = 200
_LONGEST = 1 << 20
_MAX_WORDS = 1000
_MAX_WRITTEN_OUT = 1000
_TOO_MUCH = 10**18


class Regex:
    """A pattern, compiled; `matches(text)` tells whether it matches the whole text.

    Texts on which `re` might backtrack for long are given to the automaton, so the time grows with the text's
    length at most.
    """

    def __init__(self, pattern: str) -> None:
        try:
            tree = parse_regex(pattern)
            self.words = words(tree, _MAX_WORDS)
            self.matches_everything = accepts_everything(tree)
            if self.words is None and size(tree) > len(pattern) * 2 + _MAX_WRITTEN_OUT:
                raise RegexError("bad regex: its counted repeats come to too many; write '*' or '+'")
            self.limit = _LONGEST if self.words is not None else backtracking_limit(tree)
            self.matches = self._matcher(pattern, tree)
        except (RecursionError, OverflowError):
            raise RegexError("bad regex: too deeply nested") from None

    def _matcher(self, pattern: str, tree: Node) -> Callable[[str], bool]:
        if self.words is not None:
            return self.words.__contains__
        backtracking = re.compile(python_regex(pattern)[0], re.DOTALL).fullmatch
        if self.limit >= _LONGEST:
            return lambda text: backtracking(text) is not None
        automaton = Automaton(tree).fullmatch
        limit = self.limit
        return lambda text: backtracking(text) is not None if len(text) <= limit else automaton(text)


@lru_cache(maxsize=1024)
def compile_regex(pattern: str) -> Regex:
    """The compiled `pattern`, or `RegexError`."""
    return Regex(pattern)


def backtracking_limit(tree: Node) -> int:
    """The longest text on which backtracking stays bounded; -1 if there is none, a million if there is no limit.

    >>> [backtracking_limit(parse_regex(p)) for p in ("(ledger|invoice)_.+", ".*a.*b", "(a|a)*b", "(a*)*")]
    [1048576, 313, 13, -1]
    """
    if _work(tree, _LONGEST, last=True)[0] <= _STEPS_PER_CHAR * _LONGEST:
        return _LONGEST
    low, high = -1, _LONGEST
    while high - low > 1:
        middle = (low + high) // 2
        if _work(tree, middle, last=True)[0] <= _STEPS:
            low = middle
        else:
            high = middle
    return low


def _work(node: Node, length: int, *, last: bool) -> tuple[int, int]:
    """Bounds for `node` from one place in a text of `length`: steps taken, and ways to match.

    `last` says that nothing follows `node` in the pattern.
    """
    match node:
        case Char() | At():
            return 1, 1
        case Seq(items):
            work, ways = 1, 1
            for index, item in enumerate(items):
                item_work, item_ways = _work(item, length, last=last and index == len(items) - 1)
                work = min(work + ways * item_work, _TOO_MUCH)
                ways = min(ways * item_ways, _TOO_MUCH)
            return work, ways
        case Alt(choices):
            parts = [_work(choice, length, last=last) for choice in choices]
            return sum(work for work, _ in parts) + 1, min(sum(ways for _, ways in parts), _TOO_MUCH)
        case Repeat(body, low, high):
            return _repeated(body, low, high, length, last=last)


def _repeated(body: Node, low: int, high: int | None, length: int, *, last: bool) -> tuple[int, int]:
    if last and high is None and low <= 1 and isinstance(body, Char) and body.is_any:
        return 1, 1  # takes all that is left, and the match is done
    once_work, once_ways = _work(body, length, last=False)
    if once_ways == 1 and min_width(body) > 0:
        most = length // min_width(body) + 1
        most = most if high is None else min(most, high)
        return once_work * most + 1, max(1, most - low + 1)
    if high is None:
        if min_width(body) == 0:
            return _TOO_MUCH, _TOO_MUCH
        high = length // min_width(body) + 1
    work, ways, tries = 1, 0, 1
    for count in range(high + 1):
        ways += tries if count >= low else 0
        work += tries * once_work
        tries *= once_ways
        if work > _TOO_MUCH or ways > _TOO_MUCH:
            return _TOO_MUCH, _TOO_MUCH
    return work, max(1, ways)
