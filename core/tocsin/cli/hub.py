"""`tocsin hub`: delivers what is due, until it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import FrameType
from typing import Any

import click

from tocsin.assembly import Assembly, assemble, problems
from tocsin.cli.configured import config_source
from tocsin.cli.diagnostics import visible
from tocsin.cli.output import count
from tocsin.cli.tally import counted
from tocsin.clock import Clock
from tocsin.delivery.breaker import Standing
from tocsin.delivery.listening import Listener
from tocsin.delivery.presence import SEEN_EVERY, announce, leave
from tocsin.delivery.timekeeper import Timekeeper
from tocsin.health.answers import Pulse, answering
from tocsin.masked import logger
from tocsin.reload import Reloader
from tocsin.settings.issues import listed
from tocsin.settings.source import Source
from tocsin.store.protocol import Store
from tocsin.store.records import StoreError
from tocsin_hooks.durations import format_duration

_log = logger("tocsin.hub")

_EXAMPLES = """\b
Examples:
  tocsin hub                    run until SIGTERM or Ctrl-C
  tocsin hub --once             deliver what is due, then end; for cron
"""
_UNREADABLE = "E407"  # a secret that cannot be read
_LOOK_EVERY = timedelta(seconds=1)  # for what other processes planned, and for the config
_ASK_AGAIN = 30.0  # seconds after which threads that could not be had at the start are asked for again
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command(epilog=_EXAMPLES)
@click.option("--once", is_flag=True, help="Deliver what is due, then end: with 1 if something is left, else with 0.")
@click.pass_context
def command(ctx: click.Context, once: bool) -> None:
    """Deliver what is due and what other processes plan, and keep time for all of them, until stopped.

    Groups, digests, reminders, escalations and watches come from here. A config that is changed is taken up by itself,
    or at once on SIGHUP; one with mistakes is announced, and the hub goes on with the one before. With [hub] listen in
    the config it answers /healthz and /metrics.

    SIGTERM or Ctrl-C ends it: nothing more is begun, what is under way is waited for a bounded time. A second one ends
    it at once. Nothing is lost either way.
    """
    source = config_source()
    assembly = assemble(source)
    with counted(assembly) as tally, _stop_signals() as stop:
        _say(_start_line(assembly))
        _warn_of_secrets(source)
        if not once:
            pulse = Pulse(started_at=assembly.clock.now(), looked_at=assembly.clock.monotonic())
            with answering(assembly, pulse) as address:
                if address is not None:
                    _say(f"answering on http://{address}/healthz and http://{address}/metrics")
                assembly.start()
                _serve(assembly, stop, pulse)
            _say(f"stopped: {tally}")
            return
        assembly.start()
        left = assembly.finish()
        _see_that_it_answers(assembly.store, assembly.clock.now())
        _say(f"{tally}, {'it cannot be told how many are' if left is None else left} left")
        ctx.exit(1 if left != 0 or tally.dead else 0)


class Announced:
    """What the store knows of this hub: renewed as often as it has to be, and as soon as there is something new."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._at = -SEEN_EVERY.total_seconds()
        self._news: Mapping[str, Any] | None = None

    def keep_up(self, news: Mapping[str, Any]) -> None:
        """Say that this hub is there, and its news, if that is due or they are others. Raises StoreError."""
        now = self._clock.monotonic()
        if news != self._news or now - self._at >= SEEN_EVERY.total_seconds():
            announce(self._store, self._clock.now(), news)
            self._at, self._news = now, news


def _see_that_it_answers(store: Store, now: datetime) -> None:
    """Raise StoreError where the store does not, so that what is left in it cannot be told."""
    try:
        store.next_due(now=now)
    finally:
        store.close()


def _serve(assembly: Assembly, stop: threading.Event, pulse: Pulse) -> None:
    """Deliver and keep time until `stop` is set."""
    reloader, announced = Reloader(assembly), Announced(assembly.store, assembly.clock)

    def also() -> None:
        pulse.looked_at = assembly.clock.monotonic()
        announced.keep_up(_news(assembly, pulse))
        assembly.rounds.look()
        reloader.look()

    timekeeper = Timekeeper(assembly.hub, assembly.clock, look_every=_LOOK_EVERY, also=also)
    assembly.timekeeper.stop()  # the one that sleeps until its own process wakes it
    assembly.hub.on_timer = timekeeper.wake

    def news() -> None:
        timekeeper.wake()
        assembly.worker.wake()

    listener = Listener(assembly.store, assembly.clock, news)
    before = signal.signal(signal.SIGHUP, lambda *_: reloader.ask())
    try:
        reloader.settle()
        listener.start()
        news()
        while not stop.wait(_ASK_AGAIN):
            news()
        pulse.stopping = True
        drain = assembly.config.delivery.drain
        _say(f"stopping: waiting for what is under way, {format_duration(drain.total_seconds())} at most")
        listener.stop()
        timekeeper.stop()
        assembly.worker.stop(drain)
    finally:
        signal.signal(signal.SIGHUP, before)
        _leave(assembly)
        assembly.store.close()


def _leave(assembly: Assembly) -> None:
    try:
        leave(assembly.store)
    except StoreError as error:
        _log.warning("that this hub ends could not be written down: %s", error)


def _news(assembly: Assembly, pulse: Pulse) -> dict[str, Any]:
    """What this hub tells of itself to those who look into the store."""
    standings = assembly.worker.standings().items()
    return {
        "started_at": pulse.started_at.timestamp(),
        "spilled": assembly.hub.counters.spilled,
        "lost": assembly.hub.counters.lost,
        "breakers": {channel: str(standing) for channel, standing in standings if standing is not Standing.CLOSED},
    }


def _say(text: str) -> None:
    click.echo(visible(text))


def _warn_of_secrets(source: Source) -> None:
    """Say now which secrets are not to be had, and not when the first message needs one."""
    for each in problems(source):
        if each.code == _UNREADABLE:
            line = each.render().partition("\n")[0]
            without = "the store cannot be used" if each.text.startswith("[store]") else "nothing is sent there"
            _log.warning("%s; until it can be read, %s", line, without)


def _start_line(assembly: Assembly) -> str:
    config = assembly.config
    channels = listed(config.channels)
    where = config.path if config.path is not None else "the environment"
    routes = count(len(config.routes), "route")
    return f"tocsin hub: config {where}, store {config.store.place}, channels {channels}, {routes}"


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; the second of them ends the process as if nobody had listened."""
    stop = threading.Event()

    def asked(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        stop.set()
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)

    before: dict[signal.Signals, Any] = {each: signal.signal(each, asked) for each in _SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
