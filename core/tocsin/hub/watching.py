"""Watches: runs that did not come, and runs that do not end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tocsin.hub.turn import Turn, join
from tocsin.routing import too_long, watches
from tocsin.routing.moments import utc
from tocsin.routing.router import Target
from tocsin.routing.too_long import RunMemory
from tocsin.routing.watches import WatchMemory, WatchVerdict
from tocsin.settings.alerts import Watch, WatchKind
from tocsin_hooks.events import Event, event_id

SOURCE = "watch"
"""The source of the events of watches."""
WATCH, RUN, DURATIONS = "watch", "watched run", "durations"
"""The names of the documents: of `missed` watches, of runs under way, and of how long runs took."""
_KEPT = 100  # durations of a flow


@dataclass(frozen=True, slots=True)
class Watching:
    """A `missed` watch and what it remembers; `definition` tells when the config has made it another."""

    definition: str
    memory: WatchMemory
    run_id: str = ""
    """Of the run that was seen last."""


@dataclass(frozen=True, slots=True)
class WatchedRun:
    """A run under way that must not take too long."""

    watch: str
    run_id: str
    run_name: str
    memory: RunMemory


@dataclass(frozen=True, slots=True)
class Durations:
    """How many seconds the last runs of a flow took that succeeded, the newest last."""

    seconds: tuple[float, ...] = ()


def prepare(turn: Turn) -> None:
    """Begin with the watches that are new or have changed, forget those that are gone."""
    named = {watch.name: watch for watch in turn.policy.watches}
    for cell in turn.tx.cells(WATCH):
        known, watch = turn.memory(Watching, WATCH, cell.key), named.get(cell.key)
        if known is None or watch is None or known.definition != _definition(watch):
            turn.tx.drop(WATCH, cell.key)
            if known is not None and known.memory.alarmed_since is not None:
                _recover(turn, cell.key, None, "the watch was changed or taken out of the config")
    for cell in turn.tx.cells(RUN):
        if cell.parent not in named:
            turn.tx.drop(RUN, cell.key)
    for watch in turn.policy.watches:
        if watch.kind is WatchKind.MISSED and turn.tx.cell(WATCH, watch.name) is None:
            memory = watches.begin(watch, since=turn.now)
            _keep(turn, watch, memory, watches.check(memory, watch, turn.now).ask_again_at)


def concerns(turn: Turn, event: Event) -> bool:
    """Whether an event is a change of a run that some watch is about."""
    if event.task or event.source == SOURCE or not turn.policy.watches:
        return False
    return any(_is_about(watch, event) for watch in turn.policy.watches)


def take(turn: Turn, event: Event) -> None:
    """Take note of a run that begins or ends."""
    for watch in turn.policy.watches:
        if not _is_about(watch, event):
            continue
        if watch.kind is WatchKind.MISSED:
            _take_run(turn, watch, event)
        elif event.is_a("Running"):
            _begin_run(turn, watch, event)
        elif event.is_a("Finished"):
            _end_run(turn, watch, event)
    if event.is_a("Success") and event.duration is not None:
        known = turn.memory(Durations, DURATIONS, event.flow) or Durations()
        turn.remember(DURATIONS, event.flow, Durations((*known.seconds, event.duration)[-_KEPT:]))


def _is_about(watch: Watch, event: Event) -> bool:
    if watch.flow is not None and watch.flow != event.flow:
        return False
    return watch.filter is None or watch.filter.matches(event)


# ---------------------------------------------------------------- missed


def look(turn: Turn, key: str) -> None:
    """See whether a run is missing."""
    known, watch = turn.memory(Watching, WATCH, key), _named(turn, key)
    if known is None or watch is None:
        turn.tx.drop(WATCH, key)
        return
    checked = watches.check(known.memory, watch, turn.now)
    _keep(turn, watch, checked.memory, checked.ask_again_at, known.run_id)
    if checked.verdict is WatchVerdict.MISSED:
        identity = f"{key} {checked.memory.after.isoformat()}"
        _alarm(turn, watch, "Missed", checked.reason, identity, flow=watch.flow or "")
    elif checked.verdict is WatchVerdict.AGAIN:
        turn.note("watch", "notes", checked.reason, rule=key)


def _take_run(turn: Turn, watch: Watch, event: Event) -> None:
    if not (event.is_a("Running") or event.is_a("Finished")):
        return
    known = turn.memory(Watching, WATCH, watch.name)
    if known is not None and event.run_id and known.run_id == event.run_id:
        return  # its beginning was seen
    began = utc(event.time) - timedelta(seconds=event.duration or 0.0)
    seen = watches.satisfied(None if known is None else known.memory, watch, began)
    _keep(turn, watch, seen.memory, seen.ask_again_at, event.run_id)
    if seen.ends_alarm:
        _recover(turn, watch.name, event, seen.reason)


def _keep(turn: Turn, watch: Watch, memory: WatchMemory, due: datetime | None, run_id: str = "") -> None:
    turn.remember(WATCH, watch.name, Watching(_definition(watch), memory, run_id), due=due)


# ---------------------------------------------------------------- too long


def _begin_run(turn: Turn, watch: Watch, event: Event) -> None:
    key = join(watch.name, event.run_id)
    if turn.tx.cell(RUN, key) is None:
        run = WatchedRun(watch.name, event.run_id, event.run_name, RunMemory(utc(event.time), event.flow))
        turn.remember(RUN, key, run, due=turn.now, parent=watch.name)
        look_at_run(turn, key)


def _end_run(turn: Turn, watch: Watch, event: Event) -> None:
    key = join(watch.name, event.run_id)
    run = turn.memory(WatchedRun, RUN, key)
    turn.tx.drop(RUN, key)
    if run is not None and run.memory.told_at is not None:
        _recover(turn, watch.name, event, f"the run ended as {event.state}", run_id=event.run_id)


def look_at_run(turn: Turn, key: str) -> None:
    """See whether a run takes too long."""
    run = turn.memory(WatchedRun, RUN, key)
    watch = None if run is None else _named(turn, run.watch)
    if run is None or watch is None:
        turn.tx.drop(RUN, key)
        return
    durations = turn.memory(Durations, DURATIONS, run.memory.flow) or Durations()
    found = too_long.overdue(run.memory, watch, durations.seconds, turn.now)
    turn.remember(RUN, key, replace(run, memory=found.memory), due=found.ask_again_at, parent=watch.name)
    if found.tells:
        identity = f"{watch.name} {run.run_id}"
        _alarm(turn, watch, "TooLong", found.reason, identity, flow=run.memory.flow, run=run)


# ---------------------------------------------------------------- alarms


def _alarm(
    turn: Turn, watch: Watch, state: str, reason: str, identity: str, *, flow: str, run: WatchedRun | None = None
) -> None:
    event = _event(turn, watch.name, state, identity, run_id="" if run is None else run.run_id).replace(
        flow=flow,
        run_name="" if run is None else run.run_name,
        message=reason,
        severity="error" if watch.kind is WatchKind.MISSED else "warning",
    )
    router = turn.policy.router
    channels = router.default_send if watch.send is None else watch.send
    route = f"watch:{watch.name}"
    options = turn.policy.options(route)
    targets = tuple(Target(channel, route, router.default_template, options) for channel in channels)
    turn.alarms.append((event, targets))


def _recover(turn: Turn, watch: str, event: Event | None, reason: str, *, run_id: str = "") -> None:
    identity = f"{watch} {run_id} {turn.now.isoformat()}"
    over = _event(turn, watch, "Success", identity, run_id=run_id).replace(
        flow="" if event is None else event.flow,
        run_name="" if event is None else event.run_name,
        message=reason,
    )
    turn.alarms.append((over, ()))


def _event(turn: Turn, watch: str, state: str, identity: str, *, run_id: str) -> Event:
    import pendulum

    return Event(
        id=event_id(SOURCE, identity, "", None, 1, 1, state),
        time=pendulum.instance(turn.now),
        flow="",
        run_id=run_id,
        state=state,
        state_family=(state, "Finished") if state == "Success" else (state,),
        source=SOURCE,
        project=turn.policy.project,
        labels={"watch": watch},
    )


def _named(turn: Turn, name: str) -> Watch | None:
    return next((watch for watch in turn.policy.watches if watch.name == name), None)


def _definition(watch: Watch) -> str:
    text = repr(replace(watch, filter=None)) + ("" if watch.filter is None else watch.filter.to_text())
    return hashlib.sha256(text.encode()).hexdigest()[:16]
