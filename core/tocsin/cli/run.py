"""`tocsin run`: a flow from a file, its messages delivered, both summed up."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click

from tocsin import runs
from tocsin.assembly import Assembly, hub_for_runs, locate
from tocsin.cli.diagnostics import report
from tocsin.cli.flowfile import check_given, load_flow, split
from tocsin.cli.output import console, json_option, print_json
from tocsin.cli.progress import live, print_line
from tocsin.cli.record import RunRecord
from tocsin.cli.summary import Summary, as_data, by_channel, show
from tocsin.cli.values import parameters
from tocsin.clock import Clock, SystemClock
from tocsin.flows.flow import Flow
from tocsin.hub.hub import Counters, Hub
from tocsin.options import config
from tocsin.runs import stopping
from tocsin.store.records import DeliveryRecord, StoreError
from tocsin_hooks.states import State

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
@json_option
@click.pass_context
def command(ctx: click.Context, target: str, params: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Run the flow in FILE, deliver its messages, and sum both up.

    FLOW is the flow's name, or that of its variable; it may be left out where the file holds one flow. Exits with 0
    when the flow succeeded, with 1 when it did not, and with 2 when the file, the config or the parameters are wrong;
    with 130 when Ctrl-C stopped it, and with 143 when SIGTERM did.
    """
    given = parameters(params)
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # what the flow prints is no part of the document
        beside = split(target)[0].absolute().parent
        if (source := locate(beside=beside)) is not None:
            config.reload(source.path)  # the runner's options may stand in the same file
        flow = load_flow(target)
        check_given(flow, given)
        summary = run(flow, given, progress=not (quiet or as_json), beside=beside)
    print_json(as_data(summary)) if as_json else show(summary)
    ctx.exit(summary.exit_code)


def run(
    flow: Flow, given: Mapping[str, Any], *, progress: bool, clock: Clock | None = None, beside: Path | None = None
) -> Summary:
    """Run `flow` with the hub that the config describes, and return what it came to.

    The config is looked for in the folder `beside`, too.
    """
    clock = clock or SystemClock()
    terminal = progress and console().is_terminal
    record = RunRecord(flow, clock, print_line if progress and not terminal else None)
    run_id, started = clock.new_id(), clock.monotonic()
    with hub_for_runs(clock, beside=beside) as (hub, assembly), _shown(record, live_table=terminal):
        state, code = _run_flow(
            flow, given, publisher=hub, clock=clock, on_change=record.change, context={"flow_run_id": run_id}
        )
    record.finish(state.result if isinstance(state.result, Mapping) else {})
    return Summary(
        flow=flow.name,
        run_id=run_id,
        state=type(state).__name__,
        message=_message(state),
        seconds=clock.monotonic() - started,
        tasks=record.tasks(),
        succeeded=state.is_successful(),
        deliveries=by_channel(_deliveries(assembly, run_id)),
        counters=_counters(hub),
        exit_code=code,
    )


def _run_flow(flow: Flow, given: Mapping[str, Any], **options: Any) -> tuple[State, int]:
    """The final state, and the code with which to exit; that of a run that was stopped, too, unless it was twice."""
    try:
        state = runs.run_flow(flow, given, **options)
    except stopping.STOPS as error:
        left, code = stopping.state_left_by(error), stopping.exit_code(error)
        if left is None or stopping.is_at_once(error):
            raise SystemExit(code) from error
        return left, code
    return state, 0 if state.is_successful() else 1


@contextmanager
def _shown(record: RunRecord, *, live_table: bool) -> Iterator[None]:
    if not live_table:
        yield
        return
    with live(record):
        yield


def _message(state: State) -> str:
    return state.message or ""


def _counters(hub: Hub | None) -> Counters:
    return Counters() if hub is None else hub.counters


def _deliveries(assembly: Assembly | None, run_id: str) -> list[DeliveryRecord]:
    if assembly is None:
        return []
    try:
        return assembly.store.deliveries(run_ids=[run_id], limit=None)
    except StoreError as error:
        report("ERROR", f"what became of the messages is not known: {error}")
        return []
    finally:
        assembly.store.close()
