"""The tables of the SQLite outbox, as numbered steps."""


def _iso(column: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%S', {column} / 1000000, 'unixepoch') || printf('.%06dZ', {column} % 1000000)"


def _part(text: str) -> str:
    return rf"replace(replace({text}, '\', '\\'), char(31), '\u')"  # as the hub writes a part of a key


_OPENED_AT = _iso("i.opened_at")
_GROUP_KEY = f"'single' || char(31) || {_part('key')}"
_LAST = "(SELECT {what} FROM events AS e WHERE e.incident = i.number ORDER BY e.sequence DESC LIMIT 1)"
_TOLD = "deliveries AS d WHERE d.incident = i.number AND d.status != 'dead'"
_LAST_TOLD = f"""(SELECT d.channel, d.route, d.template, max(d.number),
                (SELECT e.id FROM events AS e WHERE e.sequence = d.event) AS event FROM {_TOLD} GROUP BY d.channel)"""

_STEP_3_DELIVERIES = """
    ALTER TABLE deliveries ADD COLUMN wait INTEGER NOT NULL DEFAULT 0;    -- before due_at: then this was written
    ALTER TABLE deliveries ADD COLUMN since INTEGER;                      -- its thread waits for it since then, if not
                                                                          -- since created_at: the clock was set back
    ALTER TABLE deliveries ADD COLUMN held_until INTEGER;                 -- an older one of its thread holds it up
    DROP INDEX deliveries_due;
    DROP INDEX deliveries_incident;
    DROP INDEX deliveries_event;
    CREATE INDEX deliveries_due ON deliveries (channel, coalesce(held_until, due_at))
        WHERE status IN ('pending', 'leased');
    UPDATE deliveries SET wait = max(0, due_at - strftime('%s', 'now') * 1000000)
        WHERE status IN ('pending', 'leased');
    CREATE TABLE clock (what TEXT NOT NULL, latest INTEGER NOT NULL);  -- about when deliveries were written last
    INSERT INTO clock (what, latest) SELECT 'deliveries', coalesce(max(created_at), 0) FROM deliveries;
    """
"""Step 3: what is due by channel, and by a clock that may be set back."""

_STEP_3_CELLS = """
    ALTER TABLE cells RENAME TO cells_before;
    CREATE TABLE cells (                     -- documents, one behind the other: kept in the order of their keys, each
        kind    TEXT NOT NULL,               -- new one would move others, and be written several times
        key     TEXT NOT NULL,
        parent  TEXT NOT NULL,               -- what it belongs to
        subject TEXT NOT NULL,               -- the incident that it is about
        due_at  INTEGER,                     -- when its time comes
        body    TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    );
    INSERT INTO cells (kind, key, parent, subject, due_at, body)
        SELECT kind, key, parent, subject, due_at, body FROM cells_before;
    DROP TABLE cells_before;
    CREATE INDEX cells_due ON cells (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX cells_parent ON cells (parent, kind) WHERE parent != '';
    CREATE INDEX cells_subject ON cells (subject, kind) WHERE subject != '';
    """
"""Step 3, too: what the alerting stages remember takes fewer pages to write."""

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
    f"""
    ALTER TABLE incidents ADD COLUMN body TEXT NOT NULL DEFAULT '';
    UPDATE incidents AS i SET body = json_object('key', key, 'opened_at', {_OPENED_AT});
    UPDATE incidents AS i SET body = json_patch(body, json_object(
        'event', coalesce({_LAST.format(what="e.id")}, ''),
        'state', coalesce({_LAST.format(what="json_extract(e.body, '$.state')")}, ''),
        'run_id', coalesce((SELECT json_extract(e.body, '$.run_id') FROM events AS e WHERE e.incident = i.number
                            ORDER BY e.sequence LIMIT 1), ''),
        'failures', (SELECT count(*) FROM events AS e WHERE e.incident = i.number
                     AND json_extract(e.body, '$.state') != 'Retrying'),
        'channels', json((SELECT json_group_array(DISTINCT d.channel) FROM deliveries AS d
                          WHERE d.incident = i.number))
    )) WHERE closed_at IS NULL;

    ALTER TABLE deliveries ADD COLUMN thread TEXT NOT NULL DEFAULT '';
    ALTER TABLE deliveries ADD COLUMN body TEXT NOT NULL DEFAULT '';
    UPDATE deliveries SET thread = 'i' || incident WHERE incident IS NOT NULL;
    UPDATE deliveries AS d SET body = json_object('channel', channel, 'route', route, 'action', action,
        'template', template, 'thread', thread,
        'incident', coalesce((SELECT i.key FROM incidents AS i WHERE i.number = d.incident), ''),
        'opened_at', (SELECT {_OPENED_AT} FROM incidents AS i WHERE i.number = d.incident),
        'events', json_array((SELECT e.id FROM events AS e WHERE e.sequence = d.event)));
    DROP INDEX deliveries_lane;
    CREATE INDEX deliveries_lane ON deliveries (thread, channel, number)
        WHERE status IN ('pending', 'leased') AND thread != '';

    ALTER TABLE receipts RENAME TO receipts_of_incidents;
    CREATE TABLE receipts (
        thread  TEXT NOT NULL,
        channel TEXT NOT NULL,
        receipt TEXT NOT NULL,
        at      INTEGER NOT NULL,
        PRIMARY KEY (thread, channel)
    ) WITHOUT ROWID;
    INSERT INTO receipts (thread, channel, receipt, at)
        SELECT 'i' || r.incident, r.channel, r.receipt, coalesce(i.closed_at, i.opened_at)
        FROM receipts_of_incidents AS r JOIN incidents AS i ON i.number = r.incident;
    DROP TABLE receipts_of_incidents;

    CREATE TABLE cells (                     -- what the alerting stages remember, one document each
        kind    TEXT NOT NULL,
        key     TEXT NOT NULL,
        parent  TEXT NOT NULL,               -- what it belongs to
        subject TEXT NOT NULL,               -- the incident that it is about
        due_at  INTEGER,                     -- when its time comes
        body    TEXT NOT NULL,
        PRIMARY KEY (kind, key)
    ) WITHOUT ROWID;
    CREATE INDEX cells_due ON cells (due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX cells_parent ON cells (parent, kind) WHERE parent != '';
    CREATE INDEX cells_subject ON cells (subject, kind) WHERE subject != '';

    INSERT INTO cells (kind, key, parent, subject, body)
        SELECT 'group', {_GROUP_KEY}, i.route, i.thread, json_object('key', {_GROUP_KEY}, 'kind', 'single',
            'route', i.route, 'thread', i.thread, 'name', i.key, 'opened_at', {_OPENED_AT},
            'first_flush', {_OPENED_AT}, 'last_flush', {_OPENED_AT},
            'channels', json((SELECT json_group_object(channel, json_object('sent_at', at, 'count', count)) FROM (
                SELECT d.channel, {_iso("max(d.created_at)")} AS at, count(*) AS count
                FROM {_TOLD} GROUP BY d.channel))))
        FROM (SELECT *, 'i' || number AS thread, (SELECT d.route FROM {_TOLD} ORDER BY d.number LIMIT 1) AS route
              FROM incidents AS i WHERE closed_at IS NULL) AS i WHERE i.route IS NOT NULL;
    INSERT INTO cells (kind, key, parent, subject, body)
        SELECT 'member', {_part("c.key")} || char(31) || {_part("i.key")}, c.key, i.key, json_object('group', c.key,
            'key', i.key, 'event', json_extract(i.body, '$.event'), 'at', {_OPENED_AT}, 'since', {_OPENED_AT},
            'subject', i.key, 'state', json_extract(i.body, '$.state'), 'number', i.number,
            'targets', json((SELECT json_group_object(channel, json_object('route', route, 'template', template,
                'face', event)) FROM {_LAST_TOLD})),
            'told', json((SELECT json_group_object(channel, event) FROM {_LAST_TOLD})))
        FROM incidents AS i JOIN cells AS c ON c.subject = 'i' || i.number WHERE i.closed_at IS NULL;

    CREATE TABLE suppressions (
        number  INTEGER PRIMARY KEY AUTOINCREMENT,
        at      INTEGER NOT NULL,
        event   TEXT NOT NULL,
        route   TEXT NOT NULL,
        channel TEXT NOT NULL,
        stage   TEXT NOT NULL,
        rule    TEXT NOT NULL,
        reason  TEXT NOT NULL
    );
    CREATE INDEX suppressions_event ON suppressions (event);
    CREATE INDEX suppressions_at ON suppressions (at);
    """,
    _STEP_3_DELIVERIES + _STEP_3_CELLS,
)
"""Each step takes the schema from the version before it to the next; a step that was released never changes."""
