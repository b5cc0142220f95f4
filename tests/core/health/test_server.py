"""Whoever asks how the hub is gets an answer soon, and nobody can keep it from its work by asking."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from support.threadless import Limit
from tocsin.clock import ManualClock
from tocsin.errors import TocsinError
from tocsin.health.server import AT_ONCE, PATIENCE, Answer, Server
from tocsin.settings.listening import Address

LOOPBACK = Address("127.0.0.1", 0)
Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    running: list[Server] = []

    def start(address: Address = LOOPBACK, **more: object) -> Server:
        pages = {"/healthz": lambda accept: Answer.text(200, f"well, {accept or 'anything'}"), **more.pop("pages", {})}  # type: ignore[dict-item]
        server = Server(address, pages, more.pop("clock", ManualClock()), **more)  # type: ignore[arg-type]
        server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()


def connected(server: Server) -> socket.socket:
    return socket.create_connection((server.address.host, server.address.port), timeout=30)


def ask(server: Server, *lines: str) -> str:
    """All that the server answers to these lines, until it hangs up."""
    with closing(connected(server)) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in (*lines, "")).encode())
        return rest(connection)


def rest(connection: socket.socket) -> str:
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts).decode()


def status(answer: str) -> str:
    return answer.split(" ", 2)[1]


def test_a_page_is_answered_with_what_it_says(serve: Serve) -> None:
    head, _, body = ask(serve(), "GET /healthz HTTP/1.1", "Host: localhost", "Accept: text/plain").partition("\r\n\r\n")
    assert head.startswith("HTTP/1.0 200 OK\r\n")
    assert body == "well, text/plain\n"
    assert {"Cache-Control: no-store", "X-Content-Type-Options: nosniff", "Connection: close", "Server: tocsin"} <= set(
        head.split("\r\n")
    )


def test_a_question_mark_and_what_follows_it_change_nothing(serve: Serve) -> None:
    assert status(ask(serve(), "GET /healthz?verbose=1 HTTP/1.1", "Host: [::1]")) == "200"


def test_what_there_is_not_is_said_so_without_repeating_it(serve: Serve) -> None:
    answer = ask(serve(), "GET /<script>alert(1)</script> HTTP/1.1", "Host: localhost")
    assert (status(answer), "script" in answer, "see /healthz" in answer) == ("404", False, True)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "HAX"])
def test_only_get_is_answered(serve: Serve, method: str) -> None:
    answer = ask(serve(), f"{method} /healthz HTTP/1.1", "Host: localhost")
    assert status(answer) == "405"
    assert "\r\nAllow: GET\r\n" in answer


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:9464", "10.0.0.1", "evil.example:80:80"])
def test_a_page_in_a_browser_that_was_led_here_by_another_name_reads_nothing(serve: Serve, host: str) -> None:
    answer = ask(serve(), "GET /healthz HTTP/1.1", f"Host: {host}")
    assert (status(answer), "well" in answer, "evil" in answer) == ("421", False, False)


def test_where_others_may_ask_any_name_will_do(serve: Serve) -> None:
    server = serve(Address("0.0.0.0", 0), remote=True)
    with closing(socket.create_connection(("127.0.0.1", server.address.port), timeout=30)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: metrics.example.org\r\n\r\n")
        assert status(rest(connection)) == "200"


def test_a_page_that_fails_says_so_and_not_why(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    def fail(accept: str) -> Answer:
        raise RuntimeError("s3cr3t")

    answer = ask(serve(pages={"/bad": fail}), "GET /bad HTTP/1.1", "Host: localhost")
    assert (status(answer), "s3cr3t" in answer) == ("500", False)
    assert "'/bad' could not be answered" in caplog.text


@pytest.mark.parametrize("junk", ["GET", "\x16\x03\x01\x02", "GET / HTTP/9.9", "GET / HTTP/1.1 more", "/" * 70_000])
def test_junk_is_refused_and_the_next_is_answered(serve: Serve, junk: str) -> None:
    server = serve()
    with closing(connected(server)) as connection:
        connection.sendall(junk.encode() + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        try:
            refused = rest(connection)
        except ConnectionError:  # it hung up before it had read all of it
            refused = ""
    assert "well" not in refused
    assert status(ask(server, "GET /healthz HTTP/1.1", "Host: localhost")) == "200"


def test_more_headers_than_anybody_needs_are_refused(serve: Serve) -> None:
    answer = ask(serve(), "GET /healthz HTTP/1.1", *(f"X-{number}: x" for number in range(200)))
    assert status(answer) == "431"


def test_somebody_who_goes_away_harms_nobody(serve: Serve, capfd: pytest.CaptureFixture[str]) -> None:
    server = serve()
    with closing(connected(server)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.sendall(b"GET /hea")
    assert status(ask(server, "GET /healthz HTTP/1.1", "Host: localhost")) == "200"
    assert capfd.readouterr().err == ""


def test_who_sends_a_byte_now_and_then_is_hung_up_on(serve: Serve) -> None:
    clock = ManualClock()
    server = serve(clock=clock)
    with closing(connected(server)) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert status(ask(server, "GET /healthz HTTP/1.1", "Host: localhost")) == "200"
        clock.advance(PATIENCE)
        try:
            told = slow.recv(1)
        except ConnectionError:
            told = b""
        assert told == b""


def test_few_are_answered_at_once_and_who_comes_beyond_is_turned_away(serve: Serve) -> None:
    inside, leave = threading.Semaphore(0), threading.Event()

    def slow(accept: str) -> Answer:
        inside.release()
        leave.wait(60)
        return Answer.text(200, "at last")

    server = serve(pages={"/slow": slow})
    waiting = [connected(server) for _ in range(AT_ONCE)]
    for connection in waiting:
        connection.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
        assert inside.acquire(timeout=60)
    with closing(connected(server)) as late:
        assert status(rest(late)) == "503"
    leave.set()
    for connection in waiting:
        with closing(connection):
            assert rest(connection).endswith("at last\n")


def test_an_address_that_is_taken_is_an_error_that_says_what_would_do(serve: Serve) -> None:
    taken = serve().address
    with pytest.raises(TocsinError, match=r"\[hub\] listen = '127.0.0.1:\d+' cannot be had: .*; is another hub"):
        serve(taken)


def test_a_name_that_is_none_is_an_error(serve: Serve) -> None:
    with pytest.raises(TocsinError, match="cannot be had"):
        serve(Address("no-such-host.invalid", 0), remote=True)


def test_a_name_of_another_machine_is_refused_where_only_this_one_may_ask(serve: Serve) -> None:
    with pytest.raises(TocsinError, match="can be reached from other machines"):
        serve(Address("0.0.0.0", 0))


def test_localhost_is_this_machine(serve: Serve) -> None:
    assert serve(Address("localhost", 0)).address.is_loopback


def test_after_its_end_nobody_is_answered_and_the_address_is_free(serve: Serve) -> None:
    server = serve()
    address = server.address
    server.stop()
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.host, address.port), timeout=30)
    assert serve(address).address == address


def test_where_no_thread_can_be_had_that_is_said_and_the_address_is_free_again() -> None:
    server = Server(LOOPBACK, {}, ManualClock(), begin=Limit(0).begin)
    with pytest.raises(
        TocsinError, match=r"^\[hub\] listen = '127.0.0.1:0' cannot be answered: can't start new thread; let"
    ):
        server.start()
    server.stop()
    assert server.address == LOOPBACK
