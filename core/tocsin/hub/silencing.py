"""Silences in the store: kept, changed, ended, and what speaks again once they end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta

from tocsin.hub.turn import SILENCE, Turn, silences_of
from tocsin.routing.moments import later
from tocsin.routing.silences import Silence, expired
from tocsin.store.protocol import Transaction
from tocsin.store.records import Cell, Incident
from tocsin_hooks.errors import TocsinError

_KEPT = timedelta(days=5)  # as Alertmanager keeps them
META, VERSION = "meta", "silences"
"""The document that changes with every change of a silence."""


def version_of(tx: Transaction) -> str:
    """A text that is another after a silence was added, changed or ended."""
    cell = tx.cell(META, VERSION)
    return "" if cell is None else cell.body


def write(tx: Transaction, silence: Silence) -> None:
    """Keep a silence, for some days after its end."""
    forget_at = None if silence.ends_at is None else later(silence.ends_at, _KEPT)
    body = json.dumps(silence.to_dict())
    tx.put(Cell(SILENCE, silence.id, body, due_at=forget_at))
    # of what was written, not a count: one that was undone may have been seen, and another may follow in its place
    version = hashlib.sha256(f"{version_of(tx)} {body}".encode()).hexdigest()[:32]
    tx.put(Cell(META, VERSION, version))


def find(tx: Transaction, prefix: str) -> Silence:
    """The silence whose id begins with `prefix`. Raises TocsinError where that is none, or several."""
    found = [silence for silence in silences_of(tx) if prefix and silence.id.startswith(prefix)]
    exact = [silence for silence in found if silence.id == prefix]
    if len(found) == 1 or exact:
        return (exact or found)[0]
    if not found:
        raise TocsinError(f"no silence has an id that begins with '{prefix}'; 'tocsin silence list --all' shows them")
    ids = ", ".join(f"'{silence.id[: len(prefix) + 4]}'" for silence in found[:5])
    raise TocsinError(f"{len(found)} silences have ids that begin with '{prefix}': {ids}; give more of it")


def end(turn: Turn, silence: Silence, *, by: str, resume: Callable[[Turn, str], None]) -> Silence:
    """End a silence now; what it muted is told at once, if it is not over."""
    ended = expired(silence, now=turn.now, by=by)
    write(turn.tx, ended)
    turn.refresh()
    speak(turn, silence.id, resume)
    return ended


def speak(turn: Turn, silence_id: str, resume: Callable[[Turn, str], None]) -> None:
    """Offer again what a silence muted, and let escalations go on that it held up."""
    turn.escalate += [cell.key for cell in turn.tx.cells("escalation")]
    for cell in turn.tx.cells("muted", parent=f"silence:{silence_id}"):
        resume(turn, cell.key)


def over_with(turn: Turn, incident: Incident) -> list[Silence]:
    """The silences that last until recovery and whose last problem has just recovered."""
    waiting = [s for s in silences_of(turn.tx) if s.until_recovered and s.status(turn.now) == "active"]
    last = turn.event(incident.event) if waiting else None
    if last is None:
        return []
    return [s for s in waiting if _covers(turn, s, incident) and not _any_open(turn, s)]


def _covers(turn: Turn, silence: Silence, incident: Incident) -> bool:
    event = turn.event(incident.event)
    return event is not None and turn.silences.covers(silence.id, event)


def _any_open(turn: Turn, silence: Silence) -> bool:
    return any(_covers(turn, silence, incident) for incident in turn.tx.open_incidents())
