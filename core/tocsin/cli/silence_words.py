"""How a silence is told: in a sentence, in a row of a table, as data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tocsin.cli.operating import SHORT
from tocsin.cli.output import count, when
from tocsin.routing.moments import moment_text
from tocsin.routing.silences import Silence
from tocsin.routing.windows import describe
from tocsin.store.records import Incident

HEADINGS = ("ID", "STATUS", "STARTS (UTC)", "ENDS (UTC)", "WHENEVER", "FILTER", "BY", "COMMENT")
_OPTIONAL = ("WHENEVER", "COMMENT")
_MOST = 10


def sentence(silence: Silence, now: datetime, timezone: str) -> str:
    """What a silence hides, and from when until when.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> made = Silence("1a2b", "flow=etl", "", "ann", noon, noon, noon.replace(hour=14))
    >>> sentence(made, noon, "Europe/Berlin")
    'flow=etl is silent until 15:00:00 Europe/Berlin'
    """
    starts = f" from {moment_text(silence.starts_at, now, timezone)}" if silence.status(now) == "pending" else ""
    window = f" whenever it is {describe(silence.window)}" if silence.window else ""
    return f"{silence.filter_text} {_verb(silence, now)}{starts}{window}{_end(silence, now, timezone)}"


def _verb(silence: Silence, now: datetime) -> str:
    return {"pending": "will be silent", "active": "is silent", "expired": "was silent"}[silence.status(now)]


def _end(silence: Silence, now: datetime, timezone: str) -> str:
    if silence.ends_at is not None:
        return f" until {moment_text(silence.ends_at, now, timezone)}"
    return " until it has recovered" if silence.until_recovered else ""


def mutes(silence: Silence, incidents: Sequence[Incident], now: datetime) -> str:
    """Which open incidents a silence is for."""
    if not incidents:
        more = "; it waits for the first that does" if silence.until_recovered else ""
        return f"no open incident matches{more}"
    listed = ", ".join(f"#{incident.number} {incident.key}" for incident in incidents[:_MOST])
    more = f" and {len(incidents) - _MOST} more" if len(incidents) > _MOST else ""
    verb = "mutes" if silence.in_force(now) else "will mute"
    return f"{verb} {count(len(incidents), 'open incident')}: {listed}{more}"


def rows(silences: Iterable[Silence], broken: Mapping[str, str], now: datetime) -> list[tuple[str, ...]]:
    """The rows of a table of silences below `HEADINGS`."""
    return [
        (
            silence.id[:SHORT],
            status(silence, broken, now),
            when(silence.starts_at),
            when(silence.ends_at) or ("on recovery" if silence.until_recovered else "never"),
            describe(silence.window) if silence.window else "",
            silence.filter_text,
            silence.created_by,
            silence.comment,
        )
        for silence in silences
    ]


def status(silence: Silence, broken: Mapping[str, str], now: datetime) -> str:
    """How a silence stands; one that should hide something and cannot is `broken`."""
    stands = silence.status(now)
    return "broken" if silence.id in broken and stands != "expired" else stands


def without_empty(
    headings: Sequence[str], rows_: Sequence[Sequence[str]]
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A table without the columns that may be missing and are empty in every row.

    >>> without_empty(("ID", "COMMENT"), [("1a", ""), ("2b", "")])
    (('ID',), [('1a',), ('2b',)])
    """
    kept = [n for n, name in enumerate(headings) if name not in _OPTIONAL or any(row[n] for row in rows_)]
    return tuple(headings[n] for n in kept), [tuple(row[n] for n in kept) for row in rows_]


def as_data(
    silence: Silence, now: datetime, *, broken: str = "", incidents: Sequence[Incident] | None = None
) -> dict[str, Any]:
    """A silence as plain data: how it stands, why it hides nothing, and the open incidents it is for."""
    data = {
        **silence.to_dict(),
        "status": silence.status(now),
        "in_force": silence.in_force(now) and not broken,
        "broken": broken or None,
    }
    if incidents is None:
        return data
    return {**data, "incidents": [{"number": incident.number, "key": incident.key} for incident in incidents]}
