"""How the runs of a process that has died become `Crashed`, once, and are announced by its supervisor."""

from __future__ import annotations

import pendulum

from tocsin.assembly import Assembly
from tocsin.crashpoints import Point, reached
from tocsin.hub.heartbeats import SOURCE, crashed
from tocsin.hub.rounds import living
from tocsin.masked import logger
from tocsin.store.records import StoreError
from tocsin.supervision.child import Ended
from tocsin_hooks.events import Event
from tocsin_hooks.states import Crashed, Running, family

_log = logger("tocsin")


def announce(assembly: Assembly, ended: Ended, words: str) -> bool:
    """Declare dead the runs that the process had under way; whether its own was among them.

    What the store refuses waits in the spill file.
    """
    reached(Point.CHILD_ENDED)
    told, hub = ended.told, assembly.hub
    buried: set[str] = set()
    try:
        for cell, beat in living(assembly.store):
            if beat.process == ended.process:
                hub.bury(cell.key, beat.process, words)
                buried.add(Event.from_json(beat.event).run_id)
    except StoreError as error:
        _log.error("the runs of the process cannot be looked up: %s", error)
    if buried:
        reached(Point.CHILD_ANNOUNCED)
    if told.run_id in buried or told.known or told.state:
        return told.run_id in buried
    now = assembly.clock.now()
    event = crashed(_began(told.flow, told.run_id, now), words, at=now, heard_at=now, host=ended.process.host)
    hub.publish(event, Crashed(words))
    reached(Point.CHILD_ANNOUNCED)
    return True


def _began(flow: str, run_id: str, now: pendulum.DateTime) -> Event:
    """The beginning of a run of which the store has none: it refused, or the process was quicker dead."""
    kind = type(Running()).__name__
    return Event("", now, flow, run_id, kind, family(Running), source=SOURCE)
