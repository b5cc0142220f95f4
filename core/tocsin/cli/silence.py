"""`tocsin silence`: for a while, nobody is told of what a filter matches."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypedDict

import click

from tocsin.assembly import Assembly
from tocsin.cli.configured import assembled
from tocsin.cli.diagnostics import report
from tocsin.cli.operating import SHORT, moment_of, outbox_of, span_of, tell_of_labels, told_by, who
from tocsin.cli.output import json_option, print_json, say, table, when
from tocsin.cli.recurring import window_of, zone_given
from tocsin.cli.silence_words import HEADINGS, as_data, mutes, rows, sentence, status, without_empty
from tocsin.hub import operations
from tocsin.routing.moments import later, utc
from tocsin.routing.silences import Silence
from tocsin_hooks.errors import TocsinError

_EXAMPLES = """\b
Examples:
  tocsin silence add "flow=etl" --for 2h --comment "moving the database"
  tocsin silence list
  tocsin silence expire 1a2b3c4d
"""
_ADD_EXAMPLES = """\b
Examples:
  tocsin silence add "flow=etl and task=load" --for 2h --comment "known; fixed tomorrow"
  tocsin silence add "tags=warehouse" --start 22:00 --until "2026-03-02 06:00" --timezone Europe/Berlin
  tocsin silence add "flow=etl" --until-recovered
  tocsin silence add "tags=staging" --weekdays sat,sun
  tocsin silence add "tags=batch" --window office --for 30d
"""
_LIST_EXAMPLES = """\b
Examples:
  tocsin silence list
  tocsin silence list --all --json
"""
_SHOW_EXAMPLES = """\b
Examples:
  tocsin silence show 1a2b3c4d
"""
_EDIT_EXAMPLES = """\b
Examples:
  tocsin silence edit 1a2b3c4d --for 4h
  tocsin silence edit 1a2b3c4d --filter "flow=etl and task=load" --comment "only the load is known"
"""
_EXPIRE_EXAMPLES = """\b
Examples:
  tocsin silence expire 1a2b3c4d
  tocsin silence expire 1a2b3c4d 5e6f7a8b
