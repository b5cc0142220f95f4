"""A process that delivers out of a store while its clock is set: `clocked.py STORE PORT`.

Each line of its input is a delivery to plan, the name of its event and its channel; at the end of its input it delivers
what there is, and ends.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from support.nursery import Post, failure
from tocsin.clock import SystemClock
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.sender import Destination, Sender
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.store.protocol import Transaction
from tocsin.store.records import Planned
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.messages import Action

CHANNELS = ("held", "flaky0", "flaky1", "flaky2", "flaky3")


def main(path: str, port: int) -> None:
    store, clock = SqliteStore(Path(path)), SystemClock()
    backoff = Backoff(first=timedelta(seconds=1), cap=timedelta(seconds=1))
    deadline = timedelta(seconds=60)
    channels = {name: Destination(partial(Post, port, name), backoff, deadline=deadline) for name in CHANNELS}
    sender = Sender(channels, Hooks(Catalog()), clock)
    worker = Worker(store, sender, clock, WorkerSettings(4, look_every=timedelta(milliseconds=50)))
    worker.wake()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        name, channel = line.split()
        planned = Planned(channel, "pages", Action.EVENT)

        def add(tx: Transaction, name: str = name, planned: Planned = planned) -> None:
            tx.deliver(tx.add_event(failure(name)), None, planned, now=clock.now())

        store.transact(add)
        worker.wake()
    left = worker.drain(timedelta(seconds=30))
    worker.stop()
    store.close()
    sys.exit(1 if left else 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
