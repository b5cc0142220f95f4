"""One message, at most one event to PagerDuty."""

from __future__ import annotations

import time
from collections.abc import Callable

from tocsin_hooks.http import HttpAnswer, HttpSender, host_of, refusal, reveal, said, user_agent
from tocsin_hooks.messages import Action, Message, Reason, Receipt, SendError
from tocsin_hooks.text import excerpt
from tocsin_pagerduty import payload
from tocsin_pagerduty.config import PagerDutyConfig

_KEY_LENGTH = 32


class PagerDutyChannel:
    """Triggers one alert for each incident, acknowledges it when somebody has, and resolves it on recovery.

    What is on at PagerDuty is known by the `dedup_key` in the receipts: no key, no alert of ours to resolve.
    """

    def __init__(
        self, config: PagerDutyConfig, *, clock: Callable[[], float] = time.time, http: HttpSender | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._http = http or config.sender(user_agent("tocsin-pagerduty"))

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        """Send the event for `message` once, or raise `SendError`."""
        open_key = previous.reference.get("dedup_key", "") if previous else ""
        if message.action is Action.RECOVER:
            if not open_key:
                return Receipt("nothing to resolve: no page of this incident is known", sent=False)
            self._post(payload.resolve(self._routing_key(), open_key))
            return Receipt(f"resolved '{open_key}'")
        if message.is_acknowledgement:
            if not open_key:
                return Receipt("nothing to acknowledge: no page of this incident is known", sent=False)
            self._post(payload.acknowledge(self._routing_key(), open_key))
            return Receipt(f"acknowledged '{open_key}'", {"dedup_key": open_key})
        if why := self._silence(message):
            kept = {"dedup_key": open_key} if open_key else {}  # what is open stays known, to be resolved later
            return Receipt(why, kept, sent=False)
        key = open_key or payload.dedup_key_of(message)
        answer = self._post(payload.trigger(message, self._routing_key(), key, self._config))
        key = _key_in(answer) or key
        return Receipt(f"triggered '{key}'", {"dedup_key": key})

    def _silence(self, message: Message) -> str:
        """Why nothing is sent, for whatever is sent may page; empty where it is."""
        if message.action is Action.TEST:
            return ""
        if message.silent:
            return "a silent message does not page"
        retrying = self._config.retrying == "silent" and message.event.is_a("Retrying")
        return "a retry does not page: retrying = 'silent'" if retrying else ""

    def _routing_key(self) -> str:
        key = reveal(self._config.routing_key)
        if len(key) != _KEY_LENGTH:
            where = self._config.routing_key.where
            text = f"routing_key: {where} holds {len(key)} characters; an integration key has {_KEY_LENGTH}"
            raise SendError(Reason.CONFIG, text, permanent=True)
        return key

    def _post(self, body: bytes) -> HttpAnswer:
        url = self._config.enqueue_url
        answer = self._http.send("POST", url, body, {"Content-Type": "application/json"})
        if error := error_in(answer, url, self._clock()):
            raise error
        return answer


def error_in(answer: HttpAnswer, url: str, now: float) -> SendError | None:
    """What is wrong with PagerDuty's answer; None when the event was taken.

    >>> error_in(HttpAnswer(202, body=b'{"status": "success"}'), "https://h", now=0)
    >>> error_in(HttpAnswer(400, body=b'{"message": "Invalid", "errors": ["no summary"]}'), "https://h", now=0)
    SendError("'h' answered 400: Invalid: no summary")
    """
    if answer.ok:
        if answer.status == 202 or _member(answer, "status") == "success":
            return None
        return SendError(Reason.SERVER, f"{said(answer, url)} (PagerDuty takes an event with 202)")
    if answer.status == 400:
        return SendError(Reason.PAYLOAD, _complaint(answer, url), permanent=True)
    if answer.status in (401, 403):
        return SendError(Reason.AUTH, said(answer, url), disable=True)
    return refusal(answer, url, now)


def _complaint(answer: HttpAnswer, url: str) -> str:
    errors = _member(answer, "errors")
    listed = "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
    text = ": ".join(part for part in (str(_member(answer, "message") or ""), listed) if part)
    return f"'{host_of(url)}' answered 400: {excerpt(text)}" if text else said(answer, url)


def _key_in(answer: HttpAnswer) -> str:
    key = _member(answer, "dedup_key")
    return key if isinstance(key, str) and len(key) <= payload.KEY_LENGTH else ""


def _member(answer: HttpAnswer, name: str) -> object:
    data = answer.json()
    return data.get(name) if isinstance(data, dict) else None
