"""How a connection comes about: names looked up in time, addresses approved, one of those very addresses reached."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tocsin_hooks._dial import Found, Lookups
from tocsin_hooks.http import HttpSender
from tocsin_hooks.messages import Reason, SendError
from tocsin_hooks.testing import HostileServer, Receiver
from tocsin_hooks.testing.hostile import Peer, Play

pytestmark = pytest.mark.timeout(20)  # what would hang, hangs for ever

SHORT = timedelta(seconds=0.3)
NAME = "hooks.example.org"


def entry(address: str, port: int) -> Found:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


def leading_to(*addresses: str) -> Callable[[str, int], Sequence[Found]]:
    return lambda _, port: [entry(address, port) for address in addresses]


class Turns:
    """A name that leads elsewhere each time it is looked up."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[Found]:
        self.asked.append((host, port))
        return [entry(self.answers.pop(0), port)]


class OnlyAddress:
    """Objects to every address but one, and keeps what it was asked."""

    def __init__(self, allowed: str = "127.0.0.1") -> None:
        self.allowed = allowed
        self.asked: list[tuple[str, int, bool]] = []

    def objection(self, address: str, port: int, *, tls: bool) -> str:
        self.asked.append((address, port, tls))
        return "" if address == self.allowed else f"'{address}' is not for you"


def sender(timeout: timedelta = timedelta(seconds=5), **settings: Any) -> HttpSender:
    return HttpSender(user_agent="tests/1", timeout=timeout, **settings)


def error_of(http: HttpSender, url: str) -> SendError:
    with pytest.raises(SendError) as caught:
        http.send("POST", url, b"{}")
    return caught.value


@pytest.fixture
def silent() -> Iterator[Callable[[str, int], Sequence[Found]]]:
    """A look-up that never ends, until the test does."""
    over = threading.Event()

    def look_up(host: str, port: int) -> Sequence[Found]:
        over.wait()
        return [entry("127.0.0.1", port)]

    yield look_up
    over.set()


# ---------------------------------------------------------------- looking up


def test_a_look_up_that_never_ends_ends_the_attempt_within_its_time(silent: Any) -> None:
    error = error_of(sender(SHORT, resolve=silent), f"http://{NAME}/T0/secret")
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)
    assert str(error) == f"cannot connect to '{NAME}': its name is still being looked up"


def test_look_ups_that_hang_do_not_pile_up(silent: Any) -> None:
    before = set(threading.enumerate())
    lookups = Lookups(silent, at_once=3)
    for name in ("a", "a", "a", "b", "c", "d", "e"):
        with pytest.raises(TimeoutError):
            lookups.find(name, 80, 0.01)
    started = [thread for thread in threading.enumerate() if thread not in before]
    assert len(started) == 3, "one for each name, and no more than three"
    assert all(thread.daemon for thread in started), "none keeps the process alive"


def test_a_place_is_free_again_after_a_look_up_has_ended() -> None:
    go_on = threading.Event()
    lookups = Lookups(lambda host, port: [entry("127.0.0.1", port)] if go_on.wait() else [], at_once=1)
    with pytest.raises(TimeoutError):
        lookups.find("a", 80, 0.01)
    go_on.set()
    assert lookups.find("a", 80, 10) == [entry("127.0.0.1", 80)]  # the same look-up, or one of its own
    for thread in threading.enumerate():
        if thread.name == "tocsin-lookup":
            thread.join()
    assert lookups.find("b", 81, 10) == [entry("127.0.0.1", 81)]


def test_a_name_that_is_not_known_is_told_and_tried_again() -> None:
    def unknown(host: str, port: int) -> Sequence[Found]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = error_of(sender(resolve=unknown), f"https://{NAME}/T0/secret")
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)
    assert str(error) == f"cannot connect to '{NAME}': Name or service not known"


def test_the_system_is_asked_by_default() -> None:
    error = error_of(sender(), "http://no-such-host.invalid/")
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)
    assert str(error).startswith("cannot connect to 'no-such-host.invalid': ")


def test_a_name_without_addresses_is_told() -> None:
    error = error_of(sender(resolve=lambda host, port: []), f"http://{NAME}/")
    assert (error.reason, str(error)) == (Reason.NETWORK, f"cannot connect to '{NAME}': it has no address")


@pytest.mark.parametrize("name", ["a" * 64 + ".example.org", "a..example.org"])
def test_a_name_that_is_none_is_an_error_of_the_settings(name: str) -> None:
    error = error_of(sender(), f"http://{name}/")
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)


def test_the_name_stays_in_the_request_and_the_addresses_are_tried_in_turn(receiver: Receiver) -> None:
    dead = HostileServer(lambda peer: None)
    dead.close()
    turns = [entry("127.0.0.1", dead.port), entry("127.0.0.1", receiver.port)]
    assert sender(resolve=lambda host, port: turns).send("POST", f"http://{NAME}:{dead.port}/T0", b"x").ok
    assert receiver.requests[0].headers["Host"] == f"{NAME}:{dead.port}"


def test_when_no_address_answers_the_last_failure_is_told(receiver: Receiver) -> None:
    receiver.close()
    error = error_of(sender(resolve=leading_to("127.0.0.1", "127.0.0.1")), f"http://{NAME}:{receiver.port}/")
    assert str(error) == f"cannot connect to '{NAME}': Connection refused"


# ---------------------------------------------------------------- the guard


def test_the_guard_is_asked_about_every_address_before_any_is_connected_to(receiver: Receiver) -> None:
    guard = OnlyAddress()
    http = sender(guard=guard, resolve=leading_to("127.0.0.1", "10.0.0.7"))
    error = error_of(http, f"http://{NAME}:{receiver.port}/T0/secret")
    assert guard.asked == [("127.0.0.1", receiver.port, False), ("10.0.0.7", receiver.port, False)]
    assert receiver.connections == 0
    assert str(error) == f"no connection to '{NAME}': '10.0.0.7' is not for you"
    assert (error.reason, error.unknown, error.permanent) == (Reason.CONFIG, False, False)


