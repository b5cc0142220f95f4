"""The message that a delivery carries: title, text, fields and severity, from the event alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from tocsin.routing.templates import render, template_data
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Link, Message

_SEVERITIES = {"critical", "error", "warning", "info"}
_BY_STATE = (("Crashed", "critical"), ("Failed", "error"), ("Retrying", "warning"), ("Cancelled", "warning"))
_TEXT_CAP = 4000


@dataclass(frozen=True, slots=True)
class Template:
    """An operator's words for title and text; an empty one keeps the usual."""

    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a message carries beside its event: where it goes, as which delivery of which incident."""

    id: str
    channel: str
    route: str
    action: Action
    attempt: int = 1
    may_repeat: bool = False
    incident: str = ""
    incident_opened_at: datetime | None = None


def compose(event: Event, envelope: Envelope, template: Template | None = None) -> Message:
    """The message for one delivery.

    A template that does not fit the event is passed over, and the text says so: a message in the usual words is
    better than none.
    """
    title, text, complaint = headline(event, envelope), body(event), ""
    if template is not None:
        data = template_data(event) | {"action": str(envelope.action), "incident": envelope.incident}
        try:
            title = one_line(render(template.title, data)) if template.title else title
            text = render(template.text, data) if template.text else text
        except ValueError as error:
            complaint = f"\n(the template of route '{envelope.route}' failed: {error})"
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
        severity=severity(event, envelope.action),
        fields=fields(event, envelope),
        links=(Link("Open run", event.url),) if event.url else (),
        templated=template is not None and not complaint,
        attempt=envelope.attempt,
        may_repeat=envelope.may_repeat,
    )


def one_line(text: str) -> str:
    r"""`text` on one line.

    >>> one_line(" a\n b ")
    'a b'
    """
    return " ".join(text.split())


def headline(event: Event, envelope: Envelope) -> str:
    """The title: what happened, to what, and which try it was."""
    if envelope.action is Action.TEST:
        return f"Test message from tocsin to channel '{envelope.channel}'"
    if envelope.action is Action.RECOVER:
        return f"Recovered: {event.subject}{_after(event, envelope)}"
    tries = f" (attempt {event.attempt} of {event.max_attempts})" if event.max_attempts > 1 else ""
    return f"{event.state}: {event.subject}{tries}"


def _after(event: Event, envelope: Envelope) -> str:
    if envelope.incident_opened_at is None:
        return ""
    seconds = event.time.timestamp() - envelope.incident_opened_at.timestamp()
    return f" after {format_duration(max(seconds, 0))}"


def body(event: Event) -> str:
    """The text: the exception where there is one, else the state's message."""
    if event.exception is not None:
        told = f"{event.exception.type}: {event.exception.message}"
        if event.is_a("Retrying") and event.next_attempt_at is not None:
            told += f"\nNext try at {event.next_attempt_at.format('YYYY-MM-DD HH:mm:ss')} UTC"
        return told[:_TEXT_CAP]
    return event.message[:_TEXT_CAP]


def severity(event: Event, action: Action) -> str:
    """How urgent: what the event says, else by its state.

    >>> import pendulum
    >>> event = Event("1", pendulum.now("UTC"), "f", "r", "Crashed", ("Crashed", "Failed", "Finished"))
    >>> severity(event, Action.OPEN), severity(event, Action.RECOVER)
    ('critical', 'info')
    """
    if action in (Action.RECOVER, Action.TEST):
        return "info"
    if event.severity in _SEVERITIES:
        return event.severity
    return next((level for state, level in _BY_STATE if event.is_a(state)), "info")


def fields(event: Event, envelope: Envelope) -> tuple[tuple[str, str], ...]:
    """The facts beside the text, in the order in which to show them; those without a value are left out."""
    retry = event.next_attempt_at if event.is_a("Retrying") else None
    facts = (
        ("State", event.state),
        ("Flow", event.flow),
        ("Task", event.subject.removeprefix(f"{event.flow}/") if event.task else ""),
        ("Run", event.run_name or event.run_id[:8]),
        ("Attempt", f"{event.attempt} of {event.max_attempts}" if event.task else ""),
        ("Duration", "" if event.duration is None else format_duration(event.duration)),
        ("Next try", "" if retry is None else f"{retry.format('YYYY-MM-DD HH:mm:ss')} UTC"),
        ("Time", f"{event.time.format('YYYY-MM-DD HH:mm:ss')} UTC"),
        ("Project", event.project),
        ("Tags", ", ".join(sorted(event.tags))),
        ("Host", event.host),
        ("Route", envelope.route),
    )
    return tuple((label, value) for label, value in facts if value)
