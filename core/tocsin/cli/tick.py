"""`tocsin tick`: what a hub would do now, once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

import click

from tocsin.assembly import Assembly
from tocsin.cli.configured import assembled
from tocsin.cli.output import count, json_option, print_json, say
from tocsin.cli.tally import Tally, counted
from tocsin.hub import operations
from tocsin.routing.moments import moment_text

_EXAMPLES = """\b
Examples:
  tocsin tick
  tocsin tick --json
  * * * * * cd /srv/pipelines && tocsin tick      (a line for cron, where no hub runs)
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What a tick came to."""

    timers: int
    """How many things were due when it began."""
    sent: int
    failed_tries: int
    dead: int
    left: int
    """How many deliveries are due and not done."""
    next_due: datetime | None
    """When there is next something to do or to deliver."""


@click.command(epilog=_EXAMPLES)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Do what is due because time has passed, deliver what is due, and end.

    Groups are told, reminders, escalations, digests and watches looked after, messages that failed tried again. Run it
    from cron, say every minute, where no 'tocsin hub' runs; beside one it does no harm, for nothing is done twice.
    Exits with 1 if something is left or dead, else with 0.
    """
    assembly = assembled()
    with counted(assembly) as tally:
        done = tick(assembly, tally)
    if as_json:
        print_json(asdict(done))
    else:
        say(in_words(done, assembly.clock.now(), assembly.config.timezone))
    ctx.exit(1 if done.left or done.dead else 0)


def tick(assembly: Assembly, tally: Tally) -> Done:
    """Do and deliver what is due, then let go of everything. Raises StoreError where the store refuses."""
    hub, worker, store = assembly.hub, assembly.worker, assembly.store
    assert hub.outbox is not None, "a hub made from a config has one"
    try:
        timers = operations.timers_due(hub.outbox, assembly.clock.now())
        assembly.start()
        assembly.timekeeper.stop()  # what is due is done here, before anything is delivered
        hub.tick()
        left = worker.drain(assembly.config.delivery.drain)
        dues = [hub.next_due(), store.next_due(now=assembly.clock.now())]
    finally:
        assembly.timekeeper.stop()
        worker.stop()
        store.close()
    next_due = min((due for due in dues if due is not None), default=None)
    return Done(timers, tally.delivered, tally.failed, tally.dead, left, next_due)


def in_words(done: Done, now: datetime, timezone: str) -> str:
    """What a tick came to, in one line.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> in_words(Done(3, 2, 0, 0, 0, noon.replace(minute=5)), noon, "UTC")
    '3 timers, 2 messages sent; next at 12:05:00 UTC'
    >>> in_words(Done(0, 0, 1, 1, 0, None), noon, "UTC")
    '0 timers, 0 messages sent, 1 failed try, 1 dead; nothing waits'
    """
    parts = [count(done.timers, "timer"), f"{count(done.sent, 'message')} sent"]
    parts += [count(done.failed_tries, "failed try")] if done.failed_tries else []
    parts += [f"{done.dead} dead"] if done.dead else []
    parts += [f"{done.left} left"] if done.left else []
    if done.next_due is None:
        return f"{', '.join(parts)}; nothing waits"
    return f"{', '.join(parts)}; next at {moment_text(done.next_due, now, timezone)}"
