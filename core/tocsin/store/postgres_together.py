"""How threads that write at the same moment share one transaction, and so one flush to disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tocsin.store.records import StoreError

P = TypeVar("P")

MOST = 100
"""How many pieces of work one transaction takes."""


class Together(Generic[P]):
    """Threads hand in pieces of work; one of them carries out all that wait, while the others wait for it.

    `carry_out` gets the pieces in the order in which they came, and returns those that are done; any other is
    left to the thread that handed it in. Of a piece that is done its thread may rely on what `carry_out` did with it.
    A StoreError is told to every thread concerned; any other exception only to the thread that carried out.

    >>> Together(lambda pieces, mine: pieces).do([])
    """

    def __init__(self, carry_out: Callable[[Sequence[P], P], Sequence[P]]) -> None:
        self._carry_out = carry_out
        self._guard = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[P] = []
        self._failed: dict[int, str] = {}
        self._leader = 0

    def do(self, piece: P) -> None:
        """Return when `piece` is done. Raises what kept it from being done."""
        if self._leader == threading.get_ident():
            raise RuntimeError("a transaction of a store cannot begin inside another one")
        with self._guard:
            self._waiting.append(piece)
        try:
            with self._turn:
                if self._is_waiting(piece):
                    self._lead(piece)
        finally:
            with self._guard:
                self._waiting = [each for each in self._waiting if each is not piece]
                failure = self._failed.pop(id(piece), None)
        if failure is not None:
            raise StoreError(failure)

    def _is_waiting(self, piece: P) -> bool:
        with self._guard:
            return any(each is piece for each in self._waiting)

    def _lead(self, mine: P) -> None:
        with self._guard:
            batch = self._waiting[:MOST]
            if not any(each is mine for each in batch):
                batch[-1] = mine
        self._leader = threading.get_ident()
        done: Sequence[P] = ()
        try:
            done = self._carry_out(batch, mine)
        except StoreError as error:
            with self._guard:
                # of those that are still there to hear of it
                others = [each for each in self._waiting if each is not mine and any(each is one for one in batch)]
                self._failed |= {id(each): str(error) for each in others}
            done = batch
            raise
        finally:
            self._leader = 0
            with self._guard:
                ended = {id(each) for each in done}
                self._waiting = [each for each in self._waiting if id(each) not in ended]
