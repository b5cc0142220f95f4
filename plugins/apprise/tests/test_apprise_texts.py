"""What is decided without Apprise: texts, outcomes, URLs."""

from __future__ import annotations

import logging
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import pytest

from tocsin_apprise.outcomes import Outcome, error_of, outcome_of
from tocsin_apprise.texts import Room, body_of, fit, kind_of, title_of
from tocsin_apprise.urls import at_other_host, check_one, parse_base_url
from tocsin_hooks.messages import Action, Reason
from tocsin_hooks.testing import sample_event, sample_group_message, sample_message

RETRYING = sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (sample_message(Action.OPEN), "failure"),
        (sample_message(Action.UPDATE), "failure"),
        (sample_message(Action.OPEN, event=RETRYING), "warning"),
        (sample_message(Action.RECOVER), "success"),
        (sample_message(Action.REPEAT), "failure"),
        (sample_message(Action.UPDATE, reason="acknowledged", acknowledged_by="kim"), "info"),
        (sample_group_message(), "failure"),
        (sample_message(Action.EVENT), "info"),
        (sample_message(Action.TEST), "info"),
        (sample_message(event=sample_event(state="Late", state_family=("Late",)), severity="warning"), "warning"),
    ],
)
def test_the_type_follows_action_and_state(message: Any, kind: str) -> None:
    assert kind_of(message) == kind


def test_the_body_of_a_group_is_its_list_and_names_no_event_beside_it() -> None:
    shown = body_of(sample_group_message(), markdown=False)
    assert shown.startswith(f"{sample_group_message().text}\n\nProblems: 3\n")
    assert "etl/load" not in shown


def test_the_body_has_text_fields_and_links() -> None:
    assert body_of(sample_message(), markdown=False) == (
        "Task load of flow etl failed.\nValueError: bad row 17: <no amount>\n\n"
        "Run: brave-otter\nAttempt: 2 of 3\nDuration: 1 min 23 s\n\n"
        "Run: https://tocsin.example.org/runs/8c7d6c1e"
    )


def test_markdown_marks_up_what_is_ours_and_quotes_what_is_not() -> None:
    text = body_of(sample_message(text="load_rows *failed* [x](y)"), markdown=True)
    assert text.startswith("load\\_rows \\*failed\\* \\[x\\](y)\n\n**Run:** brave-otter\n")
    assert text.endswith("\n\n[Run](https://tocsin.example.org/runs/8c7d6c1e)")


@pytest.mark.parametrize("markdown", [True, False])
def test_a_templated_text_is_sent_as_the_operator_wrote_it(markdown: bool) -> None:
    assert body_of(sample_message(templated=True, text="**late** _again_"), markdown=markdown) == "**late** _again_"


def test_the_subject_is_named_where_the_text_does_not() -> None:
    body = body_of(sample_message(title="Something failed", text="Bad row", fields=(), links=()), markdown=False)
    assert body == "Bad row\n\netl/load"


def test_control_characters_and_halves_of_characters_are_not_sent() -> None:
    message = sample_message(title="a\r\nb\x1b[31m", text="x\x00y\ud800", fields=(), links=())
    assert title_of(message) == "a b[31m"
    assert body_of(message, markdown=False) == "xy\ufffd\n\netl/load"


@pytest.mark.parametrize("size", [99, 100, 101, 10_000])
@pytest.mark.parametrize("unit", ["x", "\U0001f525", "e\u0301"])
def test_a_body_fits_and_is_marked_where_it_was_cut(size: int, unit: str) -> None:
    body = (unit * size)[:size]
    title, cut = fit("Failed", body, Room(body=100, title=50))
    assert title == "Failed"
    assert len(cut) <= 100
    if size <= 100:
        assert cut == body
        return
    kept, _, mark = cut.partition("… (")
    assert body.startswith(kept)
    assert mark == f"{size - len(kept)} more characters)"
    assert len(kept) % len(unit) == 0


def test_a_title_without_a_place_of_its_own_takes_room_from_the_body() -> None:
    title, body = fit("T" * 300, "x" * 1000, Room(body=200, title=0))
    assert title == "T" * 49 + "…"
    assert 190 < len(f"# {title}\r\n{body}") <= 200


def test_lines_beyond_what_a_service_shows_are_counted() -> None:
    assert fit("T", "a\nb\nc\nd", Room(body=100, title=50, lines=3))[1] == "a\nb\n… (2 more lines)"


def test_a_text_to_be_split_is_cut_at_ten_pieces() -> None:
    assert 990 < len(fit("T", "x" * 100_000, Room(body=100, title=50), pieces=99)[1]) <= 1000


# ---------------------------------------------------------------- outcomes


