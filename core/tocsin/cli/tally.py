"""How many deliveries ended how while a command ran, and which runs were found dead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tocsin.assembly import Assembly
from tocsin.cli.output import count
from tocsin.masked import logger
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message, Receipt, SendError
from tocsin_hooks.specs import hookimpl

_log = logger("tocsin.hub")


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

    @hookimpl
    def tocsin_flow_crashed(self, event: Event) -> None:
        """Say so: nobody else does in the log of the process that finds a run dead."""
        _log.warning("run '%s' of flow '%s' is dead: %s", event.run_id, event.flow, event.message)


@contextmanager
def counted(assembly: Assembly) -> Iterator[Tally]:
    """The tally of a `with` block."""
    tally, pm = Tally(), assembly.hooks.catalog.pm
    pm.register(tally, "tocsin.tally")
    try:
        yield tally
    finally:
        pm.unregister(tally)
