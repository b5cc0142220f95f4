"""How threads that write to one database at the same moment share one transaction, and so one sync."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from tocsin.store.records import StoreError


class Place:
    """Where one thread waits for its piece of work to be done, or for its turn to do that of all who wait."""

    __slots__ = ("behind", "done", "error", "turn", "woken")

    def __init__(self) -> None:
        self.turn = threading.Lock()  # let go when it is done, or when its thread is to lead
        self.done = False
        self.woken = False  # or its thread needs no waking
        self.behind: Place | None = None  # whose thread this one wakes
        self.error: BaseException | None = None


P = TypeVar("P", bound=Place)


class Together(Generic[P]):
    """Threads hand in pieces of work; one of them carries out all that wait, while the others wait for it.

    `carry_out` gets the pieces in the order in which they came, that of its own thread first, and marks as `done`
    those that are; any other is left to the thread that handed it in. The `error` of one that is done is raised in
    its own thread. A StoreError that `carry_out` raises is told to every thread concerned; any other exception only
    to the thread that carried out.
    """

    def __init__(self, carry_out: Callable[[Sequence[P]], None], *, most: int, patience: float = 1.0) -> None:
        self._carry_out = carry_out
        self._most = most  # pieces that are carried out at once
        self._patience = patience  # seconds after which a thread that waits looks whether it was forgotten
        self._guard = threading.Lock()
        self._waiting: deque[P] = deque()
        self._led = False
        self._leader = 0

    def take_turn(self, piece: P) -> None:
        """Return when `piece` is done. Raises what kept it from being done."""
        if self._leader == threading.get_ident():
            raise RuntimeError("a transaction of a store cannot begin inside another one")
        with self._guard:
            if waits := self._led:
                piece.turn.acquire()
                self._waiting.append(piece)
            self._led = True
        if waits:
            self._await(piece)
        if not piece.done:
            self._lead(piece)
        if piece.error is not None:
            raise piece.error

    def waiting(self) -> int:
        """How many threads wait for their pieces to be carried out."""
        with self._guard:
            return len(self._waiting)

    def _await(self, piece: P) -> None:
        try:
            while not piece.turn.acquire(timeout=self._patience):
                if self._is_forgotten(piece):
                    break
        except BaseException:  # the user's interrupt, or the end of a task's time: nobody may wait for this thread
            with self._guard:
                if piece in self._waiting:
                    self._waiting.remove(piece)
                woken, piece.woken = piece.woken, True
            if woken and not piece.done:
                self._pass_on()
            elif woken:
                self._wake(piece.behind)
            raise
        if piece.behind is not None:
            self._wake(piece.behind)

    def _is_forgotten(self, piece: P) -> bool:
        """Whether the thread that should have woken this one has not: it may have been struck where it stood."""
        with self._guard:
            if piece.woken:
                return False
            if not piece.done:
                if self._leader or piece not in self._waiting:
                    return False
                self._waiting.remove(piece)
            piece.woken = True
            return True

    def _wake(self, piece: Place | None) -> None:
        """Wake the thread of a piece that is done, which wakes the next: all at once would only get in their way."""
        with self._guard:
            while piece is not None and piece.woken:
                piece = piece.behind
            if piece is not None:
                piece.woken = True
                piece.turn.release()

    def _lead(self, mine: P) -> None:
        batch = [mine]
        if self._waiting:
            with self._guard:
                batch += [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most - 1))]
        self._leader = threading.get_ident()
        try:
            self._carry(batch)
        finally:
            self._leader = 0
            done = [each for each in batch[1:] if each.done]
            with self._guard:  # what was not done, its own thread does
                self._waiting.extendleft(each for each in reversed(batch[1:]) if not (each.done or each.woken))
            self._pass_on()
            if done:
                for each, behind in itertools.pairwise(done):
                    each.behind = behind
                self._wake(done[0])

    def _carry(self, batch: Sequence[P]) -> None:
        try:
            self._carry_out(batch)
        except StoreError as error:
            for each in batch[1:]:
                if not each.done:
                    each.error, each.done = StoreError(str(error)), True
            raise

    def _pass_on(self) -> None:
        with self._guard:
            self._led = bool(self._waiting)
            if self._led:
                first = self._waiting.popleft()
                first.woken = True
                first.turn.release()
