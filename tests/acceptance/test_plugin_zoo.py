"""Channels and hooks that misbehave in the process of the run itself: it ends as it should, and others are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.beasts import install, noted
from tocsin.store.records import DeliveryRecord, Status
from tocsin.store.sqlite import SqliteStore

CONFIG = """
[channels.inbox]
type = "inbox"

[[inhibit]]
name = "flow"
enabled = false
"""
CHANNEL = """
[channels.{name}]
type = "beast"
log = "{log}"
retry = {{ tries = 1 }}
{more}

[[routes]]
when = 'is_failed and task =~ "{tasks}"'
send = ["{name}", "inbox"]
"""
FLOW = """
from tocsin import Flow, Task

class Fails(Task):
    def run(self):
        raise ValueError("bad row")

flow = Flow("etl", tasks=[Fails(name) for name in {tasks}])
"""

RAISING = {
    "raises": "ZeroDivisionError: oops",
    "leaves": "SystemExit: 3",
    "interrupts": "KeyboardInterrupt",
    "closes": "GeneratorExit",
}
ANSWERING = {
    "unspeakable": "RuntimeError: no words",
    "unserialisable": "TypeError: Object of type Message is not JSON serializable",
    "text": "the channel returned str, not a Receipt",
    "generator": "the channel returned generator, not a Receipt",
}
HARMLESS = ["good", "odd", "leaks_threads", "leaks_files"]


@pytest.fixture
def site(tmp_path: Path, environ: dict[str, str]) -> Path:
    environ["PYTHONPATH"] = str(install(tmp_path / "site"))
    return tmp_path


def configure(folder: Path, channels: dict[str, tuple[str, list[str]]], *, before: str = "") -> None:
    text = CONFIG
    for name, (more, tasks) in channels.items():
        text += CHANNEL.format(name=name, log=folder / "log", more=more, tasks="|".join(tasks))
    tasks = [task for _, names in channels.values() for task in names]
    (folder / "tocsin.toml").write_text(before + text)
    (folder / "etl.py").write_text(FLOW.format(tasks=tasks))


def deliveries(folder: Path) -> dict[str, DeliveryRecord]:
    """What became of the deliveries of the channels, by task; the other channel has its messages in any case."""
    store = SqliteStore(folder / "tocsin.db")
    try:
        found = store.deliveries(limit=None)
    finally:
        store.close()
    inbox = {each.event.task for each in found if each.channel == "inbox" and each.status is Status.DELIVERED}
    assert inbox == {each.event.task for each in found}
    return {each.event.task: each for each in found if each.channel != "inbox"}


def test_whatever_a_channel_raises_or_returns_ends_as_a_dead_delivery_that_says_why(site: Path, tocsin: Any) -> None:
    wrong = RAISING | ANSWERING
    configure(site, {"raising": ("", list(RAISING)), "answering": ("", list(ANSWERING)), "harmless": ("", HARMLESS)})
    done = tocsin("run", "etl.py", "--json")
    assert (done.returncode, json.loads(done.stdout)["state"]) == (1, "Failed"), done.stderr
    found = deliveries(site)
    for task, words in wrong.items():
        assert (found[task].status, found[task].reason) == (Status.DEAD, "plugin"), task
        assert found[task].detail.startswith(words)
    assert {found[task].status for task in HARMLESS} == {Status.DELIVERED}
    assert len(noted(site / "log")) == len(wrong) + len(HARMLESS), "each was asked once"


def test_a_channel_that_cannot_be_made_says_why_and_stands_in_nobodys_way(site: Path, tocsin: Any) -> None:
    configure(site, {way: (f'made = "{way}"', [way]) for way in ("raises", "leaves")})
    done = tocsin("run", "etl.py")
    assert done.returncode == 1, done.stderr
    found = deliveries(site)
    assert {task: each.status for task, each in found.items()} == dict.fromkeys(("raises", "leaves"), Status.DEAD)
    assert found["raises"].detail == "channel 'raises' cannot be made: no such beast"
    assert found["leaves"].detail.endswith("5")


def test_a_channel_that_hangs_when_it_is_made_stands_in_nobodys_way(site: Path, tocsin: Any) -> None:
    configure(
        site,
        {"stuck": ('made = "hangs"\ndeadline = "1s"', ["hangs"]), "fine": ("", ["good"])},
        before='[delivery]\ndrain = "5s"\n',
    )
    done = tocsin("run", "etl.py")
    assert done.returncode == 1, done.stderr
    found = deliveries(site)
    assert found["good"].status is Status.DELIVERED
    assert (found["hangs"].status, found["hangs"].reason) == (Status.DEAD, "timeout")


HOOKS = """
from tocsin_hooks import hookimpl

class Junk:
    def __str__(self):
        raise RuntimeError("no words")
    __repr__ = __str__

@hookimpl
def tocsin_enrich(event):
    {enrich}

@hookimpl
def tocsin_propose_state(event, state):
    {propose}

@hookimpl
def tocsin_task_failed(event):
    {observe}

@hookimpl
def tocsin_delivered(message, receipt):
    {delivered}
"""
WAYS = {
    "exits": "raise SystemExit(9)",
    "closes": "raise GeneratorExit",
    "answers junk": "return [object()]",
    "answers what cannot be shown": "return {'label': Junk(), Junk(): 1} if 'state' not in dir() else Junk()",
    "answers odd labels": "return {7: None, 'flow': 'other', '': 'x'}",
}


@pytest.mark.parametrize("way", WAYS)
def test_hooks_that_exit_or_answer_junk_change_no_run_and_stop_no_message(site: Path, tocsin: Any, way: str) -> None:
    line = WAYS[way]
    install(site / "site", "spoiler", HOOKS.format(enrich=line, propose=line, observe=line, delivered=line))
    configure(site, {"fine": ("", ["good"])})
    done = tocsin("run", "etl.py", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["state"]) == (1, "Failed"), done.stderr
    assert [(each["name"], each["state"]) for each in data["tasks"]] == [("good", "Failed")]
    assert deliveries(site)["good"].status is Status.DELIVERED
    assert deliveries(site)["good"].event.flow == "etl"
    assert "spoiler" in done.stderr or "odd labels" in way
