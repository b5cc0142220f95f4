"""Whether anybody has committed to a SQLite file, told by the memory that all who have it open share.

Beside a file with a write-ahead log lies the index of that log, `NAME-shm`, which every user of the file maps. SQLite
writes its head anew with each commit, and knows by the same bytes that another process has committed. To look at them
takes no system call, where asking SQLite takes several.

Whoever closes a file gives up all locks that his process holds on it, and SQLite holds locks on this one. So what was
opened here stays open until nobody uses it any more: until it has lost its name, as SQLite sees to with the last
connection of all.
"""

from __future__ import annotations

import mmap
import os
import sqlite3
import struct
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = 48  # bytes of the first of the two copies of the head
_FORM = 3007000  # the version of the index that every SQLite writes

Key = tuple[int, int]


@dataclass(slots=True)
class _Mapped:
    """The index of one file in the memory of this process."""

    key: Key
    memory: mmap.mmap | None = None
    opened: list[int] = field(default_factory=list)
    users: int = 0


class _Indices:
    """All that this process has mapped."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._mapped: dict[Key, _Mapped] = {}
        self._left: deque[_Mapped] = deque()  # by users who have gone, and not counted off yet
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self._guard = threading.Lock()  # another thread of the parent may have held it
        for mapped in self._mapped.values():
            mapped.memory = None  # the parent may give up the file, and another one take its place
        self._mapped, self._left = {}, deque()

    def enter(self, path: Path) -> _Mapped:
        """Map the index at `path`, for one user more. Raises OSError where there is none."""
        try:
            return self._enter(path)
        finally:
            self._count_off()

    def _enter(self, path: Path) -> _Mapped:
        with self._guard:
            key = _key(path.stat())
            mapped = self._mapped.get(key)
            if mapped is None:
                file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                key = _key(os.fstat(file))  # another one may have taken its place
                mapped = self._mapped.setdefault(key, _Mapped(key))
                mapped.opened.append(file)
                mapped.memory = mapped.memory or _memory_of(file)
            mapped.users += 1
            return mapped

    def leave(self, mapped: _Mapped) -> None:
        """Note that one user less is there; let go of the index with the last."""
        self._left.append(mapped)
        self._count_off()

    def _count_off(self) -> None:
        """Let go of what nobody uses. Whoever holds the guard does it after: perhaps this thread, amid a collection."""
        while self._left and self._guard.acquire(blocking=False):
            try:
                while self._left:
                    self._leave(self._left.popleft())
            finally:
                self._guard.release()

    def _leave(self, mapped: _Mapped) -> None:
        mapped.users -= 1
        for each in [each for each in self._mapped.values() if not each.users and _is_forsaken(each)]:
            del self._mapped[each.key]
            if each.memory is not None:
                each.memory.close()
            for file in each.opened:
                os.close(file)


_indices = _Indices()


class LogIndex:
    """The index of the log of one connection, which it closes, since that has to be closed first."""

    def __init__(self, handle: sqlite3.Connection, database: Path) -> None:
        self._handle: sqlite3.Connection | None = handle
        self._mapped: _Mapped | None = None
        with suppress(OSError):  # no log, as in memory: whoever asks has to ask SQLite
            self._mapped = _indices.enter(database.with_name(database.name + "-shm"))

    def head(self) -> bytes:
        """Bytes that are others after every commit, whoever made it; empty where nobody can tell."""
        mapped = self._mapped
        try:
            return b"" if mapped is None or mapped.memory is None else mapped.memory[:_HEAD]
        except (TypeError, ValueError):  # another thread has just let go of it
            return b""

    def close(self) -> None:
        """Close the connection, then let go of its index."""
        handle, mapped = self._handle, self._mapped
        self.forget()
        if handle is not None:
            handle.close()
        if mapped is not None:
            _indices.leave(mapped)

    __del__ = close

    def forget(self) -> None:
        """Look at it no more, and leave both open while this process lives."""
        self._handle = self._mapped = None


def _key(found: os.stat_result) -> Key:
    return found.st_dev, found.st_ino


def _is_forsaken(mapped: _Mapped) -> bool:
    """Whether no connection at all can have locks on an index: another one of this process would lose them."""
    return all(os.fstat(file).st_nlink == 0 for file in mapped.opened)


def _memory_of(file: int) -> mmap.mmap | None:
    """The head of an index; None where it cannot be mapped, or is of a form not known here."""
    try:
        memory = mmap.mmap(file, mmap.PAGESIZE, mmap.MAP_SHARED, mmap.PROT_READ)
    except (OSError, ValueError):
        return None
    return memory if struct.unpack_from("=I", memory) == (_FORM,) else None
