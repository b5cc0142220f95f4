"""How a body is signed, so that whoever gets it can tell where it comes from: Standard Webhooks, version 1."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence

_PREFIX = "whsec_"
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: `whsec_` and base64 of 24 to 64 bytes, or any other text as its own bytes.

    Raises ValueError, without the secret, for what begins with `whsec_` and is no such thing.

    >>> key_of("plain words"), len(key_of("whsec_" + "A" * 32))
    (b'plain words', 24)
    """
    if not secret.startswith(_PREFIX):
        return secret.encode("utf-8", "surrogateescape")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is no base64 after 'whsec_'") from None
    if not 24 <= len(key) <= 64:
        raise ValueError(f"holds {len(key)} bytes after 'whsec_'; Standard Webhooks asks for 24 to 64")
    return key


def webhook_id(message_id: str) -> str:
    """The id of a message as the standard allows it: it parts id and time by a dot.

    >>> webhook_id("5f3e.2a10-7")
    '5f3e2a10-7'
    """
    return _UNFIT.sub("", message_id)


def signed_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers that tell id, time of the attempt, and one signature for each key.

    >>> signed_headers([b"k"], "m1", 1700000000, b"{}")["webhook-signature"]
    'v1,2XLbhicr9YJNYRKeaeQBRk4Sm8xfSm+MbB+peVcXkhM='
    """
    identity = webhook_id(message_id)
    headers = {"webhook-id": identity, "webhook-timestamp": str(timestamp)}
    if keys:
        content = f"{identity}.{timestamp}.".encode() + body
        headers["webhook-signature"] = " ".join(_signature(key, content) for key in keys)
    return headers


def _signature(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
