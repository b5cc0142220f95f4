"""What Slack's answers mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tocsin_hooks.messages import Reason, Receipt
from tocsin_hooks.secrets import Secret
from tocsin_slack.answers import Answer, SlackError, api_outcome, wait_asked, webhook_outcome

PAGE = "<!DOCTYPE html><html><body>be right back</body></html>"
WEB = {"content-type": "text/html; charset=utf-8"}


def api(error: str, status: int = 200, headers: dict[str, str] | None = None, **more: Any) -> SlackError:
    found = api_outcome(Answer(status, json.dumps({"ok": False, "error": error, **more}), headers or {}))
    assert isinstance(found, SlackError)
    return found


def webhook(status: int, body: str = "", headers: dict[str, str] | None = None) -> SlackError:
    found = webhook_outcome(Answer(status, body, headers or {}))
    assert isinstance(found, SlackError)
    return found


def kind(error: SlackError) -> tuple[Reason, str]:
    """The reason, and what is to become of the message."""
    fate = "disable" if error.disable else "dead" if error.permanent else "unknown" if error.unknown else "retry"
    return error.reason, fate


@pytest.mark.parametrize("body", ["ok", "ok\n", '{"ok":true}', '{"ok": true, "warning": "x"}', '{"success": true}'])
def test_a_webhook_accepts_with_ok(body: str) -> None:
    assert webhook_outcome(Answer(200, body)) == Receipt("ok")


@pytest.mark.parametrize("body", ["", "OK?", "okay", "true", "[]", '"ok"', '{"ok": "true"}', '{"ok": 1}', "null", PAGE])
def test_any_other_text_at_200_is_no_delivery(body: str) -> None:
    assert kind(webhook(200, body)) == (Reason.SERVER, "retry")


@pytest.mark.parametrize("body", ["", "null", "[1]", '"ok"', "ok", '{"ok": "true"}', "{}", PAGE])
def test_a_method_that_does_not_say_ok_true_did_not_deliver(body: str) -> None:
    found = api_outcome(Answer(200, body))
    assert isinstance(found, SlackError)
    assert kind(found) == (Reason.SERVER, "retry")


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (404, "no_service", (Reason.GONE, "disable")),
        (404, "", (Reason.GONE, "disable")),
        (410, "channel_is_archived", (Reason.GONE, "disable")),
        (400, "invalid_token", (Reason.AUTH, "disable")),
        (403, "invalid_token", (Reason.AUTH, "disable")),
        (401, "", (Reason.AUTH, "disable")),
        (403, "action_prohibited", (Reason.CLIENT, "dead")),
        (400, "invalid_payload", (Reason.PAYLOAD, "dead")),
        (400, "invalid_blocks", (Reason.PAYLOAD, "dead")),
        (413, "", (Reason.PAYLOAD, "dead")),
        (400, "", (Reason.CLIENT, "dead")),
        (302, PAGE, (Reason.CLIENT, "dead")),
        (307, "", (Reason.CLIENT, "dead")),
        (200, "invalid_token", (Reason.AUTH, "disable")),
        (200, '{"ok": false, "error": "channel_not_found"}', (Reason.GONE, "dead")),
        (408, "", (Reason.SERVER, "retry")),
        (429, "", (Reason.RATE_LIMITED, "retry")),
        (500, "rollup_error", (Reason.SERVER, "retry")),
        (503, "", (Reason.SERVER, "retry")),
        (504, "", (Reason.SERVER, "unknown")),
        (400, PAGE, (Reason.SERVER, "retry")),
        (403, PAGE, (Reason.SERVER, "retry")),
        (404, PAGE, (Reason.SERVER, "retry")),
        (502, PAGE, (Reason.SERVER, "retry")),
    ],
)
def test_what_a_webhook_answers_decides(status: int, body: str, meaning: tuple[Reason, str]) -> None:
    assert kind(webhook(status, body)) == meaning


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("invalid_auth", (Reason.AUTH, "disable")),
        ("account_inactive", (Reason.AUTH, "disable")),
        ("token_revoked", (Reason.AUTH, "disable")),
        ("missing_scope", (Reason.AUTH, "disable")),
        ("channel_not_found", (Reason.GONE, "dead")),
        ("is_archived", (Reason.GONE, "dead")),
        ("not_in_channel", (Reason.CLIENT, "dead")),
        ("invalid_blocks", (Reason.PAYLOAD, "dead")),
        ("msg_too_long", (Reason.PAYLOAD, "dead")),
        ("ratelimited", (Reason.RATE_LIMITED, "retry")),
        ("service_unavailable", (Reason.SERVER, "retry")),
        ("some_error_of_next_year", (Reason.SERVER, "retry")),
        ("internal_error", (Reason.SERVER, "unknown")),
        ("fatal_error", (Reason.SERVER, "unknown")),
    ],
)
def test_the_name_of_a_methods_error_decides(name: str, meaning: tuple[Reason, str]) -> None:
    error = api(name)
    assert kind(error) == meaning
    assert error.name == name
    assert f"'{name}'" in error.detail


def test_a_name_decides_whatever_the_status() -> None:
    assert kind(api("invalid_auth", 503)) == (Reason.AUTH, "disable")
    assert kind(api("hm", 503)) == (Reason.SERVER, "retry")
    assert kind(api("", 404)) == (Reason.CLIENT, "dead")


def test_a_methods_receipt_refers_to_the_message() -> None:
    found = api_outcome(Answer(200, '{"ok": true, "channel": "C024BE91L", "ts": "1772368215.000100", "message": {}}'))
    assert found == Receipt("ok C024BE91L 1772368215.000100", {"channel": "C024BE91L", "ts": "1772368215.000100"})


def test_the_wait_asked_for_is_read_as_seconds_or_as_a_date() -> None:
    assert webhook(429, headers={"retry-after": "17"}).retry_after == 17
    assert api("ratelimited", 429, {"retry-after": "3"}).retry_after == 3
    assert webhook(503, headers={"retry-after": "5"}).retry_after == 5
    assert webhook(503).retry_after is None
    at = {"retry-after": "Sun, 01 Mar 2026 12:01:40 GMT", "date": "Sun, 01 Mar 2026 12:00:00 GMT"}
    assert wait_asked(at) == 100
    assert wait_asked({"retry-after": "17, 120"}) == 120  # of two the longer
    for odd in ("", "soon", "nan", "inf", "1e999", "1_000", "-5", "Sun, 01 Mar 2026 12:01:40 GMT"):
        assert wait_asked({"retry-after": odd}) is None, odd


def test_dates_past_all_bounds_are_no_wait_and_no_mistake_of_the_channel() -> None:
    huge = f"Sun, 01 Mar {'9' * 20} 12:00:00 GMT"
    good = "Sun, 01 Mar 2026 12:00:00 GMT"
    for asked, said in ((huge, good), (good, huge), (huge, huge), (f"Sun, {'9' * 20} Mar 2026 12:00:00 GMT", good)):
        error = webhook(429, headers={"retry-after": asked, "date": said})
        assert (error.reason, error.retry_after) == (Reason.RATE_LIMITED, None)


def test_what_slack_adds_to_an_error_is_told() -> None:
    error = api("missing_scope", needed="chat:write", provided="channels:read")
    assert error.detail == "Slack answered 200: 'missing_scope' (needed: chat:write) (provided: channels:read)"
    error = api("invalid_blocks", response_metadata={"messages": ["[ERROR] too long [json-pointer:/blocks/0/text]"]})
    assert "[json-pointer:/blocks/0/text]" in error.detail


def test_what_is_quoted_is_short_clean_and_without_secrets() -> None:
    secret = Secret.literal("xoxb-quoted-by-the-service").get_secret_value()
    error = webhook(500, f"\x1b[31mno {secret} https://hooks.slack.com/services/T0/B0/abc \x00" + "x" * 100_000)
    assert secret not in error.detail
    assert "T0/B0" not in error.detail
    assert "\x1b" not in error.detail
    assert "\x00" not in error.detail
    assert len(error.detail) <= 500
    assert error.detail.startswith("Slack answered 500: 'no [secret] https://hooks.slack.com/... x")


def test_answers_that_are_not_what_they_seem_are_survived() -> None:
    for body in ("[" * 100_000, '{"error": ["x"]}', '{"error": {"a": 1}}', '{"ok": false, "response_metadata": 3}'):
        assert kind(webhook(200, body)) == (Reason.SERVER, "retry")
        found = api_outcome(Answer(200, body))
        assert isinstance(found, SlackError)
        assert kind(found) == (Reason.SERVER, "retry")


def test_a_secret_that_an_answer_repeats_over_and_over_is_never_shown_in_part() -> None:
    secret = "Kq7-" + "longsecret-" * 9
    Secret.literal(secret).get_secret_value()
    assert "Kq7" not in webhook(400, f"no {(secret + ' ') * 600}").detail
