"""Measures every pair, its two sides in turn, and writes docs/performance.md."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import time
import tracemalloc
from pathlib import Path

from tocsin import runs

from . import alerting
from .pairs import PAIRS, Pair, Work, diamond, flow_of

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
        tail = TAIL.format(memory=kept_per_task(), alerting=alerting.lines())
        PAGE.write_text(page + tail, encoding="utf-8")


def measured(pair: Pair) -> str:
    """One row of the table."""
    rounds = 3 if pair.slow else ROUNDS
    with pair.sides() as (ours, floor):
        ours(), floor()  # once unmeasured: caches, connections
        times = [(timed(ours), timed(floor)) for _ in range(rounds)]
    ratios = [a / b for a, b in times]
    floor_units = pair.floor_units or pair.units
    ratios = [ratio * floor_units / pair.units for ratio in ratios]
    each = [
        statistics.median(side) / count * 1e6
        for side, count in zip(zip(*times, strict=True), (pair.units, floor_units), strict=True)
    ]
    ratio = each[0] / each[1]
    if pair.reciprocal:
        ratios, ratio = [1 / r for r in ratios], 1 / ratio
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


def kept_per_task(n: int = 10_000) -> int:
    """Bytes that a finished run keeps per task, its flow left out."""
    flow = flow_of(n, diamond(n))
    runs.run_flow(flow)
    gc.collect()
    tracemalloc.start()
    state = runs.run_flow(flow)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert state.is_successful()
    return kept // n


TAIL = """
A finished run keeps {memory} bytes per task (goal: at most 1,536), the flow itself not counted.

{alerting}
The goals are those of the design. What is not met, and why:

- **A task with one subscriber**: each of its changes is told as an event, and building one costs several times what
  the plain loop does. The goal was set where that loop takes 4.2 us a task; in microseconds a task it is met, as a
  ratio to a faster loop it is not.
- **A state change told to nobody**: what is left is one look-up in a dictionary.
- **Durable append**: threads that publish together share a commit, but what one event writes is more than a row: the
  event, its incident, its group, what it may hide and its deliveries, each with its indices; and all of it is decided
  in Python inside the transaction.
- **Claims and delivery**: results and claims share transactions; each claim looks into its lane, and a lone publisher
  still syncs for every event.
- **Alerts in a flow**: each failure is a commit with a sync, and while an incident is open each success asks the store
  whether it ends one.

Not measured yet: the memory and the room that a million queued deliveries take, and the time from a state change to the
bytes at the sink.
"""

if __name__ == "__main__":
    main()
