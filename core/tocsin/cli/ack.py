"""`tocsin ack`: somebody takes a problem on, so that reminders and escalation stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from tocsin.cli.configured import assembled
from tocsin.cli.operating import outbox_of, told_by, who
from tocsin.cli.output import json_option, print_json, say
from tocsin.errors import TocsinError
from tocsin.hub import operations
from tocsin.store.records import Incident

_EXAMPLES = """\b
Examples:
  tocsin ack 12
  tocsin ack shop/etl/load --by ann
  tocsin ack "flow=etl and is_failed"
"""


@click.command(epilog=_EXAMPLES)
@click.argument("whats", nargs=-1, required=True, metavar="WHAT...")
@click.option("--by", metavar="NAME", help="Who takes it on, in place of whoever is logged in.")
@json_option
def command(whats: tuple[str, ...], by: str | None, as_json: bool) -> None:
    """Acknowledge open incidents: somebody is on it, and nobody else need be told.

    WHAT is the number of an incident, its key, or a filter that matches its last event; 'tocsin incidents' shows them.
    Where one WHAT means no open incident, none is acknowledged.
    """
    assembly = assembled()
    if not assembly.config.store.is_there:
        raise TocsinError(f"no open incident is '{whats[0]}': none is open")
    name = who(by)
    with outbox_of(assembly) as outbox:
        result, done = operations.acknowledge_all(outbox, whats, by=name, now=assembly.clock.now())
        told = told_by(assembly, result)
    if as_json:
        print_json(
            {"acknowledged": _data(done.now), "already": _data(done.before), "by": name, "messages": len(result.sent)}
        )
        return
    for incident in done.now:
        say(f"acknowledged #{incident.number} {incident.key} ({incident.state})")
    for incident in done.before:
        say(f"#{incident.number} {incident.key} was acknowledged before, by {incident.acked_by or 'somebody'}")
    if told:
        say(told)


def _data(incidents: Sequence[Incident]) -> list[dict[str, Any]]:
    return [{"number": i.number, "key": i.key, "state": i.state, "acked_by": i.acked_by or None} for i in incidents]
