"""Whether the store, and the spill file beside it, can be used here: for now and for some time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryFile

from tocsin.errors import TocsinError
from tocsin.health.findings import Finding, Level, failed, ok, warning
from tocsin.health.machine import existing, free_bytes, owner_elsewhere, remote_file_system, too_open
from tocsin.hub.spill import Spill
from tocsin.store.checkup import Checkup, check_up, damaged_beside
from tocsin.store.log_watch import LONG_LOG
from tocsin.store.records import Cell, from_micros
from tocsin.store.sqlite import SqliteStore

STORE = "store"
CLOCK = "clock"
PERMISSIONS = "permissions"
SPILL = "spill file"

SCARCE, NONE_LEFT = 200 * 1024 * 1024, 10 * 1024 * 1024
"""Bytes of room below which a disk is nearly full, and full."""
_AHEAD = 5.0  # seconds by which the clocks of two hosts may differ


def store_findings(path: Path, now: datetime) -> Iterator[Finding]:
    """What is to be said of the SQLite store at `path`; one that does not exist is not made."""
    if not path.exists():
        yield from _to_be_made(path)
    elif not path.is_file():
        yield failed(STORE, f"'{path}' is not a file", "set [store] path to a file")
        return
    else:
        yield from _existing(path, now)
    for each in damaged_beside(path):
        text = f"a damaged store was set aside as '{each}', with what waited in it"
        yield warning(STORE, text, f"'sqlite3 {each.name} .recover' may save what is in it; then move it away")
    yield from room_findings(STORE, path, free_bytes(path))
    if kind := remote_file_system(existing(path).resolve()):
        text = f"'{path}' is on a network file system ({kind}), where SQLite's log does not work"
        yield warning(STORE, text, "set [store] path to a local disk")


def _to_be_made(path: Path) -> Iterator[Finding]:
    folder = existing(path.parent)
    if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
        yield ok(STORE, f"'{path}' is not made yet; the first run makes it")
    else:
        what = f"the folder '{folder}' cannot be written" if folder.is_dir() else f"'{folder}' is not a folder"
        yield failed(STORE, f"'{path}' cannot be made: {what}", "set [store] path to a file in a folder that can be")


def _existing(path: Path, now: datetime) -> Iterator[Finding]:
    try:
        checkup = check_up(path)
    except (sqlite3.Error, OSError) as error:
        text = f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}"
        yield failed(STORE, text, store_remedy(path, free_bytes(path)))
        return
    found = list(_as_found(path, checkup))
    if not found:
        found = list(_in_use(path))
    yield from found or [ok(STORE, f"'{path}' opens, can be written and is whole (schema {checkup.schema})")]
    yield from newest_findings(None if checkup.newest_event is None else from_micros(checkup.newest_event), now)
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and (size := wal.stat().st_size) > LONG_LOG:
        text = f"its write-ahead log is long: {size // 2**20} MiB"
        yield warning(STORE, text, "some process reads the store all the time: end it, and the log is folded in")


def _as_found(path: Path, checkup: Checkup) -> Iterator[Finding]:
    if checkup.damage:
        aside = (
            f"whoever uses it next sets it aside as '{path.name}.corrupt-TIME' and begins a new one; "
            f"'sqlite3 {path.name} .recover' may save what is in it"
        )
        yield failed(STORE, f"'{path}' is damaged: {checkup.damage}", aside)
    elif checkup.schema > checkup.known:
        text = f"'{path}' was written by a newer tocsin (schema {checkup.schema}, this one knows {checkup.known})"
        yield failed(STORE, text, "upgrade tocsin, or set [store] path to another file")
    elif checkup.schema < checkup.known:
        text = f"'{path}' has the older schema {checkup.schema}; the next run brings it to {checkup.known}"
        yield warning(STORE, text, "copy it before, if older tocsins are to read it again")


def _in_use(path: Path) -> Iterator[Finding]:
    """Whether it can be written: a document is, and taken back."""
    store = SqliteStore(path)
    try:
        store.transact(lambda tx: tx.put(Cell("doctor", "look", "{}")), keep=False)
        if not os.access(path, os.W_OK):
            yield failed(STORE, f"'{path}' cannot be written", "look who owns it")
    except TocsinError as error:
        yield failed(STORE, str(error), store_remedy(path, free_bytes(path)))
    finally:
        store.close()


def store_remedy(path: Path, free: int | None) -> str:
    """What would do where the file of a store is there and cannot be used; `free` is the room on its disk."""
    if free is not None and free < NONE_LEFT:
        return "make room on its disk"
    try:
        with TemporaryFile(dir=path.parent):  # by what may be done: of a disk that is read-only, the modes tell nothing
            pass
    except OSError as error:
        return f"let '{path.parent}' be written, where SQLite keeps its log: {error.strerror}"
    return f"look who owns it, and which process keeps it locked: 'fuser {path}' names those that have it open"


def newest_findings(newest: datetime | None, now: datetime) -> Iterator[Finding]:
    """What the newest event says of the clock."""
    ahead = 0.0 if newest is None else (newest - now).total_seconds()
    if ahead > _AHEAD:
        text = f"the newest event is {ahead:.0f} s in the future: the clock was set back, or another host's is ahead"
        yield warning(CLOCK, text, "set the clocks by NTP")


def room_findings(area: str, path: Path, free: int | None) -> Iterator[Finding]:
    """What is to be said of the room on the disk of `path`."""
    if free is None:
        yield warning(area, f"how much room is left for '{path}' cannot be told")
    elif free < NONE_LEFT:
        yield failed(area, f"the disk of '{path}' is full: {free // 2**20} MiB are left", "make room")
    elif free < SCARCE:
        yield warning(area, f"the disk of '{path}' is nearly full: {free // 2**20} MiB are left", "make room")


def store_permissions(path: Path) -> Iterator[Finding]:
    """Who else may read the store; of what is no file, nothing."""
    if not path.is_file():
        return
    files = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    found = [(each, mode) for each in files if (mode := too_open(each))]
    for each, mode in found:
        text = f"'{each}' has the mode {mode}: others may read what is in messages"
        yield warning(PERMISSIONS, text, f"chmod 600 '{each}'")
    if not found:
        yield ok(PERMISSIONS, f"'{path}' is its owner's only")


def spill_findings(spill: Spill, room: Callable[[Path], int | None] = free_bytes) -> Iterator[Finding]:
    """What is to be said of the spill file and its folder; `room` tells how much is left where a path is."""
    folder = spill.path.parent
    usable = existing(folder)
    if not usable.is_dir() or not os.access(usable, os.W_OK | os.X_OK):
        what = "cannot be written" if usable.is_dir() else "is not a folder"
        yield failed(SPILL, f"'{usable}' {what}: events that the store refuses are lost", "set TOCSIN_SPILL_DIR")
        return
    if folder.exists() and (owner := owner_elsewhere(folder)) is not None:
        yield warning(SPILL, f"'{folder}' belongs to another user ({owner})", "set TOCSIN_SPILL_DIR")
    elif folder.exists() and (mode := too_open(folder, 0o700)):
        text = f"'{folder}' has the mode {mode}: others may look into it"
        yield warning(SPILL, text, f"chmod 700 '{folder}'")
    scarce = list(room_findings(SPILL, folder, room(folder)))
    yield from scarce
    try:
        waits = spill.waiting()
    except TocsinError as error:
        yield failed(SPILL, str(error), "look who owns it")
        return
    if waits.size:
        text = f"{waits.events} event(s) wait in '{waits.path}', since the store refused them"
        yield warning(SPILL, text, "mend the store; the next run, 'tocsin hub' or 'tocsin tick' stores them")
    else:
        full = any(each.level is Level.FAILED for each in scarce)
        yield ok(SPILL, "nothing waits" if full else f"nothing waits; '{usable}' can be written")
