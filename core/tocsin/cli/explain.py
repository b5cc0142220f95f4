"""`tocsin explain`: which routes act on an event, which do not, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import click

from tocsin.assembly import Assembly
from tocsin.cli.configured import assembled, opened
from tocsin.cli.explanation import as_data, explained, show
from tocsin.cli.output import json_option, print_json
from tocsin.cli.values import pairs, parameters
from tocsin.errors import TocsinError, did_you_mean
from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.states import State, family

_EXAMPLES = """\b
Examples:
  tocsin explain --state Failed --flow etl --task load
  tocsin explain --state Retrying --flow etl --task load --attempt 2 --max-attempts 4 --tag prod
  tocsin explain --event event.json
  tocsin explain --delivery 5e1c
"""


@click.command(epilog=_EXAMPLES)
@click.option("--state", help="The state entered, such as Failed, Retrying or Success.")
@click.option("--flow", help="The flow's name.  [default: flow]")
@click.option("--task", help="The task's name; without it, the event is the flow's own.")
@click.option("--tag", "tags", multiple=True, help="A tag; may be given again.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter; may be given again.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="An extra label; may be given again.")
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt it was.")
@click.option("--max-attempts", type=click.IntRange(min=1), help="How many attempts there can be.")
@click.option("--exception", metavar="TYPE[: TEXT]", help="The exception, such as 'ValueError: no rows'.")
@click.option("--event", "file", type=click.File(encoding="utf-8"), help="A file with an event in JSON, '-' for stdin.")
@click.option("--delivery", metavar="ID", help="The event of the delivery whose id begins with ID.")
@json_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, **given: Any) -> None:
    """Show which routes act on an event, which do not and why, and the messages that would be sent.

    The event is made up from the options, or read with --event, or looked up with --delivery. Nothing is sent or
    stored; incidents that are open count.
    """
    made_up = {name: value for name, value in given.items() if value not in (None, ())}
    if not made_up:
        raise click.UsageError("describe an event, as in: tocsin explain --state Failed --flow etl --task load", ctx)
    if len({"file", "delivery"} & made_up.keys()) and len(made_up) > 1:
        raise click.UsageError("--event and --delivery say all there is to say; leave the other options out", ctx)
    if not {"file", "delivery", "state"} & made_up.keys():
        raise click.UsageError("say which state was entered, as in: --state Failed", ctx)
    assembly = assembled()
    event = _event(assembly, made_up)
    found = explained(assembly, event)
    if as_json:
        print_json(as_data(found))
    else:
        show(found)


def _event(assembly: Assembly, given: dict[str, Any]) -> Event:
    if "file" in given:
        return event_in(given["file"])
    if "delivery" in given:
        return _event_of_delivery(assembly, given["delivery"])
    kind = state_class(given["state"])
    error, _, text = given.get("exception", "").partition(":")
    attempt = given.get("attempt", 1)
    return Event(
        id=assembly.clock.new_id(),
        time=assembly.clock.now(),
        flow=given.get("flow", "flow"),
        run_id=assembly.clock.new_id(),
        state=kind.__name__,
        state_family=family(kind),
        task=given.get("task", ""),
        attempt=attempt,
        max_attempts=max(given.get("max_attempts", 1), attempt),
        tags=frozenset(given.get("tags", ())),
        parameters=parameters(given.get("params", ())),
        labels=pairs(given.get("labels", ()), "--label"),
        exception=ExceptionSummary(error.strip(), text.strip()) if error.strip() else None,
    )


def state_class(name: str) -> type[State]:
    """The state class of that name, whatever its case. Raises TocsinError, naming the nearest, if there is none."""
    classes = {kind.__name__: kind for kind in State.children() if isinstance(kind, type)}
    for known, kind in classes.items():
        if known.casefold() == name.casefold():
            return kind
    raise TocsinError(f"there is no state '{name}'{did_you_mean(name, classes)}")


def event_in(file: TextIO) -> Event:
    """The event that a file holds in its JSON form. Raises TocsinError when it holds none."""
    name = Path(file.name).name
    try:
        return Event.from_dict(json.load(file))
    except json.JSONDecodeError as error:
        raise TocsinError(f"'{name}' is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from error
    except KeyError as error:
        raise TocsinError(f"'{name}' holds no event: {error} is missing") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise TocsinError(f"'{name}' holds no event: {error}") from error


def _event_of_delivery(assembly: Assembly, prefix: str) -> Event:
    with opened(assembly) as store:
        found = [] if store is None else store.delivery(prefix)
    if len(found) != 1:
        known = "no delivery begins" if not found else f"{len(found)} deliveries begin"
        raise TocsinError(f"{known} with '{prefix}'; 'tocsin deliveries' lists them")
    return found[0].event
