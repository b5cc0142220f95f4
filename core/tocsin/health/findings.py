"""What an examination can come to: one finding for each thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well, or not for long."""
    FAILED = "failed"
    """It keeps tocsin from working."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and what would do."""

    area: str
    level: Level
    text: str
    remedy: str = ""


def ok(area: str, text: str) -> Finding:
    """All is well there."""
    return Finding(area, Level.OK, text)


def warning(area: str, text: str, remedy: str = "") -> Finding:
    """It could be better."""
    return Finding(area, Level.WARNING, text, remedy)


def failed(area: str, text: str, remedy: str = "") -> Finding:
    """It does not work."""
    return Finding(area, Level.FAILED, text, remedy)
