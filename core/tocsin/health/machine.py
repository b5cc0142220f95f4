"""What this machine says of itself: its disks, its clocks, who may read a file, which libraries there are."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path

from tocsin.clock import Clock

_REMOTE = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph", "glusterfs", "lustre", "gpfs", "beegfs",
     "fuse.sshfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.glusterfs", "fuse.cephfs", "fuse.blobfuse2"}
)  # fmt: skip
_MOUNTS = Path("/proc/self/mountinfo")

OF_ITS_OWNER = 0o600
"""The mode of a file that nobody else may read."""


# ---------------------------------------------------------------- disks


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())


def free_bytes(path: Path) -> int | None:
    """How much room there is where `path` is, or would be; None where that is not told."""
    try:
        return shutil.disk_usage(existing(path)).free
    except OSError:
        return None


def remote_file_system(path: Path, mounts: str | None = None) -> str:
    r"""The kind of the file system of `path` if it is one of a network, else an empty text.

    >>> mounts = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 0:40 / /mnt/my\\040data rw - nfs4 host:/x rw\n"
    >>> remote_file_system(Path("/mnt/my data/tocsin.db"), mounts), remote_file_system(Path("/srv/tocsin.db"), mounts)
    ('nfs4', '')
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return ""
    best, kind = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if len(fields) < 5 or not described[0]:
            continue
        point = Path(_unescaped(fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= best:  # a later mount hides an earlier one
            best, kind = len(point.parts), described[0]
    return kind if kind in _REMOTE else ""


def _unescaped(text: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text


# ---------------------------------------------------------------- who may read what


def too_open(path: Path, allowed: int = OF_ITS_OWNER) -> str:
    """The mode of what is at `path` if others may do more with it than `allowed`, else an empty text.

    What does not exist is open to nobody. Raises OSError where it cannot be told.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    return f"{mode:04o}" if mode & 0o077 & ~allowed else ""


def owner_elsewhere(path: Path) -> int | None:
    """The id of the user who owns what is at `path`, if that is neither this one nor root; else None."""
    try:
        owner = path.stat().st_uid
    except OSError:
        return None
    return owner if owner not in (os.geteuid(), 0) else None


# ---------------------------------------------------------------- clocks


@dataclass(frozen=True, slots=True)
class Glance:
    """Both clocks at one moment."""

    wall: datetime
    monotonic: float


def glance(clock: Clock) -> Glance:
    """Look at both clocks."""
    return Glance(clock.now(), clock.monotonic())


def jump(first: Glance, second: Glance) -> timedelta:
    """By how much the clock on the wall was moved between two looks, beside the time that passed.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> jump(Glance(noon, 50.0), Glance(noon + timedelta(hours=1, seconds=2), 52.0))
    datetime.timedelta(seconds=3600)
    """
    passed = timedelta(seconds=second.monotonic - first.monotonic)
    return second.wall - first.wall - passed


# ---------------------------------------------------------------- libraries


def versions(names: Iterable[str]) -> Mapping[str, str]:
    """The versions of packages, by name; empty for one that is not installed."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
