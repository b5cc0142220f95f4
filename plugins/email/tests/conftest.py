"""Mail servers on loopback: a real one, and one that misbehaves as told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

LOGIN = ("tocsin", "pa55-w0rd-of-the-mail-account")


class BoundController(Controller):
    """Has its port from the beginning: one that is only looked for may be somebody else's when it is taken."""

    def __init__(self, handler: Any, **more: Any) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        super().__init__(handler, "127.0.0.1", self._listener.getsockname()[1], ready_timeout=60, **more)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener, ssl=self.ssl_context)


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    content: bytes
    secured: bool
    logged_in: bool

    @property
    def parsed(self) -> EmailMessage:
        parsed = message_from_bytes(self.content, policy=default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    def part(self, kind: str) -> str:
        part = self.parsed.get_body((kind,))
        assert part is not None
        return str(part.get_content()).replace("\r\n", "\n")


class MailServer:
    """A real SMTP server that keeps what it accepts; replies can be set for each recipient and step."""

    def __init__(self, tls: ssl.SSLContext | None, security: str, login: tuple[str, str] | None) -> None:
        self.mails: list[Mail] = []
        self.conversations = 0
        self.refusals: dict[str, str] = {}
        self.mail_reply = self.data_reply = self.quit_reply = self.login_reply = ""
        self.silent = False
        self._login = login
        self._running = True
        self._controller = BoundController(
            self,
            ssl_context=tls if security == "tls" else None,
            tls_context=tls if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=self._authenticate,
            auth_required=login is not None and security == "starttls",
            auth_require_tls=security == "starttls",  # under TLS from the start it would find none
            auth_exclude_mechanism=None if login else ["LOGIN", "PLAIN"],
        )
        self.port: int = self._controller.port
        self._controller.start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self._running:
            self._running = False
            self._controller.stop()

    def _authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        if self.login_reply:
            return AuthResult(success=False, handled=False, message=self.login_reply)
        assert isinstance(data, LoginPassword)
        given = (data.login.decode(), data.password.decode())
        return AuthResult(success=given == self._login, handled=False)

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        self.conversations += 1
        if not self.mail_reply:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.mail_reply or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        refusal = self.refusals.get(address, self.refusals.get("*", ""))
        if not refusal:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.silent:
            await asyncio.Event().wait()
        if self.data_reply:
            return self.data_reply
        secured = server.transport.get_extra_info("ssl_object") is not None
        logged_in = bool(session.authenticated)
        self.mails.append(Mail(envelope.mail_from, envelope.rcpt_tos, envelope.content, secured, logged_in))
        return f"250 2.0.0 OK: queued as {len(self.mails)}"

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        return self.quit_reply or "221 Bye"


@dataclass(frozen=True)
class Authority:
    """A private certificate authority, and server certificates that it signed."""

    ca_file: Path
    client_cert: Path
    context: ssl.SSLContext
    wrong_name: ssl.SSLContext
    expired: ssl.SSLContext
    demanding: ssl.SSLContext


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    folder = tmp_path_factory.mktemp("authority")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    ca.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))

    def context(name: str, **terms: Any) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert(name, **terms).configure_cert(made)
        return made

    demanding = context("127.0.0.1")
    demanding.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(demanding)
    expired = context(
        "127.0.0.1", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2021, 1, 1, tzinfo=UTC)
    )
    return Authority(
        folder / "ca.pem", folder / "client.pem", context("127.0.0.1"), context("mail.example.org"), expired, demanding
    )


@pytest.fixture
def mail_server(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., MailServer]]:
    """Starts mail servers, which stop with the test; the password is in SMTP_PASSWORD."""
    monkeypatch.setenv("SMTP_PASSWORD", LOGIN[1])
    started = []

    def start(
        security: str = "starttls", *, login: tuple[str, str] | None = LOGIN, tls: ssl.SSLContext | None = None
    ) -> MailServer:
        server = MailServer(tls or authority.context, security, None if security == "plain" else login)
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


class RawServer:
    """Speaks as much SMTP as it is told: `replies` by command, "" for the greeting and "." for the end of a mail.

    An empty reply is silence, None hangs up, and a list is sent over and over, a byte at a time.
    """

    def __init__(self, replies: dict[str, Any]) -> None:
        self._replies = {"": b"220 hello\r\n", "DATA": b"354 go on\r\n", ".": b"250 OK\r\n", **replies}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.mails: list[bytes] = []
        self.heard: dict[str, str] = {}
        self._connection: socket.socket | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for open_socket in (self._listener, self._connection):
            if open_socket:
                with contextlib.suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # stopped, or the client hung up
            while True:
                self._connection, _ = self._listener.accept()
                with self._connection, self._connection.makefile("rb") as lines:
                    self._converse(self._connection, lines)

    def _converse(self, connection: socket.socket, lines: Any) -> None:
        command = ""
        while True:
            reply = self._replies.get(command, b"250 OK\r\n")
            if reply is None:
                return
            while isinstance(reply, list):
                for byte in reply:
                    connection.sendall(byte)
                    self._stopped.wait(0.02)
            connection.sendall(reply)
            if command == "DATA" and reply.startswith(b"354"):
                self.mails.append(b"".join(iter(lines.readline, b".\r\n")))
                command = "."
                continue
            line = lines.readline()
            if not line:
                return
            command = line.split()[0].decode().upper()
            self.heard[command] = line.decode().strip()


@pytest.fixture
def raw_server() -> Iterator[Callable[[dict[str, Any]], RawServer]]:
    """Starts mail servers that misbehave as told."""
    started = []

    def start(replies: dict[str, Any]) -> RawServer:
        started.append(RawServer(replies))
        return started[-1]

    yield start
    for server in started:
        server.stop()
