"""Whether one filter plainly holds wherever another does."""

from __future__ import annotations

from functools import cache

from tocsin_hooks.events import Event
from tocsin_hooks.filters import FLAG_LABELS, Filter, Match, Opaque
from tocsin_hooks.filters.regex import compile_regex
from tocsin_hooks.filters.tree import And, Or, Ref
from tocsin_hooks.states import State, family

_OF_THE_STATE = FLAG_LABELS - {"is_flow", "is_task", "has_cause", "will_retry"} | {"state"}
"""Labels that the state alone decides."""


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
    >>> implies(parse("flow=ledger_eu and state=TimedOut"), parse('flow=~"ledger_.+" and is_failed'))
    True
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
        case And(terms), _ if any(_implies(term, other, known) for term in terms):
            return True
        case Match(label, "=", value), Match(same_label, "=~", pattern) if label == same_label:
            return compile_regex(pattern).matches(value)
        case Match(label, "=", value), Match(same_label, "!=", unwanted) if label == same_label != "tags":
            return value != unwanted
    return _in_every_state(one, other)


def _in_every_state(one: Filter, other: Filter) -> bool:
    """Whether both are about states alone, and in each state in which `one` holds `other` does."""
    labels = one.labels(), other.labels()
    if not all(asked and asked <= _OF_THE_STATE for asked in labels):
        return False
    nodes = [*one.walk(), *other.walk()]
    if any(isinstance(node, Opaque | Ref) for node in nodes):
        return False
    written = {node.value for node in nodes if isinstance(node, Match) and node.label == "state"}
    probes = [
        *_known_states(),
        *(_entered(name, (name,)) for name in sorted(written - set(State.children(names_only=True)))),
    ]
    return all(other.matches(probe) for probe in probes if one.matches(probe))


@cache
def _known_states() -> tuple[Event, ...]:
    """An event of each known state, of one that nobody knows, and of none."""
    kinds = [kind for kind in State.children() if isinstance(kind, type)]
    return (*(_entered(kind.__name__, family(kind)) for kind in kinds), _entered("?", ("?",)), _entered("", ()))


def _entered(state: str, state_family: tuple[str, ...]) -> Event:
    import pendulum  # heavy, and only needed here

    return Event(id="", time=pendulum.datetime(1970, 1, 1), flow="", run_id="", state=state, state_family=state_family)


def _plain(tree: Filter) -> Filter:
    """What a bound name stands for."""
    while isinstance(tree, Ref) and tree.target is not None:
        tree = tree.target
    return tree
