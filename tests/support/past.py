"""A history: what happened in a folder's store before, under a clock that is moved by hand."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from tocsin.assembly import assemble
from tocsin.clock import ManualClock
from tocsin.hub import operations
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.spill import Spill
from tocsin.settings.source import find
from tocsin.simulate import Moment, Span, duration, event_of, moment
from tocsin.store.records import from_micros
from tocsin_hooks.events import Event


class Past:
    """The hub of the config in a folder, at a time in the past."""

    def __init__(self, folder: Path, start: Moment) -> None:
        self.clock = ManualClock(moment(start))
        self.folder = folder
        source = find(folder / "tocsin.toml", environ={}, cwd=folder)
        assert source is not None
        assembly = assemble(source, self.clock)
        self._path = assembly.config.store.path
        self.store = assembly.store
        self._outbox = Outbox(self.store, Engine(Policy.of(assembly.config)), Spill(folder / "spill"), lambda: None)
        self._hub = Hub(assembly.hooks, self.clock, self._outbox)
        self._hub.prepare()

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def publish(self, **labels: Any) -> Event:
        """Let an event happen."""
        labels.setdefault("run_id", f"run-of-{labels.get('flow', '')}")
        event = event_of(labels, self.clock)
        self._hub.store_event(self._outbox, event)
        return event

    def advance(self, span: Span) -> None:
        """Let time pass; what is due is done."""
        end = self.now + duration(span)
        while (due := self._hub.next_due()) is not None and due <= end:
            self.clock.advance(max((due - self.now).total_seconds(), 0))
            self._hub.tick()
        self.clock.advance((end - self.now).total_seconds())

    def advanced(self, span: Span) -> list[tuple[str, str, str, str]]:
        """Let time pass, and tell the time, channel, action and plan of what is sent from now on."""
        start = self.now
        self.advance(span)
        with sqlite3.connect(self._path) as db:
            found = db.execute("SELECT created_at, channel, action, body FROM deliveries ORDER BY number").fetchall()
        db.close()
        sent = [(from_micros(at), channel, action, plan) for at, channel, action, plan in found]
        return [(at.isoformat(), channel, action, plan) for at, channel, action, plan in sent if at >= start]

    def twin(self, folder: Path) -> Past:
        """The same history in another folder, where it can go on in another way."""
        folder.mkdir()
        (folder / "tocsin.toml").write_text((self.folder / "tocsin.toml").read_text())
        with sqlite3.connect(self._path) as mine, sqlite3.connect(folder / self._path.name) as others:
            mine.backup(others)
        mine.close()
        others.close()
        return Past(folder, self.now)

    def silence(self, matching: str, span: Span) -> str:
        """Add a silence; its id."""
        identity = self.clock.new_id()
        operations.add_silence(
            self._outbox, matching, now=self.now, id=identity, by="ann", comment="known", duration=duration(span)
        )
        return identity

    def contents(self) -> dict[str, list[Any]]:
        """Every row of every table."""
        with sqlite3.connect(self._path) as db:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            rows = {name: db.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names}
        db.close()
        return rows

    def close(self) -> None:
        self.store.close()
