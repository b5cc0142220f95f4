"""A filter written in Python that raises is told of once, and when it works again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.assembly import facts
from tocsin.backtest import backtest
from tocsin.clock import ManualClock
from tocsin.hub.hub import Hub
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.settings import Config, load, source_of_text
from tocsin.settings.models import PluginSettings
from tocsin.simulate import Simulation, event_of
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event

CONFIG = """
[channels]
ops = {{ type = "inbox" }}
mail = {{ type = "inbox" }}
[defaults]
send = {send}
[[routes]]
name = "odd"
when = "@odd and is_failed"
send = ["mail"]
"""
broken: set[str] = set()


def odd(event: Event) -> bool:
    if event.flow in broken:
        raise KeyError(f"no {event.flow}")
    return event.flow == "mine"


@pytest.fixture(autouse=True)
def whole() -> Iterator[None]:
    broken.clear()
    yield
    broken.clear()


def config(send: str = '["ops"]') -> Config:
    known = facts(ManualClock(), lambda: SqliteStore(Path(":memory:")), PluginSettings())
    return load(source_of_text(CONFIG.format(send=send)), channel_types=known.channel_types, filters={"odd": odd})


def about_filters(sim: Simulation) -> list[tuple[str, str, str]]:
    return [(s.channel, s.action, s.message.title) for s in sim.sent if "predicate" in s.incident]


def test_a_filter_that_raises_is_an_incident_told_where_the_defaults_send() -> None:
    sim = Simulation(config())
    broken.add("etl")
    sim.publish(state="Failed", flow="etl", task="load")
    assert about_filters(sim) == [("ops", "open", "Failed: tocsin/predicate odd")]
    told = next(s for s in sim.sent if "predicate" in s.incident).message.text
    assert "filter 'odd' raised KeyError: 'no etl' for etl/load Failed; it counts as false" in told


def test_it_is_told_once_however_often_it_raises() -> None:
    sim = Simulation(config())
    broken.update({"etl", "ml"})
    for flow in ("etl", "ml", "etl"):
        sim.publish(state="Failed", flow=flow, task="load")
        sim.advance("1m")
    assert len(about_filters(sim)) == 1


def test_it_is_over_when_the_filter_answers_for_what_it_raised_for() -> None:
    sim = Simulation(config())
    broken.add("etl")
    sim.publish(state="Failed", flow="etl", task="load")
    sim.publish(state="Failed", flow="other", task="load")  # says nothing of what it raised for
    assert len(about_filters(sim)) == 1
    broken.clear()
    sim.publish(state="Failed", flow="etl", task="load")
    assert [action for _, action, _ in about_filters(sim)] == ["open", "recover"]


def test_it_is_over_when_the_filter_has_raised_for_nothing_in_an_hour() -> None:
    sim = Simulation(config())
    broken.add("etl")
    sim.publish(state="Failed", flow="etl", task="load")
    sim.advance("59m")
    sim.publish(state="Failed", flow="other", task="load")
    assert len(about_filters(sim)) == 1
    sim.advance("1m")
    sim.publish(state="Failed", flow="other", task="load")
    assert [action for _, action, _ in about_filters(sim)] == ["open", "recover"]


def test_without_defaults_the_routes_say_whom_to_tell() -> None:
    sim = Simulation(config('[]\n[[routes]]\nname = "own"\nwhen = "flow=tocsin"\nsend = ["mail"]'))
    broken.add("etl")
    sim.publish(state="Failed", flow="etl", task="load")
    assert about_filters(sim) == [("mail", "open", "Failed: tocsin/predicate odd")]


def test_the_event_itself_is_routed_as_if_the_filter_said_no() -> None:
    sim = Simulation(config())
    broken.add("mine")
    sim.publish(state="Failed", flow="mine", task="load")
    assert [(s.channel, s.route) for s in sim.sent if "predicate" not in s.incident] == [("ops", "defaults")]


def hub(store: SqliteStore, clock: ManualClock) -> Hub:
    return Hub.from_config(config(), hooks=Hooks(Catalog()), store=store, clock=clock, wake=lambda: None)


def test_another_process_tells_nothing_twice_and_ends_what_this_one_began(tmp_path: Path) -> None:
    store, clock = SqliteStore(tmp_path / "tocsin.db"), ManualClock()

    def happens(process: Hub) -> list[str]:
        assert process.outbox is not None
        event = event_of({"state": "Failed", "flow": "etl", "task": "load", "id": clock.new_id()}, clock)
        return [
            str(s.planned.action) for s in process.store_event(process.outbox, event).sent if s.event.flow == "tocsin"
        ]

    broken.add("etl")
    assert happens(hub(store, clock)) == ["open"]
    second = hub(store, clock)
    assert happens(second) == []
    broken.clear()
    assert happens(hub(store, clock)) == ["recover"]
    assert happens(second) == []
    store.close()


def test_a_backtest_leaves_out_what_tocsin_said_of_itself() -> None:
    sim = Simulation(config())
    broken.add("etl")
    sim.publish(state="Failed", flow="etl", task="load")
    broken.clear()
    events = sim._store.events(since=sim.now.subtract(days=1))
    assert {event.flow for event in events} == {"etl", "tocsin"}
    found = backtest(events, config(), config(), since=sim.now.subtract(days=1))
    assert found.events == 1
