"""`slack_notifier` and `gmail_notifier`: what they send, when, and what becomes of their mistakes."""

from __future__ import annotations

import logging
import pickle
import smtplib
from collections.abc import Callable, Iterator
from email import message_from_bytes, message_from_string, policy
from email.message import EmailMessage
from typing import Any

import cloudpickle
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from tocsin.clock import ManualClock
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import callback_failures
from tocsin.flows.task import Task, task
from tocsin.notifications import (
    callback_factory,
    email_message_formatter,
    gmail_notifier,
    slack_message_formatter,
    slack_notifier,
)
from tocsin.options import set_temporary_config
from tocsin.runs import run_flow
from tocsin_hooks.states import Failed, Pending, Retrying, Running, State, Success, TriggerFailed
from tocsin_hooks.testing.http import Receiver

LOAD = Task("load")


@pytest.fixture
def slack(receiver: Receiver) -> Iterator[Receiver]:
    """A server whose address is the secret of Slack's webhook."""
    with context(secrets={"SLACK_WEBHOOK_URL": f"{receiver.url}/services/T0/B0/s3cret"}):
        yield receiver


# ---------------------------------------------------------------- called with some arguments


def test_a_notifier_with_options_alone_is_a_state_handler(slack: Receiver) -> None:
    handler = slack_notifier(only_states=[Failed])
    assert handler(LOAD, Running(), Success()) == Success()
    assert slack.requests == []
    failed = Failed("no rows")
    assert handler(LOAD, Running(), failed) is failed
    assert len(slack.requests) == 1


def test_options_add_up_and_the_last_counts(slack: Receiver) -> None:
    handler = slack_notifier(only_states=[Failed])(ignore_states=[TriggerFailed])(backend_info=False)
    handler(LOAD, Running(), TriggerFailed())
    handler(only_states=[Success])(LOAD, Running(), Failed())
    assert slack.requests == []
    handler(LOAD, Running(), Failed())
    assert len(slack.requests) == 1


def test_the_arguments_of_a_handler_can_be_given_one_by_one_or_by_name(slack: Receiver) -> None:
    state = Success()
    assert slack_notifier(LOAD)(Running())(state) is state
    assert slack_notifier(new_state=state, old_state=Running(), tracked_obj=LOAD) is state
    assert len(slack.requests) == 2


@pytest.mark.parametrize("notifier", [slack_notifier, gmail_notifier])
def test_an_option_that_there_is_not_is_said_at_once(notifier: Any) -> None:
    with pytest.raises(TypeError, match="only_sates"):
        notifier(only_sates=[Failed])


@pytest.mark.parametrize("notifier", [slack_notifier, gmail_notifier])
def test_notifiers_travel_and_do_not_show_their_options(notifier: Any) -> None:
    found = pickle.loads(pickle.dumps(notifier(only_states=[Failed])))
    state = Success()
    assert found(LOAD, Running(), state) is state  # it would have failed loudly had it looked for a secret
    assert repr(found) == f"<{notifier.__name__}: only_states>"
    assert Task("a", state_handlers=[notifier, found]).state_handlers == [notifier, found]


def test_callbacks_and_notifiers_travel_to_other_machines() -> None:
    callback = callback_factory(lambda subject, state: subject.tags.add(state.message), lambda state: state.is_failed())
    callback, notifier = cloudpickle.loads(cloudpickle.dumps((callback, slack_notifier(only_states=[Failed]))))
    work = Task("load", state_handlers=[callback, notifier])
    callback(work, Running(), Failed("no rows"))
    notifier(work, Running(), Success())
    assert work.tags == {"no rows"}


# ---------------------------------------------------------------- Slack


def test_slack_is_told_of_the_state_in_its_colour(slack: Receiver) -> None:
    slack_notifier(LOAD, Running(), Failed("no rows"))
    [request] = slack.requests
    assert (request.method, request.path) == ("POST", "/services/T0/B0/s3cret")
    assert request.headers["Content-Type"] == "application/json"
    [attachment] = request.json()["attachments"]
    assert attachment["color"] == Failed.color
    assert attachment["title"] == "Failed"
    assert attachment["text"] == "load is now in a Failed state"
    assert attachment["fields"] == [{"title": "Message", "value": "no rows", "short": False}]


def test_an_exception_is_shown_as_code() -> None:
    [attachment] = slack_message_formatter(LOAD, Failed("failed", result=ValueError("no rows")))["attachments"]
    assert attachment["fields"][0]["value"] == "```ValueError('no rows')```"


