"""Whether one filter plainly holds wherever another does."""

from __future__ import annotations

from tocsin_hooks.filters import Filter
from tocsin_hooks.filters.tree import And, Or, Ref


def same(one: Filter, other: Filter) -> bool:
    """Whether both say the same, whatever the order of their parts and the names they give them.

    >>> from tocsin_hooks.filters import parse
    >>> same(parse("flow=a and is_failed"), parse("is_failed, flow=a")), same(parse("flow=a"), parse("flow=b"))
    (True, False)
    """
    return implies(one, other) and implies(other, one)


def implies(one: Filter, other: Filter) -> bool:
    """Whether `other` plainly holds for every event for which `one` does; False where that takes more than a look.

    >>> from tocsin_hooks.filters import parse
    >>> implies(parse("flow=a and is_failed"), parse("is_failed or is_retrying"))
    True
    >>> implies(parse("is_failed or is_retrying"), parse("is_failed"))
    False
    """
    return _implies(one, other, {})


def _implies(one: Filter, other: Filter, known: dict[tuple[int, int], bool]) -> bool:
    """As `implies`; `known` are the answers so far, for the same two parts come up again and again."""
    one, other = _plain(one), _plain(other)
    pair = (id(one), id(other))
    if pair not in known:
        known[pair] = one == other or _by_parts(one, other, known)
    return known[pair]


def _by_parts(one: Filter, other: Filter, known: dict[tuple[int, int], bool]) -> bool:
    match one, other:
        case Or(terms), _:
            return all(_implies(term, other, known) for term in terms)
        case _, And(terms):
            return all(_implies(one, term, known) for term in terms)
        case _, Or(terms) if any(_implies(one, term, known) for term in terms):
            return True
        case And(terms), _:
            return any(_implies(term, other, known) for term in terms)
    return False


def _plain(tree: Filter) -> Filter:
    """What a bound name stands for."""
    while isinstance(tree, Ref) and tree.target is not None:
        tree = tree.target
    return tree
