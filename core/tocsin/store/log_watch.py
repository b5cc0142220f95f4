"""Whether a SQLite store's write-ahead log has become too long."""

from __future__ import annotations

from pathlib import Path

from tocsin.masked import logger

_log = logger("tocsin.store")

LONG_LOG = 64 * 1024 * 1024
"""Bytes of the write-ahead log above which something keeps it from being taken up."""

_LOOK_EVERY = 64  # commits between two looks


class LogWatch:
    """Says once when the write-ahead log of a database has become long: as a rule somebody reads, and does not end."""

    def __init__(self, path: Path, long: int = LONG_LOG) -> None:
        self._path = path.with_name(path.name + "-wal")
        self._long = long
        self._written = 0
        self._said = False

    def look(self) -> None:
        """Look at its size, now and then."""
        self._written += 1
        if self._written % _LOOK_EVERY:
            return
        try:
            size = self._path.stat().st_size
        except OSError:
            return
        if size < self._long:
            self._said = False
        elif not self._said:
            self._said = True
            _log.warning(
                "the log '%s' has grown to %d MB: some process reads the store and does not end; "
                "it shrinks when that one closes it", self._path, size // 2**20,
            )  # fmt: skip
