"""Measures every pair, its two sides in turn, and writes docs/performance.md."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from pathlib import Path

from .pairs import PAIRS, Pair, Work

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
ROUNDS = 7

HEAD = """# What tocsin costs

Written by `make bench`. Each row does the same work twice, once by tocsin and once by the plainest means, in turn and
in one run; the ratio is that of the medians, the spread that of the single rounds. Absolute figures belong to the
machine they were taken on; the ratios travel better.

Taken on {machine}, Python {python}, load {load}.

| what | ours | plain | ratio | spread | goal | met |
| --- | --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    wanted = sys.argv[1:]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    load = f"{os.getloadavg()[0]:.1f}"
    page = HEAD.format(machine=machine, python=platform.python_version(), load=load)
    for pair in PAIRS:
        if wanted and not any(text in pair.name for text in wanted):
            continue
        line = measured(pair)
        print(line, flush=True)
        page += line + "\n"
    if not wanted:
        PAGE.write_text(page + TAIL, encoding="utf-8")


def measured(pair: Pair) -> str:
    """One row of the table."""
    rounds = 3 if pair.slow else ROUNDS
    with pair.sides() as (ours, floor):
        ours(), floor()  # once unmeasured: caches, connections
        times = [(timed(ours), timed(floor)) for _ in range(rounds)]
    ratios = [a / b for a, b in times]
    ratio = statistics.median(a for a, _ in times) / statistics.median(b for _, b in times)
    if pair.reciprocal:
        ratios, ratio = [1 / r for r in ratios], 1 / ratio
    each = [statistics.median(side) / pair.units * 1e6 for side in zip(*times, strict=True)]
    met = "-" if pair.goal == "-" else "yes" if holds(ratio, pair.goal) else "no"
    return (
        f"| {pair.name} | {pair.ours}: {each[0]:,.1f} us | {pair.floor}: {each[1]:,.1f} us "
        f"| {ratio:.2f} | {min(ratios):.2f} to {max(ratios):.2f} | {pair.goal} | {met} |"
    )


def timed(work: Work) -> float:
    """How long it takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def holds(ratio: float, goal: str) -> bool:
    """Whether a goal such as `<= 6` is met."""
    sign, bound = goal.split()
    return ratio <= float(bound) if sign == "<=" else ratio >= float(bound)


TAIL = """
The goals are those of the design. Not measured yet: memory per finished task, a million queued deliveries, the time
from a state change to the bytes at the sink.
"""

if __name__ == "__main__":
    main()
