"""What a million deliveries that wait take: room on disk, and the memory of a hub that delivers them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import pendulum

from tocsin.hub.engine import Engine
from tocsin.hub.policy import Policy
from tocsin.hub.turn import Result
from tocsin.routing.router import Route, Router
from tocsin.store.coding import dump
from tocsin.store.protocol import Transaction
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.filters import Filter, when
from tocsin_hooks.testing import sample_event

from .pair import Row, holds
from .processes import MIB, peak, resident
from .sink import Sink

DECIDED = 20_000  # deliveries that the engine plans; the rest are copies of their rows, with ids of their own
_AT_ONCE = 1000
_SETTLED = 3.0  # seconds after which a hub that has nothing to do has loaded what it needs for that
_FAILED = when("is_failed")
_CONFIG = """
[store]
path = "tocsin.db"

[channels.ops]
type = "webhook"
url = "http://127.0.0.1:{port}/"
allow_http = true
allow_private = ["127.0.0.1/32"]
allow_ports = [{port}]

[[routes]]
when = "is_failed"
send = ["ops"]
"""


@dataclass(frozen=True)
class Backlog:
    """What so many deliveries take that wait, in bytes; the payload is the JSON of each event and of its plan."""

    deliveries: int
    payload: int
    disk: int
    idle: int
    delivering: int
    delivered: int

    def rows(self) -> list[Row]:
        """For the table."""
        of, more = self.disk / self.payload, (self.delivering - self.idle) / MIB
        memory, disk, name = "<= 64 MiB", "<= 1.5", f"{self.deliveries:,} deliveries wait"
        return [
            Row(
                f"{name}: memory of `tocsin hub`",
                f"peak while it sends {self.delivered:,} of them: {self.delivering / MIB:,.1f} MiB",
                f"with nothing to do: {self.idle / MIB:,.1f} MiB",
                f"{more:+,.1f} MiB",
                "-",
                memory,
                holds(more, memory),
            ),
            Row(
                f"{name}: disk",
                f"store and log: {self.disk / self.deliveries:,.0f} bytes each",
                f"JSON of event and plan: {self.payload / self.deliveries:,.0f} bytes each",
                f"{of:.2f}",
                "-",
                disk,
                holds(of, disk),
            ),
        ]


def backlog(deliveries: int = 1_000_000, send: int = 3000, decided: int = DECIDED) -> Backlog:
    """Let so many deliveries wait, and a hub send a part of them."""
    with tempfile.TemporaryDirectory() as full, tempfile.TemporaryDirectory() as empty, Sink() as sink:
        payload = fill(Path(full), deliveries, decided)
        with _hub(Path(empty), sink.port) as pid:
            time.sleep(_SETTLED)
            idle = resident(pid)
        with _hub(Path(full), sink.port) as pid:
            sink.skip(send)
            disk = sum(file.stat().st_size for file in Path(full).glob("tocsin.db*"))
            delivering = peak(pid)
    return Backlog(deliveries, payload, disk, idle, delivering, send)


@contextlib.contextmanager
def _hub(folder: Path, port: int) -> Iterator[int]:
    """The pid of `tocsin hub` in a folder."""
    (folder / "tocsin.toml").write_text(_CONFIG.format(port=port), encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    hub = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "hub"],
        cwd=folder,
        env=environ | {"TOCSIN_SPILL_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield hub.pid
        assert hub.poll() is None, "the hub has ended by itself"
    finally:
        hub.kill()
        hub.wait()


# ---------------------------------------------------------------- filling


def fill(folder: Path, deliveries: int, decided: int = DECIDED) -> int:
    """Plan so many deliveries, each of an event of its own; the bytes of their JSON."""
    assert deliveries % decided == 0, deliveries
    store = SqliteStore(folder / "tocsin.db")
    payload = _decide(store, decided)
    store.close()
    _multiply(store.path, deliveries // decided)
    return payload * (deliveries // decided)


def remembered(deliveries: int = 5000) -> str:
    """What alerting remembers besides, for the page."""
    sizes = []
    for opens in (None, _FAILED):
        with tempfile.TemporaryDirectory() as folder:
            store = SqliteStore(Path(folder) / "tocsin.db")
            _decide(store, deliveries, opens)
            store.close()
            sizes.append(store.path.stat().st_size)
    return (
        "Where each delivery opens an incident of its own, what alerting remembers of it takes "
        f"{(sizes[1] - sizes[0]) / deliveries:,.0f} bytes more on disk.\n"
    )


def _decide(store: SqliteStore, deliveries: int, opens: Filter | None = None) -> int:
    """Let the engine plan so many deliveries; the bytes of what it planned, and of the events."""
    engine = Engine(Policy(Router((Route("pages", _FAILED, ("ops",)),), opens=opens)))
    now, payload = pendulum.now("UTC"), 0
    for start in range(0, deliveries, _AT_ONCE):
        events = [problem(number) for number in range(start, min(start + _AT_ONCE, deliveries))]
        results = store.transact(partial(_taken, engine, events, now))
        payload += sum(len(event.to_json().encode()) for event in events)
        payload += sum(len(dump(sent.planned).encode()) for result in results for sent in result.sent)
    return payload


def _taken(engine: Engine, events: list[Event], now: datetime, tx: Transaction) -> list[Result]:
    return [engine.take(tx, event, (), now=now) for event in events]


def problem(number: int) -> Event:
    """A failed task of a run of its own; tracebacks are of different lengths."""
    error = f"bad row {number}: no amount"
    lines = "".join(f'  File "etl.py", line {line}, in load\n    write(rows)\n' for line in range(number % 12))
    trace = f"Traceback (most recent call last):\n{lines}ValueError: {error}\n"
    return sample_event(
        id=str(uuid.uuid4()),
        run_id=str(uuid.uuid4()),
        task_run_id=str(uuid.uuid4()),
        task=f"load-{number}",
        message=f"ValueError: {error}",
        exception=ExceptionSummary("ValueError", error, trace),
        sequence=None,
    )


def _multiply(path: Path, times: int) -> None:
    """Put the rows of events and deliveries there so many times, each time with other ids, in the same order."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA cache_size = -262144")  # only to be quick: ids come in any order
    events, deliveries = (_Rows.of(db, table) for table in ("events", "deliveries"))
    ids = dict(zip(events.column("sequence"), events.column("id"), strict=True))
    told = [ids[sequence] for sequence in deliveries.column("event")]
    own = deliveries.column("id")
    for copy in range(1, times):
        step = copy * len(ids)
        with db:
            events.add(db, step, [(each,) for each in ids.values()], copy)
            deliveries.add(db, step, list(zip(told, own, strict=True)), copy)
    db.close()


