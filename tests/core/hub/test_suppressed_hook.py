"""Plugins are told of everything that is not sent, by which stage, and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.operated import EXTRACT, LOAD
from tocsin.assembly import Assembly, assemble
from tocsin.clock import ManualClock
from tocsin.settings.source import source_of_text
from tocsin.simulate import event_of
from tocsin_hooks.events import Event
from tocsin_hooks.specs import hookimpl

CONFIG = """
[defaults]
send = ["ops"]
group = { by = ["flow"], wait = "1m", repeat = false }
[channels.ops]
type = "inbox"
[[routes]]
name = "noise"
when = "task=noise"
send = []
[[routes]]
name = "once"
when = "task=load"
throttle = { limit = "1/1h", per = ["task"], over = "drop" }
send = ["ops"]
"""


class Heard:
    def __init__(self) -> None:
        self.all: list[tuple[str | None, str, str, str]] = []

    @hookimpl
    def tocsin_suppressed(self, event: Event, stage: str, reason: str, route: str, channel: str) -> None:
        assert reason
        self.all.append((event.task, stage, route, channel))


class Raising:
    @hookimpl
    def tocsin_suppressed(self, stage: str) -> None:
        raise SystemExit(stage)


@pytest.fixture
def assembly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Assembly]:
    monkeypatch.setenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("TOCSIN_SPILL_DIR", str(tmp_path / "spill"))
    made = assemble(source_of_text(CONFIG, base=tmp_path), ManualClock())
    made.hub.prepare()
    yield made
    for name in ("heard", "raising"):
        made.hooks.catalog.unregister(name)
    made.worker.stop()
    made.timekeeper.stop()
    made.store.close()


def happen(assembly: Assembly, labels: dict[str, Any], clock: ManualClock) -> None:
    assert assembly.hub.outbox is not None
    assembly.hub.store_event(assembly.hub.outbox, event_of({"id": clock.new_id(), **labels}, clock))


def test_the_event_the_stage_and_the_route_are_told(assembly: Assembly) -> None:
    heard, clock = Heard(), assembly.clock
    assert isinstance(clock, ManualClock)
    assembly.hooks.catalog.register(heard, "heard")
    happen(assembly, {**EXTRACT, "task": "noise"}, clock)
    assert heard.all == [("noise", "route", "noise", "")]


def test_what_a_group_does_not_tell_later_is_told_with_its_own_event(assembly: Assembly) -> None:
    heard, clock = Heard(), assembly.clock
    assert isinstance(clock, ManualClock)
    assembly.hooks.catalog.register(heard, "heard")
    for _ in range(2):
        happen(assembly, LOAD, clock)
        clock.advance(61)
        assembly.hub.tick()
        happen(assembly, {**LOAD, "state": "Success"}, clock)
        clock.advance(61)
        assembly.hub.tick()
    assert ("load", "throttle", "once", "ops") in heard.all


def test_one_that_raises_harms_neither_the_others_nor_the_hub(assembly: Assembly) -> None:
    heard, clock = Heard(), assembly.clock
    assert isinstance(clock, ManualClock)
    assembly.hooks.catalog.register(heard, "heard")
    assembly.hooks.catalog.register(Raising(), "raising")
    happen(assembly, {**EXTRACT, "task": "noise"}, clock)
    assert len(heard.all) == 1
    assert assembly.store.suppressions()[0].stage == "route"


def test_without_anybody_who_listens_no_event_is_looked_up(assembly: Assembly) -> None:
    clock = assembly.clock
    assert isinstance(clock, ManualClock)
    assert not assembly.hooks.hears_suppressed
    happen(assembly, {**EXTRACT, "task": "noise"}, clock)
    assembly.hooks.catalog.register(Heard(), "heard")
    assert assembly.hooks.hears_suppressed
