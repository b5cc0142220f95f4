"""What Apprise's answer means for a delivery, in the shapes of its versions 1.9 and 2."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from enum import Enum

from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.secrets import redact

_LONGEST = 500
_STATUS = re.compile(r"\berror[=: ]+(\d{3})\b")
_NEVER_SENT = re.compile(
    r"connection refused|failed to establish a new connection|failed to resolve|name or service not known|"
    r"no route to host|network is unreachable|certificate.verify.failed|connect timeout|connecttimeout",
    re.IGNORECASE,
)
_TIMED_OUT = re.compile(r"timed? ?out", re.IGNORECASE)
_BROKEN = re.compile(r"connection error|socket exception|connection (aborted|reset)|remote end closed", re.IGNORECASE)


class Outcome(Enum):
    """What became of one call."""

    DELIVERED = "SUCCESS"
    FAILED = "FAILURE"
    NOBODY = "NOMATCH"
    PARTLY = "PARTIAL"
    TIMED_OUT = "TIMEOUT"


def outcome_of(result: object) -> Outcome:
    """The outcome that `Apprise.notify` returned: an object with a status, or True, False or None.

    >>> [outcome_of(result).name for result in (True, False, None)]
    ['DELIVERED', 'FAILED', 'NOBODY']
    """
    name = getattr(getattr(result, "status", None), "name", None)
    if name is not None:
        return Outcome(name) if name in Outcome._value2member_map_ else Outcome.FAILED
    if result is None:
        return Outcome.NOBODY
    return Outcome.DELIVERED if result is True else Outcome.FAILED


def error_of(outcome: Outcome, lines: Sequence[tuple[int, str]]) -> SendError:
    """The error for a call that did not deliver, judged by what the service said: level and text of each line.

    >>> error = error_of(Outcome.FAILED, [(logging.WARNING, "Failed to send JSON: Internal error, error=500.")])
    >>> error.reason, error.permanent, error.detail
    (<Reason.SERVER: 'server'>, False, 'Failed to send JSON: Internal error, error=500.')
    """
    detail = reason_text(lines)
    if outcome is Outcome.NOBODY:
        return SendError(Reason.CONFIG, f"Apprise found nobody to notify: {detail}", permanent=True)
    if outcome is Outcome.TIMED_OUT:
        return SendError(Reason.TIMEOUT, detail, unknown=True)
    if outcome is Outcome.PARTLY:
        return SendError(Reason.SERVER, f"only a part of the targets was reached: {detail}", unknown=True)
    text = "\n".join(line for _, line in lines)
    if status := _STATUS.findall(text):
        return _by_status(int(status[-1]), detail)
    if _NEVER_SENT.search(text):
        return SendError(Reason.TIMEOUT if _TIMED_OUT.search(text) else Reason.NETWORK, detail)
    if _TIMED_OUT.search(text):
        return SendError(Reason.TIMEOUT, detail, unknown=True)
    if _BROKEN.search(text):
        return SendError(Reason.NETWORK, detail, unknown=True)
    return SendError(Reason.SERVER, detail)


def reason_text(lines: Sequence[tuple[int, str]]) -> str:
    """What the service complained of, fit to be shown: its warnings, else all it said."""
    chosen = [line for level, line in lines if level >= logging.WARNING] or [line for _, line in lines]
    text = " ".join(redact(" ".join(chosen)).split())
    text = "".join(character for character in text if character.isprintable())
    return text[:_LONGEST] or "Apprise gave no reason"


def _by_status(status: int, detail: str) -> SendError:
    match status:
        case 401:
            return SendError(Reason.AUTH, detail, disable=True)
        case 403:
            return SendError(Reason.AUTH, detail, permanent=True)
        case 410:
            return SendError(Reason.GONE, detail, disable=True)
        case 429:
            return SendError(Reason.RATE_LIMITED, detail)
        case 408:
            return SendError(Reason.TIMEOUT, detail)
        case 425:
            return SendError(Reason.SERVER, detail)
        case 413:
            return SendError(Reason.PAYLOAD, detail, permanent=True)
        case _ if 300 <= status < 500:
            return SendError(Reason.CLIENT, detail, permanent=True)
        case _:
            return SendError(Reason.SERVER, detail)
