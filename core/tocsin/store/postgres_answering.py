"""How long a server may say nothing: one that stands still, its connections open, must not hold a run."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

T = TypeVar("T")

ANSWER_WITHIN = timedelta(seconds=15)
"""For what publishes and delivers: three times what it may wait for a lock."""
READ_WITHIN = timedelta(minutes=5)
"""For what reads much at once, and for bringing tables up to date."""


class Answering(psycopg.Connection[tuple[Any, ...]]):
    """A connection on which a statement fails with OperationalError, lost, where no answer comes in time.

    The operating system notices a host that is gone; a server process that is stopped, or waits for a disk that never
    answers, keeps its connections alive.
    """

    within: timedelta = READ_WITHIN
    monotonic: Callable[[], float] | None = None

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **named: Any) -> T:
        """See `psycopg.Connection.wait`; it looks about every tenth of a second."""
        if self.monotonic is None:
            return super().wait(gen, *args, **named)
        return super().wait(self._in_time(gen, self.monotonic), *args, **named)

    def _in_time(self, gen: Generator[Any, Any, T], monotonic: Callable[[], float]) -> Generator[Any, Any, T]:
        deadline = monotonic() + self.within.total_seconds()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and monotonic() >= deadline and self._is_asking():
                    self.pgconn.finish()  # else a pipeline, on its way out, would wait once more
                    raise psycopg.OperationalError(
                        f"the server has not answered for {self.within.total_seconds():g} s; see whether it is stopped"
                        " or its disk is"
                    )
                wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result

    def _is_asking(self) -> bool:
        """Whether an answer is due; who listens for notices waits for none."""
        return self.pgconn.transaction_status == TransactionStatus.ACTIVE
