"""`tocsin run`: a flow from a file, in a process of its own, which another one outlives to tell how it ended."""

from __future__ import annotations

import io
import sys
import threading
import time

import click

from tocsin.cli.diagnostics import report
from tocsin.cli.output import json_option
from tocsin.cli.values import parameters
from tocsin.supervision import child, link
from tocsin.threads import REMEDY

_EXAMPLES = """\b
Examples:
  tocsin run etl.py
  tocsin run etl.py:nightly --param day=2026-01-31 --param limit=100
  tocsin run etl.py --json > summary.json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("target", metavar="FILE[:FLOW]")
@click.option(
    "-p",
    "--param",
    "params",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter: JSON, or text; may be given again.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, only the summary.")
@click.option(
    "--no-supervise", is_flag=True, help="Run in this process: if it dies, only a hub or the next run says so."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, target: str, params: tuple[str, ...], quiet: bool, no_supervise: bool, as_json: bool
) -> None:
    """Run the flow in FILE, deliver its messages, and sum both up.

    FLOW is the flow's name, or that of its variable; it may be left out where the file holds one flow. The flow runs in
    a child process: should that die, by a signal or for want of memory, the run ends as Crashed, and is announced.

    Exits with 0 when the flow succeeded, with 1 when it did not, and with 2 when the file, the config or the parameters
    are wrong; with 130 when Ctrl-C stopped it, with 143 when SIGTERM did, and with 128 and its number when another
    signal killed it.
    """
    given = parameters(params)
    supervisor = link.link_of_this_process()
    if supervisor is None and not no_supervise and can_supervise():
        try:
            ctx.exit(_supervised(ctx, target, params, quiet=quiet, as_json=as_json))
        except child.UnsupervisedError as error:
            report("WARNING", f"the run is not supervised: {error}; {REMEDY}")
    from tocsin.cli.run_here import run_target

    try:
        code = run_target(target, given, quiet=quiet, as_json=as_json, link=supervisor)
    finally:
        if supervisor is not None:
            supervisor.left()
    ctx.exit(code)


def can_supervise() -> bool:
    """Whether a child could have what this process has: its outputs, not what a program put in their place."""
    return child.POSSIBLE and threading.current_thread() is threading.main_thread() and _real(sys.stdout, sys.stderr)


def _real(*streams: object) -> bool:
    try:
        return [stream.fileno() for stream in streams if isinstance(stream, io.TextIOBase)] == [1, 2]
    except (OSError, ValueError):  # no file at all, or a closed one
        return False


def _supervised(ctx: click.Context, target: str, params: tuple[str, ...], *, quiet: bool, as_json: bool) -> int:
    """Run the flow in a child, which says itself what it came to, unless it dies; the code with which to end."""
    verbose = ctx.parent is not None and bool(ctx.parent.params.get("verbose"))
    options = [*(["-v"] if verbose else []), "run", *(part for each in params for part in ("-p", each))]
    options += [*(["-q"] if quiet else []), *(["--json"] if as_json else []), "--", target]
    began = time.monotonic()
    ended = child.supervise(child.tocsin_command(options))
    if ended.told.left and ended.ending.code >= 0:
        return ended.ending.exit_code
    from tocsin.cli.run_crashed import speak_for

    return speak_for(ended, target, seconds=time.monotonic() - began, as_json=as_json)
