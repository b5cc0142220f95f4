"""How an explanation is shown to people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from tocsin.cli.explain_stages import Told
from tocsin.cli.explanation import Explained, History, MessageExplained, RouteExplained
from tocsin.cli.output import say, show as line, styled, when
from tocsin.routing.router import DEFAULTS
from tocsin.routing.silences import Silence
from tocsin.routing.windows import describe
from tocsin.routing.words import subject_of
from tocsin_hooks.durations import format_duration

_MEANING = {
    "open": "open the incident",
    "update": "go on with the incident",
    "repeat": "remind of the incident",
    "recover": "end the incident",
    "event": "tell of the event",
}


def show(found: Explained) -> None:
    """Print the explanation."""
    event = found.event
    tries = f", attempt {event.attempt} of {event.max_attempts}" if event.task else ""
    line(styled(f"{event.state or 'event'} of {subject_of(event)}{tries}", "bold"))
    line(styled(f"as if it happened at {when(found.rehearsal.at)} UTC"))
    line(styled(_incident_line(found)))
    if event.will_retry:
        line(styled("routes do not see this event: it will be retried, and reaches them as Retrying"))
    elif not found.rehearsal.result.kept:
        line(styled("nothing asks for this event: it would not be kept"))
    if found.history is not None:
        _show_history(found.history)
    _show_routes(found.routes)
    _show_conditions(found)
    _show_stages(found)
    _show_messages(found)


def _heading(text: str) -> None:
    say()
    line(styled(text, "bold"))


def _by(route: str) -> str:
    return f"[{DEFAULTS}]" if route == DEFAULTS else f"route '{route}'"


def _incident_line(found: Explained) -> str:
    before, step = found.rehearsal.before, found.rehearsal.step
    name = f"incident '{found.rehearsal.key}'"
    if before is None:
        opens = "this event opens it" if step == "open" else "this event does not open it"
        return f"{name} is not open{';' if step == 'open' else ', and'} {opens}"
    acked = f", acknowledged by {before.acked_by}" if before.acked_by else ""
    what = {"update": "goes on", "close": "ends"}.get(step, "is not touched")
    return f"{name}, open since {when(before.opened_at)} UTC{acked}, {what}"


# ---------------------------------------------------------------- what was


def _show_history(history: History) -> None:
    _heading("In history")
    line(styled(f"  since {when(history.event.time)} UTC, as number {history.event.sequence}"))
    for sent in history.deliveries:
        told = f"  sent {when(sent.created_at)} to {sent.channel}, by {_by(sent.route)}, to {_MEANING.get(sent.action)}"
        told += f", with {len(sent.events) - 1} more" if len(sent.events) > 1 else ""
        line(styled(f"{told}: "), styled(str(sent.status), str(sent.status)), styled(f" ({sent.id[:8]})", "dim"))
    for each in history.suppressions:
        where = f" to {each.channel}" if each.channel else ""
        line(styled(f"  not sent {when(each.at)}{where}: {each.stage}: {each.reason}"))
    if not history.deliveries and not history.suppressions:
        line(styled("  no message was sent for it, and none held back", "dim"))


# ---------------------------------------------------------------- what decides


def _show_routes(routes: Sequence[RouteExplained]) -> None:
    _heading("Routes")
    for route in routes:
        pad = "  " * (route.verdict.depth + 1)
        line(styled(pad), styled(f"{route.verdict.verdict:<12}", route.verdict.verdict), styled(_told(route)))
        for why in _why(route):
            line(styled(f"{pad}{'':<12}{why}", "dim"))


def _told(route: RouteExplained) -> str:
    verdict = route.verdict
    name = f"[{DEFAULTS}]" if verdict.route == DEFAULTS else verdict.route
    if verdict.verdict == "acts":
        return f"{name} -> {', '.join(verdict.channels) or 'nowhere'}"
    return name if route.filter is not None and verdict.verdict == "no match" else f"{name}: {verdict.reason}"


def _why(route: RouteExplained) -> Iterator[str]:
    if route.verdict.route == DEFAULTS and route.verdict.verdict == "no match":
        yield route.verdict.reason
    elif route.filter is not None:
        yield from route.filter.lines()
        if route.verdict.verdict == "no match" and route.filter.verdict:
            yield route.verdict.reason
    elif route.verdict.verdict == "acts":
        yield route.verdict.reason


def _show_conditions(found: Explained) -> None:
    if found.windows:
        _heading("Windows")
    for each in found.windows:
        word, change = ("open", "closes") if each.is_open else ("closed", "opens")
        until = f", {change} {when(each.until)} UTC" if each.until else ""
        line(styled(f"  {word:<7} {each.window.name}{until}"), styled(f"   ({describe(each.window)})", "dim"))
    if found.rehearsal.silences:
        _heading("Silences")
    for silence in found.rehearsal.silences:
        line(styled(_silence_line(silence, found)))


def _silence_line(silence: Silence, found: Explained) -> str:
    word = "in force" if silence.in_force(found.rehearsal.at) else "not in force"
    ends = "until it recovers" if silence.until_recovered else "without end"
    until = ends if silence.ends_at is None else f"until {when(silence.ends_at)} UTC"
    comment = f": {silence.comment}" if silence.comment else ""
    start = f"from {when(silence.starts_at)} " if silence.starts_at > found.rehearsal.at else ""
    return f"  {silence.id[:8]} {silence.filter_text}   {word}, {start}{until}, by {silence.created_by}{comment}"


# ---------------------------------------------------------------- what comes of it


def _show_stages(found: Explained) -> None:
    if found.stages:
        _heading("Stages")
    now = [told for told in found.stages if told.at == found.rehearsal.at]
    for (channel, route), steps in groupby(now, key=lambda told: (told.step.channel, told.step.route)):
        way = [part for part in (f"to {channel}" if channel else "", f"by {_by(route)}" if route else "") if part]
        line(styled(f"  {', '.join(way) or 'in general'}"))
        for told in steps:
            _show_stage(told)
    # what is sent stands below; what is said again and again, such as at each reminder, is shown once
    following = {told.step: told for told in reversed(found.stages) if told.at != found.rehearsal.at}
    following = {step: told for step, told in reversed(following.items()) if step.stage != "plan"}
    if following:
        line(styled("  later"))
    for told in sorted(following.values(), key=lambda told: told.at):
        where = f" to {told.step.channel}" if told.step.channel else ""
        _show_stage(told, f"{when(told.at)} UTC{where}: ")


def _show_stage(told: Told, before: str = "") -> None:
    step = told.step
    style = {"passes": "dim", "suppressed": "yellow", "waits": "yellow", "sent": "green"}.get(step.verdict, "")
    rule = f" ({step.rule})" if step.rule and step.rule != step.route and step.rule not in step.reason else ""
    line(styled(f"    {step.stage:<11}{step.verdict:<11} ", style), styled(f"{before}{step.reason}{rule}"))


def _show_messages(found: Explained) -> None:
    _heading("Messages")
    for each in found.messages:
        _show_message(each, found)
    if not found.messages:
        line(styled("  none"))
    if found.prevented:
        _heading("Messages that are not sent, or not like this, because of it")
    for each in found.prevented:
        _show_message(each, found)
    if not found.rehearsal.complete:
        say()
        line(styled("too much is due by then to look at all of it: there may be more", "yellow"))


def _show_message(each: MessageExplained, found: Explained) -> None:
    planned, message = each.sent.planned, each.message
    wait = (each.at - found.rehearsal.at).total_seconds()
    at = f", at {when(each.at)} UTC, in {format_duration(wait)}" if wait else ""
    silent = ", silently" if planned.silent else ""
    meaning = _MEANING.get(str(planned.action), str(planned.action))
    why = "" if planned.reason in ("", planned.action) else f" ({planned.reason})"
    line(styled(f"  to {planned.channel}, by {_by(planned.route)}, to {meaning}{silent}{at}{why}"))
    line(styled(f"    [{message.severity}]", message.severity), styled(f" {message.title}", "bold"))
    for text in message.text.splitlines():
        say(f"        {text}")
