"""What a measurement is: the same work done twice, once by tocsin and once by the plainest means."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], object]
Sides = Callable[[], contextlib.AbstractContextManager[tuple[Work, Work]]]


@dataclass(frozen=True)
class Pair:
    """Two ways to do the same `units` of work, and what their ratio should be."""

    name: str
    goal: str
    ours: str
    floor: str
    sides: Sides
    units: int = 1
    floor_units: int | None = None
    """How many units the other side does, where that is not as many."""
    reciprocal: bool = False
    """Whether the goal is put as speed (floor time / our time) rather than as cost."""
    slow: bool = False
    """Whether it takes seconds: left out where it is only seen whether all works."""
    rounds: int = 11
    """How often each side is measured: more where a disk decides, fewer where it takes long."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    ours: str
    plain: str
    ratio: str
    spread: str
    goal: str
    met: bool | None = None

    def __str__(self) -> str:
        met = "-" if self.met is None else "yes" if self.met else "no"
        return f"| {' | '.join((self.name, self.ours, self.plain, self.ratio, self.spread, self.goal, met))} |"


def holds(value: float, goal: str) -> bool | None:
    """Whether a goal such as `<= 6` or `<= 64 MiB` is met; None where there is none.

    >>> holds(5.9, "<= 6"), holds(65.0, "<= 64 MiB"), holds(0.8, ">= 0.75"), holds(1.0, "-")
    (True, False, True, None)
    """
    if goal == "-":
        return None
    sign, bound, *_ = goal.split()
    return value <= float(bound) if sign == "<=" else value >= float(bound)
