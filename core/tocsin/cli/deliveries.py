"""`tocsin deliveries`: what was sent, what waits, what failed and why; and another try for what is dead."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import click

from tocsin.assembly import Assembly, templates
from tocsin.cli.configured import assembled, channel_known, opened
from tocsin.cli.operating import tell_of_labels
from tocsin.cli.output import count, first_line, json_option, print_json, say, table, when
from tocsin.delivery.envelopes import envelope_of
from tocsin.errors import TocsinError
from tocsin.routing.compose import Envelope, compose
from tocsin.store.protocol import Store
from tocsin.store.records import AttemptRecord, DeliveryRecord, Status
from tocsin_hooks.durations import format_duration
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter, parse
from tocsin_hooks.messages import Action, Message

_EXAMPLES = """\b
Examples:
  tocsin deliveries --status dead
  tocsin deliveries show 5e1c
  tocsin deliveries retry --all-dead --channel ops
"""
_SHOW_EXAMPLES = """\b
Examples:
  tocsin deliveries show 5e1c
  tocsin deliveries show 5e1c --json
"""
_RETRY_EXAMPLES = """\b
Examples:
  tocsin deliveries retry 5e1c
  tocsin deliveries retry --all-dead --channel ops
  tocsin deliveries retry --all-dead --when "flow=etl and is_failed"
