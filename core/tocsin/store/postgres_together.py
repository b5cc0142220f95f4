"""How threads that write at the same moment share one transaction, and so one flush to disk."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tocsin.store.records import StoreError

P = TypeVar("P")

MOST = 100
"""How many pieces of work one transaction takes."""


class _Place(Generic[P]):
    """Where one thread waits for its piece to be done, or for its turn to carry out."""

    __slots__ = ("behind", "done", "failure", "piece", "turn", "woken")

    def __init__(self, piece: P) -> None:
        self.piece = piece
        self.turn = threading.Lock()
        self.done = False
        self.woken = False
        self.failure = ""
        self.behind: _Place[P] | None = None  # whose thread this one wakes


class Together(Generic[P]):
    """Threads hand in pieces of work; one of them carries out all that wait, while the others wait for it.

    `carry_out` gets the pieces in the order in which they came, and returns those that are done; any other is
    left to the thread that handed it in. Of a piece that is done its thread may rely on what `carry_out` did with it.
    A StoreError is told to every thread concerned; any other exception only to the thread that carried out.

    >>> Together(lambda pieces, mine: pieces).do([])
    """

    def __init__(self, carry_out: Callable[[Sequence[P], P], Sequence[P]], patience: float = 1.0) -> None:
        self._carry_out = carry_out
        self._patience = patience  # seconds after which a thread that waits looks whether it was forgotten
        self._guard = threading.Lock()
        self._waiting: deque[_Place[P]] = deque()
        self._led = False
        self._leader = 0

    def do(self, piece: P) -> None:
        """Return when `piece` is done. Raises what kept it from being done."""
        if self._leader == threading.get_ident():
            raise RuntimeError("a transaction of a store cannot begin inside another one")
        place = _Place(piece)
        with self._guard:
            if waits := self._led:
                place.turn.acquire()
                self._waiting.append(place)
            self._led = True
        if waits:
            self._await(place)
        if not place.done:
            self._lead(place)
        if place.failure:
            raise StoreError(place.failure)

    def waiting(self) -> int:
        """How many threads wait for their pieces to be carried out."""
        with self._guard:
            return len(self._waiting)

    def _await(self, place: _Place[P]) -> None:
        try:
            while not place.turn.acquire(timeout=self._patience):
                if self._is_forgotten(place):
                    break
        except BaseException:  # the user's interrupt, or the end of a task's time: nobody may wait for this thread
            with self._guard:
                if place in self._waiting:
                    self._waiting.remove(place)
                woken, place.woken = place.woken, True
            if woken and not place.done:
                self._pass_on()
            elif woken:
                self._wake(place.behind)
            raise
        self._wake(place.behind)

    def _is_forgotten(self, place: _Place[P]) -> bool:
        """Whether the thread that should have woken this one has not: it may have been struck where it stood."""
        with self._guard:
            if place.woken:
                return False
            if not place.done:
                if self._leader or place not in self._waiting:
                    return False
                self._waiting.remove(place)
            place.woken = True
            return True

    def _wake(self, place: _Place[P] | None) -> None:
        """Wake the thread of a piece that is done, which wakes the next: all at once would only get in their way."""
        if place is None:
            return
        with self._guard:
            while place is not None and place.woken:
                place = place.behind
            if place is not None:
                place.woken = True
                place.turn.release()

    def _lead(self, mine: _Place[P]) -> None:
        with self._guard:
            batch = [mine, *(self._waiting.popleft() for _ in range(min(len(self._waiting), MOST - 1)))]
        self._leader = threading.get_ident()
        try:
            self._carry(batch, mine)
        finally:
            self._leader = 0
            done = [each for each in batch[1:] if each.done]
            with self._guard:  # what was not done, its own thread does
                self._waiting.extendleft(each for each in reversed(batch[1:]) if not (each.done or each.woken))
            self._pass_on()
            for each, behind in itertools.pairwise(done):
                each.behind = behind
            self._wake(done[0] if done else None)

    def _carry(self, batch: Sequence[_Place[P]], mine: _Place[P]) -> None:
        try:
            ended = {id(piece) for piece in self._carry_out([each.piece for each in batch], mine.piece)}
        except StoreError as error:
            for each in batch[1:]:
                each.failure, each.done = str(error), True
            raise
        for each in batch:
            each.done = id(each.piece) in ended

    def _pass_on(self) -> None:
        with self._guard:
            self._led = bool(self._waiting)
            if self._led:
                first = self._waiting.popleft()
                first.woken = True
                first.turn.release()
