"""A plugin may keep an event back, or send it elsewhere, and leaves a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tocsin.assembly import Assembly, assemble
from tocsin.cli.explanation import explained
from tocsin.clock import ManualClock
from tocsin.settings.source import source_of_text
from tocsin.simulate import event_of
from tocsin_hooks.decisions import RoutingDecision
from tocsin_hooks.events import Event
from tocsin_hooks.specs import hookimpl

CONFIG = """
[channels]
ops = { type = "inbox" }
mail = { type = "inbox" }
[[routes]]
name = "failures"
when = "is_failed"
send = ["ops"]
"""
FAILED = {"state": "Failed", "flow": "etl", "task": "load"}


class Sends:
    """A plugin that answers what it is given, and hears what is not sent."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.seen: list[RoutingDecision] = []
        self.suppressed: list[tuple[str, str, str, str]] = []

    @hookimpl
    def tocsin_route(self, event: Event, decision: RoutingDecision) -> Any:
        self.seen.append(decision)
        return self.answer(event) if callable(self.answer) else self.answer

    @hookimpl
    def tocsin_suppressed(self, stage: str, reason: str, route: str, channel: str) -> None:
        self.suppressed.append((stage, reason, route, channel))


@pytest.fixture
def assembly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Assembly]:
    monkeypatch.setenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("TOCSIN_SPILL_DIR", str(tmp_path / "spill"))
    made = assemble(source_of_text(CONFIG, base=tmp_path), ManualClock())
    made.hub.prepare()
    yield made
    for name in ("first", "second"):
        made.hooks.catalog.unregister(name)
    made.worker.stop()
    made.timekeeper.stop()
    made.store.close()


Happen = Callable[..., list[tuple[str, str, str]]]


@pytest.fixture
def happen(assembly: Assembly) -> Happen:
    """`happen(labels)`: what is sent for an event with these labels: channel, route, action."""

    def publish(**labels: Any) -> list[tuple[str, str, str]]:
        assert assembly.hub.outbox is not None
        assert isinstance(assembly.clock, ManualClock)
        event = event_of({"id": assembly.clock.new_id(), **labels}, assembly.clock)
        result = assembly.hub.store_event(assembly.hub.outbox, event)
        return [(each.planned.channel, each.planned.route, str(each.planned.action)) for each in result.sent]

    return publish


def test_a_plugin_is_told_where_the_routes_send(assembly: Assembly, happen: Happen) -> None:
    plugin = Sends(None)
    assembly.hooks.catalog.register(plugin, "first")
    assert happen(**FAILED) == [("ops", "failures", "open")]
    assert plugin.seen == [RoutingDecision(("ops",), {"ops": "failures"})]


def test_a_plugin_sends_elsewhere(assembly: Assembly, happen: Happen) -> None:
    plugin = Sends(["mail"])
    assembly.hooks.catalog.register(plugin, "first")
    assert happen(**FAILED) == [("mail", "plugin:first", "open")]
    assert plugin.suppressed == [("plugin", "plugin 'first' keeps it back", "failures", "ops")]


def test_a_plugin_adds_a_channel_and_the_route_keeps_its_own(assembly: Assembly, happen: Happen) -> None:
    assembly.hooks.catalog.register(Sends(["ops", "mail"]), "first")
    assert happen(**FAILED) == [("ops", "failures", "open"), ("mail", "plugin:first", "open")]


def test_a_plugin_keeps_an_event_back_and_history_says_so(assembly: Assembly, happen: Happen) -> None:
    assembly.hooks.catalog.register(Sends([]), "first")
    assert happen(**FAILED) == []
    [kept_back] = assembly.store.suppressions()
    assert (kept_back.stage, kept_back.rule, kept_back.channel) == ("plugin", "first", "ops")


def test_what_was_told_before_the_plugin_kept_more_back_is_told_to_be_over(assembly: Assembly, happen: Happen) -> None:
    happen(**FAILED)
    assembly.hooks.catalog.register(Sends([]), "first")
    assert happen(**{**FAILED, "state": "Success"}) == [("ops", "failures", "recover")]


def test_a_plugin_can_send_what_no_route_claims(assembly: Assembly, happen: Happen) -> None:
    assembly.hooks.catalog.register(Sends(["mail"]), "first")
    assert happen(state="Success", flow="etl", task="load") == [("mail", "plugin:first", "event")]
    assert assembly.hub.wants(event_state("Success"), None)


def event_state(name: str) -> Any:
    from tocsin import states

    return getattr(states, name)()


def test_the_first_plugin_with_an_opinion_wins(assembly: Assembly, happen: Happen) -> None:
    assembly.hooks.catalog.register(Sends(["mail"]), "first")
    assembly.hooks.catalog.register(Sends(None), "second")
    assert happen(**FAILED) == [("mail", "plugin:first", "open")]


def fails(event: Event) -> Any:
    raise SystemExit(event.flow)


@pytest.mark.parametrize(
    ("junk", "said"),
    [
        (fails, "plugin 'first' raised in tocsin_route"),
        (3, "plugin 'first': tocsin_route returned 'int', which is no list of channels"),
        ([None], "plugin 'first': tocsin_route returned 'NoneType', which is no name of a channel"),
        (["opz"], "plugin 'first' sends to unknown channel 'opz'"),
    ],
)
def test_junk_is_no_opinion_and_is_said(
    assembly: Assembly, happen: Happen, caplog: pytest.LogCaptureFixture, junk: Any, said: str
) -> None:
    assembly.hooks.catalog.register(Sends(junk), "first")
    assert happen(**FAILED) == [("ops", "failures", "open")]
    assert said in caplog.text


def test_explain_asks_the_plugin_too(assembly: Assembly) -> None:
    assembly.hooks.catalog.register(Sends([]), "first")
    found = explained(assembly, event_of(FAILED, assembly.clock))  # type: ignore[arg-type]
    assert found.messages == ()
    assert ("plugin", "suppressed", "plugin 'first' keeps it back", "ops") in [
        (told.step.stage, told.step.verdict, told.step.reason, told.step.channel) for told in found.stages
    ]