def test_a_state_that_says_nothing_has_no_field() -> None:
    assert slack_message_formatter(LOAD, Success())["attachments"][0]["fields"] == []


def test_what_is_too_long_for_slack_is_cut() -> None:
    for state in (Failed("x" * 5000), Failed(result=ValueError("x" * 5000))):
        value = slack_message_formatter(LOAD, state)["attachments"][0]["fields"][0]["value"]
        assert 1500 < len(value) <= 2000


def test_two_runs_can_be_told_apart() -> None:
    with context(flow_name="etl", flow_run_name="monday", task_name="load", task_full_name="load[3]", task_run_count=2):
        [attachment] = slack_message_formatter(LOAD, Failed())["attachments"]
    assert attachment["text"] == "load[3] is now in a Failed state"
    assert attachment["footer"] == "flow etl, run monday, attempt 2"


def test_the_title_links_to_the_run_where_config_says_so() -> None:
    def link(subject: Any, **options: Any) -> str | None:
        found: str | None = slack_message_formatter(subject, Failed(), **options)["attachments"][0].get("title_link")
        return found

    with context(flow_run_id="r1", task_run_id="t1"):
        assert link(LOAD) is None
        with set_temporary_config({"server.ui.url": "https://tocsin.example.org/"}):
            assert link(LOAD) == "https://tocsin.example.org/task-run/t1"
            assert link(Flow("etl")) == "https://tocsin.example.org/flow-run/r1"
            assert link(LOAD, backend_info=False) is None
    with set_temporary_config({"server.ui.url": "https://tocsin.example.org/"}):
        assert link(LOAD) is None


def test_another_secret_can_be_named(receiver: Receiver) -> None:
    with context(secrets={"OPS": f"{receiver.url}/ops"}):
        slack_notifier(LOAD, Running(), Failed(), webhook_secret="OPS")
    assert [request.path for request in receiver.requests] == ["/ops"]


def test_a_proxy_is_used(receiver: Receiver) -> None:
    with context(secrets={"SLACK_WEBHOOK_URL": "http://hooks.example.org/services/x"}):
        slack_notifier(LOAD, Running(), Failed(), proxies={"http": receiver.url})
    assert [request.target for request in receiver.requests] == ["http://hooks.example.org/services/x"]


# ---------------------------------------------------------------- mistakes


def test_a_secret_is_not_looked_for_when_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    failures = callback_failures()
    for notifier in (slack_notifier, gmail_notifier):
        notifier(LOAD, Running(), Success(), only_states=[Failed])
        notifier(LOAD, Running(), Success(), ignore_states=[Success], strict=True)
    assert callback_failures() == failures
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("meet", "said"),
    [
        (lambda server: server.answer(500), "Slack notification failed: Slack answered 500"),
        (lambda server: server.answer(429, headers={"Retry-After": "60"}), "Slack answered 429"),
        (lambda server: server.answer(302, headers={"Location": "/elsewhere"}), "Slack answered 302"),
        (lambda server: server.hang(), "Slack notification failed: no answer in time"),
        (lambda server: server.reset(), "Slack notification failed: "),
        (lambda server: server.close(), "Slack notification failed: Connection refused"),
    ],
)
def test_a_note_that_slack_does_not_take_is_logged_and_counted(
    slack: Receiver, meet: Callable[[Receiver], None], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    meet(slack)
    failures, state = callback_failures(), Failed("no rows")
    assert slack_notifier(LOAD, Running(), state, timeout=0.2) is state
    assert callback_failures() == failures + 1
    assert said in caplog.text
    assert "callback 'slack_notifier' raised for 'load'; the run goes on" in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    "url", ["not a url s3cret", "ftp://h/s3cret", "http://h:port/s3cret", "http://h/a\ns3cret", ""]
)
def test_an_address_that_is_none_is_not_told(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with context(secrets={"SLACK_WEBHOOK_URL": url}):
        slack_notifier(LOAD, Running(), Failed())
    assert "Slack notification failed" in caplog.text
    assert "s3cret" not in caplog.text


def test_a_missing_secret_fails_no_run(caplog: pytest.LogCaptureFixture) -> None:
    @task(state_handlers=[slack_notifier, gmail_notifier])
    def load() -> int:
        return 3

    flow = Flow("etl", tasks=[load], state_handlers=[slack_notifier])
    state = run_flow(flow, clock=ManualClock())
    assert state.is_successful()
    assert state.result[load].result == 3
    assert "secret 'SLACK_WEBHOOK_URL' was not found" in caplog.text
    assert "secret 'EMAIL_USERNAME' was not found" in caplog.text


def test_a_strict_notifier_fails_the_run(slack: Receiver) -> None:
    slack.answer(500)
    with pytest.raises(ValueError, match="Slack notification failed: Slack answered 500"):
        slack_notifier(LOAD, Running(), Failed(), strict=True)


def test_each_change_of_a_run_is_told(slack: Receiver) -> None:
    @task(name="load", state_handlers=[slack_notifier(ignore_states=[Running])])
    def load() -> None:
        raise ValueError("no rows")

    flow = Flow("etl", tasks=[load])
    run_flow(flow, clock=ManualClock(), context={"secrets": context.secrets})
    [request] = slack.requests
    assert request.json()["attachments"][0]["fields"][0]["value"] == "```ValueError('no rows')```"
    assert request.json()["attachments"][0]["footer"].startswith("flow etl, run ")


# ---------------------------------------------------------------- e-mail


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[tuple[str, list[str], EmailMessage]] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, mail))
        return self.answer


