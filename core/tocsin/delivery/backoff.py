"""When a failed delivery is tried again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tocsin_hooks.messages import SendError


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waits between attempts, capped, with up to 10 % added at random.

    >>> policy = Backoff(first=timedelta(seconds=2), attempts=3)
    >>> [policy.wait(n, jitter=0.0) for n in (1, 2, 3)]
    [datetime.timedelta(seconds=2), datetime.timedelta(seconds=4), None]
    """

    first: timedelta = timedelta(seconds=2)
    cap: timedelta = timedelta(minutes=5)
    attempts: int = 8
    give_up: timedelta = timedelta(hours=6)
    """How long after it was planned a delivery may still be tried."""
    honor_retry_after: bool = True
    retry_after_cap: timedelta = timedelta(hours=1)
    """The longest wait that a service can ask for."""

    def wait(self, attempt: int, *, jitter: float) -> timedelta | None:
        """Return how long to wait after a failed `attempt`, or None to give up. `jitter` is from 0 to 1."""
        if attempt >= self.attempts:
            return None
        doublings = min(attempt - 1, 20)  # past the cap anyway; keeps timedelta from overflowing
        return min(self.first * (1 << doublings), self.cap) * (1 + jitter / 10)

    def after(self, error: SendError, attempt: int, age: timedelta, *, jitter: float) -> timedelta | None:
        """Return how long to wait after `attempt` ended in `error`, `age` after the delivery was planned.

        None gives up: the error is permanent, the tries are used up, or the next would come too late. A service that
        says when to come back is not asked sooner.

        >>> from tocsin_hooks.messages import Reason
        >>> limited = SendError(Reason.RATE_LIMITED, retry_after=30)
        >>> Backoff().after(limited, 1, timedelta(0), jitter=0.0)
        datetime.timedelta(seconds=30)
        """
        if error.permanent:
            return None
        wait = self.wait(attempt, jitter=jitter)
        if wait is None:
            return None
        if error.retry_after is not None and self.honor_retry_after:
            asked = timedelta(seconds=min(max(error.retry_after, 0.0), self.retry_after_cap.total_seconds()))
            wait = max(wait, asked * (1 + jitter / 10)) if asked else wait
        return wait if age + wait <= self.give_up else None
