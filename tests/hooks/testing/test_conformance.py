"""The conformance suite passes a channel that keeps its promises, and fails one that breaks any of them."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

PLUGIN = """
import logging, threading, time
import pytest
from tocsin_hooks import Action, Capability, ChannelConfig, ChannelType, Reason, Receipt, Secret, SendError
from tocsin_hooks.http import HttpConfig, refusal, reveal
from tocsin_hooks.testing import ChannelConformance, HttpDestination
from tocsin_hooks.text import to_json

FAULT = "{fault}"

class Config(HttpConfig):
    if FAULT == "lax":
        model_config = dict(extra="ignore")
    url: Secret

class Toy:
    def __init__(self, config):
        self.config = config
        self.http = config.sender("toy")
        self.last = None
        if FAULT == "eager":
            self.http.send("POST", reveal(config.url), b"")

    def send(self, message, previous=None):
        if FAULT == "forgets actions" and message.action is Action.TEST:
            return Receipt(sent=False)
        if FAULT == "forgets reminders" and message.action is Action.REPEAT:
            return Receipt("known already", sent=False)
        if FAULT == "keyed" and previous:
            previous.reference["ts"]
        self.last = message
        if FAULT == "unsafe":
            time.sleep(0.05)
        try:
            return self.attempt(self.last)
        except SendError as error:
            if FAULT == "retries" and not error.permanent:
                return self.attempt(message)
            if FAULT == "raises others":
                raise RuntimeError("oh") from None
            raise

    def attempt(self, message):
        url = reveal(self.config.url)
        text = message.title + "|" + message.event.subject + "|" + message.text
        if FAULT == "cuts silently":
            text = text[:1000]
        if FAULT == "fragile":
            text.encode()
        if FAULT == "logs":
            logging.getLogger("toy").debug("posting to %s", url)
        if FAULT == "leaves threads":
            threading.Thread(target=time.sleep, args=(1.5,)).start()
        mark = str(time.time()) if FAULT == "fresh marks" else message.id
        try:
            thing = message.id if FAULT == "opens twice" else message.incident
            answer = self.http.send("POST", url, to_json(text), {{"Mark": mark, "Thing": thing}})
        except SendError as error:
            if FAULT == "certain":
                raise SendError(error.reason, error.detail, unknown=False)
            raise
        if not answer.ok:
            error = refusal(answer, url, 0)
            if FAULT == "impatient":
                error.retry_after = None
            if FAULT == "hopeful":
                error.permanent = False
            if FAULT == "tells":
                raise SendError(error.reason, f"{{url}} failed", permanent=error.permanent)
            if FAULT != "swallows":
                raise error
        return Receipt("ok", {{"n": 7}} if FAULT == "odd reference" else {{"n": "7"}})

class Service(HttpDestination):
    channel_type = ChannelType("toy", Config, Toy, frozenset({{"fly"}} if FAULT == "boasts" else {{Capability.EDIT}}))
    secrets = ("token-in-url",)
    def __init__(self, receiver):
        super().__init__(receiver)
        self.settings = {{"url": {{"env": "TOY_URL"}}}}
    def text_of(self, request):
        return request.json()
    def marks(self):
        return [request.headers["Mark"] for request in self.accepted()]
    def things(self):
        return [request.headers["Thing"] for request in self.accepted()]

class TestToy(ChannelConformance):
    @pytest.fixture
    def destination(self, receiver, monkeypatch):
        monkeypatch.setenv("TOY_URL", receiver.url + "/token-in-url")
        return Service(receiver)
"""


BREACHES = {
    "boasts": "the_declared_capabilities_are_known_ones",
    "certain": "silence_ends_in_a_timeout_that_may_have_arrived",
    "cuts silently": "the_list_in_a_message_of_several_arrives_whole_or_visibly_cut",
    "eager": "building_a_channel_opens_no_connection",
    "forgets actions": "every_action_is_delivered_or_said_to_need_nothing",
    "forgets reminders": "a_reminder_is_sent_and_the_incident_can_still_be_recovered",
    "fragile": "hostile_text_is_delivered_or_refused_as_payload",
    "fresh marks": "a_message_sent_again_carries_the_same_mark",
    "hopeful": "a_refusal_for_good_is_reported_once_and_permanent",
    "impatient": "the_wait_a_service_asks_for_is_passed_on",
    "keyed": "a_stored_receipt_of_another_kind_is_survived",
    "lax": "an_unknown_setting_is_refused",
    "leaves threads": "no_thread_is_left_that_would_keep_the_process_alive",
    "logs": "no_secret_shows",
    "odd reference": "an_incident_is_opened_updated_and_recovered_by_stored_receipts",
    "opens twice": "an_acknowledgement_opens_nothing_of_its_own",
    "raises others": "a_refused_connection_is_a_network_error_worth_another_try",
    "retries": "a_refusal_for_now_is_reported_once_and_not_permanent",
    "swallows": "a_refusal_for_good_is_reported_once_and_permanent",
    "tells": "no_secret_shows",
    "unsafe": "eight_threads_send_through_one_channel",
}
"""What is wrong with a channel, and the promise that it breaks."""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-q", "-p", "no:cacheprovider", "-p", "no:benchmark", *args)


def test_a_channel_that_keeps_its_promises_passes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_toy=PLUGIN.format(fault=""))
    outcomes = run(pytester).parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= 30


def test_a_channel_that_breaks_a_promise_fails(pytester: pytest.Pytester) -> None:
    chosen = []
    for fault, promise in BREACHES.items():
        name = f"test_{fault.replace(' ', '_')}"
        pytester.makepyfile(**{name: PLUGIN.format(fault=fault)})
        chosen.append(f"{name}.py::TestToy::test_{promise}")
    output = run(pytester, "--tb=no", "-rf", *chosen).stdout.str()
    assert [promise for promise in chosen if f"FAILED {promise}" not in output] == []