@dataclass(frozen=True)
class _Rows:
    """The rows of a table, whatever columns it has."""

    table: str
    columns: list[str]
    rows: list[tuple[object, ...]]

    @classmethod
    def of(cls, db: sqlite3.Connection, table: str) -> _Rows:
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]
        return cls(table, columns, db.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY rowid").fetchall())

    def column(self, name: str) -> list[object]:
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def add(self, db: sqlite3.Connection, step: int, ids: list[tuple[object, ...]], copy: int) -> None:
        counted = [name in ("sequence", "number", "event") for name in self.columns]
        db.executemany(
            f"INSERT INTO {self.table} ({', '.join(self.columns)}) VALUES ({', '.join('?' * len(self.columns))})",
            (
                [
                    value + step if number and isinstance(value, int) else _with_ids(value, named, copy)
                    for value, number in zip(row, counted, strict=True)
                ]
                for row, named in zip(self.rows, ids, strict=True)
            ),
        )


def _with_ids(value: object, ids: tuple[object, ...], copy: int) -> object:
    """A value in which other ids stand in place of `ids`.

    >>> _with_ids('{"id":"0b0f5a62-6d0e-5a7e-9a52-1f6a3f0f7c01"}', ("0b0f5a62-6d0e-5a7e-9a52-1f6a3f0f7c01",), 10)
    '{"id":"0b0f5a62-6d0e-000a-9a52-1f6a3f0f7c01"}'
    """
    for each in ids:
        if isinstance(value, str) and isinstance(each, str):
            value = value.replace(each, f"{each[:14]}{copy:04x}{each[18:]}")
        elif isinstance(value, bytes) and isinstance(each, bytes):
            value = value.replace(each, each[:6] + copy.to_bytes(2, "big") + each[8:])
    return value
