"""`/healthz` says 200 while the hub does its work, and 503 with the reasons when it does not."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.operated import LOAD
from tocsin.assembly import Assembly, assemble
from tocsin.clock import ManualClock
from tocsin.errors import TocsinError
from tocsin.health.answers import SILENT, Answers, Pulse, Store, answering, neglected
from tocsin.health.condition import Condition, troubles
from tocsin.hub.spill import Spilled
from tocsin.settings.source import source_of_text
from tocsin.simulate import event_of
from tocsin.store.summary import ChannelSummary, StoreSummary

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
CONFIG = """
[defaults]
send = ["ops"]
[channels.ops]
type = "inbox"
"""
LISTENING = CONFIG + '[hub]\nlisten = "127.0.0.1:0"\n'
MINUTE = timedelta(minutes=1)


class World:
    """A hub of its own folder and clock, asked how it is without a network in between."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.assembly = assemble(source_of_text(CONFIG, base=folder), self.clock)
        outbox = self.assembly.hub.outbox
        assert outbox is not None
        self.outbox = self.assembly.hub.outbox = replace(outbox, wake=lambda: None)
        self.assembly.hub.prepare()
        self.pulse = Pulse(self.clock.now(), self.clock.monotonic(), threads={"worker": "MainThread"})
        self.store = Store(self.assembly, self.clock)
        self.answers = Answers(self.assembly, self.pulse, self.store.condition)

    def healthz(self) -> tuple[int, dict[str, Any]]:
        answer = self.answers.healthz()
        assert answer.type == "application/json"
        return answer.status, json.loads(answer.body)

    def reasons(self) -> list[str]:
        status, told = self.healthz()
        assert (status, told["status"]) == ((503, "failing") if told["reasons"] else (200, "ok"))
        return list(told["reasons"])

    def fail(self) -> None:
        self.assembly.hub.store_event(self.outbox, event_of({"id": self.clock.new_id(), **LOAD}, self.clock))

    def pass_time(self, span: timedelta) -> None:
        self.clock.advance(span)
        self.pulse.looked_at = self.clock.monotonic()


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("TOCSIN_SPILL_DIR", str(tmp_path / "spill"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()
    made.assembly.timekeeper.stop()
    made.assembly.worker.stop()
    made.assembly.store.close()


def test_a_hub_that_works_is_well_and_says_what_waits(world: World) -> None:
    world.fail()
    status, told = world.healthz()
    assert (status, told["reasons"]) == (200, [])
    assert told["channels"] == {"ops": {"pending": 1, "due": 1, "leased": 0, "dead": 0, "breaker": "closed"}}
    assert (told["incidents_open"], told["spilled"]) == (1, 0)


def test_a_thread_that_has_ended_is_a_reason(world: World) -> None:
    world.pulse.threads = {"worker": "nobody-has-this-name"}
    assert world.reasons() == ["the worker has ended"]


def test_a_timekeeper_that_is_not_heard_of_is_a_reason(world: World) -> None:
    world.clock.advance(SILENT)
    assert world.reasons() == []
    world.clock.advance(1)
    assert world.reasons() == ["the timekeeper was last heard of 61 s ago"]


def test_a_hub_that_ends_wants_no_more_traffic(world: World) -> None:
    world.pulse.stopping = True
    assert world.reasons() == ["the hub is stopping"]


def test_what_is_due_and_not_tried_is_a_reason_after_a_while(world: World) -> None:
    world.fail()
    world.pass_time(15 * MINUTE)
    assert world.reasons() == []
    world.pass_time(MINUTE)
    assert world.reasons() == ["1 due to 'ops', and nobody tries"]


def test_a_store_that_is_gone_is_a_reason_and_is_not_made_anew(world: World, tmp_path: Path) -> None:
    for path in tmp_path.glob("tocsin.db*"):
        path.unlink()
    assert world.reasons() == [f"the store '{tmp_path / 'tocsin.db'}' is gone"]
    assert not (tmp_path / "tocsin.db").exists()
    figures = world.answers.metrics_page().body.decode()
    assert "tocsin_store_up 0.0" in figures


def test_a_store_that_answers_again_is_noticed(world: World, tmp_path: Path) -> None:
    (tmp_path / "tocsin.db").rename(tmp_path / "away.db")
    assert len(world.reasons()) == 1
    (tmp_path / "away.db").rename(tmp_path / "tocsin.db")
    assert len(world.reasons()) == 1, "what was said just now is said again"
    world.pass_time(MINUTE)
    assert world.reasons() == []


def test_the_store_is_not_asked_again_for_a_moment(world: World) -> None:
    assert world.healthz()[1]["incidents_open"] == 0
    world.fail()
    assert world.healthz()[1]["incidents_open"] == 0
    world.pass_time(timedelta(seconds=2))
    assert world.healthz()[1]["incidents_open"] == 1


def test_the_figures_are_told_of_the_same_store(world: World) -> None:
    world.fail()
    answer = world.answers.metrics_page()
    assert (answer.status, answer.type.startswith("text/plain")) == (200, True)
    assert 'tocsin_deliveries{channel="ops",status="pending"} 1.0' in answer.body.decode()


def test_without_the_package_metrics_say_what_to_install(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    answers = Answers(world.assembly, world.pulse, world.store.condition)
    answer = answers.metrics_page()
    assert answer.status == 501
    assert answer.body == b"metrics need a package that is not installed: pip install 'tocsin[metrics]'\n"
    assert answers.healthz().status == 200


# ---------------------------------------------------------------- who is to blame


def condition(channel: ChannelSummary) -> Condition:
    return Condition(StoreSummary(NOON, (channel,)), Spilled(Path("spill.jsonl")))


LONG = NOON - timedelta(hours=2)
DUE = ChannelSummary("ops", pending=9, due=9, oldest=LONG, due_since=LONG)


@pytest.mark.parametrize(
    ("channel", "is_neglected", "needs_somebody"),
    [
        (DUE, True, True),
        (replace(DUE, last_success=NOON), False, False),  # it moves
        (replace(DUE, last_failure=NOON, failing_since=LONG), False, True),  # the service is to blame, not the hub
        (replace(DUE, last_success=LONG), True, True),
        (replace(DUE, due_since=NOON), False, True),  # tried now and then, in vain
        (replace(DUE, oldest=NOON, due_since=NOON), False, False),
        (ChannelSummary("ops"), False, False),
    ],
)
def test_a_service_that_refuses_needs_somebody_and_is_no_reason_to_restart_the_hub(
    channel: ChannelSummary, is_neglected: bool, needs_somebody: bool
) -> None:
    assert bool(neglected(condition(channel))) is is_neglected
    assert bool(troubles(condition(channel))) is needs_somebody


def test_a_channel_that_is_left_alone_on_purpose_is_not_neglected() -> None:
    assert neglected(condition(DUE), but={"ops"}) == []


# ---------------------------------------------------------------- over the network


def read(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.status, answer.read().decode()


def listening(folder: Path, text: str = LISTENING) -> Assembly:
    return assemble(source_of_text(text, base=folder))


def test_without_listen_nothing_listens(tmp_path: Path) -> None:
    assembly = listening(tmp_path, CONFIG)
    with answering(assembly, Pulse(assembly.clock.now(), 0.0)) as address:
        assert address is None


def test_both_pages_are_there_and_count_what_is_delivered(tmp_path: Path) -> None:
    assembly = listening(tmp_path)
    pulse = Pulse(assembly.clock.now(), assembly.clock.monotonic(), threads={})
    with ExitStack() as stack:
        address = stack.enter_context(answering(assembly, pulse))
        stack.callback(assembly.store.close)
        assembly.hub.prepare()
        assert assembly.hub.outbox is not None
        assembly.hub.store_event(assembly.hub.outbox, event_of(LOAD, ManualClock(datetime.now(UTC))))
        assert assembly.worker.drain(timedelta(seconds=30)) == 0
        assembly.worker.stop(timedelta(seconds=30))
        status, text = read(f"http://{address}/healthz")
        assert (status, json.loads(text)["status"]) == (200, "ok")
        _, figures = read(f"http://{address}/metrics")
        assert 'tocsin_notifications_total{channel="ops",outcome="delivered"} 1.0' in figures
        assert 'tocsin_notification_seconds_count{channel="ops"} 1.0' in figures
        assert 'tocsin_deliveries{channel="ops",status="pending"} 0.0' in figures
    assert not assembly.hooks.catalog.pm.has_plugin("tocsin.metrics")


def test_an_address_that_is_taken_stops_the_hub_from_starting(tmp_path: Path) -> None:
    first = listening(tmp_path)
    with answering(first, Pulse(first.clock.now(), 0.0)) as address:
        second = listening(tmp_path, LISTENING.replace(":0", f":{address.port}" if address else ""))
        with (
            pytest.raises(TocsinError, match="is another hub there"),
            answering(second, Pulse(second.clock.now(), 0.0)),
        ):
            raise AssertionError("it cannot listen there")
