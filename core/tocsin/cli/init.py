"""`tocsin init`: a config to start from, which works as it is."""

from __future__ import annotations

from pathlib import Path

import click

from tocsin.cli.output import say
from tocsin.errors import TocsinError

_EXAMPLES = """\b
Examples:
  tocsin init
  tocsin init deploy
"""

STARTER = """\
# tocsin.toml: who hears of what. 'tocsin check' finds mistakes, 'tocsin explain' shows what a route does.
version = 1

[store]
path = "tocsin.db"               # events and deliveries, kept until they are delivered; and the inbox

# ---- channels: what can be reached; 'tocsin plugins' lists the types, 'tocsin test NAME' tries one

[channels.inbox]
type = "inbox"                   # kept in the store; read it with: tocsin inbox

[channels.screen]
type = "console"                 # printed where the flow runs

# [channels.ops]                 # needs: pip install tocsin-slack
# type = "slack"
# webhook_url = { env = "SLACK_WEBHOOK_URL" }   # a secret is referred to, never written here

# ---- routes: all that match act; a problem's recovery goes to whoever heard of the problem

[[routes]]
name = "problems"
when = "is_failed or is_retrying"
send = ["inbox", "screen"]
"""
"""What `tocsin init` writes."""


@click.command(epilog=_EXAMPLES)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".", metavar="[DIR]")
@click.option("--force", is_flag=True, help="Write over a tocsin.toml that is there.")
def command(folder: Path, force: bool) -> None:
    """Write a tocsin.toml into DIR, this folder if none is given. It works as it is."""
    path = folder / "tocsin.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError as error:
        raise TocsinError(f"'{path}' exists already; --force writes over it") from error
    except OSError as error:
        raise TocsinError(f"'{path}' cannot be written: {error.strerror}") from error
    say(f"wrote {path}")
    say()
    say("Next:")
    steps = (
        ("tocsin check", "find mistakes after a change"),
        ("tocsin test inbox", "send a test message"),
        ("tocsin explain --state Failed", "see which routes act"),
        ("tocsin run FILE.py", "run a flow; its messages are in: tocsin inbox"),
    )
    for example, meaning in steps:
        say(f"  {example:<31}{meaning}")
