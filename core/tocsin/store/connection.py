"""One SQLite connection per process: opened late, never carried over a fork, every write synced."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.store import quarantine
from tocsin.store.group_commit import Writers
from tocsin.store.log_watch import LogWatch
from tocsin.store.records import StoreError
from tocsin.store.schema import MIGRATIONS

_log = logging.getLogger("tocsin.store")

BUSY_TIMEOUT_MS = 5000
"""How long a writer waits for another process's transaction before it gives up."""

_WAL_TRIES = 20


class Connection:
    """A SQLite database that threads of one process share, one at a time.

    Every error of SQLite comes out as a StoreError that names the file. After one, the connection is opened anew: a
    handle that failed to sync is not to be trusted again. A file that turns out to be damaged is set aside, and one
    that somebody removes or replaces is let go; then a new one is begun, and that is said at CRITICAL.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._handle: sqlite3.Connection | None = None
        self._identity: quarantine.Identity | None = None
        self._watch = LogWatch(path)
        self._writers = Writers(self.write)

    @property
    def writers(self) -> Writers:
        """The threads of this process that write."""
        self._own_lock()
        return self._writers

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only look."""
        with self._own_lock(), self._named_errors():
            yield self._open()

    def changed_elsewhere(self) -> int:
        """A number that is another after somebody else has changed the file. Quick: asked for every success."""
        with self._own_lock():
            if self._handle is not None:
                try:
                    version: int = self._handle.execute("PRAGMA data_version").fetchone()[0]
                except sqlite3.Error:
                    pass  # asked again below, where errors get their names
                else:
                    return version
        with self.read() as db:
            return int(db.execute("PRAGMA data_version").fetchone()[0])

    @contextmanager
    def write(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """The connection inside one transaction: committed and synced at the end, undone by an exception.

        Without `keep` it is undone in any case.
        """
        with self._own_lock(), self._named_errors():
            handle = self._open()
            handle.execute("BEGIN IMMEDIATE")  # a lock taken late fails at once when two readers want to write
            try:
                yield handle
                handle.execute("COMMIT" if keep else "ROLLBACK")
                if keep and not self._stands():
                    raise StoreError(f"store '{self.path}' was moved or deleted while it was written")
                self._watch.look()
            except BaseException:
                if handle.in_transaction:
                    handle.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Give up the connection; the next use opens another."""
        with self._own_lock():
            self._let_go()

    def _let_go(self) -> None:
        if self._handle is None:
            return
        if self._stands():
            self._handle.close()
        else:
            quarantine.leave_open(self._handle)
        self._handle = None

    def _stands(self) -> bool:
        """Whether the file that is open is still the one that has the name."""
        return self._identity is None or quarantine.identity(self.path) == self._identity

    def _own_lock(self) -> threading.RLock:
        if os.getpid() != self._pid:  # a forked child must touch neither the parent's handle nor its lock
            self._pid = os.getpid()
            self._lock = threading.RLock()
            if self._handle is not None:
                quarantine.leave_open(self._handle)
            self._handle = None
            self._writers = Writers(self.write)
        return self._lock

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a mistake of the program, not of the disk
        except sqlite3.Error as error:
            damaged = quarantine.is_damage(error) and self._identity is not None
            if damaged and self._handle is not None:
                quarantine.leave_open(self._handle)
                self._handle = None
            self._let_go()
            aside = self._set_aside(error, self._identity) if damaged else ""
            raise StoreError(f"store '{self.path}': {error}{aside}") from error

    def _set_aside(self, error: sqlite3.Error, damaged: quarantine.Identity | None) -> str:
        """Make room for a new file; what to say of it. Raises StoreError where that cannot be done."""
        try:
            target = quarantine.set_aside(self.path, damaged)
        except OSError as second:
            raise StoreError(
                f"store '{self.path}': {error}; it cannot be set aside: {second.strerror}; move it away"
            ) from error
        if target is None:
            return "; it was set aside"
        _log.critical(
            "store '%s' is damaged (%s): it is set aside as '%s', with what waited there, and a new one is begun; "
            "'sqlite3 %s .recover' may save what is in it",
            self.path, error, target.name, target.name,
        )  # fmt: skip
        return f"; it is set aside as '{target.name}'"

    def _open(self) -> sqlite3.Connection:
        if self._handle is not None and not self._stands():
            _log.critical("store '%s' was moved or deleted while in use; what is there now is used", self.path)
            self._let_go()
        if self._handle is None:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"store '{self.path}': its folder cannot be made: {error.strerror}; "
                    "set [store] path to a place that can be written"
                ) from error
            try:
                self._handle = self._connect()
            except _Damaged as damaged:
                self._set_aside(damaged.error, damaged.identity)
                self._handle = self._connect()
        return self._handle

    def _connect(self) -> sqlite3.Connection:
        in_memory = str(self.path) == ":memory:"
        found = None if in_memory else quarantine.identity(self.path)
        handle = None
        try:
            handle = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            handle.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            _write_ahead(handle)
            handle.execute("PRAGMA synchronous = FULL")  # a commit survives power loss, not only the process
            migrate(handle, self.path)
        except sqlite3.Error as error:
            damaged = found is not None and quarantine.is_damage(error)
            if handle is not None:
                quarantine.leave_open(handle) if damaged else handle.close()
            text = (
                f"store '{self.path}' cannot be opened: {error}; "
                "set [store] path to a file on a local disk that can be written"
            )
            raise (_Damaged(text, error, found) if damaged else StoreError(text)) from error
        self._identity = None if in_memory else quarantine.identity(self.path)
        if found is None and not in_memory:
            self.path.chmod(0o600)  # messages may hold what only their owner should read
        return handle


class _Damaged(StoreError):
    """What is at the path cannot be read as a database."""

    def __init__(self, text: str, error: sqlite3.Error, identity: quarantine.Identity | None) -> None:
        super().__init__(text)
        self.error = error
        self.identity = identity


def _write_ahead(handle: sqlite3.Connection) -> None:
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
