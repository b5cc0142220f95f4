"""No connection of SQLite crosses a fork: all are closed before, and opened anew when they are next needed."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forking(Protocol):
    """Something that is closed for the length of a fork."""

    def stand_back(self) -> bool:
        """Close it and let nobody open it until `go_on`; False where it is in use for long, or by the caller."""
        ...

    def go_on(self) -> None:
        """Let it be used again."""
        ...


class _Forks:
    """Closes all connections before a fork: what SQLite knows of a file that is open would go astray in the child.

    A child that opened the file anew would share its locks, and the index of its log, with what it has inherited.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._all: weakref.WeakSet[Forking] = weakref.WeakSet()
        self._standing_back: list[Forking] = []
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._in_child)

    def join(self, connection: Forking) -> None:
        """Close this one, too."""
        with self._guard:
            self._all.add(connection)

    def _before(self) -> None:
        self._guard.acquire()
        self._standing_back = [connection for connection in self._all if connection.stand_back()]

    def _after(self) -> None:
        for connection in self._standing_back:
            connection.go_on()
        self._standing_back = []
        self._guard.release()

    def _in_child(self) -> None:
        self._guard = threading.Lock()
        self._standing_back = []


_forks = _Forks()
join = _forks.join
