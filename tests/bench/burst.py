"""What a burst does to the process that publishes and delivers it: its memory, and whether all of it arrives once.

As a script it is that process: `burst.py FOLDER EVENTS`; it prints how long it took and how much memory it held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect

from tocsin.delivery.worker import WorkerSettings
from tocsin_hooks.messages import Message, Receipt
from tocsin_hooks.testing import sample_event

from .delivering import FAILED, site
from .processes import MIB, peak, resident

THREADS = 16
WARM = 1000  # events that are delivered before anything is measured


class Written:
    """A channel that writes down the key of each message."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii", buffering=1)

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        """Write its key down."""
        self._file.write(f"{message.id}\n")
        return Receipt("written")


@dataclass(frozen=True)
class Burst:
    """What came of one: seconds, bytes of memory before and at most, how often each status and each key was met."""

    events: int
    seconds: float
    warm: int
    peak: int
    statuses: dict[str, int]
    keys: Counter[str]

    @property
    def whole(self) -> bool:
        """Whether all is delivered, once."""
        return self.statuses == {"delivered": self.events} == {"delivered": len(self.keys)} and not self.repeated

    @property
    def repeated(self) -> int:
        """How many keys were sent more than once."""
        return sum(count > 1 for count in self.keys.values())

    def line(self) -> str:
        """For the page."""
        ended = ", ".join(f"{count:,} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"A burst of {self.events:,} events from {THREADS} threads, published and delivered by one process in "
            f"{self.seconds:,.0f} s:\n{ended}; {self.repeated:,} keys sent twice. Once {WARM:,} were delivered it held "
            f"{self.warm / MIB:,.1f} MiB;\nat most it held {(self.peak - self.warm) / MIB:,.1f} MiB more.\n"
        )


def burst(events: int = 100_000) -> Burst:
    """Let a process publish and deliver so many events at once."""
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, "-m", "tests.bench.burst", folder, str(events)],
            cwd=Path(__file__).parents[2],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        with closing(connect(Path(folder) / "tocsin.db")) as db:
            statuses = dict(db.execute("SELECT status, count(*) FROM deliveries GROUP BY status"))
        keys = Counter((Path(folder) / "keys").read_text(encoding="ascii").split())
    return Burst(events, statuses=statuses, keys=keys, **json.loads(ran.stdout))


def main() -> None:
    folder, events = Path(sys.argv[1]), int(sys.argv[2])
    names = [f"e{number}" for number in range(events)]
    with site(folder, lambda: Written(folder / "keys"), WorkerSettings().threads) as place:

        def publish(some: list[str]) -> None:
            for name in some:
                place.hub.publish(sample_event(id=name, run_id=f"run-{name}", sequence=None), FAILED)

        publish(names[:WARM])
        assert place.worker.drain(timedelta(minutes=1)) == 0
        warm, start = resident(os.getpid()), time.perf_counter()
        rest = names[WARM:]
        threads = [threading.Thread(target=publish, args=(rest[n::THREADS],)) for n in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert place.worker.drain(timedelta(minutes=10)) == 0
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "warm": warm, "peak": peak(os.getpid())}))


if __name__ == "__main__":
    main()
