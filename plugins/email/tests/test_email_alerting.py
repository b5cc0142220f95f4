"""Mails of groups, reminders and acknowledgements."""

from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from tocsin_email.compose import compose, subject
from tocsin_email.config import EmailConfig
from tocsin_hooks.messages import Action, Message
from tocsin_hooks.testing import sample_event, sample_group_message, sample_message

CONFIG = EmailConfig.model_validate(
    {"host": "mail.example.org", "from": "tocsin <tocsin@example.org>", "to": ["data@example.org"]}
)


def sent(message: Message) -> EmailMessage:
    parsed = message_from_bytes(compose(message, CONFIG).as_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def test_a_reminder_is_a_mail_of_its_own_in_the_thread_dated_when_it_was_decided() -> None:
    first, reminder = sent(sample_message()), sent(sample_message(Action.REPEAT, at="2026-03-01T16:29:05+00:00"))
    assert reminder["References"] == first["References"]
    assert reminder["Message-ID"] != first["Message-ID"]
    assert reminder["Subject"].startswith("[STILL FAILED] etl/load")
    assert reminder["Date"] == "Sun, 01 Mar 2026 16:29:05 +0000"
    assert reminder["Importance"] == "high"


def test_an_acknowledgement_says_who_and_is_not_important() -> None:
    mail = sent(sample_message(Action.UPDATE, reason="acknowledged", acknowledged_by="kim"))
    assert mail["Subject"] == "[ACKNOWLEDGED] etl/load: by kim"
    assert mail["Importance"] is None
    assert "Acknowledged by kim: etl/load" in part(mail, "plain")
    assert "Acknowledged by: kim" in part(mail, "plain")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (sample_group_message(), "[FAILED] 3 problems in etl"),
        (sample_group_message(Action.RECOVER), "[RECOVERED] 3 problems in etl"),
        (sample_group_message(Action.EVENT, title="Digest: 12 problems", reason="digest"), "[DIGEST] 12 problems"),
        (sample_message(reason="flapping"), "[FLAPPING] etl/load: ValueError: bad row 17: <no amount>"),
    ],
)
def test_the_subject_begins_with_what_it_is_and_says_it_once(message: Message, expected: str) -> None:
    assert subject(message) == expected


def test_a_group_is_one_thread_and_shows_its_list_and_no_single_event() -> None:
    mails = [sent(sample_group_message(action)) for action in (Action.OPEN, Action.UPDATE, Action.RECOVER)]
    assert len({mail["References"] for mail in mails}) == 1
    for kind in ("plain", "html"):
        text = part(mails[0], kind)
        for line in sample_group_message().text.splitlines():
            assert line in text
        assert "etl/load" not in text
        assert "Traceback" not in text


def test_a_silent_mail_is_a_mail_without_importance() -> None:
    mail = sent(sample_message(Action.UPDATE, silent=True))
    assert mail["Subject"].startswith("[FAILED]")
    assert mail["Importance"] is None


def test_a_failure_that_may_still_be_retried_is_no_alarm_even_when_repeated() -> None:
    event: Any = sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"))
    assert sent(sample_message(Action.REPEAT, event=event))["Importance"] is None
