"""Timelines of alerting: what a config sends, and when, after a course of events that is short to write and to read."""

from __future__ import annotations

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
SLACK = '[channels.slack]\ntype = "slack"\ntoken = { env = "SLACK_BOT_TOKEN" }\nchannel = "#ops"\n'
"""One that can edit what it sent."""
ROUTE = """
[[routes]]
name = "r"
when = "is_failed"
send = ["ops"]
"""


def simulate(body: str = ROUTE, *, start: str = START) -> Simulation:
    """A simulation with four channels and whatever `body` says."""
    return Simulation(CHANNELS + body, start=start)


def fail(sim: Simulation, *subjects: str, state: str = "Failed", **labels: Any) -> None:
    """Let tasks fail now, each called `flow/task` or `flow`."""
    for subject in subjects:
        flow, _, task = subject.partition("/")
        sim.publish({"state": state, "flow": flow, "task": task, **labels})


def succeed(sim: Simulation, *subjects: str, **labels: Any) -> None:
    """Let tasks succeed now."""
    fail(sim, *subjects, state="Success", **labels)


def told(sim: Simulation, *, channel: str = "") -> list[str]:
    """Each message, or each to one channel: when, whom, action, reason."""
    return [
        f"{sent.time:%H:%M:%S} {sent.channel} {sent.action} {sent.reason}"
        for sent in sim.sent
        if not channel or sent.channel == channel
    ]


def subjects(sent: Sent) -> list[str]:
    """What a message tells of."""
    return sorted(key.strip("/") for key in sent.incidents)


def why(sim: Simulation) -> list[tuple[str, str]]:
    """Each thing that was not sent: the stage and what ruled."""
    return [(each.stage, each.rule) for each in sim.suppressed]
