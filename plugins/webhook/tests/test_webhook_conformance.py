"""The webhook channel keeps every channel's promises."""

from __future__ import annotations

import base64

import pytest

from tocsin_hooks.testing import ChannelConformance, HttpDestination, Received, Receiver
from tocsin_webhook import tocsin_channel_types

SIGNING_SECRET = "whsec_" + base64.b64encode(b"0123456789abcdefghijklmnopqrstuv").decode()


class Endpoint(HttpDestination):
    [channel_type] = tocsin_channel_types()
    secrets = (SIGNING_SECRET, "T0KEN-IN-PATH", "Bearer abcdef")

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        self.settings = {
            "url": {"env": "HOOK_URL"},
            "allow_http": True,
            "allow_private": ["127.0.0.1/32"],
            "allow_ports": [receiver.port],
            "sign": {"env": "HOOK_SECRET"},
            "headers": {"Authorization": {"env": "HOOK_AUTHORIZATION"}},
        }

    def text_of(self, request: Received) -> str:
        data = request.json()["data"]
        return f"{data['message']['title']}\n{data['message']['text']}\n{data['event']['flow']}/{data['event']['task']}"

    def marks(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.accepted()]

    def things(self) -> list[str]:
        return [request.json()["data"]["incident"]["key"] for request in self.accepted()]


class TestConformance(ChannelConformance):
    @pytest.fixture
    def destination(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
        monkeypatch.setenv("HOOK_URL", f"{receiver.url}/hooks/T0KEN-IN-PATH")
        monkeypatch.setenv("HOOK_SECRET", SIGNING_SECRET)
        monkeypatch.setenv("HOOK_AUTHORIZATION", "Bearer abcdef")
        return Endpoint(receiver)
