"""What a run comes to: its tasks, its deliveries by channel, what went wrong beside it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tocsin.cli.output import count, first_line, say, show as line, styled, table
from tocsin.cli.record import TaskRecord
from tocsin.hub.counters import Counters
from tocsin.store.records import DeliveryRecord, Status
from tocsin_hooks.durations import format_duration

_CHILDREN = 20
_SUCCEEDED = "task run succeeded"  # says nothing that the state does not

OUTCOMES = {
    Status.DELIVERED: "delivered",
    Status.PENDING: "waiting",
    Status.LEASED: "waiting",
    Status.DEAD: "dead",
}
"""What a delivery's status means to the one who ran the flow."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run that has ended, and what became of its messages."""

    flow: str
    run_id: str
    state: str
    message: str
    seconds: float
    tasks: list[TaskRecord]
    succeeded: bool
    deliveries: dict[str, Counter[str]] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    exit_code: int = 0
    """With which code the command ends."""


def by_channel(deliveries: Iterable[DeliveryRecord]) -> dict[str, Counter[str]]:
    """How many deliveries of each channel were delivered, wait or are dead."""
    found: dict[str, Counter[str]] = {}
    for delivery in deliveries:
        found.setdefault(delivery.channel, Counter())[OUTCOMES[delivery.status]] += 1
    return dict(sorted(found.items()))


def as_data(summary: Summary) -> dict[str, Any]:
    """The summary as plain data."""
    columns = dict.fromkeys(OUTCOMES.values(), 0)
    counters = summary.counters
    return {
        "flow": summary.flow,
        "run_id": summary.run_id,
        "state": summary.state,
        "message": summary.message,
        "seconds": round(summary.seconds, 3),
        "tasks": [_task_data(task) for task in summary.tasks],
        "deliveries": {channel: {**columns, **counts} for channel, counts in summary.deliveries.items()},
        "callbacks_failed": counters.callbacks_failed,
        "events_spilled": counters.spilled,
        "events_lost": counters.lost,
        "failures": list(counters.failures),
    }


def _task_data(task: TaskRecord) -> dict[str, Any]:
    data = dataclasses.asdict(task)
    return {name: value for name, value in data.items() if name not in ("began", "hidden", "finished")}


def show(summary: Summary) -> None:
    """Print the summary."""
    say()
    rows = list(_rows(summary.tasks))
    if rows:
        table(("TASK", "STATE", "ATTEMPTS", "DURATION", "MESSAGE"), rows)
        say()
    if summary.deliveries:
        columns = list(dict.fromkeys(OUTCOMES.values()))
        table(
            ("CHANNEL", *(column.upper() for column in columns)),
            [(name, *(str(counts[column]) for column in columns)) for name, counts in summary.deliveries.items()],
        )
        say()
    for text in _trouble(summary.counters):
        say(text)
    told = f": {first_line(summary.message)}" if summary.message else ""
    line(
        styled(f"flow '{summary.flow}': "),
        styled(summary.state, summary.state),
        styled(f" in {format_duration(summary.seconds)}{told}"),
    )


def _trouble(counters: Counters) -> Iterator[str]:
    if counters.callbacks_failed:
        yield f"{count(counters.callbacks_failed, 'callback')} failed; the run went on"
    if counters.spilled:
        yield f"not stored at once; kept in the spill file until the store answers: {count(counters.spilled, 'event')}"
    if counters.lost:
        yield f"LOST, as neither the store nor the spill file could be written: {count(counters.lost, 'event')}"
    for text in counters.failures:
        yield f"  {text}"


def _rows(tasks: list[TaskRecord]) -> Iterator[tuple[str, ...]]:
    """A row per task; of a mapped task's many children those that did not end well, and a count."""
    children: dict[str, list[TaskRecord]] = {}
    for task in tasks:
        if task.map_index is not None:
            children.setdefault(task.slug, []).append(task)
    for task in tasks:
        if task.map_index is not None or task.hidden:
            continue
        mine = children.get(task.slug, [])
        yield _row(task, _counted(mine) or task.message)
        bad = [child for child in mine if child.state not in ("Success", "Cached", "Skipped")]
        for child in bad[:_CHILDREN]:
            yield _row(child, child.message)
        if len(bad) > _CHILDREN:
            yield (f"... and {len(bad) - _CHILDREN} more", "", "", "", "")


def _row(task: TaskRecord, message: str) -> tuple[str, ...]:
    took = format_duration(task.seconds) if task.attempts else ""
    return (
        task.title,
        task.state,
        task.tries if task.attempts else "",
        took,
        "" if message == _SUCCEEDED else first_line(message, 80),
    )


def _counted(children: list[TaskRecord]) -> str:
    counts = Counter(child.state for child in children)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