Connect = Callable[[float], smtplib.SMTP]


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, Connect]]:
    """A mail server that knows one account, and how to connect to it."""
    box = Mailbox()

    def known(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data == LoginPassword(b"me@example.org", b"pa55word"), handled=False)

    class Loopback(Controller):
        def _trigger_server(self) -> None:
            listening: Any = self.server
            self.port = listening.sockets[0].getsockname()[1]  # any that was free
            super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd's

    server = Loopback(box, hostname="127.0.0.1", port=0, authenticator=known, auth_require_tls=False)
    server.start()
    yield box, lambda timeout: smtplib.SMTP("127.0.0.1", server.port, timeout=timeout)
    server.stop()


ACCOUNT = {"EMAIL_USERNAME": "me@example.org", "EMAIL_PASSWORD": "pa55word"}


def test_a_mail_goes_to_the_account_itself(mailbox: tuple[Mailbox, Connect]) -> None:
    box, connect = mailbox
    state = Retrying("no <rows>")
    with context(secrets=ACCOUNT, flow_name="etl", flow_run_name="monday"):
        assert gmail_notifier(connect=connect)(LOAD, Running(), state) is state
    [(_, recipients, mail)] = box.mails
    assert recipients == ["me@example.org"]
    assert (mail["To"], mail["Subject"]) == ("me@example.org", "tocsin: load is Retrying")
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    lines = plain.get_content().splitlines()  # mail travels with line ends of its own
    assert lines == ["load is now in a Retrying state", "", "no <rows>", "", "flow etl, run monday"]
    assert Retrying.color in html.get_content()
    assert "<pre>no &lt;rows&gt;</pre>" in html.get_content()


def test_a_wrong_password_fails_no_run_and_is_not_told(
    mailbox: tuple[Mailbox, Connect], caplog: pytest.LogCaptureFixture
) -> None:
    box, connect = mailbox
    with context(secrets={**ACCOUNT, "EMAIL_PASSWORD": "wr0ng"}):
        gmail_notifier(LOAD, Running(), Failed(), connect=connect)
    assert box.mails == []
    assert "Email notification failed: the server answered 535" in caplog.text
    assert "wr0ng" not in caplog.text


def test_a_mail_that_is_refused_can_fail_the_run(mailbox: tuple[Mailbox, Connect]) -> None:
    box, connect = mailbox
    box.answer = "554 no"
    with (
        context(secrets=ACCOUNT),
        pytest.raises(ValueError, match="Email notification failed: the server answered 554"),
    ):
        gmail_notifier(LOAD, Running(), Failed(), connect=connect, strict=True)


def test_a_mail_server_that_is_not_there_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def nobody(timeout: float) -> smtplib.SMTP:
        raise ConnectionRefusedError(111, "Connection refused")

    with caplog.at_level(logging.ERROR), context(secrets=ACCOUNT):
        gmail_notifier(LOAD, Running(), Failed(), connect=nobody)
    assert "Email notification failed: Connection refused" in caplog.text


def test_a_name_with_a_line_break_adds_no_header() -> None:
    text = email_message_formatter(Task("load\nBcc: you@example.org"), Pending(), "me@example.org")
    mail = message_from_string(text, policy=policy.default)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "tocsin: load Bcc: you@example.org is Pending"


def test_a_value_whose_repr_raises_is_told_by_its_type() -> None:
    class Odd(Exception):
        def __repr__(self) -> str:
            raise RuntimeError

    state: State = Failed(result=Odd())
    assert slack_message_formatter(LOAD, state)["attachments"][0]["fields"][0]["value"] == "```Odd```"
