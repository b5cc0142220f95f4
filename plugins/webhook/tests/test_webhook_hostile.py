"""What becomes of a message whose receiver misbehaves, and that nothing else becomes of it."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tocsin_hooks import Reason, SendError
from tocsin_hooks.testing import FAULTS, HostileServer, sample_message
from tocsin_hooks.testing.faults import NOW, READ_AT_MOST, outcome
from tocsin_webhook import WebhookChannel, WebhookConfig

pytestmark = pytest.mark.timeout(20)  # none ends by itself


def channel(url: str, **settings: Any) -> WebhookChannel:
    port = int(url.rpartition(":")[2])
    loopback = {"allow_http": True, "allow_private": "127.0.0.1/32", "allow_ports": port, "timeout": "500ms"}
    config = WebhookConfig.model_validate({"url": f"{url}/hook", **loopback, **settings})
    return WebhookChannel(config, clock=lambda: NOW)


def error_of(webhook: WebhookChannel) -> SendError | None:
    try:
        webhook.send(sample_message())
    except SendError as error:
        return error
    return None


@pytest.mark.parametrize("name", FAULTS)
def test_a_receiver_that_misbehaves_is_asked_once_and_its_answer_has_one_meaning(name: str) -> None:
    fault = FAULTS[name]
    with HostileServer(fault.play) as server:
        error = error_of(channel(server.url, timeout="500ms" if fault.endless else "10s"))
    assert outcome(error) == fault.expected
    assert (len(server.requests), server.connections) == (1, 1)
    assert server.sent < READ_AT_MOST
    assert error is None or len(str(error)) < 1000


# ---------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def certificates(authority: trustme.CA) -> dict[str, tuple[trustme.LeafCert, str]]:
    yesterday = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    tomorrow = yesterday + dt.timedelta(days=2)
    return {
        "expired": (
            authority.issue_cert("127.0.0.1", not_before=yesterday - dt.timedelta(days=9), not_after=yesterday),
            "expired",
        ),
        "not valid yet": (
            authority.issue_cert("127.0.0.1", not_before=tomorrow, not_after=tomorrow + dt.timedelta(days=9)),
            "not yet valid",
        ),
        "of another host": (authority.issue_cert("hooks.example.org"), "mismatch"),
        "of another authority": (trustme.CA().issue_cert("127.0.0.1"), "certificate"),
    }


@pytest.mark.parametrize("name", ["expired", "not valid yet", "of another host", "of another authority"])
def test_a_certificate_that_is_no_good_ends_the_attempt_before_anything_is_sent(
    authority: trustme.CA, trusted: Path, name: str
) -> None:
    certificate, told = certificates(authority)[name]
    with HostileServer(lambda peer: peer.say(b"never"), context_of(certificate)) as server:
        error = error_of(channel(server.url, ca_file=str(trusted), timeout="10s"))
    assert outcome(error) == (Reason.NETWORK, None, False, False, False)
    assert str(error).startswith("no secure connection to '127.0.0.1': certificate not accepted: ")
    assert told in str(error)
    assert (server.requests, server.sent) == ([], 0)


def test_a_good_certificate_is_accepted(authority: trustme.CA, trusted: Path) -> None:
    with HostileServer(FAULTS["429 for seconds"].play, context_of(authority.issue_cert("127.0.0.1"))) as server:
        error = error_of(channel(server.url, ca_file=str(trusted), timeout="10s"))
    assert outcome(error) == FAULTS["429 for seconds"].expected


@pytest.mark.parametrize(
    "name", ["silence", "headers that drip", "a body that drips", "a gigabyte", "reset", "hung up"]
)
def test_what_holds_in_the_clear_holds_over_tls(authority: trustme.CA, trusted: Path, name: str) -> None:
    fault = FAULTS[name]
    with HostileServer(fault.play, context_of(authority.issue_cert("127.0.0.1"))) as server:
        error = error_of(channel(server.url, ca_file=str(trusted), timeout="1s" if fault.endless else "10s"))
    assert outcome(error) == fault.expected
    assert server.sent < READ_AT_MOST


@pytest.mark.parametrize(
    "play",
    [
        lambda peer: peer.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"),
        lambda peer: peer.hang(),
        lambda peer: peer.drip(b"\x16\x03\x03\x40\x00"),
        lambda peer: (peer.read(), peer.reset()),
        lambda peer: peer.read(),
    ],
    ids=["speaks HTTP", "is silent", "drips", "resets", "hangs up"],
)
def test_a_port_without_tls_ends_the_attempt_within_its_time_and_nothing_has_arrived(play: Any) -> None:
    with HostileServer(play) as server:
        error = error_of(channel(server.url.replace("http:", "https:"), timeout="1s"))
    assert outcome(error) == (Reason.NETWORK, None, False, False, False)
    assert server.requests == []
