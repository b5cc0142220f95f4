"""Measures every pair, its two sides in turn, and writes docs/performance.md."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tocsin import runs

from . import alerting
from .backlog import backlog, remembered
from .burst import burst
from .delivering import latency_row
from .pair import Pair, Row, Work, holds
from .pairs import PAIRS
from .reasons import unmet
from .running import diamond, flow_of

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"

HEAD = """# What tocsin costs

Written by `make bench`. Each row does the same work twice, once by tocsin and once by the plainest means, in turn and
in one run; the ratio is that of the medians, the spread that of the single rounds. Absolute figures belong to the
machine they were taken on; the ratios travel better.

Taken on {machine}, Python {python}, load {load}.

| what | ours | plain | ratio | spread | goal | met |
| --- | --- | --- | --- | --- | --- | --- |
"""


def main() -> None:
    sys.path.append(str(ROOT / "tests"))  # for what tests and measurements share
    wanted = sys.argv[1:]
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    head = HEAD.format(machine=machine, python=platform.python_version(), load=f"{os.getloadavg()[0]:.1f}")
    rows = []
    for name, measure in measurements():
        if not wanted or any(text in name for text in wanted):
            for row in _rows(name, measure):
                print(row, flush=True)
                rows.append(row)
    if not wanted:
        table = "".join(f"{row}\n" for row in rows)
        PAGE.write_text(head + table + NOTES + figures() + unmet(rows), encoding="utf-8")


def measurements() -> Iterator[tuple[str, Callable[[], Sequence[Row]]]]:
    """Everything that makes rows, by name."""
    for pair in PAIRS:
        yield pair.name, partial(_measured, pair)
    yield "state change to bytes at the sink", lambda: [latency_row()]
    yield "1,000,000 deliveries wait", lambda: backlog().rows()


def _measured(pair: Pair) -> Sequence[Row]:
    return [measured(pair)]


def _rows(name: str, measure: Callable[[], Sequence[Row]]) -> Sequence[Row]:
    try:
        return measure()
    except pytest.skip.Exception as reason:
        print(f"{name}: {reason}", file=sys.stderr)
        return [Row(name, "not measured", "-", "-", "-", "-")]


def measured(pair: Pair) -> Row:
    """One row of the table."""
    with pair.sides() as (ours, floor):
        ours(), floor()  # once unmeasured: caches, connections
        times = [(timed(ours, clear=pair.slow), timed(floor, clear=pair.slow)) for _ in range(pair.rounds)]
    floor_units = pair.floor_units or pair.units
    each = [
        statistics.median(side) / count * 1e6
        for side, count in zip(zip(*times, strict=True), (pair.units, floor_units), strict=True)
    ]
    ratios = [a / b * floor_units / pair.units for a, b in times]
    ratio = each[0] / each[1]
    if pair.reciprocal:
        ratios, ratio = [1 / r for r in ratios], 1 / ratio
    return Row(
        pair.name,
        f"{pair.ours}: {each[0]:,.1f} us",
        f"{pair.floor}: {each[1]:,.1f} us",
        f"{ratio:.2f}",
        f"{min(ratios):.2f} to {max(ratios):.2f}",
        pair.goal,
        holds(ratio, pair.goal),
    )


def timed(work: Work, *, clear: bool = False) -> float:
    """How long it takes, in seconds. With `clear` it need not clear up what the other side left behind."""
    if clear:
        gc.collect()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


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


NOTES = """
- **Durable append**: 64 producers that each wait until their event is on disk, beside one that commits 100 rows at
  once; on PostgreSQL, with `synchronous_commit = on`, the 100 rows go in one pipeline.
- **End to end**: append, route, render, POST and acknowledge, beside the POST alone from as many threads. Where a sink
  takes 100 ms to answer, throughput grows with the threads.
- **State change to bytes**: from just before `publish`, with a worker that has nothing to do, until the sink has read
  the request, beside the p50 of a synced append of the same bytes plus the p50 of a POST over a kept connection.
- **Deliveries that wait**: each of an event of its own. The payload is the JSON of the event and of what is planned, as
  it was put in.
"""


def figures() -> str:
    """What is not measured against anything else."""
    return (
        f"\nA finished run keeps {kept_per_task()} bytes per task (goal: at most 1,536), the flow itself not counted.\n"
        f"\n{alerting.lines()}\n{burst().line()}\n{remembered()}\n"
    )


if __name__ == "__main__":
    main()
