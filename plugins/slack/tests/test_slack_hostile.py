"""What becomes of a message when Slack, or what poses as it, misbehaves."""

from __future__ import annotations

import pytest

from tocsin_hooks.messages import SendError
from tocsin_hooks.testing import FAULTS, HostileServer, sample_message
from tocsin_hooks.testing.faults import READ_AT_MOST, outcome
from tocsin_slack.channel import SlackChannel
from tocsin_slack.config import SlackConfig

pytestmark = pytest.mark.timeout(20)  # without its bounds, a send would not end
TOKEN = "xoxb-1-abcdefghijkl"


def channel(transport: str, url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> SlackChannel:
    monkeypatch.setenv("SLACK_TOKEN", TOKEN)
    settings = (
        {"webhook_url": f"{url}/services/T0/B0/secret"}
        if transport == "webhook"
        else {"token": {"env": "SLACK_TOKEN"}, "channel": "C0123456789", "base_url": f"{url}/api/"}
    )
    return SlackChannel(SlackConfig.model_validate({**settings, "timeout": "500ms" if FAULTS[name].endless else "10s"}))


@pytest.mark.parametrize("transport", ["webhook", "bot"])
@pytest.mark.parametrize(
    "name",
    [
        *("429", "429 for seconds", "429 for a fraction", "429 for junk", "429 for a number past all bounds"),
        *("500", "502", "503", "413", "a redirect to itself", "a redirect that keeps the method"),
        *("silence", "silence in the head", "a status line that drips", "headers that drip", "100 Continue for ever"),
        *("reset", "hung up", "hung up in the status line", "another protocol", "headers without end"),
    ],
)
def test_a_service_that_misbehaves_is_asked_once_and_its_answer_has_one_meaning(
    transport: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileServer(FAULTS[name].play) as server, pytest.raises(SendError) as caught:
        channel(transport, server.url, name, monkeypatch).send(sample_message())
    assert outcome(caught.value) == FAULTS[name].expected
    assert (len(server.requests), server.connections) == (1, 1)


@pytest.mark.parametrize("transport", ["webhook", "bot"])
@pytest.mark.parametrize("name", ["a gigabyte", "a gigabyte in chunks", "a gigabyte of refusal", "a gzip bomb"])
def test_an_answer_without_end_is_not_read_to_its_end(
    transport: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileServer(FAULTS[name].play) as server, pytest.raises(SendError):  # none of them is Slack's "ok"
        channel(transport, server.url, name, monkeypatch).send(sample_message())
    assert len(server.requests) == 1
    assert server.sent < READ_AT_MOST
