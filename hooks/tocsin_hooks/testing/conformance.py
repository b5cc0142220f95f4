"""What every channel does, whatever it sends to: the promises that the delivery of messages rests on."""
# ruff: noqa: D102, PT017  (a test's name is its promise; an outcome that may be either of two is no pytest.raises)

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tocsin_hooks.channels import Capability, Channel, ChannelConfig
from tocsin_hooks.messages import Action, Message, Reason, Receipt, SendError, Why
from tocsin_hooks.testing.destinations import Destination
from tocsin_hooks.testing.samples import sample_group_message, sample_message

HOSTILE: dict[str, dict[str, Any]] = {
    "controls": {"text": "readable \x00\x01\x07\x1b[31m\x7f\x85\u2028 end"},
    "long": {"text": "readable " + "x" * 100_000},
    "long-title": {"title": "readable " + "y" * 100_000},
    "emoji": {"text": "readable \U0001f525\U0001f468\u200d\U0001f469 e\u0301 \u202ertl \u05e9\u05dc\u05d5\u05dd"},
    "long-emoji": {"text": "readable " + "\U0001f525" * 20_000},
    "markup": {"text": "readable <!channel> <script>alert(1)</script> & &amp; ``` *b* _i_ {{ x }} ${y}"},
    "line-breaks-in-title": {"title": "readable\r\nX-Evil: yes\r\n\r\nbody"},
    "lone-surrogates": {"text": "readable \ud800 and \udfff", "title": "readable \udc80"},
    "empty-text": {"title": "readable", "text": ""},
}


CUT_MARKS = ("…", "...", " more", " cut")
"""One of these shows a reader that something is missing."""


