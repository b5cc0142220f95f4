"""One request, one deadline, one meaning: `tocsin_hooks.http` against a real server."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import trustme

from tocsin_hooks.http import ANSWER_LIMIT, HttpAnswer, HttpConfig, HttpSender, refusal, retry_after, reveal
from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.secrets import Secret
from tocsin_hooks.testing import Answer, Receiver

SHORT = timedelta(seconds=0.3)


def sender(timeout: timedelta = timedelta(seconds=5), **settings: Any) -> HttpSender:
    return HttpSender(user_agent="tests/1", timeout=timeout, **settings)


def error_of(http: HttpSender, url: str, headers: dict[str, str] | None = None) -> SendError:
    with pytest.raises(SendError) as caught:
        http.send("POST", url, b"{}", headers)
    return caught.value


def test_the_body_arrives_byte_for_byte_with_the_headers_given(receiver: Receiver) -> None:
    answer = sender().send("PUT", f"{receiver.url}/a%20b?x=1", b"\x00\xff{ }", {"X-One": "1"})
    [request] = receiver.requests
    assert answer == HttpAnswer(200, {"content-length": "0"})
    assert (request.method, request.path, request.query, request.body) == ("PUT", "/a%20b", {"x": "1"}, b"\x00\xff{ }")
    assert (request.headers["X-One"], request.headers["User-Agent"]) == ("1", "tests/1")
    assert request.headers["Accept-Encoding"] == "identity"


def test_connections_are_kept_open_between_requests(receiver: Receiver) -> None:
    http = sender()
    for _ in range(3):
        http.send("POST", receiver.url, b"x")
    assert (len(receiver.requests), receiver.connections) == (3, 1)


def test_head_and_body_leave_in_one_piece() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                seen.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        sender().send("POST", f"http://127.0.0.1:{listener.getsockname()[1]}/", b"the body")
        thread.join()
    [piece] = seen
    assert piece.startswith(b"POST / HTTP/1.1\r\n")
    assert piece.endswith(b"\r\n\r\nthe body")


def test_a_header_is_sent_once_however_its_name_is_written(receiver: Receiver) -> None:
    sender().send("POST", receiver.url, b"x", {"Content-Type": "text/plain", "content-type": "application/json"})
    [request] = receiver.requests
    assert request.headers.get_all("Content-Type") == ["application/json"]


def test_the_user_in_an_address_is_shown_to_the_service_every_time(receiver: Receiver) -> None:
    http = sender()
    for _ in range(2):
        http.send("POST", receiver.url.replace("://", "://me:pw@"), b"x")
    assert [request.headers["Authorization"] for request in receiver.requests] == ["Basic bWU6cHc="] * 2


def test_many_addresses_are_reached_in_turn(receiver: Receiver) -> None:
    http = sender()
    for n in range(150):
        http.send("POST", f"{receiver.url}/{n % 75}", b"x")
    assert [request.path for request in receiver.requests] == [f"/{n % 75}" for n in range(150)]


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer(307, headers={"Location": f"{receiver.url}/elsewhere"}, path="/hook")
    answer = sender().send("POST", f"{receiver.url}/hook", b"x")
    error = refusal(answer, receiver.url, now=0)
    assert [request.path for request in receiver.requests] == ["/hook"]
    assert (error.reason, error.permanent) == (Reason.CLIENT, True)
    assert "redirect" in str(error)


def test_cookies_are_neither_kept_nor_sent(receiver: Receiver) -> None:
    receiver.answer(200, headers={"Set-Cookie": "a=b"})
    http = sender()
    http.send("POST", receiver.url, b"1")
    http.send("POST", receiver.url, b"2")
    assert [request.headers["Cookie"] for request in receiver.requests] == [None, None]


def test_silence_ends_with_the_deadline_and_may_have_arrived(receiver: Receiver) -> None:
    receiver.hang()
    error = error_of(sender(SHORT), receiver.url)
    assert (error.reason, error.unknown, error.permanent) == (Reason.TIMEOUT, True, False)
    assert str(error) == "no answer from '127.0.0.1' in 300 ms"


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_a_head_that_comes_byte_by_byte_ends_with_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                while not done.wait(0.02):
                    connection.sendall(b"H")

        thread = threading.Thread(target=drip)
        thread.start()
        error = error_of(sender(SHORT), f"http://127.0.0.1:{listener.getsockname()[1]}/")
        done.set()
        thread.join()
    assert (error.reason, error.unknown) == (Reason.TIMEOUT, True)


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_a_body_that_comes_byte_by_byte_is_cut_and_its_status_counts(receiver: Receiver) -> None:
    receiver.drip(every=0.02)
    answer = sender(SHORT).send("POST", receiver.url, b"x")
    assert (answer.status, answer.cut) == (200, True)


def test_of_a_huge_answer_only_the_start_is_read(receiver: Receiver) -> None:
    receiver.answer(200, b"x" * 10_000_000)
    answer = sender().send("POST", receiver.url, b"x")
    assert (len(answer.body), answer.cut) == (ANSWER_LIMIT, True)


def test_an_answer_of_exactly_the_limit_is_whole(receiver: Receiver) -> None:
    receiver.answer(200, b"x" * ANSWER_LIMIT)
    answer = sender().send("POST", receiver.url, b"x")
    assert (len(answer.body), answer.cut) == (ANSWER_LIMIT, False)


def test_the_body_of_a_redirect_is_capped_too(receiver: Receiver) -> None:
    receiver.answer(302, b"x" * 10_000_000, {"Location": "http://[bad"})
    answer = sender().send("POST", receiver.url, b"x")
    assert (answer.status, len(answer.body)) == (302, ANSWER_LIMIT)


def test_a_packed_answer_is_not_unpacked(receiver: Receiver) -> None:
    packed = gzip.compress(b"0" * 5_000_000)
    receiver.answer(200, packed, {"Content-Encoding": "gzip"})
    assert sender().send("POST", receiver.url, b"x").body == packed


def test_half_an_answer_counts_by_its_status(receiver: Receiver) -> None:
    receiver.respond(Answer(202, b'{"a": 1}', part=3))
    answer = sender().send("POST", receiver.url, b"x")
    assert (answer.status, answer.cut, answer.json()) == (202, True, None)


def test_a_connection_broken_off_may_have_arrived(receiver: Receiver) -> None:
    receiver.reset()
    error = error_of(sender(), receiver.url)
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, True, False)


def test_a_refused_connection_has_not_arrived(receiver: Receiver) -> None:
    receiver.close()
    error = error_of(sender(), receiver.url)
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)


def test_after_a_failure_the_next_request_gets_through(receiver: Receiver) -> None:
    receiver.reset(times=1)
    http = sender()
    error_of(http, receiver.url)
    assert http.send("POST", receiver.url, b"x").ok


def test_the_deadline_is_each_requests_own(receiver: Receiver) -> None:
    http = sender(SHORT)
    http.send("POST", receiver.url, b"x")
    receiver.respond(Answer(200, b"abcd", byte_every=0.05))
    for _ in range(2):  # 0.2 s each, over one connection
        assert http.send("POST", receiver.url, b"x").body == b"abcd"
    assert receiver.connections == 1


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("ftp://127.0.0.1/", {}),
        ("no address", {}),
        ("http://[bad/", {}),
        ("http://127.0.0.1:99999/", {}),
        ("http://127.0.0.1:1/", {"X": "a\r\nb: c"}),
        ("http://127.0.0.1:1/", {"X": "\u4e2d"}),
    ],
)
def test_what_makes_no_request_is_an_error_of_the_settings(url: str, headers: dict[str, str]) -> None:
    error = error_of(sender(), url, headers)
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert error.__suppress_context__


def test_the_environment_is_left_alone(receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
    assert sender().send("POST", receiver.url, b"x").ok
    assert receiver.requests[0].headers["Authorization"] is None


def test_a_proxy_given_is_used(receiver: Receiver) -> None:
    assert sender(proxy=receiver.url).send("POST", "http://hooks.example.org/T0", b"x").ok
    assert receiver.requests[0].target == "http://hooks.example.org/T0"


def test_a_proxy_that_is_down_has_not_passed_the_request_on(receiver: Receiver) -> None:
    receiver.close()
    for scheme in ("http", "https"):
        error = error_of(sender(proxy=receiver.url), f"{scheme}://hooks.example.org/T0")
        assert (error.reason, error.unknown) == (Reason.NETWORK, False)


def test_silence_behind_a_proxy_ends_with_the_deadline(receiver: Receiver) -> None:
    receiver.hang()
    for scheme in ("http", "https"):
        error = error_of(sender(SHORT, proxy=receiver.url), f"{scheme}://hooks.example.org/T0")
        assert error.permanent is False
        assert error.reason in (Reason.TIMEOUT, Reason.NETWORK)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Receiver(context) as receiver:
        yield receiver


def test_a_certificate_nobody_vouches_for_is_refused(secure: Receiver) -> None:
    error = error_of(sender(), secure.url)
    assert (error.reason, error.unknown) == (Reason.NETWORK, False)
    assert str(error).startswith("no secure connection to '127.0.0.1': certificate not accepted: ")
    assert secure.requests == []


def test_a_private_authority_can_be_named(secure: Receiver, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    assert sender(ca_file=tmp_path / "ca.pem").send("POST", secure.url, b"x").ok


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_the_deadline_holds_over_tls(secure: Receiver, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    secure.drip(every=0.02)
    assert sender(SHORT, ca_file=tmp_path / "ca.pem").send("POST", secure.url, b"x").cut


def test_a_client_certificate_is_shown_where_asked_for(authority: trustme.CA, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("client.example.org").private_key_and_cert_chain_pem.write_to_path(tmp_path / "me.pem")
    with Receiver(context) as receiver:
        assert sender(ca_file=tmp_path / "ca.pem", client_cert=tmp_path / "me.pem").send("POST", receiver.url, b"x").ok
        error = error_of(sender(ca_file=tmp_path / "ca.pem"), receiver.url)
        assert error.reason is Reason.NETWORK
        assert len(receiver.requests) == 1


def test_missing_certificates_are_an_error_of_the_settings(secure: Receiver, tmp_path: Path) -> None:
    wrong: list[dict[str, Any]] = [{"ca_file": tmp_path / "none.pem"}, {"client_cert": tmp_path / "none.pem"}]
    for settings in wrong:
        error = error_of(sender(**settings), secure.url)
        assert (error.reason, error.permanent) == (Reason.CONFIG, True)


def test_the_librarys_debug_log_does_not_tell_the_path(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sender().send("POST", f"{receiver.url}/T0/token", b"x")
    receiver.close()
    error_of(sender(), f"{receiver.url}/T0/token")
    assert [record.getMessage() for record in caplog.records if "token" in record.getMessage()] == []


@pytest.mark.parametrize(
    ("status", "reason", "permanent", "disable"),
    [
        (300, Reason.CLIENT, True, False),
        (304, Reason.CLIENT, True, False),
        (400, Reason.CLIENT, True, False),
        (401, Reason.AUTH, True, False),
        (403, Reason.AUTH, True, False),
        (404, Reason.CLIENT, True, False),
        (408, Reason.TIMEOUT, False, False),
        (410, Reason.GONE, True, True),
        (413, Reason.PAYLOAD, True, False),
        (425, Reason.CLIENT, False, False),
        (429, Reason.RATE_LIMITED, False, False),
        (500, Reason.SERVER, False, False),
        (503, Reason.SERVER, False, False),
        (599, Reason.SERVER, False, False),
    ],
)
def test_each_status_has_one_meaning(status: int, reason: Reason, permanent: bool, disable: bool) -> None:
    error = refusal(HttpAnswer(status), "http://h/", now=0)
    assert (error.reason, error.permanent, error.disable, error.unknown) == (reason, permanent, disable, False)


def test_a_wait_is_read_as_seconds_or_as_a_date() -> None:
    now = 1_750_000_000.0
    assert retry_after("120", now) == 120
    assert retry_after(formatdate(now + 90, usegmt=True), now) == 90


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (" 17 ", 17.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("007", 7.0),
        ("17, 120", 120.0),
        ("120,17", 120.0),
        ("soon, 17", 17.0),
        ("Sat, 01 Jan 2000 00:01:30 GMT", 90.0),
        ("Saturday, 01-Jan-00 00:01:30 GMT", 90.0),
        ("Sat Jan  1 00:01:30 2000", 90.0),
        ("Sat, 01 Jan 2000 02:01:30 +0200", 90.0),
        ("Sat, 01 Jan 2000 00:01:30 GMT, 17", 90.0),
        ("17, Sat, 01 Jan 2000 00:01:30 GMT, Sat, 01 Jan 2000 00:02:00 GMT", 120.0),
        ("Fri, 31 Dec 1999 23:59:00 GMT, 17", 17.0),
    ],
)
def test_every_form_of_a_wait_is_read_and_of_several_the_longest_counts(value: str, seconds: float) -> None:
    assert retry_after(value, now=946_684_800.0) == seconds


@pytest.mark.parametrize(
    "value",
    ["", " ", ",", "-1", "+1", "nan", "inf", "1e999", "1e3", "1_000", "\u0661\u0662", "\xb2", "0x10", "9" * 400, ".5",
     "5.", "soon", "Thu", "Thu, ", "Thu, 99 Foo 1970 00:00:00 GMT", "Thu, 01 Jan 99999 00:00:00 GMT"],
)  # fmt: skip
def test_a_wait_that_makes_no_sense_is_no_wait(value: str) -> None:
    assert retry_after(value, 0) is None


def test_a_date_gone_by_is_no_wait() -> None:
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=1_750_000_000.0) is None


def test_a_missing_secret_is_an_error_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_URL", raising=False)
    with pytest.raises(SendError) as caught:
        reveal(Secret("env", "HOOK_URL"))
    assert (caught.value.reason, caught.value.permanent) == (Reason.CONFIG, False), "the next process may have it"
    assert str(caught.value) == "environment variable 'HOOK_URL' is not set"


def test_the_settings_every_http_channel_has_are_checked_when_read(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    config = HttpConfig.model_validate({"ca_file": "ca.pem", "timeout": "3s"}, context={"base": tmp_path})
    assert (config.ca_file, config.timeout) == (tmp_path / "ca.pem", timedelta(seconds=3))
    for wrong, told in (
        ({"ca_file": "other.pem"}, "there is no file 'other.pem'"),
        ({"base_url": "https://gateway.example.org/path"}, "expected scheme and host"),
        ({"timeout": "soon"}, "expected a duration"),
        ({"proxy": "socks5://me:pw@proxy:1080"}, "expects an http or https proxy, found the scheme 'socks5'"),
    ):
        with pytest.raises(ValueError, match=told):
            HttpConfig.model_validate(wrong, context={"base": tmp_path})


def test_a_gateway_takes_the_place_of_scheme_and_host() -> None:
    config = HttpConfig(base_url="http://127.0.0.1:8080/")
    assert config.address("https://me:pw@hooks.example.org/T0?x=1") == "http://127.0.0.1:8080/T0?x=1"
