"""A SQLite file is made ready for use: its write-ahead log, and the tables that this tocsin knows."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from tocsin.clock import SystemClock
from tocsin.store.records import StoreError
from tocsin.store.schema import MIGRATIONS

BUSY_TIMEOUT_MS = 5000
"""How long a writer waits for another process's transaction before it gives up."""

_PAGES_OF_LOG = 2000


def is_busy(error: sqlite3.Error) -> bool:
    """Whether SQLite says that somebody else has the file.

    >>> is_busy(sqlite3.OperationalError("disk I/O error"))
    False
    """
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


def advice(error: sqlite3.Error, *, read_only: bool) -> str:
    """What to do about a file that cannot be opened; `read_only` says that nothing on its disk can be written.

    >>> advice(sqlite3.OperationalError("unable to open database file"), read_only=True)
    'its disk is mounted read-only: mend that, or set [store] path to a file on another local disk'
    """
    if read_only:
        return "its disk is mounted read-only: mend that, or set [store] path to a file on another local disk"
    if is_busy(error):
        return "another process keeps it locked, and has to let go of it or end"
    return "set [store] path to a file on a local disk that can be written"


def is_mounted_read_only(path: Path) -> bool:
    """Whether nothing can be written on the disk that `path` is on. Where that cannot be told, it is taken to be well.

    >>> is_mounted_read_only(Path("/no/such/folder/tocsin.db"))
    False
    """
    try:
        return bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def room_at(path: Path) -> int | None:
    """How many bytes are left on the disk of `path`; None where that cannot be told."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def pages_of_log(room: int | None) -> int:
    """After how many pages the write-ahead log is taken up, where so much room is left on its disk.

    2000 are about 8 MB: what is written often is then copied once. Where there is little room the log must not take it
    all, for then it could never be taken up: the database needs room for that.

    >>> pages_of_log(10**9), pages_of_log(5_000_000), pages_of_log(0), pages_of_log(None)
    (2000, 152, 25, 2000)
    """
    return _PAGES_OF_LOG if room is None else min(_PAGES_OF_LOG, max(25, room // (8 * 4096)))


def begin_file(path: Path) -> None:
    """Make an empty file that is its owner's alone: messages may hold what nobody else should read.

    Before SQLite makes it, for the log and its index get the permissions that the file has when they are begun.
    """
    with suppress(OSError):  # another process was quicker, or SQLite will say why it cannot be made
        # One that is there must not be opened: to close it would end the locks that SQLite holds in this process
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def write_ahead(handle: sqlite3.Connection) -> None:
    """Use a write-ahead log. Where several open a new file at once, SQLite waits for nobody: here each waits its turn.

    No longer than the connection waits for others: whoever has open what somebody has emptied meanwhile never lets go.
    """
    clock = SystemClock()
    ends = clock.monotonic() + handle.execute("PRAGMA busy_timeout").fetchone()[0] / 1000
    while True:
        try:
            handle.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or clock.monotonic() >= ends:
                raise
            handle.execute("BEGIN IMMEDIATE")  # waits its turn
            handle.execute("ROLLBACK")
        else:
            return


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
