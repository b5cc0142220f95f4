"""A SQLite file is made ready for use: its write-ahead log, and the tables that this tocsin knows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tocsin.store.records import StoreError
from tocsin.store.schema import MIGRATIONS

BUSY_TIMEOUT_MS = 5000
"""How long a writer waits for another process's transaction before it gives up."""

_WAL_TRIES = 20


def write_ahead(handle: sqlite3.Connection) -> None:
    """Use a write-ahead log. For this SQLite waits for nobody, though several may open a new file at once."""
    for _ in range(_WAL_TRIES):
        try:
            handle.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            handle.execute("BEGIN IMMEDIATE")  # waits its turn
            handle.execute("ROLLBACK")
        else:
            return
    handle.execute("PRAGMA journal_mode = WAL")


def migrate(handle: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date, one step a transaction. Raises StoreError for one newer than this tocsin."""
    for_this = len(MIGRATIONS)
    while (version := handle.execute("PRAGMA user_version").fetchone()[0]) < for_this:
        handle.execute("BEGIN IMMEDIATE")
        try:
            if handle.execute("PRAGMA user_version").fetchone()[0] == version:  # else another process was quicker
                for statement in MIGRATIONS[version].split(";"):
                    handle.execute(statement)
                handle.execute(f"PRAGMA user_version = {version + 1}")
            handle.execute("COMMIT")
        except BaseException:
            if handle.in_transaction:
                handle.execute("ROLLBACK")
            raise
    if version > for_this:
        handle.close()
        raise StoreError(
            f"store '{path}' was written by a newer tocsin (schema {version}, this one knows {for_this}); "
            "upgrade tocsin, or set [store] path to another file"
        )
