"""`tocsin doctor`: what keeps tocsin from working here."""

from __future__ import annotations

import dataclasses

import click

from tocsin.assembly import locate
from tocsin.cli.output import count, json_option, print_json, say, show, styled
from tocsin.clock import SystemClock
from tocsin.errors import TocsinError
from tocsin.health.examine import CONFIG, examine
from tocsin.health.findings import Finding, Level, failed
from tocsin.settings.source import Source

_EXAMPLES = """\b
Examples:
  tocsin doctor
  tocsin doctor --json
"""
_STYLES = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "bold red"}


@click.command(epilog=_EXAMPLES)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Look at the config, plugins, store, clock, permissions, libraries and the hub; say what would mend what is wrong.

    Nothing is changed, and nothing is sent. The whole store is read once, which takes a while for a large one. Exits
    with 1 if something failed, else with 0.
    """
    found = _examined()
    worst = [each for each in found if each.level is Level.FAILED]
    if as_json:
        print_json({"ok": not worst, "findings": [dataclasses.asdict(each) for each in found]})
    else:
        for finding in found:
            _show(finding)
        warnings = sum(each.level is Level.WARNING for each in found)
        say(f"{len(worst)} failed, {count(warnings, 'warning')}")
    ctx.exit(1 if worst else 0)


def _examined() -> list[Finding]:
    source: Source | None = None
    before: list[Finding] = []
    try:
        source = locate()
    except TocsinError as error:
        before.append(failed(CONFIG, str(error), "name another with --config"))
    found = examine(source, SystemClock())
    return [*before, *(each for each in found if not before or each.area != CONFIG)]


def _show(finding: Finding) -> None:
    head = styled(f"{finding.level:<8}", _STYLES[finding.level])
    show(head, styled(f"{finding.area + ':':<13}"), styled(finding.text))
    if finding.remedy:
        say(f"{'':<21}{finding.remedy}")
