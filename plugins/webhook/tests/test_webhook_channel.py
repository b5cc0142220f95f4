"""The webhook channel against a real server, and its signatures against an independent verifier."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tocsin_hooks import Reason, Receipt, SendError
from tocsin_hooks.testing import Receiver, sample_event, sample_message
from tocsin_webhook import WebhookChannel, WebhookConfig
from tocsin_webhook.signing import key_of

OLD = "whsec_" + base64.b64encode(b"an old secret of thirty-two bytes").decode()
NEW = "whsec_" + base64.b64encode(b"a new secret of over twenty-four bytes").decode()


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD", OLD)
    monkeypatch.setenv("NEW", NEW)
    monkeypatch.setenv("RAW", "correct horse battery staple")


def channel(receiver: Receiver, now: float | None = None, **settings: Any) -> WebhookChannel:
    loopback = {"allow_http": True, "allow_private": "127.0.0.1/32", "allow_ports": receiver.port}
    config = WebhookConfig.model_validate({"url": f"{receiver.url}/hook?token=t0", **loopback, **settings})
    return WebhookChannel(config) if now is None else WebhookChannel(config, clock=lambda: now)


def error_of(channel: WebhookChannel) -> SendError:
    with pytest.raises(SendError) as caught:
        channel.send(sample_message())
    return caught.value


def headers_of(receiver: Receiver, at: int = -1) -> dict[str, str]:
    return {name.lower(): value for name, value in receiver.requests[at].headers.items()}


# ---------------------------------------------------------------- signatures


def test_an_independent_verifier_accepts_the_bytes_that_arrived(receiver: Receiver) -> None:
    event = sample_event(parameters={"float": 0.1 + 0.2, "text": "żółć \U0001f525 \u2028 \x00", "big": 10**30})
    channel(receiver, sign={"env": "NEW"}).send(sample_message(event=event))
    verified = Webhook(NEW).verify(receiver.requests[0].body, headers_of(receiver))
    assert verified["data"]["event"]["parameters"] == event.parameters


def test_a_plain_secret_is_used_as_its_own_bytes(receiver: Receiver) -> None:
    channel(receiver, sign={"env": "RAW"}).send(sample_message())
    secret = base64.b64encode(b"correct horse battery staple").decode()
    assert Webhook(secret).verify(receiver.requests[0].body, headers_of(receiver))["version"] == 1


def test_either_secret_verifies_while_one_takes_the_others_place(receiver: Receiver) -> None:
    channel(receiver, sign=[{"env": "NEW"}, {"env": "OLD"}]).send(sample_message())
    for secret in (NEW, OLD):
        Webhook(secret).verify(receiver.requests[0].body, headers_of(receiver))
    with pytest.raises(WebhookVerificationError):
        Webhook(base64.b64encode(b"x" * 32).decode()).verify(receiver.requests[0].body, headers_of(receiver))


@pytest.mark.parametrize("shift", [-3600, 3600])
def test_what_was_signed_long_before_or_after_is_refused_by_the_verifier(receiver: Receiver, shift: int) -> None:
    channel(receiver, time.time() + shift, sign={"env": "NEW"}).send(sample_message())
    with pytest.raises(WebhookVerificationError, match="timestamp"):
        Webhook(NEW).verify(receiver.requests[0].body, headers_of(receiver))


def test_a_tampered_body_is_refused_by_the_verifier(receiver: Receiver) -> None:
    channel(receiver, sign={"env": "NEW"}).send(sample_message())
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(receiver.requests[0].body.replace(b"etl", b"elt"), headers_of(receiver))


def test_the_id_stays_over_attempts_and_the_time_is_the_attempts(receiver: Receiver) -> None:
    for attempt, now in ((1, 1_750_000_000.9), (2, 1_750_000_060.0)):
        channel(receiver, now, sign={"env": "NEW"}).send(sample_message(id="a.b-7", attempt=attempt))
    first, second = headers_of(receiver, 0), headers_of(receiver, 1)
    assert first["webhook-id"] == second["webhook-id"] == "ab-7"
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1750000000", "1750000060")
    assert first["webhook-signature"] != second["webhook-signature"]


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    channel(receiver).send(sample_message())
    assert "webhook-signature" not in headers_of(receiver)
    assert headers_of(receiver)["webhook-id"] == sample_message().id


@pytest.mark.parametrize("value", ["whsec_", "whsec_!!!", "whsec_" + "A" * 20, "whsec_" + "A" * 88])
def test_a_secret_that_is_no_key_is_told_without_showing_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("NEW", value)
    error = error_of(channel(receiver, sign={"env": "NEW"}))
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert str(error).startswith("sign: environment variable 'NEW' ")
    assert value.removeprefix("whsec_") == "" or value not in str(error)
    assert receiver.requests == []


def test_the_key_of_a_standard_secret_is_what_its_base64_says() -> None:
    assert key_of(NEW) == b"a new secret of over twenty-four bytes"


# ---------------------------------------------------------------- the request


def test_the_address_keeps_its_path_and_query(receiver: Receiver) -> None:
    channel(receiver).send(sample_message())
    [request] = receiver.requests
    assert (request.method, request.path, request.query) == ("POST", "/hook", {"token": "t0"})
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("tocsin-webhook/")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_other_methods_can_be_asked_for(receiver: Receiver, method: str) -> None:
    channel(receiver, method=method).send(sample_message())
    assert receiver.requests[0].method == method


def test_a_gateway_takes_the_place_of_the_host(receiver: Receiver) -> None:
    channel(receiver, url="https://hooks.example.org/T0?x=1", base_url=receiver.url).send(sample_message())
    assert receiver.requests[0].target == "/T0?x=1"


def test_headers_are_sent_plain_or_from_a_secret(receiver: Receiver) -> None:
    channel(receiver, headers={"X-Team": "data \xe9", "Authorization": {"env": "RAW"}}).send(sample_message())
    assert headers_of(receiver)["x-team"] == "data \xe9"
    assert headers_of(receiver)["authorization"] == "correct horse battery staple"


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Webhook-Id", "proxy-x"])
def test_reserved_headers_are_refused(receiver: Receiver, name: str) -> None:
    with pytest.raises(ValueError, match=f"header '{name}' is set by tocsin itself"):
        channel(receiver, headers={name: "x"})


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"X-A": "a\r\nX-B: b"}, "characters that no header can carry"),
        ({"X-A": "\u4e2d"}, "characters that no header can carry"),
        ({"X A": "a"}, "is no name of a header"),
        ({"X-Api-Token": "abc123"}, "holds a secret, which is never written here"),
    ],
)
def test_headers_that_cannot_or_must_not_be_sent_are_refused(
    receiver: Receiver, headers: dict[str, str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        channel(receiver, headers=headers)


def test_a_header_broken_by_its_secret_is_an_error_of_the_settings(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAW", "a\r\nX-Evil: b")
    error = error_of(channel(receiver, headers={"X-Auth": {"env": "RAW"}}))
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert "Evil" not in str(error)
    assert receiver.requests == []


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "GET"},
        {"sign": []},
        {"sign": "whsec_abc"},
        {"sign": [{"env": "A"}] * 3},
        {"max_body": 1},
        {"url": " "},
    ],
)
def test_bad_settings_are_refused(receiver: Receiver, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        channel(receiver, **settings)


def test_a_missing_address_is_told_by_where_it_should_be(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAW")
    error = error_of(channel(receiver, url={"env": "RAW"}))
    assert (error.reason, str(error)) == (Reason.CONFIG, "environment variable 'RAW' is not set")


def test_the_body_is_held_to_the_size_asked_for(receiver: Receiver) -> None:
    channel(receiver, max_body=20_000, sign={"env": "NEW"}).send(sample_message(text="x" * 100_000))
    assert len(receiver.requests[0].body) <= 20_000
    assert Webhook(NEW).verify(receiver.requests[0].body, headers_of(receiver))["truncated"] is True


# ---------------------------------------------------------------- the answer


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_answer_from_200_to_299_is_delivered(receiver: Receiver, status: int) -> None:
    receiver.answer(status, "" if status == 204 else "thanks")
    receipt = channel(receiver).send(sample_message())
    assert receipt == Receipt(f"'127.0.0.1' answered {status}" + ("" if status == 204 else ": thanks"))


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_for_good_and_not_followed(receiver: Receiver, status: int) -> None:
    receiver.answer(status, headers={"Location": f"{receiver.url}/other"})
    error = error_of(channel(receiver))
    assert (error.reason, error.permanent, error.disable) == (Reason.CLIENT, True, False)
    assert len(receiver.requests) == 1


def test_410_disables_the_channel(receiver: Receiver) -> None:
    receiver.answer(410)
    error = error_of(channel(receiver))
    assert (error.reason, error.disable) == (Reason.GONE, True)


@pytest.mark.parametrize(("status", "reason"), [(401, Reason.AUTH), (403, Reason.AUTH), (404, Reason.CLIENT)])
def test_other_4xx_are_refused_for_good(receiver: Receiver, status: int, reason: Reason) -> None:
    receiver.answer(status, {"error": "no"})
    error = error_of(channel(receiver))
    assert (error.reason, error.permanent, error.disable) == (reason, True, False)
    assert str(error) == f"'127.0.0.1' answered {status}: " + json.dumps({"error": "no"})


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_busy_service_is_tried_again_after_the_wait_it_asks_for(receiver: Receiver, status: int) -> None:
    receiver.answer(status, headers={"Retry-After": "120"})
    error = error_of(channel(receiver))
    assert (error.permanent, error.retry_after) == (False, 120)


def test_a_wait_until_a_date_is_counted_from_the_attempt(receiver: Receiver) -> None:
    receiver.answer(503, headers={"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    assert error_of(channel(receiver, now=1_792_567_600.0)).retry_after == 80


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_an_answer_that_drips_is_cut_and_counts(receiver: Receiver) -> None:
    receiver.drip(every=0.02)
    assert channel(receiver, timeout="300ms").send(sample_message()).sent is True
