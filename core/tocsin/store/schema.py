"""The tables of the SQLite outbox, as numbered steps."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE incidents (
        number    INTEGER PRIMARY KEY AUTOINCREMENT,
        key       TEXT NOT NULL,
        opened_at INTEGER NOT NULL,
        closed_at INTEGER
    );
    CREATE UNIQUE INDEX incidents_open ON incidents (key) WHERE closed_at IS NULL;

    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY AUTOINCREMENT,
        id       TEXT NOT NULL UNIQUE,
        at       INTEGER NOT NULL,
        incident INTEGER REFERENCES incidents (number),
        body     TEXT NOT NULL
    );
    CREATE INDEX events_at ON events (at);

    CREATE TABLE deliveries (
        number      INTEGER PRIMARY KEY AUTOINCREMENT,
        id          TEXT NOT NULL UNIQUE,
        event       INTEGER NOT NULL REFERENCES events (sequence),
        incident    INTEGER REFERENCES incidents (number),
        channel     TEXT NOT NULL,
        route       TEXT NOT NULL,
        action      TEXT NOT NULL,
        template    TEXT NOT NULL,
        status      TEXT NOT NULL,
        attempts    INTEGER NOT NULL DEFAULT 0,
        created_at  INTEGER NOT NULL,
        due_at      INTEGER NOT NULL,      -- while leased: when the lease runs out
        owner       TEXT NOT NULL DEFAULT '',
        token       INTEGER NOT NULL DEFAULT 0,
        may_repeat  INTEGER NOT NULL DEFAULT 0,
        finished_at INTEGER,
        reason      TEXT NOT NULL DEFAULT '',
        detail      TEXT NOT NULL DEFAULT '',
        receipt     TEXT
    );
    CREATE INDEX deliveries_due ON deliveries (due_at) WHERE status IN ('pending', 'leased');
    CREATE INDEX deliveries_lane ON deliveries (incident, channel, number) WHERE status IN ('pending', 'leased');
    CREATE INDEX deliveries_incident ON deliveries (incident, channel);
    CREATE INDEX deliveries_event ON deliveries (event);
    CREATE INDEX deliveries_leased ON deliveries (owner) WHERE status = 'leased';
    CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
    CREATE INDEX deliveries_dead ON deliveries (number) WHERE status = 'dead';

    CREATE TABLE attempts (
        delivery INTEGER NOT NULL REFERENCES deliveries (number),
        at       INTEGER NOT NULL,
        took     INTEGER NOT NULL,
        outcome  TEXT NOT NULL,
        reason   TEXT NOT NULL,
        detail   TEXT NOT NULL
    );
    CREATE INDEX attempts_delivery ON attempts (delivery);

    CREATE TABLE receipts (
        incident INTEGER NOT NULL REFERENCES incidents (number),
        channel  TEXT NOT NULL,
        receipt  TEXT NOT NULL,
        PRIMARY KEY (incident, channel)
    ) WITHOUT ROWID;

    CREATE TABLE inbox (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        delivery TEXT NOT NULL UNIQUE,
        at       INTEGER NOT NULL,
        channel  TEXT NOT NULL,
        action   TEXT NOT NULL,
        severity TEXT NOT NULL,
        title    TEXT NOT NULL,
        text     TEXT NOT NULL
    );
    """,
)
"""Each step takes the schema from the version before it to the next; a step that was released never changes."""
