"""Whether the kernel has killed processes of this group for want of memory, as far as it says so to everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def kills(root: Path = Path("/")) -> int | None:
    """How many processes of this process's control group were killed so far; None where nobody tells.

    Where no control group tells, those of the whole host count. `root` is the root of the file system that is read.
    """
    for path in _places(root):
        found = _COUNT.search(_read(path))
        if found is not None:
            return int(found[1])
    return None


def _places(root: Path) -> Iterator[Path]:
    """Where the count may stand, the nearest place first. A container sees its own group as the root of all."""
    groups = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        own = path.lstrip("/")
        if not controllers:  # version 2: one hierarchy
            yield groups / own / "memory.events"
            yield groups / "unified" / own / "memory.events"
            yield groups / "memory.events"
        elif "memory" in controllers.split(","):
            yield groups / "memory" / own / "memory.oom_control"
            yield groups / "memory" / "memory.oom_control"
    yield root / "proc/vmstat"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
