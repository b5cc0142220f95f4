"""Where events wait when the store refuses them: a bounded file, synced line by line, in another folder."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tocsin.crashpoints import Point, reached
from tocsin.errors import TocsinError
from tocsin_hooks.events import Event

CAPACITY = 64 * 1024 * 1024
"""Bytes that a spill file may grow to."""


class SpillError(TocsinError):
    """The spill file cannot take, or give back, an event."""


@dataclass(frozen=True, slots=True)
class Spilled:
    """What waits in a spill file."""

    path: Path
    events: int = 0
    size: int = 0


def default_folder() -> Path:
    """Where spill files are kept: `TOCSIN_SPILL_DIR`, or a folder of this user's in the system's temporary one.

    On purpose not beside the store, whose disk may be the one that is full.
    """
    named = os.environ.get("TOCSIN_SPILL_DIR")
    return Path(named) if named else Path(tempfile.gettempdir()) / f"tocsin-spill-{os.getuid()}"


def spill_path(store: Path) -> Path:
    """The spill file of the store at that path: named after it, so that two stores do not mix."""
    digest = hashlib.sha256(str(store.absolute()).encode()).hexdigest()[:16]
    return default_folder() / f"{store.stem}-{digest}.jsonl"


class Spill:
    """The spill file of one store.

    What `add` returned from is on disk. `replay` gives every event back at least once; the events' ids make
    a repetition harmless.
    """

    def __init__(self, path: Path, capacity: int = CAPACITY) -> None:
        self.path = path
        self._capacity = capacity

    def add(self, event: Event, channels: Sequence[str]) -> None:
        """Append one event, and the channels that code asked for. Raises SpillError when it does not fit."""
        line = json.dumps({"event": event.to_dict(), "channels": list(channels)}, ensure_ascii=False) + "\n"
        data = line.encode("utf-8", "replace")
        reached(Point.SPILL_BEGUN)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _held(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as handle:
                self._append(handle, data)
        except OSError as error:
            raise SpillError(f"spill file '{self.path}' cannot be written: {error.strerror}") from error
        reached(Point.SPILL_DONE)

    def _append(self, handle: int, data: bytes) -> None:
        size = os.fstat(handle).st_size
        if size + len(data) > self._capacity:
            raise SpillError(f"spill file '{self.path}' is full ({self._capacity} bytes)")
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data  # whoever wrote last has died over it: its piece must not spoil this line
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
            if not size:
                _sync_folder(self.path.parent)
        except OSError:
            os.ftruncate(handle, size)
            raise

    @property
    def holds_any(self) -> bool:
        """Whether something waits: quick enough to ask all the time."""
        return self.path.exists() or self._aside.exists()

    def waiting(self) -> Spilled:
        """What waits to be given back. Raises SpillError when that cannot be told."""
        events = size = 0
        try:
            for path in (self.path, self._aside):
                if path.exists():
                    data = path.read_bytes()
                    events, size = events + data.count(b"\n"), size + len(data)
        except OSError as error:
            raise SpillError(f"spill file '{self.path}' cannot be read: {error.strerror}") from error
        return Spilled(self.path, events, size)

    @property
    def _aside(self) -> Path:
        return self.path.with_name(self.path.name + ".replay")

    def replay(self, store: Callable[[Event, Sequence[str]], None]) -> None:
        """Give each event to `store`, oldest first; the file goes when all were taken.

        The file is set aside first, so that an event spilled meanwhile starts another. What `store` raises ends the
        replay; the file stays for the next one.
        """
        aside = self._aside
        try:
            if not aside.exists():
                with _held(self.path, os.O_RDONLY):
                    if not aside.exists():  # else another process was quicker, and this is a later file
                        self.path.rename(aside)
            reached(Point.REPLAY_ASIDE)
            with _held(aside, os.O_RDONLY):  # nobody writes to it any more, nor gives it back at the same time
                for line in aside.read_text(encoding="utf-8", errors="replace").split("\n"):
                    self._give(line, store)
                reached(Point.REPLAY_STORED)
                aside.unlink()
        except FileNotFoundError:
            return  # another process has given it back
        except OSError as error:
            raise SpillError(f"spill file '{self.path}' cannot be read: {error.strerror}") from error

    @staticmethod
    def _give(line: str, store: Callable[[Event, Sequence[str]], None]) -> None:
        try:
            data = json.loads(line)
            event, channels = Event.from_dict(data["event"]), data["channels"]
        except (ValueError, KeyError, TypeError, AttributeError):
            return  # the last line of a process that died while it wrote: `add` never returned for it
        store(event, channels)


@contextmanager
def _held(path: Path, flags: int) -> Iterator[int]:
    """The file at `path`, for one user at a time; not one that was set aside, or removed, while it was waited for.

    Raises PermissionError for what somebody else has put in its place: the folder of temporary files is everybody's.
    """
    while True:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            if not _is_ours(os.fstat(handle), path.parent.stat(), path.parent.parent.stat()):
                raise PermissionError(errno.EPERM, "another user has put it there; set TOCSIN_SPILL_DIR")
            fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, path):
                yield handle
                return
        finally:
            os.close(handle)


def _is_ours(file: os.stat_result, folder: os.stat_result, above: os.stat_result) -> bool:
    """Whether a spill file can be relied on: it is this user's, or nobody else could put one into that folder."""
    user = os.geteuid()
    safe = not folder.st_mode & stat.S_IWOTH and (folder.st_uid in (user, 0) or not above.st_mode & stat.S_IWOTH)
    return stat.S_ISREG(file.st_mode) and (file.st_uid == user or safe)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
