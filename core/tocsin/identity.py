"""Which process this is, and whether another one is still there."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

UNKNOWN = "?"
"""What stands for a fact that this system does not tell."""


class Presence(StrEnum):
    """What this process can know of another one."""

    THERE = "there"
    """It exists: it runs, or is stopped."""
    GONE = "gone"
    """It has ended, or its id belongs to a later process."""
    ELSEWHERE = "elsewhere"
    """It is one of another host, of another boot or of another container, or is hidden: nobody here can look."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from every other one that there has been or will be."""

    host: str
    boot: str
    space: str
    """The namespace of process ids: two containers may share all else, and mean different processes by one id."""
    pid: int
    started: str
    """In the kernel's ticks since it booted; tells the process from a later one that was given the same id."""

    @property
    def place(self) -> str:
        """Where its id means something: what all processes share that can look at each other.

        >>> Process("db1", "b-7", "pid:[4]", 4711, "99").place
        'db1|b-7|pid:[4]'
        """
        return "|".join((self.host, self.boot, self.space))


def this_process() -> Process:
    """The one that asks."""
    return process_of(os.getpid())


def process_of(pid: int) -> Process:
    """The process of this place that has the id now."""
    return Process(socket.gethostname(), _boot(), _space(), pid, _started(pid) or UNKNOWN)


def presence_of(process: Process) -> Presence:
    """Whether a process is still there."""
    if process.place != this_process().place:
        return Presence.ELSEWHERE
    if process.started == UNKNOWN:
        return Presence.THERE if _exists(process.pid) else Presence.GONE
    if not _read(f"/proc/{process.pid}/stat") and _exists(process.pid):
        return (
            Presence.ELSEWHERE
        )  # of another user, and hidden, as `hidepid` and `ProtectProc` do: as good as elsewhere
    return Presence.THERE if _started(process.pid) == process.started else Presence.GONE


@cache
def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip() or UNKNOWN


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return UNKNOWN


def _started(pid: int) -> str | None:
    """When the process with that id started; None when there is none that runs, or nobody tells."""
    state, *fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split() or ["X"]  # the name may hold brackets
    return None if state in "ZX" else fields[18]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
