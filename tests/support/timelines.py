"""Timelines of alerting: what a config sends, and when, after a course of events that is short to write and to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tocsin.simulate import Sent, Simulation

START = "2026-03-02 12:00"
"""A Monday."""
CHANNELS = """
[channels]
ops = { type = "inbox" }
mail = { type = "inbox" }
pager = { type = "inbox" }
phone = { type = "inbox" }
"""


def simulate(body: str, *, start: str = START) -> Simulation:
    """A simulation with four channels and whatever `body` says."""
    head, _, rest = body.partition("[[routes]]") if "[[routes]]" in body else (body, "", "")
    return Simulation(head + CHANNELS + ("[[routes]]" + rest if rest else ""), start=start)


def fail(sim: Simulation, *subjects: str, state: str = "Failed", **labels: Any) -> None:
    """Let tasks fail, each called `flow/task` or `flow`."""
    for subject in subjects:
        flow, _, task = subject.partition("/")
        sim.publish({"state": state, "flow": flow, "task": task, **labels})


def succeed(sim: Simulation, *subjects: str, **labels: Any) -> None:
    """Let tasks succeed."""
    fail(sim, *subjects, state="Success", **labels)


def clock(sim: Simulation, sent: Sent) -> str:
    """When something was sent, as the time of day; with the date, if it is another day than at the start."""
    return f"{sent.time:%H:%M:%S}" if sent.time.date() == sim.started.date() else f"{sent.time:%m-%d %H:%M:%S}"


def told(sim: Simulation) -> list[str]:
    """Each message: when, channel, action, reason."""
    return [f"{sent.time:%H:%M:%S} {sent.channel} {sent.action} {sent.reason}" for sent in sim.sent]


def subjects(sent: Sent) -> list[str]:
    """What a message tells of."""
    return sorted(key.strip("/") for key in sent.incidents)


def why(sim: Simulation) -> list[tuple[str, str]]:
    """Each thing that was not sent: the stage and what ruled."""
    return [(each.stage, each.rule) for each in sim.suppressed]


def count(items: Iterable[object]) -> int:
    """How many there are."""
    return sum(1 for _ in items)
