"""What a message of several events says: how many there are, where, which of them are over, and a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tocsin.routing.envelope import Envelope, local_time
from tocsin.routing.severity import is_trouble
from tocsin.routing.words import after, blocked_tasks, counted, one_line, outage, reason_of, subject_of, time_of
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Item, Why
from tocsin_hooks.text import cut

TEXT_CAP = 2800
"""Characters of the whole text: what fits into one section of a Slack message, with room to spare."""

_LINE = 300
_NAME = 60
_PLACE = 120
_NAMED = 3
_COLLECTED = frozenset({Why.DIGEST, Why.SUMMARY})
_FAILURE_FIRST = frozenset({Why.FIRST, Why.NEW, Why.CHANGED, Why.AGAIN, Why.CALM})


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are, and how many of these are over."""

    total: int
    over: int
    noun: str

    @property
    def open(self) -> int:
        """How many are not over."""
        return self.total - self.over


def tally(event: Event, envelope: Envelope) -> Tally:
    """What there is to count. What is no failure, and never was one, is an event rather than a problem."""
    total = max(envelope.count, len(envelope.items), 1)
    marked = sum(item.recovered for item in envelope.items)
    over = total if envelope.action is Action.RECOVER else min(max(marked, envelope.recovered), total)
    news = bool(envelope.items) and not over and not any(is_trouble(item.state, event) for item in envelope.items)
    return Tally(total, over, "event" if news else "problem")


def headline(event: Event, envelope: Envelope) -> str:
    """The title."""
    count, where = tally(event, envelope), place(envelope)
    everything = f"{counted(count.total, count.noun)}{where}"
    if envelope.reason == Why.SUMMARY:
        return _held_back(count.total, envelope)
    if envelope.reason == Why.DIGEST:
        return f"Digest: {everything}" + (f", {count.over} recovered" if count.over else "")
    if envelope.acknowledges:
        who = one_line(envelope.acknowledged_by)[:80]
        return f"Acknowledged by {who}: {everything if not count.open else counted(count.open, count.noun) + where}"
    if not count.open:
        return f"Recovered: {everything}{after(event, envelope)}"
    if count.over and not envelope.reminds and envelope.reason not in _FAILURE_FIRST:
        return f"{count.over} of {counted(count.total, count.noun)} recovered{where}"
    lasting = outage(event, envelope, at_least=1.0) if envelope.reminds else ""
    still = "Still " if lasting or envelope.action is Action.REPEAT else ""
    still = "Calm again: " if envelope.reason == Why.CALM else still
    title = f"{still}{counted(count.open, count.noun)}{where}" + (f" for {lasting}" if lasting else "")
    named = _names(envelope, count.open)
    return f"{title}{': ' if named else ''}{named}" + (f"; {count.over} recovered" if count.over else "")


def place(envelope: Envelope) -> str:
    """Where, by the labels of the group: the flow and what else it shares; empty where it shares nothing.

    >>> place(Envelope("1", "ops", "r", Action.OPEN, group={"project": "dwh", "flow": "etl", "exception": "KeyError"}))
    ' in etl (exception KeyError)'
    """
    labels = {label: one_line(value) for label, value in envelope.group.items() if one_line(value)}
    flow, task, project = (labels.pop(name, "") for name in ("flow", "task", "project"))
    main = flow or project
    if task:
        main = f"{main}/{task}" if main else task
    others = ", ".join(f"{label} {value}" for label, value in labels.items())
    if not main:
        return f" with {cut(others, _PLACE)}" if others else ""
    return f" in {cut(f'{main} ({others})' if others else main, _PLACE)}"


def _held_back(number: int, envelope: Envelope) -> str:
    what = "1 more message" if number == 1 else f"{number} more messages"
    route = f" of route '{envelope.route}'" if envelope.route else ""
    span = "" if envelope.within is None else f" in {format_duration(envelope.within.total_seconds())}"
    return f"{what}{route} {'was' if number == 1 else 'were'} held back{span}"


def _names(envelope: Envelope, number: int) -> str:
    """The first of those that are open, and how many more there are."""
    flow = one_line(envelope.group.get("flow", ""))
    known = f"{flow}/" if flow else ""
    names = [one_line(item.subject).removeprefix(known) for item in envelope.items if not item.recovered]
    shown = [name for name in dict.fromkeys(names) if name][:_NAMED]
    covered = sum(name in shown for name in names)
    more = f" and {number - covered} more" if shown and number > covered else ""
    return ", ".join(cut(name, _NAME) for name in shown) + more


def body(event: Event, envelope: Envelope) -> str:
    """The text: a line for each item, what is open first, as many as fit; and how many more there are."""
    head = [f"{subject_of(event)} blocks {blocked}"] if (blocked := _blocked(event, envelope)) else []
    if not envelope.items:
        last = ": ".join(part for part in (event.state, subject_of(event), one_line(reason_of(event))) if part)
        return "\n".join([*head, cut(f"The last: {last}" if envelope.reason in _COLLECTED else last, _LINE)])
    total = tally(event, envelope).total
    above = sum(len(line) + 1 for line in (*head, envelope.say[: TEXT_CAP // 2]))
    room = TEXT_CAP - above - len("\nand 1000000 more")
    shown = list(_fitting((_line(item, envelope) for item in _in_order(envelope)), room))
    more = [f"and {total - len(shown)} more"] if total > len(shown) else []
    return "\n".join([*head, *shown, *more])


def _blocked(event: Event, envelope: Envelope) -> str:
    return "" if envelope.action is Action.RECOVER else blocked_tasks(event)


def _in_order(envelope: Envelope) -> list[Item]:
    return sorted(envelope.items, key=lambda item: item.recovered)  # stable: the newest first, of each kind


def _line(item: Item, envelope: Envelope) -> str:
    """An item in one line: its state, what it happened to, and why; in a digest also when."""
    over = item.recovered or envelope.action is Action.RECOVER
    parts = ("Recovered" if over else one_line(item.state), one_line(item.subject), one_line(item.text))
    time = time_of(item) if envelope.reason in _COLLECTED else None
    when = "" if time is None else f" ({local_time(time, envelope.timezone)})"
    return cut(": ".join(part for part in parts if part), _LINE - len(when)) + when


def _fitting(lines: Iterable[str], room: int) -> Iterator[str]:
    """The first lines that have room together."""
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            return
        yield line


def fields(event: Event, envelope: Envelope) -> tuple[tuple[str, str], ...]:
    """The facts beside the text, in the order in which to show them; those without a value are left out."""
    zone, count = envelope.timezone, tally(event, envelope)
    opened = envelope.incident_opened_at
    name = f"{count.noun.capitalize()}s" if envelope.reason != Why.SUMMARY else "Held back"
    facts = (
        (name, f"{count.total}, {count.over} recovered" if 0 < count.over < count.total else str(count.total)),
        *((label.replace("_", " ").capitalize(), one_line(value)) for label, value in envelope.group.items()),
        ("Blocks", _blocked(event, envelope)),
        ("Hides", f"{envelope.hides} more" if envelope.hides > 0 else ""),
        ("Acknowledged by", one_line(envelope.acknowledged_by)),
        ("Since", "" if opened is None else local_time(opened, zone)),
        ("Time", local_time(envelope.at or event.time, zone)),
        ("Route", envelope.route),
    )
    return tuple((label, value) for label, value in facts if value)
