"""`tocsin inbox`: the messages of the channel type that needs no account."""

from __future__ import annotations

import dataclasses

import click

from tocsin.cli.configured import assembled, opened
from tocsin.cli.output import json_option, print_json, say, show, styled, when
from tocsin.store.records import InboxItem

_EXAMPLES = """\b
Examples:
  tocsin inbox
  tocsin inbox --limit 5 --json
"""


@click.command(epilog=_EXAMPLES)
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many, of the newest.")
@json_option
def command(limit: int, as_json: bool) -> None:
    """Read the messages that channels of type "inbox" have kept, the newest last."""
    assembly = assembled()
    with opened(assembly) as store:
        items = [] if store is None else store.inbox(limit=limit)[::-1]
    if as_json:
        print_json([dataclasses.asdict(item) for item in items])
        return
    for item in items:
        show_item(item)
    if not items:
        named = any(channel.type.name == "inbox" for channel in assembly.config.channels.values())
        say("the inbox is empty" if named else "the inbox is empty: no channel is of type 'inbox'")


def show_item(item: InboxItem) -> None:
    """Print one message: when and how urgent, its title, its text below."""
    severity = styled(f"[{item.severity}]", item.severity)
    show(styled(f"{when(item.at)} ", "dim"), severity, styled(f" {item.title}", "bold"))
    for line in item.text.splitlines():
        say(f"    {line}")
