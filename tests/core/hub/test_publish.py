"""The hub settles a change, commits what routes make of it, then tells the observers; nothing fails the run."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tocsin.clock import ManualClock
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.notes import Plain
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.store.records import Outcome
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.filters import when
from tocsin_hooks.messages import Reason
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.states import (
    Failed,
    Finished,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Success,
    TimedOut,
    family,
)
from tocsin_hooks.testing import sample_event, sample_message

PROBLEMS = when("is_failed or is_retrying")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


class World:
    """A hub with a store, a hand-moved clock, and a count of how often the worker was woken."""

    def __init__(self, folder: Path, *routes: Route, default: tuple[str, ...] = ()) -> None:
        self.store = SqliteStore(folder / "tocsin.db")
        self.spill = Spill(folder / "spill" / "events.jsonl")
        self.catalog = Catalog()
        self.woken = 0
        policy = Policy(Router(routes, default, opens=PROBLEMS), project="warehouse")
        self.outbox = Outbox(self.store, Engine(policy), self.spill, self.wake)
        self.hub = Hub(Hooks(self.catalog), ManualClock(), self.outbox)

    def decide_by(self, policy: Policy) -> None:
        self.hub.outbox = replace(self.outbox, engine=Engine(policy))

    def wake(self) -> None:
        self.woken += 1

    def publish(self, kind: type[State], *, attempt: int = 1, run: str = "run1", notes=(), **changes) -> State:
        names = family(kind)
        event = sample_event(
            id=f"{run}-{changes.get('task', 'load')}-{changes.get('map_index')}-{attempt}-{kind.__name__}",
            run_id=run, attempt=attempt, state=kind.__name__, state_family=names, sequence=None, **changes,
        )  # fmt: skip
        return self.hub.publish(event, kind(), notes)

    def sent(self) -> list[tuple[str, str, str]]:
        return [(d.event.state, d.channel, d.action) for d in reversed(self.store.deliveries(limit=None))]

    def stored(self) -> list[str]:
        return [event.state for event in self.store.events(since=LONG_AGO)]


@pytest.fixture
def pages(tmp_path: Path) -> World:
    return World(tmp_path, Route("pages", PROBLEMS, ("ops",)))


def test_a_failure_is_committed_before_publish_returns_and_the_worker_is_woken(pages: World) -> None:
    pages.publish(Failed)
    assert SqliteStore(pages.store.path).deliveries()[0].event.state == "Failed"
    assert pages.woken == 1


def test_a_success_after_a_failure_tells_the_same_channels_that_it_is_over(pages: World) -> None:
    pages.publish(Failed)
    pages.publish(Success, run="run2")
    pages.publish(Success, run="run3")
    assert pages.sent() == [("Failed", "ops", "open"), ("Success", "ops", "recover")]


def test_retrying_failing_again_and_recovering_is_one_incident(pages: World) -> None:
    pages.publish(Retrying, attempt=1)
    pages.publish(Failed, attempt=2)
    pages.publish(Success, run="run2")
    assert [action for _, _, action in pages.sent()] == ["open", "update", "recover"]
    assert len({d.event.id for d in pages.store.deliveries()}) == 3


def test_only_channels_that_were_told_hear_of_the_recovery(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        Route("retries", when("is_retrying"), ("chat",)),
        Route("failures", when("is_failed"), ("chat", "pager")),
        Route("all ends", when("is_finished and task=other"), ("log",)),
    )
    world.publish(Retrying)
    world.publish(Success, attempt=2)
    assert world.sent() == [("Retrying", "chat", "open"), ("Success", "chat", "recover")]


def test_a_route_that_wants_successes_gets_the_recovery_once(tmp_path: Path) -> None:
    world = World(tmp_path, Route("everything", when("is_finished"), ("ops", "log")))
    world.publish(Failed)
    world.publish(Success, run="run2")
    world.publish(Success, run="run3")
    for name in ("ops", "log"):
        actions = [(state, action) for state, channel, action in world.sent() if channel == name]
        assert actions == [("Failed", "open"), ("Success", "recover"), ("Success", "event")]


def test_another_task_or_map_child_that_succeeds_recovers_nothing(pages: World) -> None:
    pages.publish(Failed, map_index=3)
    pages.publish(Success, run="run2", map_index=4)
    pages.publish(Success, run="run2", task="extract")
    pages.publish(Skipped, run="run3", map_index=3)
    assert [state for state, _, _ in pages.sent()] == ["Failed"]
    pages.publish(Success, run="run4", map_index=3)
    assert [state for state, _, _ in pages.sent()] == ["Failed", "Success"]


def test_a_failure_that_will_be_retried_reaches_no_route(pages: World) -> None:
    pages.publish(Failed, will_retry=True)
    assert pages.sent() == []
    pages.publish(Retrying)
    assert [state for state, _, _ in pages.sent()] == ["Retrying"]


def test_observers_hear_what_routes_do_not(pages: World) -> None:
    heard: list[Event] = []

    class Observer:
        @hookimpl
        def tocsin_state_changed(self, event):
            heard.append(event)

    pages.catalog.register(Observer())
    pages.publish(Failed, will_retry=True)
    pages.publish(Failed, attempt=2)
    assert [event.will_retry for event in heard] == [True, False]
    assert heard[1].sequence == 1, "a stored event reaches observers with its place in the store"


def test_a_change_reported_twice_is_sent_once(pages: World) -> None:
    pages.publish(Failed)
    pages.publish(Failed)
    assert len(pages.sent()) == 1


def test_a_proposed_state_is_what_is_routed_told_and_returned(pages: World) -> None:
    class Forgiving:
        @hookimpl
        def tocsin_propose_state(self, event, state):
            return Success("forgiven") if state.is_failed() else None

    pages.catalog.register(Forgiving())
    settled = pages.publish(Failed)
    assert isinstance(settled, Success)
    assert pages.sent() == []


def test_another_failure_in_place_of_one_that_will_be_retried_pages_no_sooner(pages: World) -> None:
    class Renaming:
        @hookimpl
        def tocsin_propose_state(self, event, state):
            return TimedOut("slow") if type(state) is Failed else None

    pages.catalog.register(Renaming())
    assert isinstance(pages.publish(Failed, will_retry=True), TimedOut)
    assert pages.sent() == []
    pages.publish(Failed, attempt=2)
    assert [state for state, _, _ in pages.sent()] == ["TimedOut"]


def test_labels_that_plugins_add_can_be_routed_on(tmp_path: Path) -> None:
    world = World(tmp_path, Route("team", when("team=data and project=warehouse"), ("ops",)))

    class Teams:
        @hookimpl
        def tocsin_enrich(self, event):
            return {"team": "data", "tier": "1"}

    world.catalog.register(Teams())
    world.publish(Failed, labels={}, project="")
    [delivery] = world.store.deliveries()
    assert delivery.event.labels == {"team": "data", "tier": "1"}


def test_the_labels_of_the_pipeline_win_over_those_of_plugins(pages: World) -> None:
    class Teams:
        @hookimpl
        def tocsin_enrich(self, event):
            return {"team": "plugin"}

    pages.catalog.register(Teams())
    pages.publish(Failed, labels={"team": "pipeline"})
    assert pages.store.deliveries()[0].event.labels == {"team": "pipeline"}


def test_what_code_asks_to_be_notified_of_goes_through_the_outbox(pages: World) -> None:
    notes = [
        Plain(channel="mine", filter=when("state=Retrying")),
        Plain(channel="all", filter=None),
    ]
    pages.publish(Retrying, notes=notes)
    assert pages.sent() == [("Retrying", c, "open") for c in ("ops", "mine", "all")]
    assert [d.route for d in pages.store.deliveries(channel="mine")] == ["code:mine"]


def test_code_can_use_the_filters_that_the_config_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = World(tmp_path)
    world.decide_by(replace(world.outbox.policy, filters={"prod": when("tags=prod")}))
    notes = [Plain(channel="mine", filter=when("@prod and is_failed"))]
    world.publish(Failed, notes=notes)
    world.publish(Failed, run="run2", task="other", tags=frozenset(), notes=notes)
    assert world.sent() == [("Failed", "mine", "open")]


def test_code_that_names_an_unknown_filter_is_told_once_and_the_run_goes_on(
    pages: World, caplog: pytest.LogCaptureFixture
) -> None:
    notes = [Plain(channel="mine", filter=when("@prdo"))]
    with caplog.at_level(logging.ERROR, "tocsin"):
        pages.publish(Failed, notes=notes)
        pages.publish(Failed, run="run2", notes=notes)
    assert [channel for _, channel, _ in pages.sent()] == ["ops", "ops"]
    assert caplog.text.count("notify('mine') sends nothing: unknown filter '@prdo'") == 1


def test_an_explicit_nowhere_is_kept_in_history_and_sent_to_nobody(tmp_path: Path) -> None:
    world = World(tmp_path, Route("noise", when("is_failed"), ()), default=("home",))
    world.publish(Failed)
    assert world.sent() == []
    assert world.woken == 0
    assert world.stored() == ["Failed"]
    [kept] = world.store.suppressions()
    assert (kept.stage, kept.rule, kept.reason) == ("route", "noise", "the route sends nowhere, on purpose")


def test_what_no_route_claims_and_nobody_follows_is_not_kept(pages: World, tmp_path: Path) -> None:
    pages.publish(Success)
    pages.publish(Running)
    nobody = World(tmp_path / "nobody")
    nobody.publish(Failed)
    assert pages.stored() == nobody.stored() == []
    pages.publish(Success)
    assert pages.publish(Failed).is_failed()
    assert pages.stored() == ["Failed"], "that it was seen before does not make it known"


def test_a_problem_that_no_route_claims_is_kept_with_the_reason(tmp_path: Path) -> None:
    world = World(tmp_path, Route("other", when("is_failed and flow=other"), ("ops",)))
    world.publish(Failed)
    assert world.sent() == []
    assert world.stored() == ["Failed"]
    assert world.store.any_open()
    [kept] = world.store.suppressions()
    assert (kept.stage, kept.reason) == ("route", "no route claims it, and [defaults] sends nowhere")


def test_no_event_is_wanted_that_nobody_would_hear_of(pages: World) -> None:
    task = object()
    assert pages.hub.wants(Failed(), task)
    assert pages.hub.wants(Retrying(), task)
    assert not pages.hub.wants(Success(), task), "there is no incident that it could end"
    pages.publish(Failed)
    assert pages.hub.wants(Success(), task)
    assert not pages.hub.wants(Running(), task)
    assert not pages.hub.wants(Scheduled(), None)
    assert not Hub(pages.hub.hooks, ManualClock()).wants(Failed(), task)


def test_an_observer_makes_its_state_wanted_even_after_the_hub_was_asked(pages: World) -> None:
    assert not pages.hub.wants(Running(), object())

    class Observer:
        @hookimpl
        def tocsin_task_running(self, event):
            pass

    pages.catalog.register(Observer())
    assert pages.hub.wants(Running(), object())
    assert not pages.hub.wants(Running(), None)


def test_a_store_that_refuses_costs_no_run_and_no_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    world = World(tmp_path / "blocked", Route("pages", PROBLEMS, ("ops",)))
    world.hub.outbox = replace(world.outbox, spill=Spill(tmp_path / "spill.jsonl"))
    with caplog.at_level(logging.ERROR, "tocsin"):
        assert world.hub.wants(Success(), object()), "it may end an incident: nobody can tell"
        assert isinstance(world.publish(Failed, notes=[Plain(channel="mine", filter=None)]), Failed)
        world.publish(Success, run="run2")
    assert world.hub.counters.spilled == 2, "the success may end an incident: nobody can tell until the store answers"
    assert caplog.text.count("could not be stored and waits in") == 1, "said once, not once an event"

    (tmp_path / "blocked").unlink()
    assert world.hub.replay_spill() == 2
    assert world.sent() == [
        ("Failed", "ops", "open"),
        ("Failed", "mine", "open"),
        ("Success", "ops", "recover"),
        ("Success", "mine", "recover"),
    ]
    assert world.hub.replay_spill() == 0


def test_what_neither_store_nor_spill_takes_is_counted_and_loud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocked").write_text("in the way")
    world = World(tmp_path / "blocked", Route("pages", PROBLEMS, ("ops",)))
    with caplog.at_level(logging.CRITICAL, "tocsin"):
        world.publish(Failed)
    assert (world.hub.counters.lost, world.hub.counters.spilled) == (1, 0)
    assert "is LOST" in caplog.text


def test_a_callback_that_raised_is_counted_and_kept_in_words(pages: World) -> None:
    pages.hub.callback_failed("post", "etl/load", ValueError("no answer from https://hooks.example.org/T0/s3cr3t"))
    assert pages.hub.counters.callbacks_failed == 1
    assert pages.hub.counters.failures == [
        "callback 'post' of 'etl/load' raised ValueError: no answer from https://hooks.example.org/..."
    ]


def test_states_of_other_orchestrators_are_routed_like_our_own(pages: World) -> None:
    event = sample_event(id="x", source="airflow", sequence=None)
    pages.hub.publish(event, Finished())
    assert [d.event.source for d in pages.store.deliveries()] == ["airflow"]


def test_text_that_no_database_takes_is_stored_and_sent_all_the_same(pages: World) -> None:
    odd = "caf\udce9 \x00 end"
    exception = ExceptionSummary("OSError", odd, odd)
    pages.publish(Failed, message=odd, exception=exception, parameters={"file": odd})
    [delivery] = pages.store.deliveries()
    assert delivery.event.exception == exception
    [leased] = pages.store.lease(now=delivery.created_at, ttl=timedelta(minutes=1), limit=1, owner="me")
    failed = Outcome(leased, delivery.created_at, timedelta(0), reason=Reason.SERVER, detail=odd)
    assert pages.store.record([failed]) == [True]
    pages.store.add_to_inbox(sample_message(title=odd, text=odd), now=delivery.created_at)
    assert [item.title for item in pages.store.inbox()] == ["caf? \x00 end"]


def test_an_event_that_cannot_be_routed_is_kept_aside_and_does_not_hold_up_others_for_ever(
    pages: World, caplog: pytest.LogCaptureFixture
) -> None:
    class Junk:
        def matches(self, event):
            raise ZeroDivisionError

        def bind(self, named):
            return self

        def refs(self):
            return ()

    pages.decide_by(Policy(Router((Route("junk", Junk(), ("ops",)),), opens=PROBLEMS)))
    assert isinstance(pages.publish(Failed), Failed)
    assert pages.hub.counters.spilled == 1
    pages.hub.replay_spill()
    assert pages.hub.counters.lost == 1
    pages.hub.outbox = pages.outbox
    assert pages.hub.replay_spill() == 0
