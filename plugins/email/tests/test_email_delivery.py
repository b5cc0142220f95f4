"""What becomes of a mail, by what the server does: all against servers on loopback."""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest

from tocsin_email import EmailChannel, EmailConfig
from tocsin_email.channel import Settled
from tocsin_email.outcomes import Reply, judge
from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.secrets import Secret
from tocsin_hooks.testing import sample_message

Start = Callable[..., Any]
TO = ["one@example.org", "two@example.org", "three@example.org"]


@pytest.fixture
def channel(authority: Any) -> Callable[..., EmailChannel]:
    """Makes a channel to a server; by default with login and the right authority."""

    def make(server: Any, **settings: Any) -> EmailChannel:
        base = {
            "host": "127.0.0.1",
            "port": server.port,
            "from": "tocsin@example.org",
            "to": TO,
            "ca_file": str(authority.ca_file),
        }
        if settings.get("security") != "plain":
            base |= {"username": "tocsin", "password": {"env": "SMTP_PASSWORD"}}
        given = {name: value for name, value in {**base, **settings}.items() if value is not None}
        return EmailChannel(EmailConfig.model_validate(given))

    return make


def error_of(channel: EmailChannel, **changes: Any) -> SendError:
    with pytest.raises(SendError) as caught:
        channel.send(sample_message(**changes))
    return caught.value


# ---------------------------------------------------------------- connecting


