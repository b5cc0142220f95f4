"""What commands print on stdout: tables and text for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tocsin.cli.diagnostics import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Command = TypeVar("Command", bound=Callable[..., Any])

_UNBOUNDED = 100_000  # columns: what goes to a file or a pipe is never wrapped

_PLAIN_STYLES = frozenset({"bold", "dim", "red", "green", "yellow", "blue"})

STATE_STYLES = {
    "Success": "green",
    "Cached": "green",
    "Mapped": "green",
    "Skipped": "dim",
    "Running": "blue",
    "Pending": "dim",
    "Retrying": "yellow",
    "Failed": "red",
    "TimedOut": "red",
    "TriggerFailed": "red",
    "ValidationFailed": "red",
    "Crashed": "bold red",
    "Cancelled": "yellow",
    "delivered": "green",
    "pending": "yellow",
    "leased": "yellow",
    "dead": "bold red",
    "acts": "green",
    "replaced": "yellow",
    "critical": "bold red",
    "error": "red",
    "warning": "yellow",
    "info": "blue",
}
"""How the words of states, deliveries, verdicts and severities are coloured, where there is colour at all."""


def json_option(command: Command) -> Command:
    """Add `--json`: one JSON document on stdout, and nothing else there."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document, for programs.")(command)


def print_json(data: Any) -> None:
    """Print `data` as one JSON document."""
    click.echo(json.dumps(data, indent=2, default=_plain))  # ASCII only: no text in it can control a terminal


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def say(text: str = "") -> None:
    """Print text for people: on several lines perhaps, harmless to a terminal."""
    click.echo(visible(text, keep="\n"))


def console(*, stderr: bool = False) -> Console:
    """A rich console that colours terminals only, and wraps nothing elsewhere."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=_UNBOUNDED)
    return made


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with a line per row; what a row holds is shown, never obeyed, by the terminal."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(styled(cell, cell) for cell in row))
    out = console()
    with out.capture() as captured:
        out.print(made)
    lines = (line.rstrip() for line in captured.get().splitlines())
    click.echo("\n".join(lines))


def styled(text: str, style: str = "") -> Text:
    """Text in a style, or in that of a word in `STATE_STYLES`; harmless to a terminal."""
    from rich.text import Text

    return Text(visible(text, keep="\n"), style=STATE_STYLES.get(style, style if style in _PLAIN_STYLES else ""))


def show(*parts: Text) -> None:
    """Print pieces of text on one line, each in its own style."""
    from rich.text import Text

    console().print(Text.assemble(*parts))


def when(time: datetime | None) -> str:
    """A time for people, to the second, in UTC.

    >>> from datetime import UTC
    >>> when(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC))
    '2026-01-02 03:04:05'
    """
    from datetime import UTC

    return "" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def count(number: int, noun: str) -> str:
    """A number with its noun.

    >>> count(1, "route"), count(2, "delivery"), count(0, "inbox")
    ('1 route', '2 deliveries', '0 inboxes')
    """
    if number == 1:
        return f"1 {noun}"
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + ("es" if noun.endswith(("s", "x")) else "s")
    return f"{number} {plural}"


def first_line(text: str, width: int = 100) -> str:
    r"""The first line of `text`, cut to `width`.

    >>> first_line("one\ntwo"), first_line("abcdefgh", 6)
    ('one', 'abc...')
    """
    line = text.strip().partition("\n")[0]
    return line if len(line) <= width else line[: width - 3] + "..."
