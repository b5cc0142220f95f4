"""`isolate = true` in a config: whatever the channel does, the run ends as it should, and others get their messages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.beasts import install, is_there, left, noted, until
from tocsin.store.records import DeliveryRecord, Status
from tocsin.store.sqlite import SqliteStore

CHANNEL = """
[channels.{name}]
type = "beast"
log = "{log}"
isolate = true
{more}

[[routes]]
when = 'is_failed and task =~ "{tasks}"'
send = ["{name}", "inbox"]
"""
INBOX = '[channels.inbox]\ntype = "inbox"\n[[inhibit]]\nname = "flow"\nenabled = false\n'
ONCE = 'deadline = "20s"\nretry = { tries = 1 }'

FLOW = """
from tocsin import Flow, Task

class Fails(Task):
    def run(self):
        raise ValueError("bad row")

flow = Flow("etl", tasks=[Fails(name) for name in {tasks}])
"""
PLAN = """
from dataclasses import replace
from tocsin.assembly import assemble, locate
from tocsin.states import Failed
from tocsin_hooks.testing import sample_event

assembly = assemble(locate())
assembly.hub.outbox = replace(assembly.hub.outbox, wake=lambda: None)
for task in {tasks}:
    assembly.hub.publish(sample_event(id=task, run_id=task, task=task, sequence=None), Failed())
