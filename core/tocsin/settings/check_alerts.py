"""Whether the windows, watches and escalations of a config can do what they are for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from tocsin.settings.alert_tables import EscalationTable, WatchTable
from tocsin.settings.alerting import watch_name
from tocsin.settings.alerts import CONDITIONS, WatchKind
from tocsin.settings.calendar_values import shortest_gap
from tocsin.settings.document import Document
from tocsin.settings.issues import Problem, nearest
from tocsin.settings.known_labels import SeenLabels
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File
from tocsin.settings.paths import at
from tocsin.settings.uses import called
from tocsin_hooks.durations import format_duration


def alert_problems(document: Document, file: File) -> list[Problem]:
    """What is wrong with windows, watches and escalations, beyond values that cannot be read."""
    return [
        *_window_problems(document, file),
        *_watch_problems(document, file),
        *_escalation_problems(document, file),
    ]


def unseen_flows(document: Document, file: File, seen: SeenLabels) -> Iterator[Problem]:
    """Watches of flows that history knows nothing of, where there is a history."""
    for index, entry in enumerate(file.watch):
        if entry.flow and seen.flows and entry.flow not in seen.flows:
            text = f"watch '{watch_name(entry, index)}' is for flow '{entry.flow}', and no event in history is of it"
            yield Problem("W920", text, document.at(("watch", index, "flow")), nearest(entry.flow, seen.flows))


def _said(document: Document, path: KeyPath) -> bool:
    """Whether the file has a value at `path`, be it one that was refused."""
    return at(document.data, path) is not None


def _spoken(span: timedelta) -> str:
    return format_duration(span.total_seconds())


# ---------------------------------------------------------------- windows


def _window_problems(document: Document, file: File) -> Iterator[Problem]:
    hint = "give it 'times', 'weekdays', 'days', 'months' or 'years'"
    for name in file.windows:
        table = document.data["windows"][name]
        if not any(table.get(key) for key in ("times", "weekdays", "days", "months", "years")):
            text = f"[windows.{name}] says nothing of when it is open"
            yield Problem("E503", text, document.at(("windows", name), key=True), hint)


# ---------------------------------------------------------------- watches


def _watch_problems(document: Document, file: File) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, watch in enumerate(file.watch):
        path: KeyPath = ("watch", index)
        name = watch_name(watch, index)
        if (earlier := first.setdefault(name, index)) != index:
            other = document.at(("watch", earlier, "name"), key=True).position
            text = f"two watches have the name '{name}'"
            yield Problem("E508", text, document.at((*path, "name")), f"the first is at {other}")
        if watch.kind is None:
            if not _said(document, (*path, "kind")):
                yield _lacks(document, path, "'kind'", '"missed" or "too_long"')
        elif watch.kind == WatchKind.MISSED:
            yield from _missed(document, path, watch)
        elif watch.kind == WatchKind.TOO_LONG:
            yield from _too_long(document, path)
        else:
            hint = nearest(watch.kind, list(WatchKind)) or "kinds: missed, too_long"
            text = f"{called(document, path)} is of unknown kind '{watch.kind}'"
            yield Problem("E509", text, document.at((*path, "kind")), hint)


def _lacks(document: Document, path: KeyPath, what: str, hint: str = "") -> Problem:
    return Problem("E506", f"{called(document, path)} lacks {what}", document.at(path, key=True), hint)


def _not_for(document: Document, path: KeyPath, kind: WatchKind, *keys: str) -> Iterator[Problem]:
    for key in keys:
        if _said(document, (*path, key)):
            text = f"{called(document, path)} has '{key}', which means nothing to a watch of kind '{kind}'"
            yield Problem("E506", text, document.at((*path, key), key=True), "take it out")


def _missed(document: Document, path: KeyPath, watch: WatchTable) -> Iterator[Problem]:
    yield from _not_for(document, path, WatchKind.MISSED, "when", "after")
    if not _said(document, (*path, "flow")):
        yield _lacks(document, path, "'flow'", "say which flow is expected")
    cron, every = (_said(document, (*path, key)) for key in ("cron", "every"))
    if cron and every:
        text = f"{called(document, path)} has both 'cron' and 'every'"
        yield Problem("E506", text, document.at((*path, "every"), key=True), "keep one")
    elif not cron and not every:
        yield _lacks(document, path, "'cron' or 'every'", "say when a run is expected")
    period = shortest_gap(watch.cron) if watch.cron else watch.every
    if watch.grace and period and watch.grace > period:
        grace, gap = called(document, (*path, "grace")), _spoken(period)
        text = f"{grace}: {_spoken(watch.grace)} is longer than the {gap} between two runs"
        yield Problem(
            "E507", text, document.at((*path, "grace")), "the next run would be due before the last is missed"
        )


def _too_long(document: Document, path: KeyPath) -> Iterator[Problem]:
    yield from _not_for(document, path, WatchKind.TOO_LONG, "cron", "every", "grace", "timezone")
    if not _said(document, (*path, "flow")) and not _said(document, (*path, "when")):
        yield _lacks(document, path, "'flow' or 'when'", "say which runs are watched")
    hint = 'such as after = { fixed = "2h" } or after = { or_times_median = 3.0 }'
    after = at(document.data, (*path, "after"))
    if after is None:
        yield _lacks(document, path, "'after'", hint)
    elif isinstance(after, dict) and "fixed" not in after and "or_times_median" not in after:
        text = f"{called(document, (*path, 'after'))}: needs 'fixed' or 'or_times_median'"
        yield Problem("E506", text, document.at((*path, "after"), key=True), hint)


# ---------------------------------------------------------------- escalations


def _escalation_problems(document: Document, file: File) -> Iterator[Problem]:
    for name, table in file.escalations.items():
        path: KeyPath = ("escalations", name)
        if not at(document.data, (*path, "steps")):
            hint = 'such as steps = [{ after = "15m", send = ["CHANNEL"], if = "not acked" }]'
            place = document.at((*path, "steps") if _said(document, (*path, "steps")) else path, key=True)
            yield Problem("E601", f"[escalations.{name}] has no steps", place, hint)
        yield from _step_problems(document, path, table)
        yield from _order_problems(document, path, table)
        if table.outside is not None and not table.outside.send:
            text = f"[escalations.{name}] outside: sends nowhere"
            yield Problem("E606", text, document.at((*path, "outside", "send")), "name a channel")


def _step_problems(document: Document, path: KeyPath, table: EscalationTable) -> Iterator[Problem]:
    for index, step in enumerate(table.steps):
        here = (*path, "steps", index)
        who = f"[escalations.{path[1]}] step {index + 1}"
        if not at(document.data, (*here, "send")):
            yield Problem("E606", f"{who} sends nowhere", document.at((*here, "send")), "name a channel")
        if step.condition is not None and step.condition not in CONDITIONS:
            known = ", ".join(f"'{condition}'" for condition in CONDITIONS)
            hint = nearest(step.condition, CONDITIONS) or f"conditions: {known}"
            text = f"{who} has the unknown condition '{step.condition}'"
            yield Problem("E603", text, document.at((*here, "if")), hint)


def _order_problems(document: Document, path: KeyPath, table: EscalationTable) -> Iterator[Problem]:
    moments = [step.after or timedelta(0) for step in table.steps]
    for index, (earlier, later) in enumerate(pairwise(moments), 1):
        where = (*path, "steps", index)
        if later < earlier and (table.steps[index].after is not None or not _said(document, (*where, "after"))):
            who = f"[escalations.{path[1]}] step {index + 1}"
            text = f"{who} is due after {_spoken(later)}, before the step above it, after {_spoken(earlier)}"
            hint = "steps stand in the order of time; 'after' counts from the first message"
            yield Problem("E602", text, document.at((*where, "after")), hint)
    gaps = [later - earlier for earlier, later in pairwise([timedelta(0), *moments])]
    if table.ack_lasts and gaps and table.ack_lasts < max(gaps):
        lasts = f"[escalations.{path[1]}] ack_lasts: {_spoken(table.ack_lasts)}"
        text = f"{lasts} is over before the next step, which comes {_spoken(max(gaps))} later"
        hint = "an acknowledgement would keep no step from being taken"
        yield Problem("E607", text, document.at((*path, "ack_lasts")), hint)
