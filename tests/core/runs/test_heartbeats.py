"""Runs whose process is gone are announced as Crashed, once; those that are only slow, or paused, are not."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.hub.engine import Engine
from tocsin.hub.heart import Heart
from tocsin.hub.heartbeats import DEAD, HEARTBEAT, Beat, beat_in, cell_of, doubt
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.rounds import Rounds
from tocsin.hub.spill import Spill
from tocsin.identity import Presence, Process, presence_of, process_of, this_process
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.runs import run_flow
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event, event_id
from tocsin_hooks.filters import when
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.states import Failed, Running, State, Success, family
from tocsin_hooks.testing import sample_event

MINUTE, SECOND, NONE = timedelta(minutes=1), timedelta(seconds=1), timedelta(0)
PROBLEMS = when("is_failed or is_retrying")
ELSEWHERE = Process("another-host", "boot", "pid:[1]", 4711, "99")


class Refusing(SqliteStore):
    """A store that refuses while it is told to."""

    refuses = False

    def transact(self, work: Any, *, keep: bool = True) -> Any:
        if self.refuses:
            raise StoreError("the disk is full")
        return super().transact(work, keep=keep)


class Ears:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    @hookimpl
    def tocsin_flow_crashed(self, event: Event) -> None:
        self.heard.append(event)


class Site:
    """A process's hub and heart; several on one clock share the store, as several processes do."""

    def __init__(self, folder: Path, clock: ManualClock, when_: str = "is_failed or is_retrying") -> None:
        self.clock = clock
        self.store = Refusing(folder / "tocsin.db")
        catalog, self.ears = Catalog(), Ears()
        catalog.register(self.ears, "ears")
        policy = Policy(Router((Route("pages", when(when_), ("ops",)),), opens=PROBLEMS))
        self.outbox = Outbox(self.store, Engine(policy), Spill(folder / "spill" / "events.jsonl"), lambda: None)
        self.hub = Hub(Hooks(catalog), clock, self.outbox)
        self.heart = Heart(self.store, clock)
        self.hub.live_by(self.heart)
        self.rounds = Rounds(self.hub)

    def publish(self, kind: type[State], task_name: str = "", run: str = "run1", **changes: Any) -> None:
        names = family(kind)
        identity = event_id("tocsin", run, task_name, None, 1, 1, kind.__name__)
        changes = {"time": self.clock.now(), "message": "", **changes}
        event = sample_event(
            id=identity, flow="etl", task=task_name, run_id=run, run_name="", state=kind.__name__, state_family=names,
            sequence=None, old_state="", map_index=None, exception=None, source="tocsin", **changes,
        )  # fmt: skip
        self.hub.publish(event, kind())

    def under_way(self, process: Process, run: str = "run1", ahead: timedelta = NONE, **more: Any) -> None:
        """Let a run of another process be known, whose clock may be `ahead`."""
        at = self.clock.now() + ahead
        event = sample_event(
            id=f"{run}-running", time=at, flow="etl", task="", run_id=run, state="Running",
            state_family=("Running",), parameters={"day": "monday"}, tags=frozenset({"prod"}), source="tocsin",
            map_index=None, exception=None,
        )  # fmt: skip
        beat = Beat(event.to_json(), f"token of {run}", process, at, **more)
        self.store.transact(lambda tx: tx.put(cell_of(beat, run)))

    def beats(self, run: str = "run1", ahead: timedelta = NONE) -> None:
        """Let the run of another process beat."""
        beat = self.beat(run)
        assert beat is not None
        fresh = replace(beat, at=self.clock.now() + ahead, doubted=False)
        self.store.transact(lambda tx: tx.put(cell_of(fresh, run)))

    def beat(self, run: str = "run1") -> Beat | None:
        return self.store.transact(lambda tx: beat_in(tx.cell(HEARTBEAT, run)), keep=False)

    def told(self) -> list[tuple[str, str, str]]:
        found = reversed(self.store.deliveries(limit=None))
        return [(d.event.state, d.event.subject, str(d.action)) for d in found]

    def crashes(self) -> list[Event]:
        return [d.event for d in self.store.deliveries(limit=None) if d.event.state == "Crashed"]

    def attend(self, span: timedelta, step: int = 1) -> None:
        """Be there for a while, as `tocsin hub` is."""
        end = self.clock.now() + span
        while self.clock.now() < end:
            self.rounds.look()
            self.hub.tick()
            self.clock.advance(step)
        self.rounds.look()
        self.hub.tick()


