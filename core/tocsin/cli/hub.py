"""`tocsin hub`: delivers what is due, until it is stopped."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import click

from tocsin.assembly import Assembly
from tocsin.cli.configured import assembled
from tocsin.cli.diagnostics import visible
from tocsin.cli.output import count
from tocsin.settings.issues import listed
from tocsin_hooks.messages import Message, Receipt, SendError
from tocsin_hooks.specs import hookimpl

_EXAMPLES = """\b
Examples:
  tocsin hub                    run until SIGTERM or Ctrl-C
  tocsin hub --once             deliver what is due, then end; for cron
"""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@click.command(epilog=_EXAMPLES)
@click.option("--once", is_flag=True, help="Deliver what is due, then end: with 1 if something is left, else with 0.")
@click.pass_context
def command(ctx: click.Context, once: bool) -> None:
    """Deliver what is due, and what other processes plan, until stopped.

    SIGTERM or Ctrl-C ends it: nothing more is begun, what is under way is waited for a bounded time. A second one ends
    it at once. Nothing is lost either way.
    """
    assembly = assembled()
    with _counted(assembly) as tally, _stop_signals() as stop:
        _say(_start_line(assembly))
        assembly.start()
        if not once:
            assembly.worker.wake()
            stop.wait()
            _say("stopping: waiting for what is under way")
            assembly.worker.stop(assembly.config.delivery.drain)
            assembly.store.close()
            _say(f"stopped: {tally}")
            return
        left = assembly.finish()
        _say(f"{tally}, {left} left")
        ctx.exit(1 if left or tally.dead else 0)


def _say(text: str) -> None:
    click.echo(visible(text))


def _start_line(assembly: Assembly) -> str:
    config = assembly.config
    channels = listed(config.channels)
    where = config.path if config.path is not None else "the environment"
    routes = count(len(config.routes), "route")
    return f"tocsin hub: config {where}, store {config.store.path}, channels {channels}, {routes}"


@dataclass
class Tally:
    """How many deliveries ended how, as a plugin of its own."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __str__(self) -> str:
        retried = f", {count(self.failed, 'failed try')}" if self.failed else ""
        return f"{self.delivered} delivered, {self.dead} dead{retried}"

    @hookimpl
    def tocsin_delivered(self, message: Message, receipt: Receipt) -> None:  # noqa: ARG002
        """Count."""
        with self._lock:
            self.delivered += 1

    @hookimpl
    def tocsin_delivery_failed(self, message: Message, error: SendError, retry_in: float) -> None:  # noqa: ARG002
        """Count."""
        with self._lock:
            self.failed += 1

    @hookimpl
    def tocsin_delivery_dead(self, message: Message, error: SendError) -> None:  # noqa: ARG002
        """Count."""
        with self._lock:
            self.dead += 1


@contextmanager
def _counted(assembly: Assembly) -> Iterator[Tally]:
    tally, pm = Tally(), assembly.hooks.catalog.pm
    pm.register(tally, "tocsin.hub.tally")
    try:
        yield tally
    finally:
        pm.unregister(tally)


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