"""


@click.group(epilog=_EXAMPLES)
def command() -> None:
    """Silence what you know of: for a while, nobody is told of what a filter matches.

    What is silenced is still recorded. A problem that is still there when its silence ends is told then.
    """


# ---------------------------------------------------------------- add


class Wanted(TypedDict):
    """What the options of `add` say."""

    span: str | None
    until: str | None
    until_recovered: bool
    start: str | None
    window: str | None
    weekdays: str | None
    times: str | None
    timezone: str | None


@command.command(epilog=_ADD_EXAMPLES)
@click.argument("expression", metavar="FILTER")
@click.argument("short", metavar="[SPAN]", required=False)
@click.option("--for", "span", metavar="SPAN", help="How long, from its start: 30m, 2h, 1d.")
@click.option("--until", metavar="TIME", help="When it ends.")
@click.option("--until-recovered", is_flag=True, help="It ends when the problem that it hides is over.")
@click.option("--start", metavar="TIME", help="When it begins, in place of now.")
@click.option("--window", metavar="NAME", help="It comes again whenever that window of the config is open.")
@click.option("--weekdays", metavar="DAYS", help="It comes again on these days: sat,sun or mon:fri.")
@click.option("--times", metavar="TIMES", help="It comes again at these times of the day: 22:00-06:00.")
@click.option("--timezone", metavar="ZONE", help="Of all times without offset, in place of that of the config.")
@click.option("--comment", default="", metavar="TEXT", help="Why.")
@click.option("--by", metavar="NAME", help="Who asks for it, in place of whoever is logged in.")
@json_option
def add(expression: str, short: str | None, comment: str, by: str | None, as_json: bool, **wanted: Any) -> None:
    """Silence the events that FILTER matches, and tell which open incidents that mutes now.

    SPAN is short for --for SPAN. TIME is a date with a time, or a time of day: the next one. Give one end; with
    --window, --weekdays or --times, which go together with an end, none is needed.
    """
    assembly = assembled()
    now = assembly.clock.now()
    if short is not None:
        if wanted["span"] is not None:
            raise click.UsageError(f"say once how long: '{short}', or --for {wanted['span']}")
        wanted["span"] = short
    given = _given(assembly, now, Wanted(**wanted))  # type: ignore[typeddict-item]  # click hands over what it declares
    with outbox_of(assembly) as outbox:
        silence = operations.add_silence(
            outbox, expression, now=now, id=assembly.clock.new_id(), by=who(by), comment=comment, **given
        )
        incidents = operations.incidents_of(outbox, silence)
    tell_of_labels(expression)
    if as_json:
        print_json(as_data(silence, now, incidents=incidents))
        return
    say(f"silence {silence.id[:SHORT]}: {sentence(silence, now, zone_given(wanted['timezone'], assembly.config))}")
    say(mutes(silence, incidents, now))


def _given(assembly: Assembly, now: datetime, wanted: Wanted) -> dict[str, Any]:
    """What `new_silence` is to be given."""
    zone = zone_given(wanted["timezone"], assembly.config)
    window = window_of(assembly.config, wanted["window"], wanted["weekdays"], wanted["times"], zone)
    span, until, start = wanted["span"], wanted["until"], wanted["start"]
    if not (span is not None or until is not None or wanted["until_recovered"] or window):
        raise click.UsageError("say how long: --for 2h, --until TIME, --until-recovered or --window NAME")
    starts_at = None if start is None else moment_of(start, "--start", after=now, timezone=zone)
    after = utc(now) if starts_at is None else max(starts_at, utc(now))
    return {
        "duration": None if span is None else span_of(span, "--for"),
        "ends_at": None if until is None else moment_of(until, "--until", after=after, timezone=zone),
        "until_recovered": wanted["until_recovered"],
        "starts_at": starts_at,
        "window": window,
    }


# ---------------------------------------------------------------- list, show


@command.command(name="list", epilog=_LIST_EXAMPLES)
@click.option("--all", "with_expired", is_flag=True, help="Those that have ended, too.")
@json_option
def list_(with_expired: bool, as_json: bool) -> None:
    """Show the silences that are active or yet to begin, the oldest first."""
    assembly = assembled()
    now = assembly.clock.now()
    found: list[Silence] = []
    broken: dict[str, str] = {}
    if assembly.config.store.is_there:
        with outbox_of(assembly) as outbox:
            found = [s for s in operations.silences(outbox) if with_expired or s.status(now) != "expired"]
            broken = operations.broken_silences(outbox, found)
    if as_json:
        print_json([as_data(silence, now, broken=broken.get(silence.id, "")) for silence in found])
        return
    if not found:
        say("no silences yet" if with_expired else "no silence is active or yet to begin")
        return
    table(*without_empty(HEADINGS, rows(found, broken, now)))
    for silence in found:
        if status(silence, broken, now) == "broken":
            report("WARNING", f"silence '{silence.id[:SHORT]}' hides nothing: {broken[silence.id]}")


@command.command(epilog=_SHOW_EXAMPLES)
@click.argument("prefix", metavar="ID")
@json_option
def show(prefix: str, as_json: bool) -> None:
    """Show the silence whose id begins with ID, and which open incidents it is for."""
    assembly = assembled()
    now = assembly.clock.now()
    _known(assembly, prefix)
    with outbox_of(assembly) as outbox:
        silence = operations.find_silence(outbox, prefix)
        broken = operations.broken_silences(outbox, [silence])
        incidents = operations.incidents_of(outbox, silence)
    if as_json:
        print_json(as_data(silence, now, broken=broken.get(silence.id, ""), incidents=incidents))
        return
    say(f"silence {silence.id}")
    facts = (
        ("status", status(silence, broken, now)),
        ("broken", broken.get(silence.id, "")),
        ("filter", silence.filter_text),
        ("comment", silence.comment),
        ("made", f"{when(silence.created_at)} UTC by {silence.created_by or 'somebody'}"),
        ("starts", f"{when(silence.starts_at)} UTC"),
        ("ends", f"{when(silence.ends_at)} UTC" if silence.ends_at else "on recovery" * silence.until_recovered),
        ("ended by", silence.ended_by),
    )
    for label, value in facts:
        if value:
            say(f"  {label + ':':<10}{value}")
    say()
    say(sentence(silence, now, assembly.config.timezone))
    if silence.status(now) != "expired" and not broken:
        say(mutes(silence, incidents, now))


def _known(assembly: Assembly, prefix: str) -> None:
    if not assembly.config.store.is_there:
        raise TocsinError(f"no silence has an id that begins with '{prefix}': there are no silences yet")


# ---------------------------------------------------------------- edit, expire


@command.command(epilog=_EDIT_EXAMPLES)
@click.argument("prefix", metavar="ID")
@click.option("--for", "span", metavar="SPAN", help="How long it lasts from now, or from a start that is yet to come.")
@click.option("--until", metavar="TIME", help="When it ends.")
@click.option("--start", metavar="TIME", help="When it begins.")
@click.option("--filter", "filter_text", metavar="FILTER", help="What it is for.")
@click.option("--comment", metavar="TEXT", help="Why.")
@json_option
def edit(prefix: str, span: str | None, until: str | None, as_json: bool, **changes: str | None) -> None:
    """Change the silence whose id begins with ID.

    A new end or comment changes it in place. A new filter or start of one that is active ends it and makes a new one in
    its place, so that what it hid stays on record; so does any change of one that has ended.
    """
    if span is None and until is None and all(value is None for value in changes.values()):
        raise click.UsageError("say what to change: --for, --until, --start, --filter or --comment")
    if span is not None and until is not None:
        raise click.UsageError("--for and --until both say when it ends; give one of them")
    assembly = assembled()
    _known(assembly, prefix)
    now = assembly.clock.now()
    with outbox_of(assembly) as outbox:
        before = operations.find_silence(outbox, prefix)
        ends = _times(before, now, assembly.config.timezone, span, until, changes.pop("start"))
        result, after = operations.edit_silence(
            outbox, before.id, now=now, new_id=assembly.clock.new_id(), **ends, **changes
        )
        incidents, told = operations.incidents_of(outbox, after[-1]), told_by(assembly, result)
    silence = after[-1]
    if changes["filter_text"] is not None:
        tell_of_labels(silence.filter_text)
    if as_json:
        replaces = before.id if silence.id != before.id else None
        data = as_data(silence, now, incidents=incidents)
        print_json({**data, "replaces": replaces, "messages": len(result.sent)})
        return
    say(f"silence {silence.id[:SHORT]}: {sentence(silence, now, assembly.config.timezone)}")
    if silence.id != before.id:
        say(f"it takes the place of {before.id[:SHORT]}" + (", which ends now" if len(after) > 1 else ""))
    say(mutes(silence, incidents, now))
    if told:
        say(told)


def _times(
    before: Silence, now: datetime, timezone: str, span: str | None, until: str | None, start: str | None
) -> dict[str, datetime | None]:
    starts_at = None if start is None else moment_of(start, "--start", after=now, timezone=timezone)
    begins = max(starts_at or before.starts_at, utc(now))
    ends_at = later(begins, span_of(span, "--for")) if span is not None else None
    if until is not None:
        ends_at = moment_of(until, "--until", after=begins, timezone=timezone)
    return {"starts_at": starts_at, "ends_at": ends_at}


@command.command(epilog=_EXPIRE_EXAMPLES)
@click.argument("prefixes", nargs=-1, required=True, metavar="ID...")
@click.option("--by", metavar="NAME", help="Who ends it, in place of whoever is logged in.")
@json_option
def expire(prefixes: tuple[str, ...], by: str | None, as_json: bool) -> None:
    """End the silences whose ids begin with ID: what they hid and is still there is told.

    Where one ID means no silence, or one that has ended, none is ended.
    """
    assembly = assembled()
    _known(assembly, prefixes[0])
    now = assembly.clock.now()
    with outbox_of(assembly) as outbox:
        result, ended = operations.expire_silences(outbox, prefixes, by=who(by), now=now)
        told = told_by(assembly, result)
    if as_json:
        print_json({"expired": [silence.id for silence in ended], "messages": len(result.sent)})
        return
    for silence in ended:
        say(f"silence {silence.id[:SHORT]} is over: {silence.filter_text}")
    say(told or "nothing is to be told now")
