"""`tocsin status`: how things stand, and what needs a person."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from tocsin.assembly import Assembly
from tocsin.cli.configured import assembled
from tocsin.cli.operating import outbox_of
from tocsin.cli.output import count, json_option, print_json, say, show, styled, table, when
from tocsin.delivery.presence import SeenHub
from tocsin.health.condition import Condition, condition_of, troubles, untouched
from tocsin.store.summary import ChannelSummary
from tocsin_hooks.durations import format_duration

_EXAMPLES = """\b
Examples:
  tocsin status
  tocsin status --json
  tocsin status >/dev/null || mail -s "tocsin needs you" ops@example.org </dev/null
"""


@click.command(epilog=_EXAMPLES)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show what waits, what failed, who delivers, and what needs a person.

    A person is needed where deliveries are dead, where one has waited longer than 15 minutes for a channel at which
    nothing arrived meanwhile, where a channel is switched off, and where events wait in the spill file or are lost.
    Then it exits with 1, else with 0.
    """
    assembly = assembled()
    condition = _condition(assembly)
    found = troubles(condition)
    if as_json:
        print_json({"ok": not found, "troubles": found, **as_data(condition, assembly)})
    else:
        _show(condition, found, assembly)
    ctx.exit(1 if found else 0)


def _condition(assembly: Assembly) -> Condition:
    now, config = assembly.clock.now(), assembly.config
    with outbox_of(assembly) as outbox:
        if not config.store.is_there:  # to look makes none
            return untouched(outbox.spill.waiting(), config, now)
        return condition_of(outbox, config, now)


# ---------------------------------------------------------------- for people


def _show(condition: Condition, found: list[str], assembly: Assembly) -> None:
    if found:
        more = f" (and {len(found) - 1} more, below)" if len(found) > 1 else ""
        show(styled("needs you: ", "bold red"), styled(found[0]), styled(more, "dim"))
    else:
        show(styled("fine: ", "green"), styled("nothing needs a person"))
    say()
    for label, text in facts(condition, assembly.config.store.place):
        say(f"{label + ':':<12}{text}")
    say()
    channels = condition.summary.channels
    if not channels:
        say("the config has no channels")
    else:
        headings = (
            "CHANNEL",
            "PENDING",
            "DUE",
            "LEASED",
            "DEAD",
            "OLDEST",
            "LAST SUCCESS (UTC)",
            "FAILED IN 1 H",
            "NOTES",
        )
        table(headings, [_row(channel, condition) for channel in channels])
    if len(found) > 1:
        say()
        for each in found:
            say(f"needs you: {each}")


def facts(condition: Condition, store: str) -> Iterator[tuple[str, str]]:
    """What there is to know beside the channels, each with its name."""
    summary, now = condition.summary, condition.at
    yield from [("hub", _hub(hub, now)) for hub in condition.hubs] or [("hub", "none is there")]
    yield "incidents", f"{summary.incidents_open} open"
    yield "silences", f"{len(condition.silences)} in force"
    due = f"{summary.timers_due} due"
    since = f" since {when(summary.timers_due_since)} UTC" if summary.timers_due_since else ""
    upcoming = f", the next at {when(summary.next_timer)} UTC" if summary.next_timer else ""
    yield "timers", f"{due}{since}{upcoming}"
    waits = condition.spilled
    yield "spill file", f"{count(waits.events, 'event')} in {waits.path}" if waits.size else "nothing waits"
    if summary.size is None:
        yield "store", f"{store}, not made yet"
    else:
        log = "" if summary.wal is None else f", log {size_text(summary.wal)}"
        yield "store", f"{store}, {size_text(summary.size)}{log}"


def _hub(hub: SeenHub, now: datetime) -> str:
    who = f"on '{hub.host}'" + ("" if hub.pid is None else f", process {hub.pid}")
    seen = f"last seen {_ago(hub.seen_at, now)} ago"
    if not hub.there:
        return f"{who}, {seen}, has ended without a word"
    since = f", since {when(hub.started_at)} UTC" if hub.started_at else ""
    spilled = f", {hub.spilled} spilled" if hub.spilled else ""
    return f"{who}{since}, {seen}{spilled}" + (f", {hub.lost} LOST" if hub.lost else "")


def _row(channel: ChannelSummary, condition: Condition) -> tuple[str, ...]:
    failures = ", ".join(f"{reason}: {number}" for reason, number in channel.failures.items())
    return (
        channel.name,
        str(channel.pending),
        str(channel.due),
        str(channel.leased),
        str(channel.dead),
        _ago(channel.oldest, condition.at) if channel.oldest else "",
        when(channel.last_success),
        failures,
        "; ".join(_notes(channel, condition)),
    )


def _notes(channel: ChannelSummary, condition: Condition) -> Iterator[str]:
    if channel.off:
        yield "switched off"
    if channel.failing_since is not None:
        yield f"failing since {when(channel.failing_since)} ({channel.last_reason})"
    for hub in condition.hubs:
        if hub.there and (standing := hub.breakers.get(channel.name)):
            yield f"breaker {standing}"


def _ago(time: datetime, now: datetime) -> str:
    return format_duration(max((now - time).total_seconds(), 0.0))


def size_text(size: int) -> str:
    """A number of bytes for people.

    >>> [size_text(size) for size in (0, 999, 1000, 4096, 12_345_678, 5_000_000_000)]
    ['0 B', '999 B', '1.0 kB', '4.1 kB', '12.3 MB', '5.0 GB']
    """
    if size < 1000:
        return f"{size} B"
    number = float(size)
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 999.95:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:.1f} TB"


# ---------------------------------------------------------------- for programs


def as_data(condition: Condition, assembly: Assembly) -> dict[str, Any]:
    """The condition as plain data."""
    summary, waits = condition.summary, condition.spilled
    return {
        "at": condition.at,
        "hubs": [dataclasses.asdict(hub) for hub in condition.hubs],
        "channels": {each.name: _channel_data(each) for each in summary.channels},
        "oldest": summary.oldest,
        "incidents_open": summary.incidents_open,
        "silences": [{"id": each.id, "ends_at": each.ends_at} for each in condition.silences],
        "timers": {"due": summary.timers_due, "due_since": summary.timers_due_since, "next": summary.next_timer},
        "spilled": {"path": str(waits.path), "events": waits.events, "bytes": waits.size},
        "set_aside": [str(path) for path in condition.set_aside],
        "store": {"place": assembly.config.store.place, "bytes": summary.size, "wal_bytes": summary.wal},
    }


def _channel_data(channel: ChannelSummary) -> dict[str, Any]:
    data = dataclasses.asdict(channel)
    del data["name"]
    return data
