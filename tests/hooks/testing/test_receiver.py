"""The kit's server does what it is told, so that a channel's test can rely on it."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from tocsin_hooks.testing import Answer, Receiver


@contextmanager
def connected(receiver: Receiver, timeout: float = 5) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=timeout)
    try:
        yield connection
    finally:
        connection.close()


def ask(receiver: Receiver, path: str = "/", body: bytes | Iterator[bytes] = b"x") -> tuple[int, bytes]:
    with connected(receiver) as connection:
        connection.request("POST", path, body, {"X-One": "1"})
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_it_accepts_everything_and_keeps_what_came(receiver: Receiver) -> None:
    assert ask(receiver, "/a%20b?x=1&y=", b"\xff") == (200, b"")
    [request] = receiver.requests
    assert (request.method, request.path, request.query, request.body) == (
        "POST",
        "/a%20b",
        {"x": "1", "y": ""},
        b"\xff",
    )
    assert request.headers["x-one"] == "1"


def test_a_body_in_chunks_is_put_together(receiver: Receiver) -> None:
    ask(receiver, body=iter([b"one ", b"two"]))
    assert receiver.requests[0].text == "one two"


def test_an_answer_can_be_for_some_requests_only(receiver: Receiver) -> None:
    receiver.answer(503, "busy", times=2)
    receiver.answer(404, path="/nowhere")
    assert [ask(receiver)[0] for _ in range(3)] == [503, 503, 200]
    assert [ask(receiver, path)[0] for path in ("/nowhere", "/")] == [404, 200]


def test_answers_for_some_requests_come_in_the_order_given(receiver: Receiver) -> None:
    receiver.answer(500)
    receiver.answer(501, times=1)
    receiver.answer(502, times=1)
    assert [ask(receiver)[0] for _ in range(4)] == [501, 502, 500, 500]


def test_an_answer_can_be_made_of_the_request(receiver: Receiver) -> None:
    receiver.respond(lambda request: Answer(201, {"echo": request.text}))
    assert ask(receiver, body=b"bell") == (201, b'{"echo": "bell"}')


def test_hanging_ends_when_the_server_is_closed() -> None:
    with Receiver() as receiver, connected(receiver) as connection:
        receiver.hang()
        connection.request("POST", "/", b"x")
        assert len(receiver.wait(1)) == 1
        connection.sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            connection.sock.recv(1)
        receiver.close()
        connection.sock.settimeout(5)
        assert connection.sock.recv(1) == b""


def test_a_reset_is_one(receiver: Receiver) -> None:
    receiver.reset()
    with pytest.raises(ConnectionResetError):
        ask(receiver)
    assert len(receiver.requests) == 1


def test_a_drip_comes_byte_by_byte(receiver: Receiver) -> None:
    receiver.drip(b"abc", every=0.02)
    started = time.monotonic()
    assert ask(receiver) == (200, b"abc")
    assert time.monotonic() - started >= 0.06


def test_half_an_answer_is_cut_off(receiver: Receiver) -> None:
    receiver.respond(Answer(200, b"abcdef", part=2))
    with pytest.raises(http.client.IncompleteRead) as caught:
        ask(receiver)
    assert caught.value.partial == b"ab"


def test_waiting_for_what_does_not_come_is_told(receiver: Receiver) -> None:
    ask(receiver)
    with pytest.raises(TimeoutError, match="1 requests came in, not 2"):
        receiver.wait(2, timeout=0.01)


def test_a_closed_server_refuses_connections_and_leaves_no_thread() -> None:
    before = threading.active_count()
    with Receiver() as receiver:
        ask(receiver)
        receiver.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", receiver.port), 1)
    assert threading.active_count() == before


def test_it_speaks_tls_and_survives_who_does_not() -> None:
    authority = trustme.CA()
    served, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusting)
    with Receiver(served) as receiver:
        assert receiver.url.startswith("https://")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(receiver)
        idle = socket.create_connection(("127.0.0.1", receiver.port))  # says nothing, and must not hold close() up
        connection = http.client.HTTPSConnection("127.0.0.1", receiver.port, context=trusting, timeout=5)
        connection.request("GET", "/")
        assert connection.getresponse().status == 200
        connection.close()
    idle.close()
