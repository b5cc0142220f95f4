"""The outboxes that are measured, and the bare table on the same database that each is measured against."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from tocsin.store.open import open_store
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Planned
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.messages import Action
from tocsin_hooks.testing import sample_event


class Table(Protocol):
    """A table of numbered bodies, as plain as a queue in a database can be, and as durable as an outbox."""

    def append(self, body: str, count: int) -> None:
        """Put in `count` rows with one commit."""

    def take(self, count: int) -> None:
        """Claim the oldest rows and delete them."""

    def count(self) -> int:
        """How many rows there are."""


@dataclass(frozen=True)
class Place:
    """An outbox and a bare table on one database."""

    store: Store
    table: Table
    multiply: Callable[[str, int], None]
    """Puts so many copies beside the delivery to a channel, each with an id and a thread of its own."""

    def fill(self, channel: str, count: int, now: datetime) -> None:
        """Let so many deliveries to a channel wait, which have been due since before `now`."""
        planned = Planned(channel, "pages", Action.OPEN, thread=f"i-{channel}")

        def one(tx: Transaction) -> None:
            event = tx.add_event(sample_event(id=f"of {channel}", sequence=None))
            tx.deliver(event, None, planned, now=now - timedelta(minutes=1))

        self.store.transact(one)
        self.multiply(channel, count - 1)


@dataclass(frozen=True)
class Database:
    """A kind of database, and what its bare inserts and claims are called."""

    name: str
    place: Callable[[], AbstractContextManager[Place]]
    one: str
    many: str
    claimed: str


# ---------------------------------------------------------------- SQLite


class _SqliteTable:
    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = FULL")
        self.db.execute("CREATE TABLE queue (id INTEGER PRIMARY KEY, body TEXT)")

    def append(self, body: str, count: int) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT INTO queue (body) VALUES (?)", [(body,)] * count)
        self.db.execute("COMMIT")

    def take(self, count: int) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        rows = self.db.execute("SELECT id, body FROM queue ORDER BY id LIMIT ?", (count,)).fetchall()
        self.db.execute("COMMIT")
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("DELETE FROM queue WHERE id = ?", [(number,) for number, _ in rows])
        self.db.execute("COMMIT")

    def count(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM queue").fetchone()[0])


@contextlib.contextmanager
def sqlite_place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:
        store, table = SqliteStore(Path(folder) / "tocsin.db"), _SqliteTable(Path(folder) / "raw.db")

        def multiply(channel: str, count: int) -> None:
            db = sqlite3.connect(store.path)
            columns = [name for _, name, *_ in db.execute("PRAGMA table_info(deliveries)")]
            own = {
                "id": "CASE typeof(id) WHEN 'blob' THEN randomblob(length(id)) ELSE lower(hex(randomblob(16))) END",
                "thread": "thread || '-' || i",
            }
            with db:
                db.execute(
                    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
                    f"{_copies(columns, own, 'n')}",
                    {"count": count, "channel": channel},
                )
            db.close()

        try:
            yield Place(store, table, multiply)
        finally:
            store.close()
            table.db.close()


def _copies(columns: list[str], own: dict[str, str], numbers: str) -> str:
    """The statement that copies a delivery, whatever columns it has."""
    kept = [column for column in columns if column != "number"]
    values = ", ".join(own.get(column, column) for column in kept)
    return (
        f"INSERT INTO deliveries ({', '.join(kept)}) SELECT {values} FROM {numbers},"
        " (SELECT * FROM deliveries WHERE channel = :channel LIMIT 1) AS d"
    )


# ---------------------------------------------------------------- PostgreSQL


class _PostgresTable:
    def __init__(self, db: Any, schema: str) -> None:
        self.db = db
        self.db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        self.db.execute(f'SET search_path TO "{schema}"')
        self.db.execute("SET synchronous_commit = on")
        self.db.execute("CREATE TABLE queue (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)")
        self._insert = "INSERT INTO queue (body) VALUES (%s)"

    def append(self, body: str, count: int) -> None:
        if count == 1:
            self.db.execute(self._insert, (body,))
            return
        with self.db.pipeline(), self.db.transaction(), self.db.cursor() as cursor:
            cursor.executemany(self._insert, [(body,)] * count)

    def take(self, count: int) -> None:
        with self.db.transaction():
            rows = self.db.execute(
                "SELECT id, body FROM queue ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED", (count,)
            ).fetchall()
            self.db.execute("DELETE FROM queue WHERE id = ANY (%s)", ([number for number, _ in rows],))

    def count(self) -> int:
        return int(self.db.execute("SELECT count(*) FROM queue").fetchone()[0])


@contextlib.contextmanager
def postgres_place() -> Iterator[Place]:
    from support.postgres import shared_server  # starts a server where none is named

    server = shared_server()
    with tempfile.TemporaryDirectory() as folder, server.connect() as db:
        here, bare = Path(folder), Path(folder) / "bare"
        schema = server.schema(here)
        store, table = open_store(url=server.url(here)), _PostgresTable(db, server.schema(bare))

        def multiply(channel: str, count: int) -> None:
            found = db.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_schema = %s AND table_name = 'deliveries'",
                (schema,),
            )
            columns = [name for (name,) in found]
            own = {"id": "gen_random_uuid()", "thread": "thread || '-' || i"}
            statement = _copies(columns, own, f"generate_series(1, {count}) AS n (i)")
            with server.connect() as other:
                other.execute(f'SET search_path TO "{schema}"')
                other.execute(statement.replace(":channel", "%s"), (channel,))
                other.execute("VACUUM ANALYZE deliveries")  # as the server does by itself before long

        try:
            yield Place(store, table, multiply)
        finally:
            store.close()
            for name in (schema, server.schema(bare)):
                db.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')


SQLITE = Database("SQLite", sqlite_place, "SQLite FULL, 1 row", "SQLite FULL, 100 rows", "SQLite FULL")
POSTGRES = Database("PostgreSQL", postgres_place, "1 row", "100 rows in a pipeline", "SKIP LOCKED and DELETE")
