"""What every channel does, checked on Apprise's JSON service."""

from __future__ import annotations

import pytest

from tocsin_apprise import tocsin_channel_types
from tocsin_hooks.testing import ChannelConformance, HttpDestination, Received, Receiver

PASSWORD = "pa55-w0rd-of-the-json-service"


class JsonService(HttpDestination):
    """`json://` with a login, at a server that never asks for a wait: Apprise would not pass that on."""

    passes_retry_after = False
    secrets = (PASSWORD,)

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        [self.channel_type] = tocsin_channel_types()
        self.settings = {"url": {"env": "APPRISE_URL"}}

    def text_of(self, request: Received) -> str:
        payload = request.json()
        return f"{payload['title']}\n{payload['message']}"


class TestConformance(ChannelConformance):
    @pytest.fixture
    def destination(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> JsonService:
        monkeypatch.setenv("APPRISE_URL", f"json://bell:{PASSWORD}@127.0.0.1:{receiver.port}/hook")
        return JsonService(receiver)
