"""Pages are opened, kept and closed as the service answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tocsin_hooks import Action, Message, Reason, Receipt, SendError
from tocsin_hooks.testing import (
    FAULTS,
    Answer,
    HostileServer,
    Received,
    Receiver,
    sample_event,
    sample_group_message,
    sample_message,
)
from tocsin_hooks.testing.faults import NOW, READ_AT_MOST, outcome
from tocsin_pagerduty import PagerDutyChannel, PagerDutyConfig

KEY = "0123456789abcdef0123456789abcdef"
RETRYING = sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGERDUTY_KEY", KEY)


@pytest.fixture
def service(receiver: Receiver) -> Receiver:
    def accept(request: Received) -> Answer:
        return Answer(202, {"status": "success", "message": "ok", "dedup_key": request.json()["dedup_key"]})

    receiver.respond(accept)
    return receiver


def channel(service: Receiver, **settings: Any) -> PagerDutyChannel:
    base = {"routing_key": {"env": "PAGERDUTY_KEY"}, "base_url": service.url}
    return PagerDutyChannel(PagerDutyConfig.model_validate({**base, **settings}), clock=lambda: 0.0)


def error_of(channel: PagerDutyChannel) -> SendError:
    with pytest.raises(SendError) as caught:
        channel.send(sample_message())
    return caught.value


def sent(service: Receiver) -> list[tuple[str, str]]:
    return [(event["event_action"], event["dedup_key"]) for event in (r.json() for r in service.requests)]


# ---------------------------------------------------------------- the life of a page


def test_a_failure_pages_and_the_recovery_resolves_the_same_page(service: Receiver) -> None:
    pager = channel(service)
    opened = pager.send(sample_message(Action.OPEN))
    updated = pager.send(sample_message(Action.UPDATE), opened)
    closed = pager.send(sample_message(Action.RECOVER), updated)
    key = "warehouse/etl/load"
    assert sent(service) == [("trigger", key), ("trigger", key), ("resolve", key)]
    assert opened == Receipt(f"triggered '{key}'", {"dedup_key": key})
    assert closed == Receipt(f"resolved '{key}'")
    assert [request.path for request in service.requests] == ["/v2/enqueue"] * 3


def test_the_key_pagerduty_answers_is_the_one_kept_and_used(receiver: Receiver) -> None:
    receiver.answer(202, {"status": "success", "dedup_key": "theirs"})
    pager = channel(receiver)
    opened = pager.send(sample_message())
    pager.send(sample_message(Action.UPDATE), opened)
    pager.send(sample_message(Action.RECOVER), opened)
    assert opened.reference == {"dedup_key": "theirs"}
    assert sent(receiver)[1:] == [("trigger", "theirs"), ("resolve", "theirs")]


@pytest.mark.parametrize("body", ["", "<html>", [], {"dedup_key": 7}, {"dedup_key": "k" * 256}, "[" * 100_000])
def test_an_answer_without_a_key_leaves_our_own(receiver: Receiver, body: Any) -> None:
    receiver.answer(202, body)
    assert channel(receiver).send(sample_message()).reference == {"dedup_key": "warehouse/etl/load"}


@pytest.mark.parametrize("previous", [None, Receipt(), Receipt("silent", sent=False), Receipt("ok", {"ts": "1.2"})])
def test_a_recovery_without_a_known_page_sends_nothing(service: Receiver, previous: Receipt | None) -> None:
    receipt = channel(service).send(sample_message(Action.RECOVER), previous)
    assert receipt.sent is False
    assert "nothing to resolve" in receipt.detail
    assert service.requests == []


def test_after_a_resolve_a_second_recovery_sends_nothing(service: Receiver) -> None:
    pager = channel(service)
    closed = pager.send(sample_message(Action.RECOVER), Receipt("", {"dedup_key": "k"}))
    assert pager.send(sample_message(Action.RECOVER), closed).sent is False
    assert sent(service) == [("resolve", "k")]


def test_a_retry_is_silent(service: Receiver) -> None:
    receipt = channel(service).send(sample_message(event=RETRYING))
    assert (receipt.sent, receipt.reference) == (False, {})
    assert "retrying = 'silent'" in receipt.detail
    assert service.requests == []


def test_a_retry_after_a_page_does_not_forget_it(service: Receiver) -> None:
    pager = channel(service)
    opened = pager.send(sample_message())
    silent = pager.send(sample_message(Action.UPDATE, event=RETRYING), opened)
    pager.send(sample_message(Action.RECOVER), Receipt.from_dict(silent.to_dict()))
    assert sent(service) == [("trigger", "warehouse/etl/load"), ("resolve", "warehouse/etl/load")]


def test_a_retry_pages_where_that_is_asked_for(service: Receiver) -> None:
    receipt = channel(service, retrying="trigger").send(sample_message(event=RETRYING))
    assert receipt.sent is True
    assert sent(service) == [("trigger", "warehouse/etl/load")]


def test_a_test_pages_even_with_a_retry_as_its_sample(service: Receiver) -> None:
    assert channel(service).send(sample_message(Action.TEST, event=RETRYING)).sent is True
    assert service.requests[0].json()["payload"]["severity"] == "info"


def test_a_reminder_triggers_the_same_page_again(service: Receiver) -> None:
    pager = channel(service)
    opened = pager.send(sample_message())
    assert pager.send(sample_message(Action.REPEAT), opened).reference == opened.reference
    assert sent(service) == [("trigger", "warehouse/etl/load")] * 2
    assert service.requests[1].json()["payload"]["summary"] == "Still Failed: etl/load for 4 h"


ACKNOWLEDGED = sample_message(Action.UPDATE, reason="acknowledged", acknowledged_by="kim")


def test_an_acknowledgement_is_passed_on_for_the_page_that_is_open(service: Receiver) -> None:
    pager = channel(service)
    acknowledged = pager.send(ACKNOWLEDGED, pager.send(sample_message()))
    pager.send(sample_message(Action.RECOVER), Receipt.from_dict(acknowledged.to_dict()))
    key = "warehouse/etl/load"
    assert sent(service) == [("trigger", key), ("acknowledge", key), ("resolve", key)]
    assert service.requests[1].json() == {"routing_key": KEY, "event_action": "acknowledge", "dedup_key": key}


def test_an_acknowledgement_without_a_known_page_sends_nothing(service: Receiver) -> None:
    receipt = channel(service).send(ACKNOWLEDGED)
    assert (receipt.sent, service.requests) == (False, [])
    assert "nothing to acknowledge" in receipt.detail


def test_a_failure_that_is_new_in_an_acknowledged_incident_triggers(service: Receiver) -> None:
    news = sample_message(Action.UPDATE, reason="new", acknowledged_by="kim")
    channel(service).send(news, Receipt("ok", {"dedup_key": "k"}))
    assert sent(service) == [("trigger", "k")]


@pytest.mark.parametrize("action", [Action.OPEN, Action.UPDATE, Action.REPEAT, Action.EVENT])
def test_a_silent_message_pages_nobody_and_forgets_nothing(service: Receiver, action: Action) -> None:
    receipt = channel(service).send(sample_message(action, silent=True), Receipt("ok", {"dedup_key": "k"}))
    assert (receipt.sent, receipt.reference) == (False, {"dedup_key": "k"})
    assert "silent" in receipt.detail
    assert service.requests == []


@pytest.mark.parametrize("message", [sample_message(Action.RECOVER, silent=True), replace(ACKNOWLEDGED, silent=True)])
def test_what_rings_nobody_anyway_is_sent_though_it_is_silent(service: Receiver, message: Message) -> None:
    assert channel(service).send(message, Receipt("ok", {"dedup_key": "k"})).sent is True
    assert sent(service)[0][1] == "k"


def test_a_group_is_one_alert_from_its_first_problem_to_its_last(service: Receiver) -> None:
    pager = channel(service)
    receipt = None
    for action in (Action.OPEN, Action.UPDATE, Action.REPEAT, Action.RECOVER):
        receipt = pager.send(sample_group_message(action), receipt)
    key = "failures: warehouse, etl"
    assert sent(service) == [("trigger", key)] * 3 + [("resolve", key)]


# ---------------------------------------------------------------- answers


def test_400_is_refused_for_good_with_pagerdutys_own_errors(receiver: Receiver) -> None:
    receiver.answer(
        400,
        {"status": "invalid event", "message": "Event object is invalid", "errors": ["no 'summary'", "bad \x1b key"]},
    )
    error = error_of(channel(receiver))
    assert (error.reason, error.permanent, error.disable) == (Reason.PAYLOAD, True, False)
    assert str(error) == "'127.0.0.1' answered 400: Event object is invalid: no 'summary'; bad key"


@pytest.mark.parametrize("body", ["<html>no</html>", {"errors": "x"}, {"message": None}, [1], ""])
def test_a_400_of_any_form_is_refused_for_good(receiver: Receiver, body: Any) -> None:
    receiver.answer(400, body)
    error = error_of(channel(receiver))
    assert (error.reason, error.permanent) == (Reason.PAYLOAD, True)
    assert str(error).startswith("'127.0.0.1' answered 400")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_disables_the_channel(receiver: Receiver, status: int) -> None:
    receiver.answer(status)
    error = error_of(channel(receiver))
    assert (error.reason, error.disable) == (Reason.AUTH, True)


def test_429_waits_as_long_as_the_service_asks(receiver: Receiver) -> None:
    receiver.answer(429, headers={"Retry-After": "30"})
    error = error_of(channel(receiver))
    assert (error.reason, error.retry_after, error.permanent) == (Reason.RATE_LIMITED, 30, False)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_5xx_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.answer(status, "<html>sorry</html>")
    error = error_of(channel(receiver))
    assert (error.reason, error.permanent) == (Reason.SERVER, False)


def test_a_200_from_something_else_is_not_a_delivery(receiver: Receiver) -> None:
    receiver.answer(200, "<html>Please log in</html>")
    error = error_of(channel(receiver))
    assert (error.reason, error.permanent) == (Reason.SERVER, False)


# ---------------------------------------------------------------- the key


@pytest.mark.parametrize("value", ["short-key", KEY + "0"])
def test_a_key_of_the_wrong_length_is_told_without_showing_it(
    service: Receiver, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("PAGERDUTY_KEY", value)
    error = error_of(channel(service))
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert f"environment variable 'PAGERDUTY_KEY' holds {len(value)} characters" in str(error)
    assert value not in str(error)
    assert service.requests == []


def test_an_empty_key_is_refused(service: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGERDUTY_KEY", "  \n")
    error = error_of(channel(service))
    assert (error.reason, str(error)) == (Reason.CONFIG, "environment variable 'PAGERDUTY_KEY' is empty")


def test_white_space_around_the_key_does_not_count(service: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGERDUTY_KEY", f" {KEY}\n")
    channel(service).send(sample_message())
    assert service.requests[0].json()["routing_key"] == KEY


def test_a_key_that_the_service_quotes_back_is_not_shown(receiver: Receiver) -> None:
    receiver.answer(400, {"message": "Invalid routing key", "errors": [f"{KEY} is unknown"]})
    assert KEY not in str(error_of(channel(receiver)))


# ---------------------------------------------------------------- a service that misbehaves


@pytest.mark.timeout(20)  # without its bounds, a send would not end
@pytest.mark.parametrize(
    "name",
    [
        *(name for name in FAULTS if name.startswith("429")),
        *("404", "408", "410", "413", "425", "500", "503", "a redirect to itself", "a redirect to nowhere"),
        *("silence", "silence in the head", "headers that drip", "100 Continue for ever", "a refusal that drips"),
        *("reset", "hung up", "hung up in the head", "another protocol", "two lengths", "bad chunks of a refusal"),
        *("a gigabyte of refusal", "a gigabyte of redirect", "a gzip bomb of refusal"),
    ],
)
def test_a_service_that_misbehaves_is_asked_once_and_its_answer_has_one_meaning(name: str) -> None:
    with HostileServer(FAULTS[name].play) as server:
        found = outcome(error_of(hostile(server, "500ms" if FAULTS[name].endless else "10s")))
    assert found == FAULTS[name].expected
    assert (len(server.requests), server.connections) == (1, 1)
    assert server.sent < READ_AT_MOST


@pytest.mark.parametrize("name", ["half a body", "bad chunks"])
def test_a_page_taken_by_its_status_is_taken_though_the_answer_breaks_off(name: str) -> None:
    with HostileServer(FAULTS[name].play) as server:
        receipt = hostile(server).send(sample_message())
    assert receipt.reference == {"dedup_key": "warehouse/etl/load"}


def hostile(server: HostileServer, timeout: str = "10s") -> PagerDutyChannel:
    settings = {"routing_key": {"env": "PAGERDUTY_KEY"}, "timeout": timeout, "base_url": server.url}
    return PagerDutyChannel(PagerDutyConfig.model_validate(settings), clock=lambda: NOW)
