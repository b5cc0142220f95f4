"""What is done when deliveries are given up: it is said elsewhere, and a channel that is gone is switched off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from tocsin.delivery.sender import Attempt, Sender
from tocsin.delivery.undelivered import Dead, announcements
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Cell, Status
from tocsin.store.summary import DISABLED


class DeadLetters:
    """Plans what is said elsewhere of deliveries that are dead, once for each, before they are recorded as such.

    What is lost in between is done again when they die again.
    """

    def __init__(self, store: Store, sender: Sender) -> None:
        self._store = store
        self._sender = sender
        self._announced: set[tuple[int, int]] = set()  # in vain, if what came after was refused

    def announce(self, attempts: Sequence[Attempt], now: datetime) -> set[str]:
        """Plan it for those of the attempts that are the last; the channels that are switched off by one of them.

        Raises StoreError.
        """
        dead = [each for each in attempts if each.outcome.status is Status.DEAD and each.error is not None]
        fresh = [each for each in dead if _claim(each) not in self._announced]
        planned = announcements((_dead(each), self._fallback(each)) for each in fresh)
        gone = dict.fromkeys(each.outcome.delivery.channel for each in fresh if each.error and each.error.disable)
        off = [Cell(DISABLED, channel, f'{{"since": "{now.isoformat()}"}}') for channel in gone]

        def work(tx: Transaction) -> None:
            for each in planned:
                tx.deliver(each.event, None, each.planned, now=now)
            for cell in off:
                tx.put(cell)

        if planned or off:
            self._store.transact(work)
        self._announced |= {_claim(each) for each in fresh}
        return set(gone)

    def recorded(self, attempts: Sequence[Attempt]) -> None:
        """Forget those that are over and done with."""
        if self._announced:
            self._announced -= {_claim(each) for each in attempts}

    def _fallback(self, attempt: Attempt) -> str:
        destination = self._sender.destination(attempt.outcome.delivery.channel)
        return "" if destination is None else destination.fallback


def _claim(attempt: Attempt) -> tuple[int, int]:
    return attempt.outcome.delivery.number, attempt.outcome.delivery.token


def _dead(attempt: Attempt) -> Dead:
    error, detail = attempt.error, attempt.outcome.detail
    assert error is not None, "what was delivered is not dead"
    return Dead(attempt.outcome.delivery, attempt.title, f"{error.reason}: {detail}" if detail else str(error.reason))
