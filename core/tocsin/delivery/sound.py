"""What of a channel's answer can be relied on: plugins fill its fields with what they like."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tocsin_hooks.messages import Reason, Receipt, SendError
from tocsin_hooks.secrets import redact

_DETAIL_CAP = 2000
_REFERENCE_CAP = 50


def plain_receipt(receipt: Receipt) -> Receipt:
    """The receipt with short texts in it and nothing else.

    >>> plain_receipt(Receipt(None, {"ts": 7}))
    Receipt(detail='', reference={'ts': '7'}, sent=True)
    """
    reference = receipt.reference if isinstance(receipt.reference, Mapping) else {}
    kept = {_text(name): _text(value)[:_DETAIL_CAP] for name, value in list(reference.items())[:_REFERENCE_CAP]}
    return Receipt(redact(_text(receipt.detail))[:_DETAIL_CAP], kept, bool(receipt.sent))


def sound(error: SendError) -> SendError:
    """The error with a reason, a text and a wait that are such.

    >>> mended = sound(SendError("dunno", None, retry_after=float("nan")))
    >>> mended.reason, mended.detail, mended.retry_after
    (<Reason.PLUGIN: 'plugin'>, "a SendError with the unknown reason 'dunno'", None)
    """
    detail = _text(error.detail)
    known = isinstance(error.reason, str) and error.reason in set(Reason)  # its text will do
    if not known:
        detail = f"a SendError with the unknown reason {_text(error.reason)!r}" + (f": {detail}" if detail else "")
    wait = error.retry_after
    numeric = isinstance(wait, int | float) and not isinstance(wait, bool) and math.isfinite(wait)
    return SendError(
        Reason(error.reason) if known else Reason.PLUGIN,
        detail,
        retry_after=wait if numeric else None,
        permanent=bool(error.permanent),
        disable=bool(error.disable),
        unknown=bool(error.unknown),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
