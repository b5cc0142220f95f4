"""Which commands there are, and what becomes of the errors they end with."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from tocsin import __version__
from tocsin.cli.diagnostics import log_lines, visible
from tocsin.errors import TocsinError, did_you_mean

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a process that SIGINT ended."""


class Entry(NamedTuple):
    """A command: the module that defines it as `command`, and its line in `tocsin --help`."""

    module: str
    summary: str


COMMANDS = {
    "init": Entry("tocsin.cli.init", "Write a tocsin.toml to start from"),
    "demo": Entry("tocsin.cli.demo", "Watch a flow retry, fail and recover; needs no account"),
    "run": Entry("tocsin.cli.run", "Run a flow, deliver its messages, and sum both up"),
    "check": Entry("tocsin.cli.check", "Show every mistake in the config"),
    "explain": Entry("tocsin.cli.explain", "Show which routes act on an event, which do not, and why"),
    "backtest": Entry("tocsin.cli.backtest", "Show what another config would have sent for past events"),
    "test": Entry("tocsin.cli.test", "Send one test message to a channel"),
    "inbox": Entry("tocsin.cli.inbox", "Read the messages of the inbox channel"),
    "plugins": Entry("tocsin.cli.plugins", "Show the installed plugins and what they provide"),
    "deliveries": Entry("tocsin.cli.deliveries", "Show what was sent, what waits and what failed; retry it"),
    "incidents": Entry("tocsin.cli.incidents", "Show the problems that are open"),
    "ack": Entry("tocsin.cli.ack", "Acknowledge an incident: somebody is on it"),
    "silence": Entry("tocsin.cli.silence", "For a while, tell nobody of what a filter matches"),
    "status": Entry("tocsin.cli.status", "Show what waits, what failed, and what needs a person"),
    "hub": Entry("tocsin.cli.hub", "Deliver what is due until stopped"),
    "tick": Entry("tocsin.cli.tick", "Do and deliver once what is due; for cron"),
    "doctor": Entry("tocsin.cli.doctor", "Look for what keeps tocsin from working here"),
}
"""tocsin's own commands, in the order in which one meets them."""


class Mistake(click.ClickException):
    """What the user can mend: told on stderr without a traceback."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        """Print the error."""
        click.echo(f"error: {visible(self.message, keep=chr(10))}", file=file or sys.stderr)


class Commands(click.Group):
    """The commands, each loaded when it is asked for; the help of the group loads none of tocsin's own."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (as of click.Group)
        """The names of all commands, those of plugins last."""
        return [*COMMANDS, *sorted(_of_plugins())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name."""
        if entry := COMMANDS.get(cmd_name):
            command: click.Command = import_module(entry.module).command
            return command
        return _of_plugins().get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begin with; a usage error that names the nearest if there is none."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"no such command '{visible(args[0])}'{did_you_mean(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])
        if others := _of_plugins():
            with formatter.section("Commands of plugins"):
                formatter.write_dl([(name, others[name].get_short_help_str()) for name in sorted(others)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the user can mend becomes an error of one line and exit code 2."""
        try:
            return super().invoke(ctx)
        except TocsinError as error:
            raise Mistake(told(error)) from error
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


def told(error: TocsinError) -> str:
    """An error as it is shown: the problems of a config one below the other, anything else in its own words."""
    problems = getattr(error, "problems", ())
    return f"the config has {len(problems)} mistakes\n{error}" if len(problems) > 1 else str(error)


def _of_plugins() -> dict[str, click.Command]:
    """The commands that plugins add, by name."""
    from tocsin.cli.extensions import commands_of_plugins

    return commands_of_plugins(taken=COMMANDS)


_EXAMPLES = """\b
Examples:
  tocsin demo                   see it work, without any account
  tocsin init                   write a tocsin.toml
  tocsin check                  find its mistakes
  tocsin run etl.py             run the flow in etl.py
"""


@contextmanager
def _config_named(path: Path) -> Iterator[None]:
    # told to the whole process: a flow that runs another one finds the same config
    before = os.environ.get("TOCSIN_CONFIG")
    os.environ["TOCSIN_CONFIG"] = str(path.absolute())
    try:
        yield
    finally:
        os.environ.pop("TOCSIN_CONFIG")
        if before is not None:
            os.environ["TOCSIN_CONFIG"] = before


@click.command(cls=Commands, name="tocsin", epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tocsin")
@click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The config file, in place of TOCSIN_CONFIG or the tocsin.toml found here.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more: what is done, and where errors arose.")
@click.pass_context
def tocsin(ctx: click.Context, config: Path | None, verbose: bool) -> None:
    """Notifications and state hooks for Python pipelines."""
    ctx.with_resource(log_lines(verbose=verbose))
    if config is not None:
        ctx.with_resource(_config_named(config))