assembly.store.close()
"""


class Place:
    """A folder with a config whose channels are told each of the failures of some tasks."""

    def __init__(self, folder: Path, channels: Mapping[str, tuple[str, Sequence[str]]]) -> None:
        self.folder, self.log = folder, folder / "log"
        self.tasks = [task for _, tasks in channels.values() for task in tasks]
        text = INBOX
        for name, (more, tasks) in channels.items():
            text += CHANNEL.format(name=name, log=self.log, more=more, tasks="|".join(tasks))
        (folder / "tocsin.toml").write_text(text)
        (folder / "etl.py").write_text(FLOW.format(tasks=self.tasks))
        (folder / "plan.py").write_text(PLAN.format(tasks=self.tasks))

    def of_beasts(self) -> dict[str, DeliveryRecord]:
        """What became of the deliveries to the channels, by task."""
        store = SqliteStore(self.folder / "tocsin.db")
        try:
            found = store.deliveries(limit=None)
        finally:
            store.close()
        inbox = {each.event.task for each in found if each.channel == "inbox" and each.status is Status.DELIVERED}
        assert inbox == {each.event.task for each in found}, "the other channel has its messages"
        return {each.event.task: each for each in found if each.channel != "inbox"}

    def all_have_ended(self) -> bool:
        store = SqliteStore(self.folder / "tocsin.db")
        try:
            found = store.deliveries(limit=None)
        finally:
            store.close()
        return all(each.status in (Status.DELIVERED, Status.DEAD) for each in found)


@pytest.fixture
def site(tmp_path: Path, environ: dict[str, str]) -> Path:
    environ["PYTHONPATH"] = str(install(tmp_path / "site"))
    return tmp_path


# ---------------------------------------------------------------- in a run

RAISED = {
    "raises": "ZeroDivisionError: oops",
    "leaves": "SystemExit: 3",
    "interrupts": "KeyboardInterrupt",
    "closes": "GeneratorExit",
}
ANSWERED = {
    "unspeakable": "Unspeakable: <its text cannot be had: RuntimeError>",
    "unserialisable": "TypeError: Object of type Message is not JSON serializable",
    "text": "the channel returned str, not a Receipt",
    "generator": "the channel returned generator, not a Receipt",
}
ENDED = {
    "exits": "the channel's process exited with 7",
    "segfaults": "the channel's process was killed by SIGSEGV",
    "closes_all_files": "the channel's process ",
    "starts_another_and_exits": "the channel's process exited with 8",
}
HUNG = dict.fromkeys(
    ["hangs", "hangs_in_c", "starts_another_and_hangs"], "no answer within 300 ms; the channel's process was killed"
)
HARMLESS = ["good", "prints", "odd", "leaks_threads", "leaks_files", "closes_its_streams", "starts_another"]


def test_whatever_happens_in_processes_of_their_own_is_said_and_the_run_ends_as_it_should(
    site: Path, tocsin: Any
) -> None:
    place = Place(
        site,
        {
            "raising": (ONCE, list(RAISED)),
            "answering": (ONCE, list(ANSWERED)),
            "ending": (ONCE, list(ENDED)),
            "hanging": ('deadline = "300ms"\nretry = { tries = 1 }', list(HUNG)),
            "harmless": (ONCE, HARMLESS),
        },
    )
    wrong = RAISED | ANSWERED | ENDED | HUNG
    done = tocsin("run", "etl.py", "--json")
    data = json.loads(done.stdout)
    assert (done.returncode, data["state"]) == (1, "Failed"), done.stderr
    assert data["deliveries"]["inbox"] == {"delivered": len(place.tasks), "waiting": 0, "dead": 0}
    assert data["deliveries"]["harmless"] == {"delivered": len(HARMLESS), "waiting": 0, "dead": 0}
    beasts = place.of_beasts()
    assert {task: beasts[task].status for task in place.tasks} == {
        task: Status.DEAD if task in wrong else Status.DELIVERED for task in place.tasks
    }
    for task, words in wrong.items():
        assert beasts[task].reason == ("timeout" if task in HUNG else "plugin")
        assert beasts[task].detail.startswith(words), beasts[task].detail
        assert f"'etl/{task} Failed' did not reach channel" in done.stderr
    assert [beasts[task].detail for task in ("good", "prints", "odd")] == ["roared", "roared", "odd"]
    assert len({each["pid"] for each in noted(place.log) if each["way"] in HARMLESS}) == 1
    until(lambda: not left(place.log))


def test_a_channel_that_cannot_be_made_is_tried_again_and_says_why(site: Path, tocsin: Any) -> None:
    twice = 'retry = {{ tries = 2, first = "10ms" }}\nmade = "{}"'
    made = {
        "exits": "the channel's process exited with 4",
        "raises": "the channel cannot be made: ValueError: no such beast",
        "leaves": "the channel cannot be made: SystemExit: 5",
    }
    place = Place(site, {way: (twice.format(way), [way]) for way in made})
    assert tocsin("run", "etl.py").returncode == 1
    found = place.of_beasts()
    assert {task: (each.status, each.attempts, each.detail) for task, each in found.items()} == {
        task: (Status.DEAD, 2, words) for task, words in made.items()
    }
    assert noted(place.log) == [], "nothing was sent"


# ---------------------------------------------------------------- under a hub


@contextmanager
def hub(place: Place, environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tocsin.cli", "hub"]
    with subprocess.Popen(command, cwd=place.folder, env=environ, stdout=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_hub_outlives_what_its_channels_do(site: Path, environ: dict[str, str], python: Any) -> None:
    twice = 'retry = { tries = 2, first = "10ms" }'
    place = Place(site, {"ending": (twice, ["exits", "segfaults"]), "forking": (twice, ["forks"])})
    assert python("plan.py").returncode == 0
    with hub(place, environ) as process:
        until(place.all_have_ended)
        assert process.poll() is None
        found = place.of_beasts()
        assert {task: each.status for task, each in found.items()} == {
            "exits": Status.DEAD,
            "segfaults": Status.DEAD,
            "forks": Status.DELIVERED,
        }
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    until(lambda: not left(place.log))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_of_a_channel_outlives_its_hub(
    site: Path, environ: dict[str, str], python: Any, number: signal.Signals
) -> None:
    place = Place(site, {"deaf": ('deadline = "5m"', ["hangs_in_c"]), "many": ("", ["starts_another_and_hangs"])})
    assert python("plan.py").returncode == 0
    with hub(place, environ | {"TOCSIN__DELIVERY__DRAIN": "100ms"}) as process:
        until(lambda: len(left(place.log)) == 3)
        groups = {os.getpgid(pid) for pid in left(place.log)}
        assert os.getpgid(process.pid) not in groups, "what a terminal sends, they do not get"
        process.send_signal(number)
        process.wait(60)
    until(lambda: not left(place.log))


def test_asking_all_processes_of_a_service_to_end_cuts_no_send_short(
    site: Path, environ: dict[str, str], python: Any
) -> None:
    place = Place(site, {"slow": ('deadline = "3s"\nretry = { tries = 1 }', ["hangs"])})
    assert python("plan.py").returncode == 0
    with hub(place, environ):
        until(lambda: left(place.log))
        [channel] = left(place.log)
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(channel, number)
        until(place.all_have_ended)
    assert place.of_beasts()["hangs"].detail == "no answer within 3 s; the channel's process was killed"
    assert not is_there(channel)