@pytest.fixture
def site(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    made = Site(tmp_path, clock)
    yield made
    made.store.refuses = False
    made.heart.stop()
    made.store.close()


@pytest.fixture
def other(tmp_path: Path, clock: ManualClock) -> Iterator[Site]:
    """Another process with the same store."""
    made = Site(tmp_path, clock)
    yield made
    made.heart.stop()
    made.store.close()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        yield process
        process.send_signal(signal.SIGCONT)
        process.kill()


def dead() -> Process:
    """A process of this host that has been killed."""
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        found = process_of(process.pid)
        process.kill()
    return found


# ---------------------------------------------------------------- processes


def test_a_process_is_there_until_it_has_ended_even_while_nobody_has_asked_how(child: Any) -> None:
    process = process_of(child.pid)
    assert presence_of(process) is Presence.THERE
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
    assert presence_of(process) is Presence.GONE


def test_a_later_process_of_the_same_id_is_another_one() -> None:
    me = this_process()
    assert presence_of(me) is Presence.THERE
    assert presence_of(replace(me, started=str(int(me.started) - 1))) is Presence.GONE


@pytest.mark.parametrize("where", ["host", "boot", "space"])
def test_of_another_host_boot_or_container_nothing_can_be_seen(where: str) -> None:
    assert presence_of(replace(dead(), **{where: "other"})) is Presence.ELSEWHERE


# ---------------------------------------------------------------- runs that are under way


def test_a_run_has_a_heartbeat_from_its_beginning_to_its_end(site: Site) -> None:
    found: list[Beat | None] = []

    @task
    def look() -> None:
        found.append(site.beat("r9"))

    run_flow(Flow("etl", tasks=[look]), publisher=site.hub, clock=site.clock, context={"flow_run_id": "r9"})
    [beat] = found
    assert beat is not None
    assert beat.process == this_process()
    assert Event.from_json(beat.event).flow == "etl"
    assert site.beat("r9") is None
    assert site.told() == [], "a heartbeat is no event"


def test_a_heartbeat_is_removed_with_the_event_that_ends_the_run(site: Site) -> None:
    site.publish(Running)
    site.publish(Failed)
    assert site.beat() is None
    assert site.told() == [("Failed", "etl", "open")]


def test_a_beat_says_when_the_run_was_last_heard_of(site: Site) -> None:
    site.publish(Running)
    site.clock.advance(15)
    assert site.heart.beat()
    beat = site.beat()
    assert beat is not None
    assert beat.at == site.clock.now()
    assert beat.token == site.heart.token("run1")


def test_a_run_that_has_ended_does_not_beat_again(site: Site) -> None:
    site.publish(Running)
    site.publish(Success)
    assert site.heart.beat()
    assert site.beat() is None
    assert site.heart.token("run1") is None


def test_a_run_that_is_left_in_good_order_leaves_no_heartbeat(site: Site) -> None:
    site.publish(Running)
    site.heart.stop()
    assert site.beat() is None
    assert site.heart.beat()
    assert site.beat() is None


def test_one_thread_beats_for_all_runs_of_a_process(site: Site) -> None:
    for number in range(3):
        site.publish(Running, run=f"run{number}")
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("tocsin-heartbeat") == 1
    site.clock.advance(10)
    site.heart.beat()
    assert [beat.at for number in range(3) if (beat := site.beat(f"run{number}"))] == [site.clock.now()] * 3


def test_a_heartbeat_that_the_store_refused_is_written_with_the_next_beat(site: Site) -> None:
    site.store.refuses = True
    site.publish(Running)
    assert not site.heart.beat()
    site.store.refuses = False
    assert site.heart.beat()
    assert site.beat() is not None


def test_an_end_that_the_store_refused_ends_the_run_when_it_is_replayed(site: Site, other: Site) -> None:
    site.publish(Running)
    site.store.refuses = True
    site.publish(Success)
    assert other.beat() is not None
    assert other.hub.replay_spill() == 1
    assert other.beat() is None


def test_a_forked_process_leaves_the_heartbeats_of_its_parent_alone(site: Site) -> None:
    site.publish(Running)
    site.heart._pid = -1  # as it is after a fork
    site.heart.stop()
    site.publish(Running, run="run2")
    assert site.beat() is not None
    assert site.beat("run2") is None
    site.heart._pid = os.getpid()


# ---------------------------------------------------------------- runs whose process is gone


def test_the_run_of_a_process_that_is_gone_is_announced_without_waiting(site: Site) -> None:
    site.under_way(dead())
    site.clock.advance(20)
    assert site.rounds.look() == 1
    [event] = site.crashes()
    assert site.told() == [("Crashed", "etl", "open")]
    assert event.state_family == ("Crashed", "Failed", "Finished")
    assert (event.run_id, event.old_state, event.task) == ("run1", "Running", "")
    assert (event.parameters, event.tags) == ({"day": "monday"}, frozenset({"prod"}))
    assert event.message.startswith("its process is gone without a word (pid ")
    assert event.host == this_process().host
    assert event.id == event_id("tocsin", "run1", "", None, 1, 1, "Crashed")
    assert event.duration == 0.0, "nobody heard of it after it began"
    assert [heard.id for heard in site.ears.heard] == [event.id]


def test_it_is_announced_once_whoever_looks_and_however_often(site: Site, other: Site) -> None:
    gone = dead()
    site.under_way(gone)
    assert site.hub.bury("run1", gone)
    assert not other.hub.bury("run1", gone)
    other.attend(5 * MINUTE)
    site.attend(5 * MINUTE)
    assert site.told() == [("Crashed", "etl", "open")]
    assert other.ears.heard == []


def test_two_hubs_that_look_at_the_same_moment_announce_it_once(site: Site, other: Site) -> None:
    site.under_way(dead())
    start, counts = threading.Barrier(2), []

    def look(one: Site) -> None:
        start.wait(10)
        counts.append(one.rounds.look())

    threads = [threading.Thread(target=look, args=(one,)) for one in (site, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(counts) == [0, 1]
    assert len(site.crashes()) == 1


def test_the_run_of_an_id_that_belongs_to_another_process_by_now_is_dead(site: Site, child: Any) -> None:
    site.under_way(replace(process_of(child.pid), started="1"))
    assert site.rounds.look() == 1


def test_a_process_that_has_a_supervisor_is_left_to_it(site: Site, child: Any) -> None:
    supervisor = process_of(child.pid)
    site.under_way(dead(), supervisor=supervisor)
    assert site.rounds.look() == 0
    child.kill()
    child.wait()
    site.clock.advance(5)
    assert site.rounds.look() == 1


def test_a_supervisor_that_does_not_speak_is_not_waited_for_longer_than_the_heartbeat(site: Site, child: Any) -> None:
    site.under_way(dead(), supervisor=process_of(child.pid))
    site.attend(timedelta(seconds=59))
    assert site.told() == []
    site.attend(timedelta(seconds=2))
    assert site.told() == [("Crashed", "etl", "open")]


def test_what_the_supervisor_says_is_the_message(site: Site) -> None:
    gone = dead()
    site.under_way(gone)
    site.clock.advance(30)
    assert site.hub.bury("run1", gone, "killed by SIGKILL, probably out of memory")
    [event] = site.crashes()
    assert event.message == "killed by SIGKILL, probably out of memory"
    assert event.duration == 30.0


def test_no_other_process_is_buried_in_its_place(site: Site) -> None:
    site.under_way(this_process())
    assert not site.hub.bury("run1", dead())
    assert not site.hub.bury("run2", dead())
    assert site.beat() is not None


def test_an_end_that_waits_in_the_spill_file_is_heard_before_the_run_is_called_dead(site: Site, other: Site) -> None:
    other.under_way(dead())
    site.store.refuses = True
    site.publish(Success)
    assert site.hub.counters.spilled == 0, "a success that nobody waits for is not kept"
    site.publish(Failed)
    assert site.hub.counters.spilled == 1
    assert other.rounds.look() == 0
    assert other.told() == [("Failed", "etl", "open")]


def test_the_next_run_that_succeeds_ends_the_alarm(site: Site) -> None:
    site.under_way(dead())
    site.rounds.look()
    site.publish(Running, run="run2")
    site.publish(Success, run="run2")
    assert site.told() == [("Crashed", "etl", "open"), ("Success", "etl", "recover")]


def test_a_crash_that_no_route_wants_is_declared_all_the_same(tmp_path: Path, clock: ManualClock) -> None:
    site = Site(tmp_path, clock, "state=TimedOut")
    site.hub.outbox = replace(site.outbox, engine=Engine(Policy(Router((), opens=PROBLEMS))))
    gone = dead()
    site.under_way(gone)
    assert site.hub.bury("run1", gone)
    assert not site.hub.bury("run1", gone)
    assert site.told() == []
    assert [event.state for event in site.ears.heard] == ["Crashed"]
    site.store.close()


# ---------------------------------------------------------------- runs that are paused, late, or elsewhere


def test_a_process_that_is_stopped_is_not_dead_however_long_it_stays_so(site: Site, child: Any) -> None:
    child.send_signal(signal.SIGSTOP)
    site.under_way(process_of(child.pid))
    site.attend(10 * MINUTE)
    assert site.told() == []
    child.send_signal(signal.SIGCONT)
    site.beats()
    site.attend(10 * MINUTE)
    assert site.told() == []
    child.kill()
    child.wait()
    site.attend(timedelta(seconds=4))
    assert site.told() == [("Crashed", "etl", "open")]


def test_a_run_elsewhere_is_dead_when_it_was_not_heard_of_for_that_long(site: Site) -> None:
    site.attend(2 * MINUTE)
    site.under_way(ELSEWHERE)
    site.attend(timedelta(seconds=59))
    assert site.told() == []
    site.attend(timedelta(seconds=1))
    [event] = site.crashes()
    assert event.message == ("no heartbeat for 1 min from pid 4711 on 'another-host': the process or its host is gone")
    assert event.host == "another-host"


def test_a_run_elsewhere_that_beats_is_alive(site: Site) -> None:
    site.under_way(ELSEWHERE)
    for _ in range(40):
        site.attend(timedelta(seconds=15))
        site.beats()
    assert site.told() == []


def test_each_run_says_itself_after_how_long_it_is_dead(site: Site) -> None:
    site.attend(10 * MINUTE)
    site.under_way(ELSEWHERE, dead_after=5 * MINUTE)
    site.attend(timedelta(seconds=299))
    assert site.told() == []
    site.attend(timedelta(seconds=1))
    assert len(site.crashes()) == 1


def test_the_time_that_the_hub_was_down_does_not_count(site: Site) -> None:
    site.under_way(ELSEWHERE)
    site.clock.advance(3600)  # nobody looks
    site.attend(timedelta(seconds=59))
    assert site.told() == [], "it had a chance to beat for less than its time"
    site.beats()
    site.attend(timedelta(seconds=59))
    assert site.told() == []
    site.attend(timedelta(seconds=2))
    assert len(site.crashes()) == 1


def test_the_time_that_the_store_was_down_does_not_count(site: Site) -> None:
    site.attend(5 * MINUTE)
    site.under_way(ELSEWHERE)
    site.store.refuses = True
    for _ in range(70):
        site.clock.advance(1)
        if site.clock.monotonic() % 3 == 0:
            with pytest.raises(StoreError):
                site.rounds.look()
    site.store.refuses = False
    site.attend(timedelta(seconds=50))
    assert site.told() == []
    site.attend(timedelta(seconds=15))
    assert len(site.crashes()) == 1


def test_where_no_hub_runs_two_looks_a_good_while_apart_are_needed(site: Site) -> None:
    site.under_way(ELSEWHERE)
    site.clock.advance(90)
    site.hub.tick()
    assert site.told() == []
    site.clock.advance(30)
    site.hub.tick()
    assert site.told() == []
    site.clock.advance(31)
    site.hub.tick()
    assert len(site.crashes()) == 1


def test_a_doubt_is_over_with_the_next_beat(site: Site) -> None:
    site.under_way(ELSEWHERE)
    for _ in range(5):
        site.clock.advance(90)
        site.hub.tick()
        site.beats()
    assert site.told() == []


@pytest.mark.parametrize("jump", [-3600, 3600, -86400])
def test_a_clock_that_is_set_while_the_hub_looks_kills_nobody(site: Site, jump: int) -> None:
    site.attend(2 * MINUTE)
    site.under_way(ELSEWHERE)
    site.attend(10 * SECOND)
    site.clock.advance(jump)
    for _ in range(8):
        site.attend(15 * SECOND, step=3)
        site.beats()
    assert site.told() == []
    site.attend(70 * SECOND)
    assert len(site.crashes()) == 1, "and hides no death"


SKEWS = [timedelta(hours=-1), -70 * SECOND, -60 * SECOND, -2 * SECOND, 2 * SECOND, 90 * SECOND, timedelta(days=1)]


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_run_whose_host_has_another_time_is_alive_while_it_beats_and_dead_when_it_does_not(
    site: Site, ahead: timedelta
) -> None:
    site.attend(2 * MINUTE, step=3)
    site.under_way(ELSEWHERE, ahead=ahead)
    for _ in range(8):
        site.attend(15 * SECOND, step=3)
        site.beats(ahead=ahead)
    site.attend(57 * SECOND, step=3)
    assert site.told() == []
    site.attend(7 * SECOND)
    [event] = site.crashes()
    assert event.message.startswith("no heartbeat for ")
    assert event.duration == 120, "by its own clock"
    site.attend(2 * MINUTE, step=3)
    assert len(site.crashes()) == 1


@pytest.mark.parametrize("ahead", SKEWS)
def test_a_hub_that_has_just_begun_knows_nothing_of_how_long_it_was_silent(site: Site, ahead: timedelta) -> None:
    site.under_way(ELSEWHERE, ahead=ahead)
    site.clock.advance(30)
    for _ in range(8):
        site.attend(15 * SECOND, step=3)
        site.beats(ahead=ahead)
    assert site.told() == []


def test_a_beat_that_comes_while_a_run_is_found_silent_saves_it(site: Site, other: Site) -> None:
    site.attend(2 * MINUTE)
    site.under_way(ELSEWHERE)
    site.attend(3 * SECOND)
    seen = site.beat()
    assert seen is not None
    site.clock.advance(70)
    site.beats()
    site.store.transact(lambda tx: doubt(tx, "run1", seen, site.clock.now()))
    other.hub.tick()
    fresh = site.beat()
    assert fresh is not None
    assert not fresh.doubted
    assert site.told() == []


def test_a_run_that_looks_once_leaves_the_judgement_to_two_looks(site: Site) -> None:
    """What a run does at its start, and `tocsin tick`: it does not know what happens between."""
    site.rounds.look()
    site.under_way(ELSEWHERE)
    site.clock.advance(90)
    site.hub.tick()
    assert site.told() == []
    site.clock.advance(61)
    site.hub.tick()
    assert len(site.crashes()) == 1


# ---------------------------------------------------------------- a run that comes back


def declared_dead(site: Site, other: Site) -> None:
    """Let a run of `site` be taken for dead, though its process goes on."""
    site.publish(Running)
    site.clock.advance(1)
    assert other.hub.bury("run1", this_process(), "not heard of for a while")
    assert other.told() == [("Crashed", "etl", "open")]
    site.clock.advance(1)


def test_what_a_run_does_that_was_declared_dead_is_told_to_nobody_but_observers(
    site: Site, other: Site, caplog: pytest.LogCaptureFixture
) -> None:
    declared_dead(site, other)
    ears: list[str] = []

    class Observer:
        @hookimpl
        def tocsin_task_failed(self, event: Event) -> None:
            ears.append(event.subject)

    site.hub.hooks.catalog.register(Observer(), "observer")
    with caplog.at_level(logging.ERROR):
        site.publish(Failed, "load")
        site.publish(Failed, "save")
    assert site.told() == [("Crashed", "etl", "open")]
    assert ears == ["etl/load", "etl/save"]
    [record] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert record.getMessage().startswith("run 'etl/run1' was declared dead at 2024-01-01 12:0")
    assert "let [delivery] dead_after be longer" in record.getMessage()


def test_the_log_says_once_which_run_was_declared_dead_why_and_who_is_told(
    site: Site, other: Site, caplog: pytest.LogCaptureFixture
) -> None:
    declared_dead(site, other)
    site.publish(Failed, "load")
    other.attend(10 * MINUTE)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == ["run 'etl/run1' is declared dead: not heard of for a while; told to 'ops'"]


def test_it_is_not_declared_dead_a_second_time(site: Site, other: Site) -> None:
    declared_dead(site, other)
    site.heart.beat()
    tombstone = other.beat()
    assert tombstone is not None
    assert tombstone.declared_at is not None
    other.attend(10 * MINUTE)
    assert other.told() == [("Crashed", "etl", "open")]


def test_a_beat_of_it_says_that_it_was_declared_dead(site: Site, other: Site, caplog: pytest.LogCaptureFixture) -> None:
    declared_dead(site, other)
    with caplog.at_level(logging.ERROR):
        site.heart.beat()
        site.heart.beat()
        site.publish(Failed, "load")
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 1, "once, not with every beat"


def test_that_it_succeeds_ends_the_alarm(site: Site, other: Site) -> None:
    declared_dead(site, other)
    site.publish(Success)
    assert site.told() == [("Crashed", "etl", "open"), ("Success", "etl", "recover")]


def test_that_it_fails_says_nothing_new(site: Site, other: Site) -> None:
    declared_dead(site, other)
    site.publish(Failed)
    assert site.told() == [("Crashed", "etl", "open")]


def test_what_happened_before_it_died_and_waited_in_the_spill_file_is_told(site: Site, other: Site) -> None:
    site.publish(Running)
    site.store.refuses = True
    site.publish(Failed, "load")
    site.clock.advance(30)
    gone = this_process()
    assert other.hub.bury("run1", gone, "killed by SIGKILL")
    assert other.hub.replay_spill() == 1
    assert ("Failed", "etl/load", "open") in other.told()


def test_what_happened_after_it_was_declared_dead_and_waited_in_the_spill_file_is_not_told(
    site: Site, other: Site
) -> None:
    declared_dead(site, other)
    site.clock.advance(1)
    site.store.refuses = True
    site.publish(Failed, "load")
    other.hub.replay_spill()
    assert other.told() == [("Crashed", "etl", "open")]


def test_a_run_that_takes_up_the_id_of_a_dead_one_lives_by_itself(site: Site, other: Site) -> None:
    declared_dead(site, other)
    other.publish(Running)
    beat = other.beat()
    assert beat is not None
    assert beat.declared_at is None
    other.publish(Failed, "load")
    assert ("Failed", "etl/load", "open") in other.told()
    site.publish(Failed, "late")
    assert not [told for told in other.told() if told[1] == "etl/late"]
    site.heart.beat()
    still = other.beat()
    assert still is not None
    assert still.token == beat.token


def test_other_runs_are_not_touched(site: Site, other: Site) -> None:
    declared_dead(site, other)
    site.publish(Running, run="run2")
    site.publish(Failed, "load", run="run2")
    assert ("Failed", "etl/load", "open") in site.told()


def test_that_a_run_is_dead_is_remembered_for_as_long_as_history(site: Site) -> None:
    gone = dead()
    site.under_way(gone, kept=timedelta(days=2))
    site.rounds.look()
    site.clock.advance(timedelta(days=1))
    site.hub.prepare()
    assert site.beat() is not None
    assert site.hub.next_due() is None, "nothing has to be done for it"
    site.clock.advance(timedelta(days=2))
    site.hub.prepare()
    assert site.beat() is None
    assert site.store.transact(lambda tx: tx.cells(HEARTBEAT, parent=DEAD), keep=False) == []


# ---------------------------------------------------------------- executors


def test_a_flow_that_is_run_by_processes_has_one_heartbeat(site: Site) -> None:
    from tocsin.runs.processes import ProcessExecutor

    counts: list[int] = []

    class Counting:
        @hookimpl
        def tocsin_task_running(self, event: Event) -> None:
            cells = site.store.transact(lambda tx: tx.cells(HEARTBEAT), keep=False)
            counts.append(len(cells))

    site.hub.hooks.catalog.register(Counting(), "counting")
    tasks = [Task(name) for name in ("a", "b")]
    run_flow(Flow("etl", tasks=tasks), publisher=site.hub, executor=ProcessExecutor(2), clock=site.clock)
    assert counts == [1, 1]
    assert site.store.transact(lambda tx: tx.cells(HEARTBEAT), keep=False) == []