class ChannelConformance:
    """The suite: a plugin's tests subclass it and supply the fixture `destination`, a `Destination`.

    class TestConformance(ChannelConformance):
        @pytest.fixture
        def destination(self, receiver, monkeypatch):
            monkeypatch.setenv("PAGER_KEY", "k" * 32)
            return PagerService(receiver)
    """

    patience: ClassVar[float] = 5.0
    """Seconds within which a channel must have given up on a silent service, with `short_timeout`."""
    log_level: ClassVar[int] = logging.DEBUG
    """From which level on logs are searched for secrets."""

    @pytest.fixture
    def build(self, destination: Destination) -> Callable[..., Channel]:
        """Makes a channel of the destination's settings and the ones given."""

        def build(**settings: Any) -> Channel:
            return destination.channel_type.channel(self._config(destination, **settings))

        return build

    def _config(self, destination: Destination, **settings: Any) -> ChannelConfig:
        return destination.channel_type.config.model_validate({**destination.settings, **settings})

    # ------------------------------------------------------------ accepted

    def test_an_accepted_message_arrives_once_and_gives_a_receipt(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        receipt = build().send(sample_message())
        assert isinstance(receipt, Receipt)
        assert receipt.sent is True
        assert len(destination.arrived()) == 1
        assert destination.attempts() == 1

    def test_title_subject_and_text_arrive_readable(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        message = sample_message(title="Zahlung fällig: etl/load", text="Bad row № 17 in 倉庫")
        build().send(message)
        [text] = destination.arrived()
        for part in (message.title, message.event.flow, message.event.task, message.text):
            assert part in text

    @pytest.mark.parametrize("action", list(Action))
    def test_every_action_is_delivered_or_said_to_need_nothing(
        self, destination: Destination, build: Callable[..., Channel], action: Action
    ) -> None:
        receipt = build().send(sample_message(action))
        assert isinstance(receipt, Receipt)
        assert len(destination.arrived()) == (1 if receipt.sent else 0)
        assert receipt.sent or receipt.detail, "a receipt that nothing was sent says why in its detail"
        assert receipt.sent or action is Action.RECOVER, "only a recovery may need no message"

    def test_an_incident_is_opened_updated_and_recovered_by_stored_receipts(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        previous: Receipt | None = None
        for action in (Action.OPEN, Action.UPDATE, Action.RECOVER):
            receipt = build().send(sample_message(action), previous)  # a new channel each time, as after a restart
            assert receipt.sent is True
            _check_reference(receipt)
            previous = Receipt.from_dict(json.loads(json.dumps(receipt.to_dict())))
            assert previous == receipt
        assert len(destination.arrived()) >= 3

    def test_a_reminder_is_sent_and_the_incident_can_still_be_recovered(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        opened = build().send(sample_message())
        before = len(destination.arrived())
        reminded = build().send(sample_message(Action.REPEAT), opened)
        assert reminded.sent is True
        assert len(destination.arrived()) > before
        _check_reference(reminded)
        assert build().send(sample_message(Action.RECOVER), reminded).sent is True

    def test_an_acknowledgement_opens_nothing_of_its_own(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        opened = build().send(sample_message())
        message = sample_message(Action.UPDATE, reason=Why.ACKNOWLEDGED, acknowledged_by="kim")
        acknowledged = build().send(message, opened)
        assert acknowledged.sent or acknowledged.detail, "a receipt that nothing was sent says why in its detail"
        assert build().send(sample_message(Action.RECOVER), acknowledged).sent is True
        things = destination.things()
        if things is not None:
            assert len(things) == len(destination.arrived())
            assert len(set(things)) == 1, "the acknowledgement and the recovery go to what the first message opened"

    @pytest.mark.parametrize("action", [Action.OPEN, Action.UPDATE, Action.REPEAT, Action.RECOVER])
    @pytest.mark.parametrize("items", [2, 30, 400])
    def test_the_list_in_a_message_of_several_arrives_whole_or_visibly_cut(
        self, destination: Destination, build: Callable[..., Channel], items: int, action: Action
    ) -> None:
        message = sample_group_message(action, items=items)
        receipt = build().send(message)
        if not receipt.sent:
            assert action is Action.RECOVER
            return
        [text] = destination.arrived()
        lines = message.text.splitlines()
        assert lines[0] in text
        missing = [line for line in lines if line not in text]
        assert not missing or any(mark in text for mark in CUT_MARKS), f"{len(missing)} lines are silently lost"

    def test_a_stored_receipt_of_another_kind_is_survived(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        """The channel's type may have been changed in the config while an incident was open."""
        receipt = build().send(sample_message(Action.UPDATE), Receipt("ok", {"something": "else"}))
        assert receipt.sent is True
        assert len(destination.arrived()) == 1

    def test_eight_threads_send_through_one_channel(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        channel = build()
        titles = [f"message {number} of eight" for number in "ABCDEFGH"]
        barrier = threading.Barrier(len(titles))
        failures: list[BaseException] = []

        def send(title: str) -> None:
            barrier.wait(10)
            try:
                channel.send(sample_message(title=title, id=f"5f3e2a10-{title[8]}", incident=f"etl/{title[8]}"))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=send, args=(title,)) for title in titles]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        arrived = destination.arrived()
        assert len(arrived) == len(titles)
        assert [title for title in titles if not any(title in text for text in arrived)] == []

    def test_a_message_sent_again_carries_the_same_mark(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        if destination.marks() is None:
            pytest.skip("the service knows no repetition")
        build().send(sample_message())
        build().send(sample_message(attempt=2, may_repeat=True))
        marks = destination.marks()
        assert marks is not None
        assert len(marks) == 2
        assert marks[0]
        assert marks[0] == marks[1]

    # ------------------------------------------------------------ refused

    def test_a_refusal_for_now_is_reported_once_and_not_permanent(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        destination.refuse_for_now(None)
        error = _error_of(build(), sample_message())
        assert (error.permanent, error.disable, error.unknown) == (False, False, False)
        assert error.retry_after is None
        assert destination.attempts() == 1, "channels never retry"
        assert error.detail

    def test_the_wait_a_service_asks_for_is_passed_on(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        if not destination.passes_retry_after:
            pytest.skip("the service cannot ask for a wait")
        destination.refuse_for_now(17)
        started = time.monotonic()
        error = _error_of(build(), sample_message())
        assert error.retry_after == 17
        assert error.permanent is False
        assert destination.attempts() == 1
        assert time.monotonic() - started < self.patience, "channels never sleep"

    def test_a_refusal_for_good_is_reported_once_and_permanent(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        destination.refuse_for_good()
        error = _error_of(build(), sample_message())
        assert error.permanent is True
        assert error.unknown is False
        assert destination.attempts() == 1
        assert error.detail

    def test_silence_ends_in_a_timeout_that_may_have_arrived(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        destination.go_silent()
        channel = build(**destination.short_timeout)
        started = time.monotonic()
        error = _error_of(channel, sample_message())
        assert time.monotonic() - started < self.patience
        assert (error.reason, error.unknown, error.permanent) == (Reason.TIMEOUT, True, False)
        assert destination.attempts() == 1

    def test_a_refused_connection_is_a_network_error_worth_another_try(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        destination.vanish()
        error = _error_of(build(), sample_message())
        assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)

    def test_a_channel_that_failed_delivers_again(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        channel = build()
        destination.refuse_for_now(None)
        _error_of(channel, sample_message())
        destination.accept()
        assert channel.send(sample_message()).sent is True
        assert len(destination.arrived()) == 1

    # ------------------------------------------------------------ content

    @pytest.mark.parametrize("case", HOSTILE)
    def test_hostile_text_is_delivered_or_refused_as_payload(
        self, destination: Destination, build: Callable[..., Channel], case: str
    ) -> None:
        try:
            receipt = build().send(sample_message(**HOSTILE[case]))
        except SendError as error:
            assert (error.reason, error.permanent) == (Reason.PAYLOAD, True)
            assert destination.arrived() == []
        else:
            assert receipt.sent is True
            [text] = destination.arrived()
            assert "readable" in text

    # ------------------------------------------------------------ settings

    def test_an_unknown_setting_is_refused(self, destination: Destination) -> None:
        with pytest.raises(ValueError, match="no_such_setting"):
            self._config(destination, no_such_setting=1)

    def test_equal_settings_make_equal_configs_and_working_channels(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        assert self._config(destination) == self._config(destination)
        assert build().send(sample_message()).sent is True
        assert build().send(sample_message(id="another")).sent is True
        assert len(destination.arrived()) == 2

    def test_the_declared_capabilities_are_known_ones(self, destination: Destination) -> None:
        declared = destination.channel_type.capabilities
        assert declared <= frozenset(Capability)
        narrowed = self._config(destination).capabilities()
        assert narrowed is None or narrowed <= declared

    def test_building_a_channel_opens_no_connection(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        destination.vanish()
        assert callable(build().send)

    # ------------------------------------------------------------ side effects

    def test_no_secret_shows(
        self, destination: Destination, build: Callable[..., Channel], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(self.log_level)
        config = self._config(destination)
        channel = build(**destination.short_timeout)
        shown = [repr(config), str(config), config.model_dump_json(), repr(channel), str(channel)]
        receipt = channel.send(sample_message())
        shown += [repr(receipt), json.dumps(receipt.to_dict())]
        troubles: list[Callable[[], None]] = [
            destination.refuse_for_now,
            destination.refuse_for_good,
            destination.go_silent,
            destination.vanish,
        ]
        for trouble in troubles:
            trouble()
            error = _error_of(channel, sample_message())
            shown += [str(error), repr(error), error.detail, *traceback.format_exception(error)]
        shown += [record.getMessage() for record in caplog.records]
        assert destination.secrets, "a destination names what must not show"
        for secret in destination.secrets:
            assert [text for text in shown if secret in text] == []

    def test_no_thread_is_left_that_would_keep_the_process_alive(
        self, destination: Destination, build: Callable[..., Channel]
    ) -> None:
        before = set(threading.enumerate())
        build().send(sample_message())
        assert len(destination.arrived()) == 1
        for thread in set(threading.enumerate()) - before:
            if not thread.daemon:
                thread.join(1)
        assert [t.name for t in threading.enumerate() if t not in before and not t.daemon] == []


def _error_of(channel: Channel, message: Message) -> SendError:
    """The error that sending raises; anything else is a failure of the test."""
    with pytest.raises(SendError) as caught:
        channel.send(message)
    assert isinstance(caught.value.reason, Reason)
    return caught.value


def _check_reference(receipt: Receipt) -> None:
    for name, value in receipt.reference.items():
        assert isinstance(name, str)
        assert isinstance(value, str), f"reference {name!r} is no text"
        assert len(value) <= 1000, f"reference {name!r} is too long to keep"
