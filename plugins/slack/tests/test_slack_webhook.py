"""A Slack channel that posts to an incoming webhook, against a real server on loopback."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from tocsin_hooks.messages import Action, Reason, Receipt, SendError
from tocsin_hooks.testing import Answer, ChannelConformance, HttpDestination, Received, Receiver, sample_message
from tocsin_slack import tocsin_channel_types
from tocsin_slack.channel import SlackChannel
from tocsin_slack.config import SlackConfig

PATH = "/services/T0AAAAAAA/B0BBBBBBB/verySecretPartOfTheUrl"


def said(thing: Any) -> list[str]:
    """Every string in a payload."""
    if isinstance(thing, dict):
        return [found for value in thing.values() for found in said(value)]
    if isinstance(thing, list):
        return [found for value in thing for found in said(value)]
    return [thing] if isinstance(thing, str) else []


class Webhook(HttpDestination):
    channel_type = tocsin_channel_types()[0]
    secrets = ("verySecretPartOfTheUrl",)

    def __init__(self, receiver: Receiver) -> None:
        super().__init__(receiver)
        self.settings = {"webhook_url": {"env": "SLACK_WEBHOOK_URL"}}

    def answer_accepted(self) -> None:
        self.receiver.answer(200, "ok")

    def text_of(self, request: Received) -> str:
        return "\n".join(said(request.json()))


class TestWebhookConformance(ChannelConformance):
    @pytest.fixture
    def destination(self, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Webhook:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", receiver.url + PATH)
        return Webhook(receiver)


def channel(url: str, **settings: Any) -> SlackChannel:
    return SlackChannel(SlackConfig.model_validate({"webhook_url": url, **settings}))


def error_of(channel: SlackChannel) -> SendError:
    with pytest.raises(SendError) as caught:
        channel.send(sample_message())
    return caught.value


def test_a_webhook_gets_text_and_blocks_and_previews_are_off(receiver: Receiver) -> None:
    receiver.answer(200, "ok")
    assert channel(receiver.url + PATH, username="tocsin", icon_emoji="bell").send(sample_message()) == Receipt("ok")
    [request] = receiver.requests
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["Content-Type"] == "application/json;charset=utf-8"
    assert request.headers["User-Agent"].startswith("tocsin-slack/")
    body = request.json()
    assert body["text"].startswith("🔴 Failed: etl/load")
    assert body["blocks"][0]["text"]["text"] == "🔴 Failed: etl/load"
    assert (body["unfurl_links"], body["unfurl_media"]) == (False, False)
    assert (body["username"], body["icon_emoji"]) == ("tocsin", ":bell:")


def test_a_webhook_posts_each_message_anew(receiver: Receiver) -> None:
    receiver.answer(200, "ok")
    hook = channel(receiver.url + PATH)
    hook.send(sample_message())
    hook.send(sample_message(Action.UPDATE), Receipt("ok", {"channel": "C1", "ts": "1.2"}))
    assert [request.path for request in receiver.requests] == [PATH, PATH]
    assert "thread_ts" not in receiver.requests[1].json()


def test_a_webhook_posts_reminders_and_leaves_out_what_is_silent(receiver: Receiver) -> None:
    receiver.answer(200, "ok")
    hook = channel(receiver.url + PATH)
    assert hook.send(sample_message(Action.REPEAT)).sent is True
    silent = hook.send(sample_message(Action.UPDATE, silent=True))
    assert (silent.sent, "silent" in silent.detail) == (False, True)
    assert hook.send(sample_message(Action.TEST, silent=True)).sent is True
    titles = [request.json()["text"].splitlines()[0] for request in receiver.requests]
    assert titles == ["🔴 Still Failed: etl/load for 4 h", "🧪 Test of channel ops"]


def test_refused_blocks_are_sent_once_more_as_plain_text(receiver: Receiver) -> None:
    receiver.answer(200, "ok")
    receiver.answer(400, "invalid_blocks", times=1)
    assert channel(receiver.url + PATH).send(sample_message()) == Receipt("ok, as plain text ('invalid_blocks')")
    with_blocks, without = [request.json() for request in receiver.requests]
    assert "blocks" in with_blocks
    assert "blocks" not in without
    assert without["mrkdwn"] is False
    assert "write(rows)" in without["text"]


def test_plain_text_that_is_refused_too_is_not_sent_a_third_time(receiver: Receiver) -> None:
    receiver.answer(400, "invalid_blocks")
    error = error_of(channel(receiver.url + PATH))
    assert (error.reason, error.permanent) == (Reason.PAYLOAD, True)
    assert len(receiver.requests) == 2


def test_the_base_url_leads_to_another_host(receiver: Receiver) -> None:
    receiver.answer(200, "ok")
    channel("https://hooks.slack.com" + PATH, base_url=receiver.url).send(sample_message())
    assert receiver.requests[0].path == PATH


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    with Receiver() as elsewhere:
        receiver.answer(status, headers={"Location": elsewhere.url + "/stolen"})
        error = error_of(channel(receiver.url + PATH))
        assert (error.reason, error.permanent) == (Reason.CLIENT, True)
        assert "redirect" in error.detail
        assert elsewhere.requests == []
    assert len(receiver.requests) == 1


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.answer(200, "ok")
    with Receiver() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        channel(receiver.url + PATH).send(sample_message())
        assert proxy.requests == []
    assert len(receiver.requests) == 1


def test_a_proxy_that_is_set_is_used_whatever_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    receiver.answer(200, "ok")
    proxy = receiver.url.replace("://", "://me:p%40ss@")
    channel("http://hooks.example.invalid" + PATH, proxy=proxy).send(sample_message())
    [request] = receiver.requests
    assert request.target == "http://hooks.example.invalid" + PATH
    assert request.headers["Host"] == "hooks.example.invalid"
    assert request.headers["Proxy-Authorization"] == "Basic bWU6cEBzcw=="


def test_a_proxy_is_asked_for_a_tunnel_to_a_secure_address(receiver: Receiver) -> None:
    receiver.answer(403)
    error = error_of(channel("https://hooks.example.invalid" + PATH, proxy=receiver.url.replace("://", "://me:pw@")))
    [request] = receiver.requests
    assert (request.method, request.target) == ("CONNECT", "hooks.example.invalid:443")
    assert request.headers["Proxy-Authorization"] == "Basic bWU6cHc="
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)


def test_only_servers_of_the_trusted_authority_are_talked_to(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(ssl_context=context) as server:
        server.answer(200, "ok")
        error = error_of(channel(server.url + PATH))
        assert (error.reason, error.unknown) == (Reason.NETWORK, False)
        assert "certificate" in error.detail.lower()
        assert server.requests == []
        assert channel(server.url + PATH, ca_file=tmp_path / "ca.pem").send(sample_message()) == Receipt("ok")


def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    error = error_of(channel("https://127.0.0.1:1/x", ca_file=tmp_path / "ca.pem"))
    assert error.reason is Reason.CONFIG
    assert "ca.pem" in error.detail


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_a_dripping_answer_is_cut_off_at_the_deadline(receiver: Receiver) -> None:
    receiver.drip(b"o" * 10_000, every=0.05)
    error = error_of(channel(receiver.url + PATH, timeout="300ms"))
    assert (error.reason, error.unknown) == (Reason.TIMEOUT, True)


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_a_dripping_head_is_cut_off_at_the_deadline() -> None:
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                try:
                    while not stop.wait(0.05):
                        connection.sendall(b"X-More: yes\r\n"[:1])
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        error = error_of(channel(f"http://127.0.0.1:{listener.getsockname()[1]}{PATH}", timeout="300ms"))
        stop.set()
        thread.join(5)
    assert (error.reason, error.unknown) == (Reason.TIMEOUT, True)


def test_an_endless_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.answer(500, b"x" * 20_000_000)
    error = error_of(channel(receiver.url + PATH))
    assert error.reason is Reason.SERVER
    assert len(error.detail) <= 500


def test_a_connection_lost_after_sending_may_have_delivered(receiver: Receiver) -> None:
    receiver.reset(times=1)
    error = error_of(channel(receiver.url + PATH))
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, True, False)
    receiver.respond(Answer(200, "ok", part=1))
    error = error_of(channel(receiver.url + PATH))
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, True, False)
    assert len(receiver.requests) == 2


def test_a_secret_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, receiver: Receiver) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    hook = SlackChannel(SlackConfig.model_validate({"webhook_url": {"env": "SLACK_WEBHOOK_URL"}}))
    error = error_of(hook)
    assert (error.reason, error.detail) == (Reason.CONFIG, "environment variable 'SLACK_WEBHOOK_URL' is not set")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "hooks.slack.com/T0/B0/shown-nowhere")
    error = error_of(hook)
    assert error.reason is Reason.CONFIG
    assert "environment variable 'SLACK_WEBHOOK_URL' holds no address" in error.detail
    assert "shown-nowhere" not in error.detail
    monkeypatch.setenv("SLACK_WEBHOOK_URL", receiver.url + PATH)
    receiver.answer(200, "ok")
    assert hook.send(sample_message()).sent is True


@pytest.mark.parametrize("path", ["/services/T0/B0/shown nowhere", "/services/T0/B0/shöwn-nowhere"])
def test_an_address_that_no_request_can_carry_is_not_shown(receiver: Receiver, path: str) -> None:
    error = error_of(channel(receiver.url + path))
    assert error.reason is Reason.CONFIG
    assert "nowhere" not in error.detail


def test_the_logs_of_slack_sdk_stay_silent(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("slack_sdk", "slack_sdk.webhook.client", "slack_sdk.web.base_client"):
        caplog.set_level(logging.DEBUG, logger=name)
    receiver.answer(200, "ok")
    channel(receiver.url + PATH).send(sample_message())
    receiver.close()
    error_of(channel(receiver.url + PATH))
    assert [record for record in caplog.records if "slack" in record.name] == []
