"""How slack_sdk is used: its clients, silent and without tries of their own, on this package's wire."""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib import metadata
from typing import Any
from urllib.request import Request

from slack_sdk.errors import SlackApiError
from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient, WebhookResponse

from tocsin_slack.answers import Answer
from tocsin_slack.wire import Wire

_silence = logging.Logger("tocsin_slack.silence", level=logging.CRITICAL + 1)
"""For slack_sdk, whose own logs hold addresses, bodies and errors; belongs to no tree of loggers."""


def post_to_webhook(wire: Wire, url: str, payload: dict[str, Any]) -> Answer:
    """The answer of the incoming webhook at `url`."""
    return _Webhook(wire, url).post(payload)


def call_method(wire: Wire, base_url: str, token: str, method: str, arguments: dict[str, Any]) -> Answer:
    """The answer of the Web API method `method`."""
    return _Api(wire, base_url, token).call(method, arguments)


def _user_agent() -> str:
    try:
        return f"tocsin-slack/{metadata.version('tocsin-slack')}"
    except metadata.PackageNotFoundError:  # run from a copy that was not installed
        return "tocsin-slack"


class _Webhook(WebhookClient):
    def __init__(self, wire: Wire, url: str) -> None:
        super().__init__(url, retry_handlers=[], logger=_silence, user_agent_prefix=_user_agent())
        self._wire = wire

    def post(self, payload: dict[str, Any]) -> Answer:
        response = self.send_dict(payload)
        return Answer(response.status_code, response.body, response.headers)

    def _perform_http_request_internal(self, url: str, req: Request) -> WebhookResponse:
        answer = _sent(self._wire, url, req)
        return WebhookResponse(url=url, status_code=answer.status, body=answer.body, headers=dict(answer.headers))


class _Api(WebClient):
    def __init__(self, wire: Wire, base_url: str, token: str) -> None:
        super().__init__(token, base_url, retry_handlers=[], logger=_silence, user_agent_prefix=_user_agent())
        self._wire = wire
        self._answer = Answer(0)

    def call(self, method: str, arguments: dict[str, Any]) -> Answer:
        with suppress(SlackApiError):  # says less than the answer it is made of
            if method.startswith("chat."):
                self.api_call(method, json=arguments)
            else:  # methods that read take no JSON
                self.api_call(method, params=arguments)
        return self._answer

    def _perform_urllib_http_request_internal(self, url: str, req: Request) -> dict[str, Any]:
        self._answer = answer = _sent(self._wire, url, req)
        readable = answer.body if answer.data() is not None else "{}"  # slack_sdk trips over other JSON
        return {"status": answer.status, "headers": dict(answer.headers), "body": readable}


def _sent(wire: Wire, url: str, request: Request) -> Answer:
    assert isinstance(request.data, bytes)
    return wire.post(url, dict(request.header_items()), request.data)
