"""`tocsin explain`: which routes act on an event, which do not, and why."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import click

from tocsin.assembly import Assembly
from tocsin.bare_labels import event_of
from tocsin.cli.configured import assembled, opened
from tocsin.cli.explanation import as_data, explained
from tocsin.cli.explanation_text import show
from tocsin.cli.operating import moment_of, span_of
from tocsin.cli.output import json_option, print_json
from tocsin.cli.values import pairs, parameters
from tocsin.clock import Clock
from tocsin.errors import TocsinError, did_you_mean
from tocsin.routing.moments import later
from tocsin.store.protocol import Store
from tocsin.store.reading import BEGINNING, events_between, newest_event
from tocsin_hooks.events import Event
from tocsin_hooks.states import State

_EXAMPLES = """\b
Examples:
  tocsin explain --state Failed --flow etl --task load
  tocsin explain --state Failed --flow etl --tag prod --at 2026-03-01T03:00Z
  tocsin explain --last --at event
  tocsin explain --event event.json --ahead 1d
  tocsin explain --delivery 5e1c
"""

_WHOLE = {"file": "--event", "event_id": "--event-id", "delivery": "--delivery", "last": "--last"}
"""What says by itself which event is meant."""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--state", help="The state entered, such as Failed, Retrying or Success; events from elsewhere have none."
)
@click.option("--flow", help="The flow's name.  [default: flow]")
@click.option("--task", help="The task's name; without it, the event is the flow's own.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be given again.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be given again.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Any label; may be given again.")
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt it was.")
@click.option("--max-attempts", type=click.IntRange(min=1), help="How many attempts there can be.")
@click.option("--exception", metavar="TYPE[: TEXT]", help="The exception, such as 'ValueError: no rows'.")
@click.option(
    "--event", "file", type=click.File(encoding="utf-8"), help="A file with an event, or labels, in JSON; '-': stdin."
)
@click.option("--event-id", metavar="ID", help="The event in history whose id begins with ID.")
@click.option("--delivery", metavar="ID", help="The event of the delivery whose id begins with ID.")
@click.option("--last", is_flag=True, help="The newest event in history.")
@click.option("--at", metavar="TIME", help="When it happens; 'event': when it did.  [default: now]")
@click.option("--ahead", metavar="SPAN", default="1h", show_default=True, help="How far to look for what follows.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, at: str | None, ahead: str, **given: Any) -> None:
    """Show which routes act on an event, which do not and why, and the messages that would be sent.

    The event is made up from the options, or read with --event, or one in history. It is explained as if it were new:
    nothing is sent or stored, but all that is stored counts, such as open incidents, groups and silences.
    """
    made_up = {name: value for name, value in given.items() if value not in (None, (), False)}
    if not made_up:
        raise click.UsageError("describe an event, as in: tocsin explain --state Failed --flow etl --task load", ctx)
    if _WHOLE.keys() & made_up.keys() and len(made_up) > 1:
        told = f"{', '.join(list(_WHOLE.values())[:-1])} and --last"
        raise click.UsageError(f"each of {told} says all there is to say; leave the other options out", ctx)
    if not {*_WHOLE, "state", "labels"} & made_up.keys():
        raise click.UsageError("say which state was entered, as in: --state Failed", ctx)
    span = timedelta(0) if ahead.strip() == "0" else span_of(ahead, "--ahead")
    assembly = assembled()
    now = assembly.clock.now()
    its_own = at is not None and at.strip().casefold() == "event"
    moment = now if at is None or its_own else moment_of(at, "--at", after=now, timezone=assembly.config.timezone)
    event = _event(assembly, made_up, moment)
    moment = event.time if its_own else moment
    try:
        found = explained(assembly, event, at=moment, ahead=span)
    except OverflowError:
        raise TocsinError(f"what follows on '{moment.isoformat()}' is past the end of the calendar") from None
    if as_json:
        print_json(as_data(found))
    else:
        show(found)


def _event(assembly: Assembly, given: dict[str, Any], at: datetime) -> Event:
    if "file" in given:
        return event_in(given["file"], assembly.clock)
    if not given.keys() & _WHOLE.keys():
        return _made_up(assembly, given, at)
    with opened(assembly) as store:
        if "delivery" in given:
            return _event_of_delivery(store, given["delivery"])
        if "event_id" in given:
            return _event_of_id(store, given["event_id"], assembly.clock.now())
        newest = None if store is None else newest_event(store, assembly.clock.now())
    if newest is None:
        raise TocsinError("there is no event in history yet")
    return newest


def _made_up(assembly: Assembly, given: dict[str, Any], at: datetime) -> Event:
    labels: dict[str, Any] = pairs(given.get("labels", ()), "--label")
    labels |= {name: given[name] for name in ("state", "flow", "task", "tags", "exception") if name in given}
    labels["params"] = parameters(given.get("params", ()))
    if labels.get("state"):
        labels = {"flow": "flow", "run_id": assembly.clock.new_id(), **labels}
        labels["state"] = state_class(labels["state"]).__name__
    event = event_of({**labels, "id": assembly.clock.new_id(), "time": at}, assembly.clock)
    attempt = given.get("attempt", event.attempt)
    return event.replace(attempt=attempt, max_attempts=max(given.get("max_attempts", event.max_attempts), attempt))


def state_class(name: str) -> type[State]:
    """The state class of that name, whatever its case. Raises TocsinError, naming the nearest, if there is none."""
    classes = {kind.__name__: kind for kind in State.children() if isinstance(kind, type)}
    for known, kind in classes.items():
        if known.casefold() == name.casefold():
            return kind
    raise TocsinError(f"there is no state '{name}'{did_you_mean(name, classes)}")


def event_in(file: TextIO, clock: Clock) -> Event:
    """The event that a file holds in its JSON form, or as bare labels. Raises TocsinError when it holds none."""
    name = Path(file.name).name
    try:
        found = json.load(file)
        if isinstance(found, dict) and found and not {"version", "state_family"} & found.keys():
            return event_of(found, clock)
        return Event.from_dict(found)
    except json.JSONDecodeError as error:
        raise TocsinError(f"'{name}' is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except KeyError as error:
        raise TocsinError(f"'{name}' holds no event: {error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise TocsinError(f"'{name}' holds no event: {error}") from error


def _event_of_delivery(store: Store | None, prefix: str) -> Event:
    found = [] if store is None else store.delivery(prefix)
    if len(found) != 1:
        known = "no delivery begins" if not found else f"{len(found)} deliveries begin"
        raise TocsinError(f"{known} with '{prefix}'; 'tocsin deliveries' lists them")
    return found[0].event


def _event_of_id(store: Store | None, prefix: str, now: datetime) -> Event:
    exact = None if store is None else store.transact(lambda tx: tx.event(prefix), keep=False)
    if store is None or exact is not None or not prefix:
        found = [] if exact is None else [exact]
    else:
        every = events_between(store, BEGINNING, later(now, timedelta(days=365)))
        found = list(islice((event for event in every if event.id.startswith(prefix)), 2))
    if len(found) != 1:
        known = "no event in history begins" if not found else "several events in history begin"
        raise TocsinError(f"{known} with '{prefix}'; give {'another' if not found else 'more of it'}")
    return found[0]
