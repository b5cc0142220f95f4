"""A process that can have no more threads, or only so many."""

from __future__ import annotations

import threading


class Limit:
    """Begins threads until there are as many as may be."""

    def __init__(self, room: int = 0) -> None:
        self.room = room

    def begin(self, thread: threading.Thread) -> None:
        if self.room <= 0:
            raise RuntimeError("can't start new thread")
        self.room -= 1
        thread.start()
