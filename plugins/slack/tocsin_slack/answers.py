"""What an answer of Slack means for the message: accepted, worth another try, refused for good, or a dead channel."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from tocsin_hooks.http import retry_after
from tocsin_hooks.messages import Reason, Receipt, SendError
from tocsin_hooks.secrets import redact
from tocsin_slack.names import (
    AUTH_ERRORS,
    DEAD_WEBHOOK_ERRORS,
    DOUBTFUL_ERRORS,
    GONE_ERRORS,
    PAYLOAD_ERRORS,
    RATE_ERRORS,
    REFUSED_ERRORS,
)
from tocsin_slack.text import cut, one_line

QUOTED = 500  # characters of an answer that are worth repeating
_LOOKED_AT = 128 * QUOTED


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came: `headers` by lower-case name."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def data(self) -> dict[str, Any] | None:
        """The JSON object in the body, if that is what it holds."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None


class SlackError(SendError):
    """An attempt that Slack answered, but not with success; `name` is Slack's name for the error, if it gave one."""

    name: str = ""


def webhook_outcome(answer: Answer) -> Receipt | SlackError:
    """What the answer of an incoming webhook, or of a service that imitates one, means.

    >>> webhook_outcome(Answer(200, "ok"))
    Receipt(detail='ok', reference={}, sent=True)
    >>> webhook_outcome(Answer(404, "no_service")).disable
    True
    """
    data = answer.data() or {}
    if 200 <= answer.status < 300:
        if answer.body.strip() == "ok" or data.get("ok") is True or data.get("success") is True:  # Rocket.Chat
            return Receipt("ok")
        name = _name(data.get("error")) or _name(answer.body.strip())
    else:
        name = _name(data.get("error")) or _name(answer.body.strip())
        if answer.status in (404, 410) and not _is_page(answer):
            return _error(answer, name, Reason.GONE, disable=True)
    if name in DEAD_WEBHOOK_ERRORS:
        return _error(answer, name, Reason.GONE, disable=True)
    return _by_name(answer, name) or _by_status(answer, name)


def api_outcome(answer: Answer) -> Receipt | SlackError:
    """What the answer of a Web API method means; the receipt refers to the message that was posted.

    >>> api_outcome(Answer(200, '{"ok": true, "channel": "C1", "ts": "1.2"}')).reference
    {'channel': 'C1', 'ts': '1.2'}
    >>> api_outcome(Answer(200, '{"ok": false, "error": "channel_not_found"}')).permanent
    True
    """
    data = answer.data()
    if data is None:
        return _by_status(answer, "")
    if answer.status == 200 and data.get("ok") is True:
        reference = {key: data[key] for key in ("channel", "ts") if isinstance(data.get(key), str)}
        return Receipt(f"ok {' '.join(reference.values())}".strip(), reference)
    name = _name(data.get("error"))
    return _by_name(answer, name) or _by_status(answer, name)


def wait_asked(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds that an answer asks for, given as a number or as a date beside the answer's own.

    >>> wait_asked({"retry-after": "30"}), wait_asked({"retry-after": "soon"})
    (30.0, None)
    """
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        now = math.inf  # beside which every date is one gone by
    return retry_after(headers.get("retry-after"), now)


def _by_name(answer: Answer, name: str) -> SlackError | None:
    """The error of a known name; None where the status has to tell."""
    if name in RATE_ERRORS:
        return _error(answer, name, Reason.RATE_LIMITED)
    if name in AUTH_ERRORS:
        return _error(answer, name, Reason.AUTH, disable=True)
    if name in GONE_ERRORS:
        return _error(answer, name, Reason.GONE, permanent=True)
    if name in PAYLOAD_ERRORS:
        return _error(answer, name, Reason.PAYLOAD, permanent=True)
    if name in REFUSED_ERRORS:
        return _error(answer, name, Reason.CLIENT, permanent=True)
    if name in DOUBTFUL_ERRORS:
        return _error(answer, name, Reason.SERVER, unknown=True)
    return None


def _by_status(answer: Answer, name: str) -> SlackError:
    """The error of an answer that names none, or one that is not known here."""
    status = answer.status
    if status == 429:
        return _error(answer, name, Reason.RATE_LIMITED)
    if status == 504:
        return _error(answer, name, Reason.SERVER, unknown=True)  # the gateway gave up; Slack may not have
    if status in (401, 403, 407) and not _is_page(answer):
        return _error(answer, name, Reason.AUTH, disable=True)
    if 300 <= status < 400:  # before pages: redirects usually carry one
        return _error(answer, name, Reason.CLIENT, permanent=True)
    if status == 413:
        return _error(answer, name, Reason.PAYLOAD, permanent=True)
    if 400 <= status < 500 and status not in (408, 425) and not _is_page(answer):
        return _error(answer, name, Reason.CLIENT, permanent=True)
    return _error(answer, name, Reason.SERVER)  # failures of a server, pages of a proxy, names yet unknown


def _error(
    answer: Answer,
    name: str,
    reason: Reason,
    *,
    permanent: bool = False,
    disable: bool = False,
    unknown: bool = False,
) -> SlackError:
    wait = wait_asked(answer.headers) if reason in (Reason.RATE_LIMITED, Reason.SERVER) else None
    error = SlackError(reason, _detail(answer), retry_after=wait, permanent=permanent, disable=disable, unknown=unknown)
    error.name = name
    return error


def _detail(answer: Answer) -> str:
    """The answer for people: its status, and what of its body says why."""
    if 300 <= answer.status < 400:
        return f"Slack answered {answer.status}, a redirect, and redirects are not followed; check the address"
    data = answer.data()
    if _is_page(answer):
        said = "a web page instead of an answer"
    elif data is not None and isinstance(data.get("error"), str):
        said = " ".join([f"'{data['error']}'", *_hints(data)])
    else:
        said = f"'{answer.body}'" if answer.body.strip() else "nothing"
    # Twice cut: the first keeps the work small, and far from the second, for a secret that is cut in two is not known
    return cut(redact(one_line(f"Slack answered {answer.status}: {said[:_LOOKED_AT]}")), QUOTED)


def _hints(data: Mapping[str, Any]) -> list[str]:
    """What Slack adds to an error: the scope that is missing, and the places in the blocks that it refuses."""
    hints = [f"({key}: {data[key]})" for key in ("needed", "provided") if isinstance(data.get(key), str)]
    metadata = data.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    return [*hints, *(str(found) for found in (messages if isinstance(messages, list) else []))]


def _name(found: object) -> str:
    """`found` if it is the name of an error, else nothing."""
    return found if isinstance(found, str) and re.fullmatch(r"[a-z][a-z0-9_]{2,60}", found) else ""


def _is_page(answer: Answer) -> bool:
    return "text/html" in answer.headers.get("content-type", "").lower() or answer.body.lstrip()[:1] == "<"
