"""How much memory another process takes, as the kernel counts it."""

from __future__ import annotations

from pathlib import Path

MIB = 1024 * 1024


def resident(pid: int) -> int:
    """Bytes that a process holds in memory now."""
    return _status(pid, "VmRSS")


def peak(pid: int) -> int:
    """The most bytes that a process has held in memory so far."""
    return _status(pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)