class Status(IntEnum):
    """As Apprise 2 numbers them, and one that it may come to know."""

    SUCCESS = 0
    FAILURE = 1
    NOMATCH = 3
    PARTIAL = 4
    TIMEOUT = 5
    SKIPPED = 6


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (SimpleNamespace(status=Status.SUCCESS), Outcome.DELIVERED),
        (SimpleNamespace(status=Status.FAILURE), Outcome.FAILED),
        (SimpleNamespace(status=Status.NOMATCH), Outcome.NOBODY),
        (SimpleNamespace(status=Status.PARTIAL), Outcome.PARTLY),
        (SimpleNamespace(status=Status.TIMEOUT), Outcome.TIMED_OUT),
        (SimpleNamespace(status=Status.SKIPPED), Outcome.FAILED),
        (True, Outcome.DELIVERED),
        (False, Outcome.FAILED),
        (None, Outcome.NOBODY),
        ("yes", Outcome.FAILED),
    ],
)
def test_the_result_is_read_in_the_shape_of_either_version(result: object, outcome: Outcome) -> None:
    assert outcome_of(result) is outcome


REFUSED = "Socket Exception: HTTPConnectionPool(host='h', port=1): ... [Errno 111] Connection refused"
READ = "Socket Exception: HTTPConnectionPool(host='h', port=1): Read timed out. (read timeout=0.3)"
CONNECT = "Socket Exception: ... ConnectTimeoutError(..., 'Connection to h timed out. (connect timeout=5)')"
RESET = "Socket Exception: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"
TLS = "Socket Exception: ... [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Failed: error=400.", (Reason.CLIENT, True, False, False)),
        ("Failed: error=401.", (Reason.AUTH, True, True, False)),
        ("Failed: error=403.", (Reason.AUTH, True, False, False)),
        ("Failed: error=408.", (Reason.TIMEOUT, False, False, False)),
        ("Failed: error=410.", (Reason.GONE, True, True, False)),
        ("Failed: error=413.", (Reason.PAYLOAD, True, False, False)),
        ("Failed: error=429.", (Reason.RATE_LIMITED, False, False, False)),
        ("Failed: error=503.", (Reason.SERVER, False, False, False)),
        (REFUSED, (Reason.NETWORK, False, False, False)),
        (READ, (Reason.TIMEOUT, False, False, True)),
        (CONNECT, (Reason.TIMEOUT, False, False, False)),
        (RESET, (Reason.NETWORK, False, False, True)),
        (TLS, (Reason.NETWORK, False, False, False)),
        ("something odd", (Reason.SERVER, False, False, False)),
    ],
)
def test_a_failure_is_judged_by_what_the_service_said(said: str, expected: tuple[Any, ...]) -> None:
    error = error_of(Outcome.FAILED, [(logging.DEBUG, said)])
    assert (error.reason, error.permanent, error.disable, error.unknown) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome.NOBODY, (Reason.CONFIG, True, False)),
        (Outcome.PARTLY, (Reason.SERVER, False, True)),
        (Outcome.TIMED_OUT, (Reason.TIMEOUT, False, True)),
    ],
)
def test_no_other_outcome_counts_as_success(outcome: Outcome, expected: tuple[Any, ...]) -> None:
    error = error_of(outcome, [])
    assert (error.reason, error.permanent, error.unknown) == expected
    assert "Apprise gave no reason" in error.detail


def test_a_reason_is_short_printable_and_without_addresses() -> None:
    said = "POST to https://bell:hunter2@example.org/T0KEN failed\x1b[31m\r\n" + "x" * 5000
    error = error_of(Outcome.FAILED, [(logging.WARNING, said), (logging.DEBUG, "not of interest")])
    assert error.detail.startswith("POST to https://example.org/... failed[31m xxx")
    assert len(error.detail) == 500


# ---------------------------------------------------------------- URLs


@pytest.mark.parametrize("url", ["json://a json://b", "json://a,xml://b", "json://a;\n xml://b"])
def test_several_urls_in_one_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="one URL per channel: write a table for each"):
        check_one(url)


@pytest.mark.parametrize("url", ["", "hooks.example.org/x", "://x", "C:/secret"])
def test_what_is_no_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="no Apprise URL: expected one such as") as caught:
        check_one(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://h", "http://", "http://h/path", "http://h?x=1", "http://h:x"])
def test_a_base_url_is_scheme_host_and_port_only(url: str) -> None:
    with pytest.raises(ValueError, match='is no base_url; expected "http://host:port"'):
        parse_base_url(url)


def test_another_host_leaves_login_path_and_parameters_alone() -> None:
    base = parse_base_url("http://[::1]:8080")
    assert at_other_host("jsons://example.org/a/b?x=://y", "json", base) == "json://[::1]:8080/a/b?x=://y"