def test_an_address_in_the_url_that_the_guard_objects_to_is_refused_for_good(receiver: Receiver) -> None:
    error = error_of(sender(guard=OnlyAddress("8.8.8.8")), receiver.url)
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"])
def test_the_guard_sees_through_every_spelling(host: str) -> None:
    guard = OnlyAddress("")
    error = error_of(sender(guard=guard), f"http://{host}:8080/")
    assert [(address, port) for address, port, _ in guard.asked] in (
        [("127.0.0.1", 8080)],
        [("::ffff:127.0.0.1", 8080)],
    )
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)


def test_a_name_that_leads_elsewhere_a_moment_later_does_not_get_by(receiver: Receiver) -> None:
    """The address that was approved is the one that is connected to: there is no second look-up to be lied to."""
    turns = Turns("127.0.0.1", "10.0.0.7", "10.0.0.7")
    http = sender(guard=OnlyAddress(), resolve=turns)
    assert http.send("POST", f"http://{NAME}:{receiver.port}/", b"x").ok
    assert turns.asked == [(NAME, receiver.port)]
    assert http.send("POST", f"http://{NAME}:{receiver.port}/", b"x").ok, "the connection is kept, with its address"
    assert turns.asked == [(NAME, receiver.port)]


def test_a_name_that_has_turned_is_refused_when_a_new_connection_is_made(receiver: Receiver) -> None:
    http = sender(guard=OnlyAddress(), resolve=Turns("127.0.0.1", "10.0.0.7"))
    receiver.answer(200, headers={"Connection": "close"})
    assert http.send("POST", f"http://{NAME}:{receiver.port}/", b"x").ok
    assert "'10.0.0.7' is not for you" in str(error_of(http, f"http://{NAME}:{receiver.port}/"))
    assert receiver.connections == 1


def test_over_tls_the_certificate_is_that_of_the_name_not_of_the_address(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _, name, __: names.append(name)
    authority.issue_cert(NAME).configure_cert(context)
    guard = OnlyAddress()
    with Receiver(context) as receiver:
        http = sender(guard=guard, resolve=leading_to("127.0.0.1"), ca_file=tmp_path / "ca.pem")
        assert http.send("POST", f"https://{NAME}:{receiver.port}/T0", b"x").ok
        error = error_of(http, f"https://other.example.org:{receiver.port}/T0")
        assert receiver.requests[0].headers["Host"] == f"{NAME}:{receiver.port}"
    assert names == [NAME, "other.example.org"]
    assert (error.reason, "certificate not accepted" in str(error)) == (Reason.NETWORK, True)
    assert guard.asked[0] == ("127.0.0.1", receiver.port, True)


def test_a_proxy_is_not_guarded_and_its_name_is_looked_up_in_time(receiver: Receiver, silent: Any) -> None:
    http = sender(guard=OnlyAddress("8.8.8.8"), proxy=receiver.url)
    assert http.send("POST", f"http://{NAME}/T0", b"x").ok
    for scheme in ("http", "https"):
        error = error_of(sender(SHORT, resolve=silent, proxy="http://proxy.example.org:3128"), f"{scheme}://{NAME}/T0")
        assert (error.reason, error.unknown) == (Reason.NETWORK, False)
        assert str(error) == f"cannot connect to the proxy on the way to '{NAME}': its name is still being looked up"


def test_a_proxy_of_another_kind_is_refused_and_no_way_round_it_is_taken(receiver: Receiver) -> None:
    error = error_of(sender(proxy="socks5://127.0.0.1:1"), receiver.url)
    assert (error.reason, error.permanent) == (Reason.CONFIG, True)
    assert str(error) == "proxy: expects an http or https proxy, found the scheme 'socks5'"
    assert receiver.requests == []


def test_no_name_is_looked_up_and_no_proxy_taken_for_a_redirect(receiver: Receiver) -> None:
    turns = Turns("127.0.0.1")
    receiver.answer(302, headers={"Location": "http://metadata.example.org/latest"})
    answer = sender(guard=OnlyAddress(), resolve=turns).send("POST", f"http://{NAME}:{receiver.port}/", b"x")
    assert (answer.status, turns.asked, len(receiver.requests)) == (302, [(NAME, receiver.port)], 1)


# ---------------------------------------------------------------- sending


@pytest.mark.parametrize("over_tls", [False, True], ids=["in the clear", "over TLS"])
@pytest.mark.parametrize("reads", ["nothing", "sip by sip"])
def test_a_service_that_does_not_take_the_request_ends_the_attempt_within_its_time(
    tmp_path: Path, over_tls: bool, reads: str
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if over_tls else None
    if context:
        authority.issue_cert("127.0.0.1").configure_cert(context)
    body = b"x" * 30_000_000  # more than any system buffers
    http = sender(timedelta(seconds=1), ca_file=tmp_path / "ca.pem")
    play: Play = Peer.hang if reads == "nothing" else lambda peer: peer.sip(100_000)
    with HostileServer(play, context) as server, pytest.raises(SendError) as caught:
        http.send("POST", server.url, body)
    assert (caught.value.reason, caught.value.unknown) == (Reason.TIMEOUT, True)


def test_a_proxy_that_gives_no_tunnel_in_time_has_passed_nothing_on() -> None:
    with HostileServer(lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\nX: y\r\n")) as server:
        error = error_of(sender(SHORT, proxy=server.url), f"https://{NAME}/")
    assert (error.reason, error.unknown, error.permanent) == (Reason.NETWORK, False, False)
