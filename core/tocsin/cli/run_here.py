"""A flow from a file, run in this process: its messages delivered, both summed up."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

from tocsin import runs
from tocsin.assembly import Assembly, hub_for_runs, locate
from tocsin.cli.diagnostics import report
from tocsin.cli.flowfile import check_given, load_flow, split
from tocsin.cli.output import console, print_json
from tocsin.cli.progress import live, print_line
from tocsin.cli.record import RunRecord
from tocsin.cli.summary import Summary, as_data, by_channel, show
from tocsin.clock import Clock, SystemClock
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task
from tocsin.hub.counters import Counters
from tocsin.hub.hub import Hub
from tocsin.identity import process_of
from tocsin.masked import masked
from tocsin.options import config
from tocsin.runs import stopping
from tocsin.runs.publishing import OnChange
from tocsin.store.records import DeliveryRecord, StoreError
from tocsin.supervision.link import Link
from tocsin_hooks.states import State, run_context


def run_target(target: str, given: Mapping[str, Any], *, quiet: bool, as_json: bool, link: Link | None = None) -> int:
    """Run the flow that `target` names, print what it came to, and return the code with which to end.

    The supervisor of this process, if there is one, hears of it through the `link`.
    """
    with redirect_stdout(sys.stderr) if as_json else nullcontext():  # what the flow prints is no part of the document
        beside = split(target)[0].absolute().parent
        if (source := locate(beside=beside)) is not None:
            config.reload(source.path)  # the runner's options may stand in the same file
        flow = load_flow(target)
        check_given(flow, given)
        summary = run(flow, given, progress=not (quiet or as_json), beside=beside, link=link)
    print_json(as_data(summary)) if as_json else show(summary)
    return summary.exit_code


def run(
    flow: Flow,
    given: Mapping[str, Any],
    *,
    progress: bool,
    clock: Clock | None = None,
    beside: Path | None = None,
    link: Link | None = None,
) -> Summary:
    """Run `flow` with the hub that the config describes, and return what it came to.

    The config is looked for in the folder `beside`, too.
    """
    clock = clock or SystemClock()
    terminal = progress and console().is_terminal
    record = RunRecord(flow, clock, print_line if progress and not terminal else None)
    run_id, started = clock.new_id(), clock.monotonic()
    with hub_for_runs(clock, beside=beside) as (hub, assembly), _shown(record, live_table=terminal):
        on_change: OnChange = record.change
        if link is not None:
            link.begins(flow.name, run_id)
            on_change = _told_to(link, assembly, run_id, record.change)
        state, code = _run_flow(
            flow, given, publisher=hub, clock=clock, on_change=on_change, context={"flow_run_id": run_id}
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
        deliveries=by_channel(deliveries_of(assembly, run_id)),
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


def _told_to(link: Link, assembly: Assembly | None, run_id: str, then: OnChange) -> OnChange:
    """Tell the supervisor, too, of what happens: what runs, and how the run ends."""
    if assembly is not None:
        assembly.heart.supervisor = process_of(os.getppid())

    def change(subject: Task | Flow, old: State, new: State) -> None:
        then(subject, old, new)
        kind = type(new).__name__
        if isinstance(subject, Parameter) and not new.is_failed():
            return
        if isinstance(subject, Task):
            index = run_context.get().get("map_index")
            link.task(subject.name if index is None else f"{subject.name}[{index}]", kind)
        elif new.is_finished():
            link.ended(kind, _message(new))
        elif assembly is not None and assembly.heart.is_known(run_id):
            link.known()

    return change


@contextmanager
def _shown(record: RunRecord, *, live_table: bool) -> Iterator[None]:
    if not live_table:
        yield
        return
    with live(record):
        yield


def _message(state: State) -> str:
    return masked(state.message)


def _counters(hub: Hub | None) -> Counters:
    return Counters() if hub is None else hub.counters


def deliveries_of(assembly: Assembly | None, run_id: str) -> list[DeliveryRecord]:
    """The deliveries of a run, and the store let go of; none where it cannot tell, which is said."""
    if assembly is None:
        return []
    try:
        return assembly.store.deliveries(run_ids=[run_id], limit=None)
    except StoreError as error:
        report("ERROR", f"what became of the messages is not known: {error}")
        return []
    finally:
        assembly.store.close()