def test_a_mail_goes_under_starttls_and_login(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    receipt = channel(server).send(sample_message())
    [mail] = server.mails
    assert (mail.secured, mail.logged_in) == (True, True)
    assert (mail.sender, mail.recipients) == ("tocsin@example.org", TO)
    assert receipt.detail == "250 2.0.0 OK: queued as 1"
    assert receipt.reference == {"message_id": mail.parsed["Message-ID"]}


def test_tls_from_the_first_byte_works_on_any_port(mail_server: Start, channel: Start) -> None:
    server = mail_server("tls")
    channel(server, security="tls").send(sample_message())
    [mail] = server.mails
    assert (mail.secured, mail.logged_in) == (True, True)


def test_plain_works_only_when_spelled_out_and_without_login(mail_server: Start, channel: Start) -> None:
    server = mail_server("plain")
    channel(server, security="plain", ca_file=None).send(sample_message())
    [mail] = server.mails
    assert (mail.secured, mail.logged_in) == (False, False)


def test_a_server_without_starttls_gets_neither_mail_nor_login(mail_server: Start, channel: Start) -> None:
    server = mail_server("plain")
    error = error_of(channel(server))
    assert (error.reason, error.permanent, error.unknown) == (Reason.CONFIG, True, False)
    assert error.detail.startswith(f"127.0.0.1:{server.port} does not offer STARTTLS; set security = 'tls'")
    assert (server.mails, server.conversations) == ([], 0)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_refused(mail_server: Start, channel: Start, security: str) -> None:
    server = mail_server(security)
    error = error_of(channel(server, security=security, ca_file=None))
    assert (error.reason, error.permanent, error.unknown) == (Reason.NETWORK, False, False)
    assert re.search(r"certificate of 127\.0\.0\.1:\d+ is not trusted: .*set ca_file", error.detail)
    assert server.mails == []


def test_a_certificate_for_another_name_is_refused(mail_server: Start, channel: Start, authority: Any) -> None:
    error = error_of(channel(mail_server(tls=authority.wrong_name)))
    assert (error.reason, error.permanent, error.unknown) == (Reason.NETWORK, False, False)
    assert "IP address mismatch" in error.detail
    assert "ca_file" not in error.detail  # it would not help


def test_an_expired_certificate_is_waited_out_and_nothing_is_sent(
    mail_server: Start, channel: Start, authority: Any
) -> None:
    server = mail_server(tls=authority.expired)
    error = error_of(channel(server))
    assert (error.reason, error.permanent, error.unknown) == (Reason.NETWORK, False, False)
    assert error.detail == f"the certificate of 127.0.0.1:{server.port} is not trusted: certificate has expired"
    assert (server.mails, server.conversations) == ([], 0)


def test_verify_false_takes_any_certificate(mail_server: Start, channel: Start, authority: Any) -> None:
    server = mail_server(tls=authority.wrong_name)
    channel(server, ca_file=None, verify=False).send(sample_message())
    assert [mail.secured for mail in server.mails] == [True]


def test_a_server_that_asks_for_a_client_certificate_gets_it(
    mail_server: Start, channel: Start, authority: Any
) -> None:
    server = mail_server(tls=authority.demanding)
    channel(server, client_cert=str(authority.client_cert)).send(sample_message())
    assert len(server.mails) == 1
    error = error_of(channel(server))
    assert (error.reason, error.permanent) == (Reason.NETWORK, False)
    assert len(server.mails) == 1


def test_tls_to_a_server_that_speaks_plainly_is_a_network_error(mail_server: Start, channel: Start) -> None:
    error = error_of(channel(mail_server("plain"), security="tls"))
    assert (error.reason, error.permanent, error.unknown) == (Reason.NETWORK, False, False)
    assert "no TLS with 127.0.0.1" in error.detail


def test_the_address_can_come_from_one_url(mail_server: Start, channel: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = mail_server()
    monkeypatch.setenv("SMTP_URL", f"smtp://tocsin:pa55-w0rd-of-the-mail-account@127.0.0.1:{server.port}")
    settings = {"host": None, "port": None, "username": None, "password": None}
    channel(server, url={"env": "SMTP_URL"}, **settings).send(sample_message())
    assert [mail.logged_in for mail in server.mails] == [True]


def test_the_password_is_read_anew_for_each_mail(
    mail_server: Start, channel: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = channel(mail_server())
    monkeypatch.delenv("SMTP_PASSWORD")
    error = error_of(ops)
    assert (error.reason, error.permanent) == (Reason.CONFIG, False)
    assert error.detail == "environment variable 'SMTP_PASSWORD' is not set"
    monkeypatch.setenv("SMTP_PASSWORD", "pa55-w0rd-of-the-mail-account")
    assert ops.send(sample_message()).sent


# ---------------------------------------------------------------- logging in


def test_a_wrong_password_switches_the_channel_off(
    mail_server: Start, channel: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mail_server()
    monkeypatch.setenv("SMTP_PASSWORD", "wrong-password")
    error = error_of(channel(server))
    assert (error.reason, error.disable, error.permanent) == (Reason.AUTH, True, True)
    assert error.detail.endswith("refused the login of 'tocsin': 535 5.7.8 Authentication credentials invalid")
    assert "wrong-password" not in error.detail
    assert server.mails == []


def test_a_login_refused_for_now_is_tried_again(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    server.login_reply = "454 4.7.0 Temporary authentication failure"
    error = error_of(channel(server))
    assert (error.reason, error.disable, error.permanent) == (Reason.SERVER, False, False)
    assert "454 4.7.0 Temporary authentication failure" in error.detail


def test_a_login_that_is_not_offered_is_a_mistake_in_the_config(mail_server: Start, channel: Start) -> None:
    error = error_of(channel(mail_server("tls", login=None), security="tls"))
    assert (error.reason, error.permanent, error.disable) == (Reason.CONFIG, True, False)
    assert "offers no login that is known here" in error.detail


def test_a_server_that_wants_a_login_switches_a_channel_without_one_off(mail_server: Start, channel: Start) -> None:
    error = error_of(channel(mail_server(), username=None, password=None))
    assert (error.reason, error.disable) == (Reason.AUTH, True)
    assert "530" in error.detail


# ---------------------------------------------------------------- recipients


def test_one_refused_for_good_beside_others_is_named_in_the_receipt(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    server.refusals = {TO[0]: "550 5.1.1 no such user"}
    receipt = channel(server).send(sample_message())
    assert receipt.detail == "250 2.0.0 OK: queued as 1; refused for good: one@example.org (550 5.1.1 no such user)"
    assert [mail.recipients for mail in server.mails] == [TO[1:]]


def test_good_bad_and_busy_recipients_have_three_outcomes(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    server.refusals = {TO[0]: "550 5.1.1 no such user", TO[1]: "451 4.7.1 greylisted"}
    ops = channel(server)
    error = error_of(ops)
    assert (error.reason, error.permanent, error.unknown) == (Reason.SERVER, False, False)
    assert "two@example.org (451 4.7.1 greylisted)" in error.detail
    server.refusals = {}
    receipt = ops.send(sample_message(attempt=2))
    assert receipt.detail == (
        "250 2.0.0 OK: queued as 1; 250 2.0.0 OK: queued as 2; "
        "refused for good: one@example.org (550 5.1.1 no such user)"
    )
    assert [mail.recipients for mail in server.mails] == [[TO[2]], [TO[1]]]
    assert len({mail.parsed["Message-ID"] for mail in server.mails}) == 1


def test_what_one_message_reached_is_not_taken_for_another(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    server.refusals = {TO[0]: "451 later"}
    ops = channel(server)
    error_of(ops, id="first")
    error_of(ops, id="second")
    assert [mail.recipients for mail in server.mails] == [TO[1:], TO[1:]]


def test_after_a_restart_all_get_it_again_under_the_same_id(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    server.refusals = {TO[0]: "451 later"}
    error_of(channel(server))
    server.refusals = {}
    channel(server).send(sample_message(attempt=2))
    assert [mail.recipients for mail in server.mails] == [TO[1:], TO]
    assert len({mail.parsed["Message-ID"] for mail in server.mails}) == 1


def test_a_delivered_message_that_is_replayed_goes_to_all(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    ops = channel(server)
    for _ in range(2):
        ops.send(sample_message())
    assert [mail.recipients for mail in server.mails] == [TO, TO]


def test_all_refused_for_good_is_permanent(mail_server: Start, channel: Start) -> None:
    server = mail_server()
    server.refusals = {"*": "550 5.1.1 no such user"}
    error = error_of(channel(server))
    assert (error.reason, error.permanent, error.disable) == (Reason.CLIENT, True, False)
    assert all(f"{who} (550 5.1.1 no such user)" in error.detail for who in TO)


@pytest.mark.parametrize(
    ("step", "reply", "reason", "permanent"),
    [
        ("mail_reply", "451 4.3.0 busy", Reason.SERVER, False),
        ("mail_reply", "550 5.7.1 sender not allowed", Reason.CLIENT, True),
        ("mail_reply", "552 5.3.4 too big", Reason.PAYLOAD, True),
        ("data_reply", "452 4.3.1 disk full", Reason.SERVER, False),
        ("data_reply", "554 5.7.1 looks like spam", Reason.CLIENT, True),
        ("data_reply", "552 5.3.4 too big", Reason.PAYLOAD, True),
    ],
)
def test_a_refusal_of_the_whole_mail_says_why(
    mail_server: Start, channel: Start, step: str, reply: str, reason: Reason, permanent: bool
) -> None:
    server = mail_server()
    setattr(server, step, reply)
    error = error_of(channel(server))
    assert (error.reason, error.permanent, error.unknown) == (reason, permanent, False)
    assert reply in error.detail


def test_the_memory_of_partly_refused_mails_is_bounded() -> None:
    settled = Settled(limit=2)
    for name in ("a", "b", "c"):
        settled.keep(name, {"one": Reply(250, "ok"), "two": Reply(451, "later")})
    assert [bool(settled.of(name)) for name in ("a", "b", "c")] == [False, True, True]
    settled.keep("c", {"one": Reply(250, "ok"), "two": Reply(250, "ok")})
    assert settled.of("c") == {}


def test_a_long_list_of_refused_recipients_is_counted() -> None:
    replies = {f"r{n}@example.org": Reply(550, "x" * 5000) for n in range(50)}
    with pytest.raises(SendError, match="and 45 more") as caught:
        judge(replies, "<1@example.org>")
    assert len(caught.value.detail) < 1500


# ---------------------------------------------------------------- breaking off


def plain(channel: Start, server: Any, **settings: Any) -> EmailChannel:
    made = channel(server, security="plain", ca_file=None, **{"timeout": "400ms", **settings})
    assert isinstance(made, EmailChannel)
    return made


@pytest.mark.parametrize("after", ["", "EHLO", "MAIL", "RCPT", "DATA"])
def test_hanging_up_before_the_mail_is_sent_is_tried_again(raw_server: Start, channel: Start, after: str) -> None:
    error = error_of(plain(channel, raw_server({after: None})))
    assert (error.reason, error.permanent, error.unknown) == (Reason.NETWORK, False, False)
    assert "closed the connection" in error.detail


@pytest.mark.parametrize("after", ["", "EHLO", "MAIL", "RCPT", "DATA"])
def test_silence_before_the_mail_is_sent_is_tried_again(raw_server: Start, channel: Start, after: str) -> None:
    error = error_of(plain(channel, raw_server({after: b""})))
    assert (error.reason, error.permanent, error.unknown) == (Reason.TIMEOUT, False, False)
    assert "did not answer in time (timeout 0.4 s)" in error.detail


@pytest.mark.parametrize(("answer", "reason"), [(None, Reason.NETWORK), (b"", Reason.TIMEOUT)])
def test_after_the_final_dot_the_mail_may_have_arrived(
    raw_server: Start, channel: Start, answer: bytes | None, reason: Reason
) -> None:
    server = raw_server({".": answer})
    error = error_of(plain(channel, server))
    assert (error.reason, error.permanent, error.unknown) == (reason, False, True)
    error_of(plain(channel, server), attempt=2, may_repeat=True)
    ids = [re.findall(rb"(?m)^Message-ID: (\S+)", mail) for mail in server.mails]
    assert len(ids) == 2
    assert ids[0] == ids[1] != []


@pytest.mark.parametrize("reply", [b"250 sure\r\n", b"220 ready\r\n", b"334 more\r\n", b"banana\r\n"])
def test_an_answer_to_data_that_asks_for_no_mail_is_no_delivery(
    raw_server: Start, channel: Start, reply: bytes
) -> None:
    server = raw_server({"DATA": reply})
    error = error_of(plain(channel, server))
    assert (error.reason, error.permanent, error.unknown) == (Reason.SERVER, False, False)
    assert f"127.0.0.1:{server.port} answered the mail with" in error.detail
    assert server.mails == []


@pytest.mark.parametrize("reply", [b"354 go on\r\n", b"banana\r\n", b"250-a\r\nbanana\r\n"])
def test_after_the_final_dot_a_reply_without_meaning_leaves_open_whether_it_arrived(
    raw_server: Start, channel: Start, reply: bytes
) -> None:
    error = error_of(plain(channel, raw_server({".": reply})))
    assert (error.reason, error.permanent, error.unknown) == (Reason.SERVER, False, True)


def test_a_421_is_tried_again_at_every_step(raw_server: Start, channel: Start) -> None:
    for step in ("", "EHLO", "MAIL", "RCPT", "DATA", "."):
        error = error_of(plain(channel, raw_server({step: b"421 4.3.2 closing\r\n"})))
        assert (error.reason, error.permanent, error.unknown) == (Reason.SERVER, False, False), step
        assert "421 4.3.2 closing" in error.detail


@pytest.mark.parametrize("quit_reply", [b"500 what?\r\n", b"garbage\r\n", None, b""])
def test_whatever_happens_on_quit_the_mail_is_delivered(
    raw_server: Start, channel: Start, quit_reply: bytes | None
) -> None:
    server = raw_server({"QUIT": quit_reply})
    receipt = plain(channel, server).send(sample_message())
    assert receipt.detail == "250 OK"
    assert len(server.mails) == 1


def test_a_server_that_drips_its_reply_is_left_when_the_time_is_up(raw_server: Start, channel: Start) -> None:
    started = time.monotonic()
    error = error_of(plain(channel, raw_server({"EHLO": [b"2", b"5", b"0", b"-", b"x", b"\n"]})))
    assert (error.reason, error.unknown) == (Reason.TIMEOUT, False)
    assert time.monotonic() - started < 15


def test_a_reply_without_end_is_not_read_to_the_end(raw_server: Start, channel: Start) -> None:
    server = raw_server({"EHLO": b"250-and more\r\n" * 100_000})
    error = error_of(plain(channel, server, timeout="20s"))
    assert (error.reason, error.unknown) == (Reason.NETWORK, False)


def test_what_is_no_mail_server_is_said_to_be_none(raw_server: Start, channel: Start) -> None:
    error = error_of(plain(channel, raw_server({"": b"HTTP/1.1 400 Bad Request\r\n"})))
    assert (error.reason, error.permanent) == (Reason.SERVER, False)
    assert error.detail.endswith(" does not speak SMTP")


def test_lines_that_start_with_a_dot_arrive_whole(raw_server: Start, mail_server: Start, channel: Start) -> None:
    server = mail_server("plain")
    text = ".\n..two\n.one\nend"
    channel(server, security="plain", ca_file=None).send(sample_message(text=text, templated=True))
    assert text in server.mails[0].part("plain")


def test_a_server_without_esmtp_is_served_too(raw_server: Start, channel: Start) -> None:
    server = raw_server({"EHLO": b"502 what?\r\n"})
    assert plain(channel, server).send(sample_message()).sent
    assert len(server.mails) == 1


def test_the_greeting_is_the_configured_name_or_an_address_literal(raw_server: Start, channel: Start) -> None:
    greetings = []
    for name in ("worker.example.org", ""):
        server = raw_server({})
        plain(channel, server, local_hostname=name).send(sample_message())
        greetings.append(server.heard["EHLO"])
    assert greetings[0] == "ehlo worker.example.org"
    assert re.fullmatch(r"ehlo (\[127\.0\.0\.1\]|\S+\.\S+)", greetings[1])


def test_a_client_asks_for_nothing_that_the_server_does_not_offer(raw_server: Start, channel: Start) -> None:
    server = raw_server({})
    plain(channel, server).send(sample_message(title="\U0001f525", text="Köln 倉庫"))
    assert server.heard["MAIL"] == "mail FROM:<tocsin@example.org>"  # no SMTPUTF8, BODY or SIZE
    assert server.mails[0].isascii()


def test_the_tls_context_checks_names_and_certificates(channel: Start, mail_server: Start) -> None:
    context = channel(mail_server(), ca_file=None)._config.tls_context()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_secret_at_the_end_of_what_is_quoted_of_a_reply_is_masked_whole() -> None:
    secret = "Kq7-" + "longsecret-" * 9
    Secret.literal(secret).get_secret_value()
    for before in range(60, 200, 7):
        shown = str(Reply(550, f"{'x ' * (before // 2)}{secret} no"))
        assert "Kq7" not in shown, before
        assert len(shown) <= 200
