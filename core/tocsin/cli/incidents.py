"""`tocsin incidents`: the problems that are open, and what is done about them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click

from tocsin.cli.configured import assembled
from tocsin.cli.operating import SHORT, outbox_of
from tocsin.cli.output import json_option, print_json, say, table, when
from tocsin.hub import operations
from tocsin.routing.silences import Silence
from tocsin.store.records import Incident
from tocsin_hooks.durations import format_duration
from tocsin_hooks.filters import parse

_EXAMPLES = """\b
Examples:
  tocsin incidents
  tocsin incidents --filter "flow=etl and not state=Retrying"
  tocsin incidents --all 20 --json
"""


@click.command(epilog=_EXAMPLES)
@click.option("--filter", "expression", metavar="FILTER", help="Only those whose last event the filter matches.")
@click.option("--all", "newest", type=click.IntRange(min=1), metavar="N", help="The newest N, be they over or not.")
@json_option
def command(expression: str | None, newest: int | None, as_json: bool) -> None:
    """Show the problems that are open, the newest last: where they stand, and who took them on."""
    assembly = assembled()
    now = assembly.clock.now()
    wanted = None if expression is None else parse(expression).bind(assembly.config.filters)
    found: list[Incident] = []
    silences: dict[int | None, Silence] = {}
    if assembly.config.store.is_there:
        with outbox_of(assembly) as outbox:
            found = operations.open_incidents(outbox) if newest is None else operations.latest_incidents(outbox, newest)
            found = found if wanted is None else operations.incidents_matching(outbox, found, wanted)
            silences = operations.silenced_by(outbox, [i for i in found if i.closed_at is None], now=now)
    if as_json:
        print_json([_as_data(incident, silences) for incident in found])
        return
    if not found:
        say(
            "no such incident"
            if wanted is not None
            else "no incident is open"
            if newest is None
            else "no incidents yet"
        )
        return
    table(
        ("NUMBER", "KEY", "STATE", "SINCE (UTC)", "FOR", "FAILURES", "HIDES", "NOTES"),
        [_row(incident, silences, now) for incident in found],
    )


def _row(incident: Incident, silences: Mapping[int | None, Silence], now: datetime) -> tuple[str, ...]:
    lasted = (incident.closed_at or now) - incident.opened_at
    return (
        f"#{incident.number}",
        incident.key,
        incident.state,
        when(incident.opened_at),
        format_duration(max(lasted.total_seconds(), 0.0)),
        str(incident.failures),
        str(incident.hides),
        ", ".join(_notes(incident, silences.get(incident.number))),
    )


def _notes(incident: Incident, silence: Silence | None) -> list[str]:
    notes = [f"over since {when(incident.closed_at)}"] if incident.closed_at else []
    notes += [f"acknowledged by {incident.acked_by or 'somebody'}"] if incident.acked_at else []
    return notes + ([f"silenced ({silence.id[:SHORT]})"] if silence else [])


def _as_data(incident: Incident, silences: Mapping[int | None, Silence]) -> dict[str, Any]:
    silence = silences.get(incident.number)
    return {**dataclasses.asdict(incident), "silence": None if silence is None else silence.id}
