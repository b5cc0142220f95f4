"""One SQLite connection per process: opened late, never carried over a fork, every write synced."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tocsin.masked import logger
from tocsin.store import forks, quarantine
from tocsin.store.checkup import check_up
from tocsin.store.group_commit import Writers
from tocsin.store.log_index import LogIndex
from tocsin.store.log_watch import LogWatch
from tocsin.store.migrating import (
    BUSY_TIMEOUT_MS,
    advice,
    begin_file,
    is_busy,
    is_mounted_read_only,
    migrate,
    pages_of_log,
    room_at,
    write_ahead,
)
from tocsin.store.records import StoreError

_log = logger("tocsin.store")

T = TypeVar("T")

_FORK_PATIENCE = 6.0  # seconds: more than a thread waits for another process's transaction

_IMPATIENT_MS = 100  # what a lock that is never released may cost a run, for every event


class Connection:
    """A SQLite database that threads of one process share, one at a time.

    Every error of SQLite comes out as a StoreError that names the file. After one, the connection is opened anew: a
    handle that failed to sync is not to be trusted again. A file that turns out to be damaged is set aside, and one
    that somebody removes or replaces is let go; then a new one is begun, and that is said at CRITICAL.

    `patience` is for how many milliseconds a lock of another process is waited for. After one wait in vain it is next
    to none until the lock is had again, so that a process that keeps it for good does not hold up every event.
    """

    def __init__(self, path: Path, *, patience: int = BUSY_TIMEOUT_MS) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._handle: sqlite3.Connection | None = None
        self._identity: quarantine.Identity | None = None
        self._index: LogIndex | None = None
        self._opened = 0  # how often
        self._spared = False
        self._usual_patience = self._patience = patience
        self._watch = LogWatch(path)
        self._writers = Writers(self.transact)
        forks.join(self)

    @property
    def writers(self) -> Writers:
        """The threads of this process that write."""
        self._own_lock()
        return self._writers

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only look."""
        with self._own_lock():
            try:
                yield self._open()
            except sqlite3.Error as error:
                raise self._refused(error) from error

    def changed_elsewhere(self) -> int:
        """A number that is another after somebody else has changed the file. Quick: asked for every success."""
        with self._own_lock():
            if self._handle is not None:
                try:
                    version: int = self._handle.execute("PRAGMA data_version").fetchone()[0]
                except sqlite3.Error:
                    pass  # asked again below, where errors get their names
                else:
                    return (self._opened << 32) + version  # each connection counts for itself
        with self.read() as db:
            return (self._opened << 32) + int(db.execute("PRAGMA data_version").fetchone()[0])

    def commits(self) -> bytes:
        """Bytes that are others after every commit to the file, whoever made it; empty where nobody can tell.

        Costs next to nothing, and waits for nobody.
        """
        index = self._index
        return b"" if index is None else index.head()

    @contextmanager
    def write(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """The connection inside one transaction: committed and synced at the end, undone by an exception.

        Without `keep` it is undone in any case.
        """
        with self._own_lock():
            handle = self._begin()
            try:
                yield handle
                self._end(handle, keep=keep)
            except BaseException as error:
                self._undo(handle, error)
                raise

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` inside one transaction, as `write` does it, for what is done for every event."""
        with self._own_lock():
            handle = self._begin()
            try:
                result = work(handle)
                self._end(handle, keep=True)
            except BaseException as error:
                self._undo(handle, error)
                raise
            return result

    def _begin(self) -> sqlite3.Connection:
        try:
            handle = self._open()
            handle.execute("BEGIN IMMEDIATE")  # a lock taken late fails at once when two readers want to write
            if self._patience != self._usual_patience:
                self._patience = self._usual_patience
                handle.execute(f"PRAGMA busy_timeout = {self._patience}")
        except sqlite3.Error as error:
            raise self._refused(error) from error
        return handle

    def _end(self, handle: sqlite3.Connection, *, keep: bool) -> None:
        handle.execute("COMMIT" if keep else "ROLLBACK")
        if keep and not self._stands():
            raise StoreError(f"store '{self.path}' was moved or deleted while it was written")
        self._spared = False
        self._watch.look()

    def _undo(self, handle: sqlite3.Connection, error: BaseException) -> None:
        """Roll back. Raises a StoreError in the place of an error of SQLite."""
        try:
            if handle.in_transaction:
                handle.execute("ROLLBACK")
        except sqlite3.Error as second:
            raise self._refused(second) from second
        # a row that is refused is a mistake of the program, not of the disk
        if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.IntegrityError):
            raise self._refused(error) from error

    def close(self) -> None:
        """Give up the connection; the next use opens another."""
        with self._own_lock():
            self._let_go()

    def stand_back(self) -> bool:
        """See `Forking.stand_back`. What is in memory stays."""
        lock = self._own_lock()
        if not lock.acquire(timeout=_FORK_PATIENCE):
            return False
        if self._handle is not None and self._handle.in_transaction:
            lock.release()
            return False
        if self._identity is not None:
            self._let_go()
        return True

    def go_on(self) -> None:
        """See `Forking.go_on`."""
        self._lock.release()

    def _let_go(self) -> None:
        if self._handle is None:
            return
        if not self._stands():
            self._leave_open()
        elif self._index is not None:
            self._index.close()
        else:
            self._handle.close()
        self._handle = self._index = None

    def _leave_open(self) -> None:
        if self._handle is not None:
            quarantine.leave_open(self._handle)
        if self._index is not None:
            self._index.forget()
        self._handle = self._index = None

    def _stands(self) -> bool:
        """Whether the file that is open is still the one that has the name."""
        return self._identity is None or quarantine.identity(self.path) == self._identity

    def _own_lock(self) -> threading.RLock:
        if os.getpid() != self._pid:  # a forked child must touch neither the parent's handle nor its lock
            self._pid = os.getpid()
            self._lock = threading.RLock()
            self._leave_open()
            self._writers = Writers(self.transact)
        return self._lock

    def _refused(self, error: sqlite3.Error) -> StoreError:
        """What to say of an error, after which the connection is let go."""
        self._learn(error)
        damaged = quarantine.is_damage(error) and self._identity is not None
        if damaged:
            self._leave_open()
        self._let_go()
        aside = self._set_aside(error, self._identity) if damaged and self._is_damaged() else ""
        return StoreError(f"store '{self.path}': {error}{aside}")

    def _learn(self, error: sqlite3.Error) -> None:
        """Wait for a lock less long from now on, until it is had, if a wait for it was in vain."""
        if is_busy(error):
            self._patience = _IMPATIENT_MS

    def _is_damaged(self) -> bool:
        """Whether a file is to be set aside that was just found damaged: to SQLite a disk that fails once is that, too.

        One that a second look finds whole is spared, once.
        """
        try:
            damaged = self._spared or bool(check_up(self.path).damage)
        except (sqlite3.Error, OSError):  # locked, or not to be read: nobody can tell
            damaged = False
        self._spared = not damaged
        return damaged

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
                if self._is_damaged():
                    self._set_aside(damaged.error, damaged.identity)
                elif quarantine.identity(self.path) == damaged.identity:
                    raise
                self._handle = self._connect()  # a new file, which another process may have begun
            self._opened += 1
            index = LogIndex(self._handle, self.path)
            if self._stands():
                self._index = index
            else:  # it may be that of the file in its place
                index.forget()
        return self._handle

    def _connect(self) -> sqlite3.Connection:
        in_memory = str(self.path) == ":memory:"
        found = None if in_memory else quarantine.identity(self.path)
        if found is None and not in_memory:
            begin_file(self.path)
        handle = None
        try:
            handle = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            handle.execute(f"PRAGMA busy_timeout = {self._patience}")
            write_ahead(handle)
            handle.execute("PRAGMA synchronous = FULL")  # a commit survives power loss, not only the process
            handle.execute(f"PRAGMA wal_autocheckpoint = {pages_of_log(room_at(self.path))}")
            migrate(handle, self.path)
        except sqlite3.Error as error:
            self._learn(error)
            damaged = found is not None and quarantine.is_damage(error)
            if handle is not None:
                quarantine.leave_open(handle) if damaged else handle.close()
            what = advice(error, read_only=is_mounted_read_only(self.path))
            text = f"store '{self.path}' cannot be opened: {error}; {what}"
            raise (_Damaged(text, error, found) if damaged else StoreError(text)) from error
        self._identity = None if in_memory else quarantine.identity(self.path)
        return handle


class _Damaged(StoreError):
    """What is at the path cannot be read as a database."""

    def __init__(self, text: str, error: sqlite3.Error, identity: quarantine.Identity | None) -> None:
        super().__init__(text)
        self.error = error
        self.identity = identity
