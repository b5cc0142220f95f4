"""Whether a SQLite store is sound, found out without changing it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tocsin.store.migrating import BUSY_TIMEOUT_MS
from tocsin.store.schema import MIGRATIONS
from tocsin.store.unreadable import events_in
from tocsin_hooks.events import Event

_TOLD = 3  # kinds of damage that are repeated


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found in a store."""

    schema: int
    known: int
    """The newest schema that this tocsin reads."""
    damage: str = ""
    """What is broken in it; empty when it is whole."""
    newest_event: int | None = None
    """The time of the newest event, in microseconds since 1970."""


def check_up(path: Path) -> Checkup:
    """Look into the file at `path`, all of it. Raises sqlite3.Error, or OSError, where it cannot be read."""
    with path.open("rb"):  # what SQLite says of a file that cannot be read tells no reason
        pass
    with _looked_into(path) as db:
        damage = _damage(db)
        [schema] = (0,) if damage else db.execute("PRAGMA user_version").fetchone()
        newest = None
        if not damage and 1 <= schema <= len(MIGRATIONS):
            [newest] = db.execute("SELECT max(at) FROM events").fetchone()
        return Checkup(schema, len(MIGRATIONS), damage, newest)


def newest_events(path: Path, limit: int) -> list[Event]:
    """The newest events in the file at `path`. Raises sqlite3.Error where it cannot be read."""
    with _looked_into(path) as db:
        rows = db.execute("SELECT sequence, body FROM events ORDER BY sequence DESC LIMIT ?", (limit,)).fetchall()
    return events_in(rows)


@contextmanager
def _looked_into(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, which nothing can change."""
    db = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        yield db
    finally:
        db.close()


def _damage(db: sqlite3.Connection) -> str:
    try:
        found = [str(line) for (line,) in db.execute(f"PRAGMA quick_check({_TOLD})").fetchall()]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise  # locked, or away: that says nothing of what is in it
        return str(error)
    return "" if found == ["ok"] else "; ".join(line.strip().replace("\n", " ") for line in found)


def damaged_beside(path: Path) -> list[Path]:
    """The damaged files that were set aside from `path`, by name."""
    try:
        found = [each for each in path.parent.iterdir() if each.name.startswith(f"{path.name}.corrupt-")]
    except OSError:
        return []
    return sorted(each for each in found if not each.name.endswith(("-wal", "-shm")))
