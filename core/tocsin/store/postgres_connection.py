"""Connections to PostgreSQL: opened late, anew after they were lost, each used by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from typing import Generic, TypeVar

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from tocsin.clock import Clock
from tocsin.errors import SecretError
from tocsin.store import postgres_text
from tocsin.store.postgres_address import Address, read_address
from tocsin.store.postgres_answering import ANSWER_WITHIN, Answering
from tocsin.store.postgres_schema import Db, check_server, lock_number, migrate, would_do
from tocsin.store.records import StoreError

T = TypeVar("T")

RECONNECT_FOR = timedelta(seconds=5)
"""How long a server that was there is asked again before its absence is an error."""
LOCK_WAIT = timedelta(seconds=5)
"""How long a writer waits for another process's transaction before it gives up."""
IDLE_LIMIT = timedelta(seconds=30)
"""How long a process that was stopped in a transaction may hold up the others."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two tries to connect
_REFUSED_FOR = 1.0  # seconds after which a server that could not be reached is asked again
_REFUSED_TIMES = 5  # as long as it let us wait for that, if that is longer: else whoever publishes does little else
_TRIES = 5
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected)


class _Unanswered(StoreError):
    """The server could not be reached; it may be soon."""


class Server:
    """Makes connections to one database, with the schema in place.

    A server that was there and is lost is waited for; while it stays away, whoever asks is refused at once.
    """

    def __init__(self, url: Callable[[], str], clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._worked = False
        self._refused_until = 0.0
        self._refusal = ""
        self.name = "[store] url"
        """How messages call the database; the password is not in it."""
        self.schema = ""

    def connect(self) -> Answering:
        """A new connection. Raises StoreError."""
        now = self._clock.monotonic()
        if self._refusal and now < self._refused_until:
            raise StoreError(self._refusal)
        deadline = now + (RECONNECT_FOR.total_seconds() if self._worked else 0.0)
        pause = _FIRST_PAUSE
        while True:
            began = self._clock.monotonic()
            try:
                handle = self._connect()
            except _Unanswered as error:
                ended = self._clock.monotonic()
                if ended + pause > deadline:
                    self._worked, self._refusal = False, str(error)
                    self._refused_until = ended + max(_REFUSED_FOR, _REFUSED_TIMES * (ended - began))
                    raise
                self._clock.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                self._worked, self._refusal = True, ""
                return handle

    def error(self, error: psycopg.Error) -> StoreError:
        """`error` as one line that names the database and what would do."""
        text = " ".join(str(error).split()) or type(error).__name__
        return StoreError(f"store '{self.name}': {text}{would_do(error, self.schema)}")

    def _connect(self) -> Answering:
        address = self._address()
        try:
            handle = Answering.connect(make_conninfo(**address.parameters), autocommit=True)
        except psycopg.Error as error:
            text = " ".join(str(error).split())
            raise _Unanswered(
                f"store '{self.name}' cannot be reached: {text}"
                f"{would_do(error, self.schema) or '; see that the server runs and that [store] url names it'}"
            ) from error
        handle.monotonic = self._clock.monotonic
        try:
            _prepare(handle, address)
        except psycopg.OperationalError as error:
            handle.close()
            raise _Unanswered(str(self.error(error))) from error
        except psycopg.Error as error:
            handle.close()
            raise self.error(error) from error
        except BaseException:
            handle.close()
            raise
        return handle

    def _address(self) -> Address:
        try:
            address = read_address(self._url())
        except SecretError as error:
            raise StoreError(f"[store] url: {error}") from error
        self.name, self.schema = address.name, address.schema
        return address


def _prepare(handle: Db, address: Address) -> None:
    check_server(handle, address.name)
    postgres_text.register(handle)
    handle.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(address.schema)))
    for name, value in (
        ("client_min_messages", "error"),
        ("default_transaction_isolation", "read committed"),
        ("idle_in_transaction_session_timeout", f"{IDLE_LIMIT // timedelta(milliseconds=1)}ms"),
        ("jit", "off"),
        ("lock_timeout", f"{LOCK_WAIT // timedelta(milliseconds=1)}ms"),
    ):
        handle.execute("SELECT set_config(%s, %s, false)", (name, value))
    handle.execute(  # a commit survives power loss; whoever wants more than that has it
        "SELECT set_config(name, 'on', false) FROM pg_settings"
        " WHERE name = 'synchronous_commit' AND setting IN ('off', 'local')"
    )
    migrate(handle, address.schema, address.name)


_WALKS_INDEXES = "; ".join(
    [
        *(f"SET enable_{way} = off" for way in ("bitmapscan", "hashjoin", "mergejoin", "seqscan", "sort")),
        "SET plan_cache_mode = force_generic_plan",  # to plan takes longer than to carry out
    ]
)


class Counted(Generic[T]):
    """Work that wants to know whether it was begun before: then it may have been done, though nobody heard of it."""

    def __init__(self, work: Callable[[Db, bool], T]) -> None:
        self._work = work
        self._begun = False

    def __call__(self, db: Db) -> T:
        """Do the work."""
        again, self._begun = self._begun, True
        return self._work(db, again)


class Lane:
    """One connection, for one use at a time.

    Every error of PostgreSQL comes out as a StoreError that names the database. One that was lost is opened anew.
    One that `reads` asks for much at once. The others ask for little out of much, and have the planner told so: what
    it knows of tables that grow and shrink within seconds is too old to be relied upon.
    """

    def __init__(self, server: Server, *, listens: bool = False, reads: bool = False) -> None:
        self._server = server
        self._reads = reads
        self._listens = listens
        self._lock = threading.RLock()
        self._handle: Answering | None = None
        self._committing = False

    def transact(self, work: Callable[[Db], T], *, locked: bool = False, again: bool = True, piped: bool = False) -> T:
        """Do `work` in one transaction, and return its result.

        `locked`: nobody else's locked transaction is under way meanwhile. What the server breaks off is done
        once more, so `work` must bear that; with `again` even where it may have been committed, since the
        connection was lost while waiting to hear. `piped`: what is asked is sent when its answer is wanted, together
        with all that was asked before it.
        """
        with self._lock:
            tries_left = _TRIES
            while True:
                tries_left -= 1
                self._committing = False
                try:
                    return self._once(work, locked=locked, piped=piped)
                except psycopg.IntegrityError:
                    raise  # a mistake of the program, not of the server
                except psycopg.Error as error:
                    if not tries_left or not self._passes(error) or (self._committing and not again):
                        raise self._server.error(error) from error

    def look(self, work: Callable[[Db], T]) -> T:
        """Do `work`, which only looks, and return its result."""
        return self.attempt(work)

    def attempt(self, work: Callable[[Db], T]) -> T:
        """Do `work`, which begins and ends transactions by itself, and return its result.

        What the server breaks off is done once more, even where it may have been committed.
        """
        with self._lock:
            tries_left = _TRIES
            while True:
                tries_left -= 1
                try:
                    return work(self._open())
                except BaseException as error:
                    self._undo(error)
                    if not isinstance(error, psycopg.Error) or isinstance(error, psycopg.IntegrityError):
                        raise
                    if not tries_left or not self._passes(error):
                        raise self._server.error(error) from error

    def close(self) -> None:
        """Give up the connection; the next use opens another."""
        with self._lock:
            self._close()

    def _once(self, work: Callable[[Db], T], *, locked: bool, piped: bool) -> T:
        try:
            handle = self._open()
            lock = f"; SELECT pg_advisory_xact_lock({lock_number(self._server.schema)})" if locked else ""
            with handle.pipeline() if piped and not locked else nullcontext():
                handle.execute(f"BEGIN{lock}".encode())
                result = work(handle)
                self._committing = True
                ended = handle.execute(b"COMMIT")
            if ended.statusmessage != "COMMIT":
                raise broken_off()
        except BaseException as error:
            self._undo(error)
            raise
        return result

    def _open(self) -> Db:
        if self._handle is not None and self._handle.closed:
            self._close()
        if self._handle is None:
            self._handle = self._server.connect()
            if not self._reads:
                self._handle.within = ANSWER_WITHIN
                self._handle.execute(_WALKS_INDEXES)
            if self._listens:
                self._handle.execute(f"LISTEN {notices(self._server.schema)}")
        return self._handle

    def _passes(self, error: psycopg.Error) -> bool:
        """Whether it may go well when tried again: two were in each other's way, or the connection was lost."""
        return isinstance(error, _AGAIN) or self._handle is None

    def _undo(self, error: BaseException) -> None:
        """Leave the connection ready for the next use, or leave none."""
        handle = self._handle
        if handle is None:
            return
        status = handle.info.transaction_status
        if not _lost(error) and status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                handle.execute("ROLLBACK")
                return
        if _lost(error) or status is not TransactionStatus.IDLE:
            self._close()

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None


def _lost(error: BaseException) -> bool:
    """Whether the server has ended the connection, or is about to."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate.startswith(("08", "57P", "25P0"))


def notices(schema: str) -> str:
    """The channel on which those who write to a schema say that something was planned.

    >>> notices("tocsin").startswith("tocsin_")
    True
    """
    return f"tocsin_{lock_number(schema) % 2**64:016x}"


def broken_off() -> psycopg.Error:
    """An error inside was swallowed by what decides; what it believes to be stored is not."""
    return psycopg.DatabaseError("the transaction was broken off, and nothing of it is stored")
