"""Who holds a lease, and whether that process is still there."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path


def this_process() -> str:
    """The name under which this process claims deliveries: host, boot, pid and start time.

    The start time tells a process from a later one that was given the same pid.
    """
    pid = os.getpid()
    return "|".join((socket.gethostname(), _boot(), str(pid), _started(pid) or "?"))


def is_alive(owner: str) -> bool:
    """Whether the process of that name may still run: only one of this host can be known to be gone."""
    try:
        host, boot, pid, started = owner.split("|")
    except ValueError:
        return False
    if host != socket.gethostname() or started == "?":
        return True
    return boot == _boot() and _started(int(pid)) == started


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "?"  # not Linux: hosts are then told apart by pid and start time alone


def _started(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if state in "ZX" else fields[18]
