"""What a hub counts and measures, in the form that Prometheus reads."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tocsin import __version__
from tocsin.health.condition import Condition
from tocsin.routing.router import DEFAULTS
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.specs import hookimpl

if TYPE_CHECKING:
    from prometheus_client import Metric

UNKNOWN = "unknown"
"""The label of a channel that the config does not have: code can name any, and each would be a series of its own."""

_OUTCOMES = ("delivered", "failed", "dead")
_STAGES = frozenset(
    {
        "route",
        "inhibit",
        "silence",
        "window",
        "flap",
        "open_after",
        "digest",
        "throttle",
        "dedup",
        "recover",
        "escalation",
    }
)
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Now:
    """What is true at the moment somebody asks, beside what was counted before."""

    condition: Condition | None
    """How things stand; None where the store does not tell."""
    spilled: int = 0
    lost: int = 0
    left_alone: Collection[str] = ()
    """The channels that are not sent to at present."""


class Metrics:
    """Counts what this process delivers and suppresses, as a plugin of its own; `text` is what Prometheus is told.

    No label takes a value that comes from an event. Raises ImportError where `prometheus-client` is not installed.
    """

    def __init__(
        self,
        channels: Callable[[], Collection[str]],
        now: Callable[[], Now],
        *,
        started_at: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self._channels = channels
        self._clock = clock
        self.registry = CollectorRegistry()  # our own: nobody else's figures, and nobody else's names
        ProcessCollector(registry=self.registry)
        self._notifications = Counter(
            "tocsin_notifications",
            "Tries of this hub to deliver: delivered, failed (tried again later) or dead (given up).",
            ("channel", "outcome"),
            registry=self.registry,
        )
        self._failures = Counter(
            "tocsin_notification_failures",
            "Tries of this hub that failed, by reason.",
            ("channel", "reason"),
            registry=self.registry,
        )
        self._suppressed = Counter(
            "tocsin_notifications_suppressed",
            "What this hub decided not to send, or not to send yet, by what decided it.",
            ("stage",),
            registry=self.registry,
        )
        self._unrouted = Counter(
            "tocsin_events_unrouted", "Problems that no route claims and the defaults send nowhere.",
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "tocsin_notification_seconds",
            "How long one try to deliver took.",
            ("channel",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_Standing(now, channels, started_at))
        for channel in channels():  # so that a rate can be taken from the very first of them
            for outcome in _OUTCOMES:
                self._notifications.labels(channel, outcome)

    def text(self, accept: str = "") -> tuple[str, bytes]:
        """The type and the bytes of what Prometheus is told, in the form that it accepts."""
        from prometheus_client.exposition import choose_encoder

        encode, kind = choose_encoder(accept)
        return kind, encode(self.registry)

    def _label(self, channel: str) -> str:
        return channel if channel in self._channels() else UNKNOWN

    # ------------------------------------------------------------ what is counted

    @hookimpl(wrapper=True, tryfirst=True)
    def tocsin_send(self, message: Message) -> Generator[None, Receipt, Receipt]:
        """Measure how long a try takes, however it ends."""
        started = self._clock()
        try:
            return (yield)
        finally:
            self._seconds.labels(self._label(message.channel)).observe(max(self._clock() - started, 0.0))

    @hookimpl
    def tocsin_delivered(self, message: Message) -> None:
        """Count."""
        self._notifications.labels(self._label(message.channel), "delivered").inc()

    @hookimpl
    def tocsin_delivery_failed(self, message: Message, error: SendError) -> None:
        """Count."""
        self._failed(message, error, "failed")

    @hookimpl
    def tocsin_delivery_dead(self, message: Message, error: SendError) -> None:
        """Count."""
        self._failed(message, error, "dead")

    def _failed(self, message: Message, error: SendError, outcome: str) -> None:
        channel = self._label(message.channel)
        self._notifications.labels(channel, outcome).inc()
        self._failures.labels(channel, _reason(error)).inc()

    @hookimpl
    def tocsin_suppressed(self, event: Event, stage: str, route: str) -> None:  # noqa: ARG002
        """Count."""
        self._suppressed.labels(stage if stage in _STAGES else "other").inc()
        if stage == "route" and route == DEFAULTS:
            self._unrouted.inc()


def _reason(error: SendError) -> str:
    try:
        return str(Reason(error.reason))
    except ValueError:  # a plugin can say anything
        return str(Reason.PLUGIN)


class _Standing:
    """Reads what is true now, whenever Prometheus asks."""

    def __init__(self, now: Callable[[], Now], channels: Callable[[], Collection[str]], started_at: float) -> None:
        self._now = now
        self._channels = channels
        self._started_at = started_at

    def collect(self) -> Iterator[Metric]:
        """The figures."""
        now, known = self._now(), self._channels()
        yield _figure("tocsin_hub_up", "1 while the hub answers.", 1)
        yield _figure("tocsin_hub_start_time_seconds", "When it was started, in seconds since 1970.", self._started_at)
        yield _gauge("tocsin_build_info", "Which tocsin this is.", {(__version__,): 1}, ("version",))
        yield _figure("tocsin_store_up", "1 where the store answers.", int(now.condition is not None))
        yield _counter("tocsin_events_spilled", "Events that this hub could not store and spilled.", now.spilled)
        yield _counter("tocsin_events_lost", "Events that neither store nor spill file took.", now.lost)
        alone: dict[tuple[str, ...], float] = {(channel,): float(channel in now.left_alone) for channel in known}
        yield _gauge(
            "tocsin_channel_left_alone", "1: not sent to at present, since it keeps failing.", alone, ("channel",)
        )
        if now.condition is not None:
            yield from _of_the_store(now.condition, known)


def _of_the_store(condition: Condition, known: Collection[str]) -> Iterator[Metric]:
    summary = condition.summary
    deliveries: Tally[tuple[str, ...]] = Tally()
    due: Tally[tuple[str, ...]] = Tally()
    failing: dict[tuple[str, ...], float] = {}
    for channel in summary.channels:
        name = channel.name if channel.name in known else UNKNOWN
        for status, number in (("pending", channel.pending), ("leased", channel.leased), ("dead", channel.dead)):
            deliveries[name, status] += number
        due[name,] += channel.due
        failing[name,] = max(failing.get((name,), 0.0), _seconds_since(condition, channel.failing_since))
    yield _gauge("tocsin_deliveries", "Deliveries not arrived, by how they stand.", deliveries, ("channel", "status"))
    yield _gauge("tocsin_deliveries_due", "Deliveries that could be claimed now.", due, ("channel",))
    yield _gauge("tocsin_channel_failing_seconds", "For how long every try has failed; 0: not.", failing, ("channel",))
    oldest = _seconds_since(condition, summary.oldest)
    yield _figure("tocsin_oldest_delivery_seconds", "How long the oldest delivery has waited; 0: none does.", oldest)
    yield _figure("tocsin_incidents_open", "Problems that are open.", summary.incidents_open)
    yield _figure("tocsin_silences_active", "Silences in force.", len(condition.silences))
    yield _figure("tocsin_timers_due", "Things to be done because time has passed.", summary.timers_due)
    yield _figure("tocsin_spill_events", "Events that wait in the spill file.", condition.spilled.events)
    if summary.size is not None:
        yield _figure("tocsin_store_bytes", "Size of the store.", summary.size)
    if summary.wal is not None:
        yield _figure("tocsin_store_wal_bytes", "Size of its write-ahead log.", summary.wal)


def _seconds_since(condition: Condition, time: datetime | None) -> float:
    return 0.0 if time is None else max((condition.at - time).total_seconds(), 0.0)


def _gauge(name: str, text: str, figures: Mapping[tuple[str, ...], float], labels: Sequence[str]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for key, figure in figures.items():
        family.add_metric(key, figure)
    return family


def _figure(name: str, text: str, figure: float) -> Metric:
    return _gauge(name, text, {(): figure}, ())


def _counter(name: str, text: str, figure: float) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=())
    family.add_metric((), figure)
    return family
