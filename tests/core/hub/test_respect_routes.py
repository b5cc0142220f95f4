"""A route from code acts whatever the config does, unless it respects the config."""

from __future__ import annotations

import logging
import pickle
from pathlib import Path

from tocsin import notify
from tocsin.clock import ManualClock
from tocsin.flows.handlers import Notify
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.filters import when
from tocsin_hooks.testing import sample_event

STOPS = (
    Route("noise", when("flow=smoke"), (), stop=True),
    Route("failures", when("is_failed"), ("ops",)),
)


def hub(folder: Path) -> Hub:
    policy = Policy(Router(STOPS, opens=when("is_failed")))
    outbox = Outbox(
        SqliteStore(folder / "tocsin.db"), Engine(policy), Spill(folder / "spill" / "events.jsonl"), lambda: None
    )
    return Hub(Hooks(Catalog()), ManualClock(), outbox)


def sent(hub: Hub, flow: str, *notes: Notify) -> list[str]:
    assert hub.outbox is not None
    event = sample_event(id=hub.clock.new_id(), flow=flow, task="t", run_id=flow)
    return [each.planned.channel for each in hub.store_event(hub.outbox, event, notes).sent]


def test_a_note_that_respects_routes_is_stopped_by_one_that_stops(tmp_path: Path) -> None:
    assert sent(hub(tmp_path), "smoke", notify("mail", respect_routes=True)) == []


def test_a_note_that_respects_routes_is_sent_where_none_stops(tmp_path: Path) -> None:
    assert sent(hub(tmp_path), "etl", notify("mail", respect_routes=True)) == ["ops", "mail"]


def test_any_other_note_is_sent_whatever_stops(tmp_path: Path) -> None:
    assert sent(hub(tmp_path), "smoke", notify("mail")) == ["mail"]


def test_what_a_stop_keeps_from_a_note_is_in_history(tmp_path: Path) -> None:
    published = hub(tmp_path)
    sent(published, "smoke", notify("mail", respect_routes=True))
    assert published.outbox is not None
    assert [(each.stage, each.route, each.channel, each.reason) for each in published.outbox.store.suppressions()] == [
        ("route", "code:mail", "mail", "a route of the config stops, and the code respects that"),
        ("route", "noise", "", "the route sends nowhere, on purpose"),
    ]


def test_a_stop_that_does_not_match_stops_nothing_even_with_a_filter_in_code(tmp_path: Path) -> None:
    published = hub(tmp_path)
    note = notify("mail", when="is_failed", respect_routes=True)
    assert sent(published, "etl", note) == ["ops", "mail"]
    assert pickle.loads(pickle.dumps(note)) == note


def test_what_the_store_refuses_is_spilled_without_what_a_stop_keeps_back(tmp_path: Path, caplog: object) -> None:
    logging.getLogger("tocsin.hub").setLevel(logging.CRITICAL)
    try:
        published = hub(tmp_path)
        (tmp_path / "tocsin.db").mkdir()  # no database can be opened here
        event = sample_event(id="e1", flow="smoke", task="t", run_id="r")
        from tocsin.states import Failed

        published.publish(event, Failed(), [notify("mail", respect_routes=True), notify("ops")])
        [line] = (tmp_path / "spill" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        assert '"channels": ["ops"]' in line
    finally:
        logging.getLogger("tocsin.hub").setLevel(logging.NOTSET)