"""
_SHORT = 8


@click.group(epilog=_EXAMPLES, invoke_without_command=True)
@click.option("--status", type=click.Choice([str(status) for status in Status]), help="Only those that stand there.")
@click.option("--channel", help="Only those to this channel.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, of the newest.")
@json_option
@click.pass_context
def command(ctx: click.Context, status: str | None, channel: str | None, limit: int, as_json: bool) -> None:
    """Show what was sent, what waits and what failed, the newest first."""
    if ctx.invoked_subcommand is not None:
        return
    assembly = assembled()
    with opened(assembly) as store:
        wanted = None if status is None else Status(status)
        found = [] if store is None else store.deliveries(status=wanted, channel=channel, limit=limit)
    if as_json:
        print_json([_as_data(delivery) for delivery in found])
        return
    if not found:
        if channel is not None:
            channel_known(assembly, channel)
        say("no such deliveries" if status or channel else "no deliveries yet")
        return
    table(
        ("ID", "PLANNED (UTC)", "STATUS", "CHANNEL", "WHAT", "TRIES", "DETAIL"),
        [
            (d.id[:_SHORT], when(d.created_at), str(d.status), d.channel, _what(d), str(d.attempts), _detail(d))
            for d in found
        ],
    )  # fmt: skip


def _what(delivery: DeliveryRecord) -> str:
    more = len(delivery.events) - 1
    return f"{delivery.event.state} {delivery.event.subject}" + (f" and {more} more" if more > 0 else "")


def _detail(delivery: DeliveryRecord) -> str:
    parts = [delivery.reason, first_line(delivery.detail, 60)]
    return ": ".join(part for part in parts if part)


def _as_data(delivery: DeliveryRecord) -> dict[str, Any]:
    data = {field.name: getattr(delivery, field.name) for field in dataclasses.fields(delivery)}
    del data["planned"]
    return {**data, "event": delivery.event.to_dict(), "events": list(delivery.events)}


# ---------------------------------------------------------------- show


@command.command(epilog=_SHOW_EXAMPLES)
@click.argument("prefix", metavar="ID")
@json_option
def show(prefix: str, as_json: bool) -> None:
    """Show the delivery whose id begins with ID: its message, and every try."""
    assembly = assembled()
    with opened(assembly) as store:
        if store is None:
            raise _none(prefix)
        delivery = _one(store, prefix)
        tries = store.attempts(delivery.number)
        told = _told(store, delivery)
    message = _message(assembly, delivery)
    if as_json:
        attempts = [dataclasses.asdict(each) | {"took": each.took.total_seconds()} for each in tries]
        shown = {"title": message.title, "text": message.text, "severity": message.severity}
        print_json({**_as_data(delivery), "message": shown, "tries": attempts})
        return
    _show(delivery, message, tries, told)


def _told(store: Store, delivery: DeliveryRecord) -> list[Event | str]:
    """The events that a message of several tells of, the newest first; of one that history has no longer its id."""
    if len(delivery.events) < 2:
        return []
    return store.transact(lambda tx: [tx.event(each) or each for each in delivery.events], keep=False)


def _show(
    delivery: DeliveryRecord, message: Message, tries: Sequence[AttemptRecord], told: Sequence[Event | str]
) -> None:
    say(f"delivery {delivery.id}")
    facts = (
        ("channel", delivery.channel),
        ("route", delivery.route),
        ("action", delivery.action),
        ("status", str(delivery.status)),
        ("planned", f"{when(delivery.created_at)} UTC"),
        ("due", f"{when(delivery.due_at)} UTC" if delivery.due_at else ""),
        ("ended", f"{when(delivery.finished_at)} UTC" if delivery.finished_at else ""),
        ("event", delivery.event.id),
    )
    for label, value in facts:
        if value:
            say(f"  {label + ':':<9}{value}")
    if told:
        say(f"  {'events:':<9}{len(told)}")
    for event in told:
        say(f"    {event}" if isinstance(event, str) else f"    {event.id}  {event.state} {event.subject}")
    say()
    say(message.title)
    for line in message.text.splitlines():
        say(f"    {line}")
    say()
    if not tries:
        say("not tried yet")
        return
    rows = [(when(t.at), t.outcome, format_duration(t.took.total_seconds()), t.reason, t.detail) for t in tries]
    table(("TRIED (UTC)", "OUTCOME", "TOOK", "REASON", "DETAIL"), rows)


def _message(assembly: Assembly, delivery: DeliveryRecord) -> Message:
    """The message, in the words that the templates now give it."""
    words, planned = templates(assembly.config), delivery.planned
    if planned is None:
        envelope = Envelope(delivery.id, delivery.channel, delivery.route, Action(delivery.action))
        return compose(delivery.event, envelope)
    envelope = envelope_of(planned, delivery.id, at=delivery.created_at, timezone=assembly.config.timezone)
    return compose(delivery.event, envelope, words.get(planned.template))


def _one(store: Store, prefix: str) -> DeliveryRecord:
    found = store.delivery(prefix) if prefix else []
    if not found:
        raise _none(prefix)
    if len(found) > 1:
        ids = ", ".join(f"'{delivery.id[: len(prefix) + 4]}'" for delivery in found[:5])
        raise TocsinError(f"{len(found)} deliveries begin with '{prefix}': {ids}; give more of the id")
    return found[0]


def _none(prefix: str) -> TocsinError:
    return TocsinError(f"no delivery begins with '{prefix}'; 'tocsin deliveries' lists them")


# ---------------------------------------------------------------- retry


@command.command(epilog=_RETRY_EXAMPLES)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all-dead", is_flag=True, help="All that are dead, as far as the other options do not say less.")
@click.option("--channel", help="Only those to this channel.")
@click.option("--when", "expression", metavar="FILTER", help="Only those whose event the filter matches.")
@json_option
def retry(ids: tuple[str, ...], all_dead: bool, channel: str | None, expression: str | None, as_json: bool) -> None:
    """Make dead deliveries due again: those whose ids begin with ID, or all that the options pick."""
    if bool(ids) == all_dead:
        raise click.UsageError("give the ids of deliveries, or --all-dead; one of the two")
    if ids and (channel or expression):
        raise click.UsageError("--channel and --when pick among all dead deliveries; use them with --all-dead")
    assembly = assembled()
    if channel is not None:
        channel_known(assembly, channel)
    chosen = None if expression is None else parse(expression).bind(assembly.config.filters)
    if expression is not None:
        tell_of_labels(expression)
    with opened(assembly) as store:
        if store is None:
            raise TocsinError("there are no deliveries yet, so none can be tried again")
        picked = [_dead(_one(store, prefix)) for prefix in ids] if ids else _picked(store, channel, chosen)
        revived = store.revive([delivery.number for delivery in picked], now=assembly.clock.now())
    if as_json:
        print_json({"revived": revived, "ids": [delivery.id for delivery in picked]})
        return
    say(f"{count(revived, 'delivery')} due again" + ("; 'tocsin hub' or the next run delivers" if revived else ""))
    _say_missing(assembly, picked)


def _picked(store: Store, channel: str | None, chosen: Filter | None) -> list[DeliveryRecord]:
    dead = store.deliveries(status=Status.DEAD, channel=channel, limit=None)
    return [delivery for delivery in dead if chosen is None or chosen.matches(delivery.event)]


def _dead(delivery: DeliveryRecord) -> DeliveryRecord:
    if delivery.status is not Status.DEAD:
        raise TocsinError(f"delivery '{delivery.id[:_SHORT]}' is {delivery.status}; only dead ones can be tried again")
    return delivery


def _say_missing(assembly: Assembly, picked: Sequence[DeliveryRecord]) -> None:
    for name in sorted({delivery.channel for delivery in picked} - set(assembly.config.channels)):
        click.echo(f"WARNING the config has no channel '{name}' any more; what goes there will be dead again", err=True)
