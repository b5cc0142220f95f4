"""The PagerDuty channel keeps every channel's promises."""

from __future__ import annotations

import json

import pytest

from tocsin_hooks.testing import Answer, ChannelConformance, HttpDestination, Received, Receiver
from tocsin_pagerduty import tocsin_channel_types

ROUTING_KEY = "R0UT1NGK3Y0123456789ABCDEFGHIJKL"


def accepted(request: Received) -> Answer:
    """PagerDuty's answer to an event it takes."""
    event = request.json()
    return Answer(202, {"status": "success", "message": "Event processed", "dedup_key": event["dedup_key"]})


class PagerDuty(HttpDestination):
    [channel_type] = tocsin_channel_types()
    secrets = (ROUTING_KEY, ROUTING_KEY[:12])

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        self.settings = {"routing_key": {"env": "PAGERDUTY_KEY"}, "base_url": receiver.url}

    def answer_accepted(self) -> None:
        self.receiver.respond(accepted)

    def text_of(self, request: Received) -> str:
        return "\n".join(texts_in(request.json().get("payload", {})))

    def marks(self) -> list[str]:
        return [request.json()["dedup_key"] for request in self.accepted()]

    def things(self) -> list[str]:
        return self.marks()


def texts_in(value: object) -> list[str]:
    """Every text in JSON data."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts_in(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts_in(item)]
    return [value if isinstance(value, str) else json.dumps(value)]


class TestConformance(ChannelConformance):
    @pytest.fixture
    def destination(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> PagerDuty:
        monkeypatch.setenv("PAGERDUTY_KEY", ROUTING_KEY)
        return PagerDuty(receiver)
