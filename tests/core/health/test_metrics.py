"""Prometheus is told what was delivered, what failed and why, and how things stand; no label grows without bound."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tocsin.health.condition import Condition
from tocsin.health.metrics import Metrics, Now
from tocsin.hub.spill import Spilled
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.store.summary import ChannelSummary, StoreSummary
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.testing import sample_event, sample_message

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ROOM = Spilled(Path("spill.jsonl"))


class Slow:
    """A channel whose every try takes two seconds of a clock in a list, and ends as it is told."""

    def __init__(self, clock: list[float], answer: Receipt | Exception) -> None:
        self.clock, self.answer = clock, answer

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        self.clock[0] += 2.0
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class World:
    """Metrics that listen to the hooks of a catalog."""

    def __init__(self, *channels: str, now: Now | None = None) -> None:
        self.channels = list(channels)
        self.now = now or Now(None)
        self.clock = [0.0]
        self.metrics = Metrics(lambda: self.channels, lambda: self.now, started_at=5.0, clock=lambda: self.clock[0])
        catalog = Catalog()
        catalog.register(self.metrics, "metrics")
        self.hooks = Hooks(catalog)

    def figures(self) -> dict[str, float]:
        """The figures as text would name them: `name{label="value"}`."""
        _, text = self.metrics.text()
        found = {}
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found

    def figure(self, name: str, **labels: str) -> float:
        shown = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        return self.figures()[f"{name}{{{shown}}}" if shown else name]

    def message(self, channel: str = "ops") -> Message:
        return sample_message(channel=channel)


def test_every_channel_of_the_config_stands_at_nothing_from_the_start() -> None:
    world = World("ops")
    for outcome in ("delivered", "failed", "dead"):
        assert world.figure("tocsin_notifications_total", channel="ops", outcome=outcome) == 0.0


def test_each_end_of_a_try_is_counted_once() -> None:
    world = World("ops")
    error = SendError(Reason.SERVER, "500")
    world.hooks.delivered(world.message(), Receipt("ok"))
    world.hooks.delivery_failed(world.message(), error, 5.0)
    world.hooks.delivery_failed(world.message(), error, 5.0)
    world.hooks.delivery_dead(world.message(), SendError(Reason.AUTH, "401"))
    for outcome, number in (("delivered", 1), ("failed", 2), ("dead", 1)):
        assert world.figure("tocsin_notifications_total", channel="ops", outcome=outcome) == number
    assert world.figure("tocsin_notification_failures_total", channel="ops", reason="server") == 2
    assert world.figure("tocsin_notification_failures_total", channel="ops", reason="auth") == 1


@pytest.mark.parametrize("answer", [Receipt("ok"), SendError(Reason.TIMEOUT, "late"), ValueError("a bug")])
def test_a_try_is_measured_however_it_ends(answer: Any) -> None:
    world = World("ops")
    with nullcontext() if isinstance(answer, Receipt) else pytest.raises(SendError):
        world.hooks.send(Slow(world.clock, answer), world.message(), None)
    assert world.figure("tocsin_notification_seconds_count", channel="ops") == 1
    assert world.figure("tocsin_notification_seconds_sum", channel="ops") == 2.0
    assert world.figure("tocsin_notification_seconds_bucket", channel="ops", le="1.0") == 0
    assert world.figure("tocsin_notification_seconds_bucket", channel="ops", le="2.5") == 1


def test_what_is_suppressed_is_counted_by_stage_and_an_event_that_no_route_claims_as_unrouted() -> None:
    world = World("ops")
    event = sample_event()
    world.hooks.suppressed(event, "silence", "silenced", route="pages", channel="ops")
    world.hooks.suppressed(event, "route", "no route claims it", route="defaults")
    world.hooks.suppressed(event, "route", "the route sends nowhere, on purpose", route="noise")
    assert world.figure("tocsin_notifications_suppressed_total", stage="silence") == 1
    assert world.figure("tocsin_notifications_suppressed_total", stage="route") == 2
    assert world.figure("tocsin_events_unrouted_total") == 1


def test_names_that_the_config_does_not_know_make_no_series_of_their_own() -> None:
    waits = tuple(ChannelSummary(f"made-up-{number}", pending=1) for number in range(3))
    world = World("ops", now=Now(Condition(StoreSummary(NOON, waits), ROOM)))
    odd = SendError(Reason.SERVER)
    odd.reason = "made-up-reason"  # type: ignore[assignment]
    for number in range(3):
        world.hooks.delivered(world.message(f"made-up-{number}"), Receipt("ok"))
        world.hooks.delivery_dead(world.message(f"made-up-{number}"), odd)
        world.hooks.suppressed(sample_event(), f"made-up-{number}", "", route="pages")
    assert world.figure("tocsin_notifications_total", channel="unknown", outcome="delivered") == 3
    assert world.figure("tocsin_notification_failures_total", channel="unknown", reason="plugin") == 3
    assert world.figure("tocsin_notifications_suppressed_total", stage="other") == 3
    assert world.figure("tocsin_deliveries", channel="unknown", status="pending") == 3
    assert not [name for name in world.figures() if "made-up" in name]


def test_a_channel_that_a_new_config_brings_is_known() -> None:
    world = World("ops")
    world.channels.append("mail")
    world.hooks.delivered(world.message("mail"), Receipt("ok"))
    assert world.figure("tocsin_notifications_total", channel="mail", outcome="delivered") == 1


def test_how_things_stand_is_told_as_the_store_says_it() -> None:
    ops = ChannelSummary(
        "ops", pending=3, leased=1, due=2, dead=4, oldest=NOON - timedelta(minutes=2),
        failing_since=NOON - timedelta(hours=1),
    )  # fmt: skip
    summary = StoreSummary(
        NOON, (ops, ChannelSummary("mail")), incidents_open=5, timers_due=6, size=4096, wal=100,
    )  # fmt: skip
    world = World("ops", "mail", now=Now(Condition(summary, Spilled(Path("s"), 7, 900)), 8, 9, {"ops"}))
    expected = {
        "tocsin_deliveries{channel=ops,status=pending}": 3,
        "tocsin_deliveries{channel=ops,status=leased}": 1,
        "tocsin_deliveries{channel=ops,status=dead}": 4,
        "tocsin_deliveries{channel=mail,status=pending}": 0,
        "tocsin_deliveries_due{channel=ops}": 2,
        "tocsin_oldest_delivery_seconds": 120,
        "tocsin_channel_failing_seconds{channel=ops}": 3600,
        "tocsin_channel_failing_seconds{channel=mail}": 0,
        "tocsin_channel_left_alone{channel=ops}": 1,
        "tocsin_channel_left_alone{channel=mail}": 0,
        "tocsin_incidents_open": 5,
        "tocsin_timers_due": 6,
        "tocsin_spill_events": 7,
        "tocsin_events_spilled_total": 8,
        "tocsin_events_lost_total": 9,
        "tocsin_store_bytes": 4096,
        "tocsin_store_wal_bytes": 100,
        "tocsin_store_up": 1,
        "tocsin_hub_up": 1,
        "tocsin_hub_start_time_seconds": 5,
    }
    assert {name: figure for name, figure in world.figures().items() if name in expected} == expected


def test_where_the_store_does_not_answer_that_is_told_and_nothing_made_up() -> None:
    figures = World("ops").figures()
    assert (figures["tocsin_store_up"], figures["tocsin_hub_up"]) == (0, 1)
    assert not [name for name in figures if name.startswith(("tocsin_deliveries", "tocsin_incidents"))]


def test_both_forms_that_prometheus_asks_for_are_spoken() -> None:
    world = World("ops")
    plain, _ = world.metrics.text("text/plain")
    newer, text = world.metrics.text("application/openmetrics-text; version=1.0.0")
    assert plain.startswith("text/plain")
    assert newer.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_two_hubs_in_one_process_do_not_count_together() -> None:
    one, other = World("ops"), World("ops")
    one.hooks.delivered(one.message(), Receipt("ok"))
    assert other.figure("tocsin_notifications_total", channel="ops", outcome="delivered") == 0
