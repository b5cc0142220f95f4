"""What of a channel's answer can be relied on: plugins fill its fields with what they like."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from tocsin_hooks.messages import Reason, Receipt, SendError
from tocsin_hooks.secrets import redact

_DETAIL_CAP = 2000
_REFERENCE_CAP = 50


def plain_receipt(receipt: Receipt) -> Receipt:
    """The receipt with short texts in it and nothing else.

    >>> plain_receipt(Receipt(None, {"ts": 7}))
    Receipt(detail='', reference={'ts': '7'}, sent=True)
    """
    kept = {_text(name): _text(value)[:_DETAIL_CAP] for name, value in _pairs(_part(receipt, "reference"))}
    return Receipt(redact(_text(_part(receipt, "detail")))[:_DETAIL_CAP], kept, _truth(_part(receipt, "sent")))


def sound(error: SendError) -> SendError:
    """The error with a reason, a text and a wait that are such.

    >>> mended = sound(SendError("dunno", None, retry_after=float("nan")))
    >>> mended.reason, mended.detail, mended.retry_after
    (<Reason.PLUGIN: 'plugin'>, "a SendError with the unknown reason 'dunno'", None)
    """
    detail, reason = _text(_part(error, "detail")), _part(error, "reason")
    known = isinstance(reason, str) and reason in set(Reason)  # its text will do
    if not known:
        detail = f"a SendError with the unknown reason {_text(reason)!r}" + (f": {detail}" if detail else "")
    return SendError(
        Reason(reason) if known else Reason.PLUGIN,
        detail,
        retry_after=_wait(_part(error, "retry_after")),
        permanent=_truth(_part(error, "permanent")),
        disable=_truth(_part(error, "disable")),
        unknown=_truth(_part(error, "unknown")),
    )


def _part(of: object, name: str) -> Any:
    """What `of` has under that name; None where it has nothing, or nothing that can be had."""
    try:
        return getattr(of, name)
    except Exception:  # a class of the plugin's own may compute it, or not have called that of its parent
        return None


def _pairs(reference: object) -> list[tuple[object, object]]:
    """The first entries of a mapping.

    >>> _pairs({"ts": 7}), _pairs("ts")
    ([('ts', 7)], [])
    """
    try:
        return list(islice(reference.items(), _REFERENCE_CAP)) if isinstance(reference, Mapping) else []
    except Exception:  # a mapping of the plugin's own
        return []


def _wait(asked: object) -> float | None:
    """The seconds asked for, where that is a number that a wait can have.

    >>> _wait(17), _wait(float("inf")), _wait(10**400), _wait("17"), _wait(True)
    (17.0, None, None, None, None)
    """
    if not isinstance(asked, int | float) or isinstance(asked, bool):
        return None
    try:
        seconds = float(asked)
    except OverflowError:  # of a service that asks for thousands of digits
        return None
    return seconds if math.isfinite(seconds) else None


def _truth(value: object) -> bool:
    try:
        return bool(value)
    except Exception:  # an array, say, has several
        return False


def _text(value: object) -> str:
    if value is None:
        return ""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
