"""The message that a delivery carries: title, text, fields and severity, from its event and envelope alone."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.routing import compose_group as group
from tocsin.routing.envelope import Envelope, local_time
from tocsin.routing.severity import severity
from tocsin.routing.templates import Filters, render, template_data
from tocsin.routing.words import after, blocked_tasks, one_line, outage, reason_of, subject_of
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Link, Message, Why

__all__ = ["Envelope", "Template", "compose"]

_TEXT_CAP = 4000


@dataclass(frozen=True, slots=True)
class Template:
    """An operator's words for title and text; an empty one keeps the usual."""

    title: str = ""
    text: str = ""
    filters: Filters = ()
    """Filters that they use beside Jinja2's own."""


def compose(event: Event, envelope: Envelope, template: Template | None = None) -> Message:
    """The message for one delivery.

    A template that does not fit the event is passed over, and the text says so: a message in the usual words is
    better than none.
    """
    title, text, complaint = _worded(event, envelope, template)
    flapping = envelope.reason == Why.FLAPPING
    return Message(
        id=envelope.id,
        action=envelope.action,
        title=title,
        text=text + complaint,
        event=event,
        channel=envelope.channel,
        route=envelope.route,
        incident=envelope.incident,
        incident_opened_at="" if envelope.incident_opened_at is None else envelope.incident_opened_at.isoformat(),
        severity=severity(event, envelope),
        fields=group.fields(event, envelope) if envelope.several else fields(event, envelope),
        links=(Link("Open run", event.url),) if event.url else (),
        templated=template is not None and not complaint,
        attempt=envelope.attempt,
        may_repeat=envelope.may_repeat,
        reason=envelope.reason,
        group=dict(envelope.group),
        items=() if flapping else envelope.items,
        count=1 if flapping else max(envelope.count, len(envelope.items), 1),
        silent=envelope.silent,
        acknowledged_by=envelope.acknowledged_by,
        at="" if envelope.at is None else envelope.at.isoformat(),
    )


def _worded(event: Event, envelope: Envelope, template: Template | None) -> tuple[str, str, str]:
    """Title, text, and what is wrong with the template if anything is."""
    several = envelope.several and envelope.action is not Action.TEST
    title = group.headline(event, envelope) if several else headline(event, envelope)
    text = group.body(event, envelope) if several else body(event, envelope)
    complaint = ""
    if template is not None:
        data = template_data(event, envelope)
        try:
            worded = one_line(render(template.title, data, template.filters)) if template.title else title
            text = render(template.text, data, template.filters) if template.text else text
            title = worded
        except ValueError as error:
            complaint = f"\n(the template of route '{envelope.route}' failed: {error})"
    if envelope.say and envelope.say not in text:
        text = f"{envelope.say}\n{text}" if text else envelope.say
    return title, text, complaint


def headline(event: Event, envelope: Envelope) -> str:
    """The title for one event: what happened, to what, and which try it was or how long it lasts."""
    subject, state = subject_of(event), event.state or "open"
    if envelope.action is Action.TEST:
        return f"Test message from tocsin to channel '{envelope.channel}'"
    if envelope.reason == Why.FLAPPING:
        often = f" changed {envelope.count} times{_within(envelope)}" if envelope.count > 1 else ""
        return f"Flapping: {subject}{often}"
    if envelope.reason == Why.CALM:
        well = envelope.action is Action.RECOVER or event.is_a("Success")
        return f"Calm again: {subject} {'has recovered' if well else f'is {state}'}"
    if envelope.acknowledges:
        return f"Acknowledged by {one_line(envelope.acknowledged_by)[:80]}: {subject}"
    if envelope.action is Action.RECOVER:
        return f"Recovered: {subject}{after(event, envelope)}"
    tries = f" (attempt {event.attempt} of {event.max_attempts})" if event.max_attempts > 1 else ""
    if envelope.reminds and (lasting := outage(event, envelope, at_least=1.0)):
        return f"Still {state}: {subject} for {lasting}"
    if envelope.action is Action.REPEAT:
        return f"Still {state}: {subject}"
    return (f"{state}: {subject}" if event.state else subject or "Event") + tries


def _within(envelope: Envelope) -> str:
    return "" if envelope.within is None else f" in {format_duration(envelope.within.total_seconds())}"


def body(event: Event, envelope: Envelope) -> str:
    """The text about one event: the exception where there is one, else the state's message; and what hangs on it."""
    lines = [reason_of(event)[:_TEXT_CAP]]
    if envelope.reason == Why.FLAPPING:
        lines.append(f"It is {event.state} now. No more is sent until it is calm.")
    if envelope.reason == Why.CALM and envelope.within is not None:
        lines.append(f"It has not changed for {format_duration(envelope.within.total_seconds())}.")
    if event.is_a("Retrying") and event.exception is not None and event.next_attempt_at is not None:
        lines.append(f"Next try at {local_time(event.next_attempt_at, envelope.timezone)}")
    if (blocked := blocked_tasks(event)) and envelope.action is not Action.RECOVER:
        lines.append(f"Blocks {blocked}")
    return "\n".join(line for line in lines if line)


def fields(event: Event, envelope: Envelope) -> tuple[tuple[str, str], ...]:
    """The facts beside the text, in the order in which to show them; those without a value are left out."""
    zone = envelope.timezone
    retry = event.next_attempt_at if event.is_a("Retrying") else None
    facts = (
        ("State", event.state),
        ("Flow", event.flow),
        ("Task", event.subject.removeprefix(f"{event.flow}/") if event.task else ""),
        ("Run", event.run_name or event.run_id[:8]),
        ("Attempt", f"{event.attempt} of {event.max_attempts}" if event.task else ""),
        ("Duration", "" if event.duration is None else format_duration(event.duration)),
        ("Next try", "" if retry is None else local_time(retry, zone)),
        ("Blocks", "" if envelope.action is Action.RECOVER else blocked_tasks(event)),
        ("Hides", f"{envelope.hides} more" if envelope.hides > 0 else ""),
        ("Acknowledged by", one_line(envelope.acknowledged_by)),
        ("Time", local_time(event.time, zone)),
        ("Project", event.project),
        ("Tags", ", ".join(sorted(event.tags))),
        ("Host", event.host),
        ("Route", envelope.route),
    )
    return tuple((label, value) for label, value in facts if value)
