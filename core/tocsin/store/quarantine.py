"""What becomes of a SQLite file that is damaged, or is no database: it is set aside, and never deleted."""

from __future__ import annotations

import ctypes
import fcntl
import os
import sqlite3
from pathlib import Path

from tocsin.clock import SystemClock

Identity = tuple[int, int]

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that what is in the file cannot be right.

    >>> is_damage(sqlite3.OperationalError("database is locked"))
    False
    """
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGE


def identity(path: Path) -> Identity | None:
    """Which file is at `path` now; None when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def set_aside(path: Path, damaged: Identity | None) -> Path | None:
    """Rename the damaged file, with its log, to `NAME.corrupt-TIME`: its new name, None if another process was quicker.

    Raises OSError where that cannot be done.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)  # processes that find the damage at once must not set the new file aside
        if damaged is None or identity(path) != damaged:
            return None
        target = _free_name(path)
        for end in ("-wal", "-shm"):
            log = path.with_name(path.name + end)
            if log.exists():
                log.rename(target.with_name(target.name + end))
        path.rename(target)
        os.fsync(folder)
        return target
    finally:
        os.close(folder)


def _free_name(path: Path) -> Path:
    name = f"{path.name}.corrupt-{SystemClock().now():%Y%m%dT%H%M%SZ}"
    target, number = path.with_name(name), 1
    while target.exists():
        number += 1
        target = path.with_name(f"{name}-{number}")
    return target


def leave_open(handle: sqlite3.Connection) -> None:
    """Give up a connection to a file that has lost its name, without closing it while this process lives.

    At its end SQLite would remove the log by its name, which belongs to the file that has taken the place.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))
