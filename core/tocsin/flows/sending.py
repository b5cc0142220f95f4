"""How a note leaves at once: one POST, or one e-mail, and no error that tells an address or a password."""

from __future__ import annotations

import json
import smtplib
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.flows.notes import SENDER


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None  # the note would go on as a GET, without its body


def post_json(url: str, payload: Mapping[str, Any], proxies: Mapping[str, str] | None, timeout: float) -> None:
    """Post JSON once. Raises ValueError for any answer but a 2xx."""
    if not url.startswith(("https://", "http://")):
        raise ValueError("Slack notification failed: the address of the webhook does not begin with 'https://'")
    handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
    if proxies is not None:
        handlers.append(urllib.request.ProxyHandler(dict(proxies)))
    headers = {"Content-Type": "application/json", "User-Agent": "tocsin"}
    try:
        request = urllib.request.Request(url, json.dumps(payload).encode(), headers, method="POST")  # noqa: S310
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as answer:
            answer.read(1000)
    except urllib.error.HTTPError as error:
        error.close()
        raise ValueError(f"Slack notification failed: Slack answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise ValueError(f"Slack notification failed: {_reason(error.reason)}") from None
    except Exception as error:  # http.client and urllib put the address into some of their messages
        raise ValueError(f"Slack notification failed: {_reason(error)}") from None


def gmail(timeout: float) -> smtplib.SMTP:
    """A connection to Gmail."""
    return smtplib.SMTP_SSL("smtp.gmail.com", 465, timeout=timeout)


def mail(user: str, password: str, text: str, connect: Callable[[], smtplib.SMTP]) -> None:
    """Send one message to the user's own address. Raises ValueError when it cannot be sent."""
    try:
        with connect() as server:
            server.login(user, password)
            server.sendmail(SENDER, user, text)
    except smtplib.SMTPResponseException as error:
        raise ValueError(f"Email notification failed: the server answered {error.smtp_code}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise ValueError(f"Email notification failed: {_reason(error)}") from None


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__
