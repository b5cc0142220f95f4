"""The tables of the PostgreSQL outbox, as numbered steps, and how a database is brought up to date."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any, TypeAlias

import psycopg
from psycopg import errors, sql

from tocsin.store.records import StoreError

Db: TypeAlias = "psycopg.Connection[tuple[Any, ...]]"

_STEP_2_DELIVERIES = """
    ALTER TABLE deliveries
        ADD COLUMN wait bigint NOT NULL DEFAULT 0,          -- before due_at: then this was written
        ADD COLUMN since bigint,                            -- its thread waits for it since then, if not since
                                                            -- created_at: the clock was set back
        ADD COLUMN held_until bigint;                       -- an older one of its thread holds it up
    DROP INDEX deliveries_due;
    CREATE INDEX deliveries_due ON deliveries (channel, coalesce(held_until, due_at), number)
        WHERE status IN ('pending', 'leased');
    UPDATE deliveries SET wait = greatest(0, due_at - (extract(epoch FROM now()) * 1000000)::bigint)
        WHERE status IN ('pending', 'leased');
    INSERT INTO counters (name, value)       -- about the latest time at which deliveries were written
        SELECT 'clock', coalesce(max(created_at), 0) FROM deliveries;
    """
"""Step 2: what is due by channel, and by a clock that may be set back."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE counters (               -- numbers without gaps, in the order of commits
        name  text PRIMARY KEY,
        value bigint NOT NULL
    );
    INSERT INTO counters (name, value) VALUES ('events', 0), ('incidents', 0);

    CREATE TABLE incidents (
        number    bigint PRIMARY KEY,
        key       text COLLATE "C" NOT NULL,
        opened_at bigint NOT NULL,
        closed_at bigint,
        body      text NOT NULL
    );
    CREATE INDEX incidents_open ON incidents (hashtextextended(key, 0)) WHERE closed_at IS NULL;  -- a key may be long
    CREATE INDEX incidents_closed ON incidents (closed_at) WHERE closed_at IS NOT NULL;

    CREATE TABLE events (
        sequence bigint PRIMARY KEY,
        id       text COLLATE "C" NOT NULL UNIQUE,
        at       bigint NOT NULL,
        incident bigint,
        run_id   text COLLATE "C" NOT NULL,
        body     text NOT NULL
    );
    CREATE INDEX events_at ON events (at);
    CREATE INDEX events_run ON events (run_id);
    CREATE INDEX events_incident ON events (incident) WHERE incident IS NOT NULL;

    CREATE TABLE deliveries (
        number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        id          text COLLATE "C" NOT NULL UNIQUE,
        event       bigint NOT NULL REFERENCES events (sequence),
        incident    bigint,
        thread      text COLLATE "C" NOT NULL,
        channel     text COLLATE "C" NOT NULL,
        route       text NOT NULL,
        action      text NOT NULL,
        template    text NOT NULL,
        body        text NOT NULL,
        status      text NOT NULL DEFAULT 'pending',
        attempts    integer NOT NULL DEFAULT 0,
        created_at  bigint NOT NULL,
        due_at      bigint NOT NULL,         -- while leased: when the lease runs out
        owner       text NOT NULL DEFAULT '',
        token       bigint NOT NULL DEFAULT 0,
        may_repeat  boolean NOT NULL DEFAULT false,
        finished_at bigint,
        reason      text NOT NULL DEFAULT '',
        detail      text NOT NULL DEFAULT '',
        receipt     text
    ) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
    CREATE INDEX deliveries_due ON deliveries (due_at, number) WHERE status IN ('pending', 'leased');
    CREATE INDEX deliveries_lane ON deliveries (thread, channel, number)
        WHERE status IN ('pending', 'leased') AND thread <> '';
    CREATE INDEX deliveries_thread ON deliveries (thread) WHERE thread <> '';
    CREATE INDEX deliveries_event ON deliveries (event);
    CREATE INDEX deliveries_incident ON deliveries (incident) WHERE incident IS NOT NULL;
    CREATE INDEX deliveries_leased ON deliveries (owner) WHERE status = 'leased';
    CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
    CREATE INDEX deliveries_dead ON deliveries (number) WHERE status = 'dead';

    CREATE TABLE attempts (
        number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        delivery bigint NOT NULL REFERENCES deliveries (number) ON DELETE CASCADE,
        token    bigint NOT NULL,
        at       bigint NOT NULL,
        took     bigint NOT NULL,
        outcome  text NOT NULL,
        reason   text NOT NULL,
        detail   text NOT NULL
    );
    CREATE INDEX attempts_delivery ON attempts (delivery);

    CREATE TABLE receipts (
        thread  text COLLATE "C" NOT NULL,
        channel text COLLATE "C" NOT NULL,
        receipt text NOT NULL,
        at      bigint NOT NULL,
        PRIMARY KEY (thread, channel)
    );
    CREATE INDEX receipts_at ON receipts (at);

    CREATE TABLE cells (                     -- what the alerting stages remember, one document each
        kind    text COLLATE "C" NOT NULL,
        key     text COLLATE "C" NOT NULL,
        parent  text COLLATE "C" NOT NULL,   -- what it belongs to
        subject text COLLATE "C" NOT NULL,   -- the incident that it is about
        due_at  bigint,                      -- when its time comes
        body    text NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0.05);
    CREATE INDEX cells_key ON cells (kind, hashtextextended(key, 0));
    CREATE INDEX cells_due ON cells (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX cells_parent ON cells (kind, hashtextextended(parent, 0)) WHERE parent <> '';
    CREATE INDEX cells_subject ON cells (kind, hashtextextended(subject, 0)) WHERE subject <> '';

    CREATE TABLE suppressions (
        number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at      bigint NOT NULL,
        event   text COLLATE "C" NOT NULL,
        route   text NOT NULL,
        channel text NOT NULL,
        stage   text NOT NULL,
        rule    text NOT NULL,
        reason  text NOT NULL
    );
    CREATE INDEX suppressions_event ON suppressions (event);
    CREATE INDEX suppressions_at ON suppressions (at);

    CREATE TABLE inbox (
        number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        delivery text COLLATE "C" NOT NULL UNIQUE,
        at       bigint NOT NULL,
        channel  text NOT NULL,
        action   text NOT NULL,
        severity text NOT NULL,
        title    text NOT NULL,
        text     text NOT NULL
    );
    CREATE INDEX inbox_at ON inbox (at);
    """,
    _STEP_2_DELIVERIES,
)
"""Each step takes the schema from the version before it to the next; a step that was released never changes."""

_OLDEST = 120000
"""The first version of PostgreSQL that knows all that is used here."""


@cache
def lock_number(schema: str) -> int:
    """The advisory lock that whoever writes to the tables of a schema holds, and the name of its notices.

    >>> lock_number("tocsin") == lock_number("tocsin") != lock_number("other")
    True
    """
    return int.from_bytes(hashlib.sha256(f"tocsin {schema}".encode()).digest()[:8], signed=True)


def migrate(db: Db, schema: str, name: str) -> None:
    """Bring the schema up to date in one transaction. Raises StoreError for one newer than this tocsin."""
    if (version := _version(db)) < len(MIGRATIONS):
        lock = lock_number(schema)
        db.execute(
            f"SELECT pg_advisory_lock({lock})"
        )  # before the transaction, which else would not see what came before
        try:
            with db.transaction():
                version = _step_up(db, schema)
        finally:
            if not db.closed:
                db.execute(f"SELECT pg_advisory_unlock({lock})")
    if version > len(MIGRATIONS):
        raise StoreError(
            f"store '{name}' was written by a newer tocsin (schema {version}, this one knows {len(MIGRATIONS)}); "
            "upgrade tocsin, or set [store] url to another database"
        )


def _step_up(db: Db, schema: str) -> int:
    version = _version(db)  # another process may have been quicker
    if version == 0:
        _make_schema(db, schema)
    for step in MIGRATIONS[version:]:
        db.execute(step.encode())
    version = max(version, len(MIGRATIONS))
    db.execute("UPDATE schema_version SET version = %s", (version,))
    return version


def _version(db: Db) -> int:
    if db.execute("SELECT to_regclass('schema_version')").fetchone() == (None,):
        return 0
    row = db.execute("SELECT version FROM schema_version").fetchone()
    return 0 if row is None else int(row[0])


def _make_schema(db: Db, schema: str) -> None:
    # not IF NOT EXISTS, which asks for the right to make schemas even where there is nothing to make
    if db.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone() is None:
        db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    db.execute("CREATE TABLE schema_version (version integer NOT NULL)")
    db.execute("INSERT INTO schema_version (version) VALUES (0)")


def check_server(db: Db, name: str) -> None:
    """Raise StoreError for a server, or a database, that cannot hold an outbox."""
    if db.info.server_version < _OLDEST:
        raise StoreError(f"store '{name}' is a PostgreSQL {db.info.server_version // 10000}; tocsin needs 12 or newer")
    encoding = db.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"store '{name}' keeps text as {encoding}, which cannot hold every message; "
            "set [store] url to a database made with ENCODING 'UTF8'"
        )


def would_do(error: psycopg.Error, schema: str) -> str:
    """What an operator can do about an error; empty where nothing is known."""
    match error:
        case errors.InsufficientPrivilege():
            return f"; let the user create and use schema '{schema}' and its tables"
        case errors.DuplicateTable() | errors.DuplicateObject():
            return f"; schema '{schema}' holds tables of another program: name one that is empty in [store] url"
        case errors.LockNotAvailable():
            return "; another process is in the middle of a change to it"
        case errors.ReadOnlySqlTransaction():
            return "; set [store] url to the primary server"
        case errors.InvalidPassword() | errors.InvalidAuthorizationSpecification():
            return "; see to the user and the password in [store] url"
        case errors.InvalidCatalogName():
            return "; create the database, or name another in [store] url"
    return ""
