"""How one conversation with a mail server goes, and what each way in which it can break off means."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from tocsin_email.config import Server
from tocsin_email.outcomes import Reply, refusal
from tocsin_hooks.messages import Reason, SendError

_CONNECT_SECONDS = 5.0
_QUIT_SECONDS = 1.0
_MOST_BYTES = 256 * 1024  # of all replies of one conversation together
_UNKNOWN_AUTHORITY = frozenset({2, 18, 19, 20, 21})  # of OpenSSL's X509_V_ERR_*: no authority that is trusted

TlsContext = Callable[[], ssl.SSLContext]


class Session(smtplib.SMTP):
    """An SMTP conversation that is over, one way or another, by its deadline.

    `remaining` says how many seconds are left; it raises TimeoutError when none are.
    """

    def __init__(self, connection: socket.socket, local_hostname: str, remaining: Callable[[], float]) -> None:
        super().__init__(local_hostname=local_hostname)
        self._remaining = remaining
        self.sock = connection
        self.file = _Lines(connection, remaining)

    def send(self, s: bytes | str) -> None:  # type: ignore[override]  # narrower: smtplib passes nothing else
        """Send as smtplib does, within the time left."""
        if self.sock:
            self.sock.settimeout(self._remaining())
        super().send(s)

    def secure(self, context: ssl.SSLContext, host: str) -> None:
        """Go on under TLS, forgetting all that was heard in the clear."""
        assert self.sock is not None
        self.sock.settimeout(self._remaining())
        self.sock = context.wrap_socket(self.sock, server_hostname=host)
        self.file = _Lines(self.sock, self._remaining)
        self.helo_resp = self.ehlo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False

    def reply(self, command: str) -> Reply:
        """What the server replies to `command`."""
        return Reply.of(*self.docmd(command))


class _Lines:
    """The lines a server sends: as many as can be read in the time left, and no more than are sensible."""

    def __init__(self, connection: socket.socket, remaining: Callable[[], float]) -> None:
        self._connection = connection
        self._remaining = remaining
        self._buffer = b""
        self._read = 0

    def readline(self, limit: int) -> bytes:
        while b"\n" not in self._buffer and len(self._buffer) < limit:
            self._connection.settimeout(self._remaining())
            chunk = self._connection.recv(4096)
            self._read += len(chunk)
            if not chunk or self._read > _MOST_BYTES:
                return b""  # the end, as of a file
            self._buffer += chunk
        end = min(self._buffer.find(b"\n") + 1 or limit, limit)
        line, self._buffer = self._buffer[:end], self._buffer[end:]
        return line

    def close(self) -> None:
        """Nothing to close: the socket is smtplib's."""


@contextmanager
def conversation(
    server: Server, tls: TlsContext, local_hostname: str, seconds: float, clock: Callable[[], float]
) -> Iterator[Session]:
    """A session with `server`, greeted, under TLS as configured and logged in. Raises SendError."""
    deadline = clock() + seconds

    def remaining() -> float:
        left = deadline - clock()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    with breaking_off(server, seconds):
        connection = socket.create_connection((server.host, server.port), min(_CONNECT_SECONDS, seconds))
        session = Session(connection, local_hostname or _own_name(connection), remaining)
    try:
        with breaking_off(server, seconds):
            _greet(session, server, tls)
            _log_in(session, server)
        yield session
        with suppress(OSError, smtplib.SMTPException):  # the mail is accepted or refused by now
            deadline = min(deadline, clock() + _QUIT_SECONDS)
            session.docmd("QUIT")
    finally:
        session.close()


def transmit(
    session: Session, server: Server, seconds: float, sender: str, recipients: Sequence[str], mail: bytes
) -> dict[str, Reply]:
    """Offer `mail` once to each recipient; return the server's final reply for each. Raises SendError."""
    with breaking_off(server, seconds):
        options = [f"size={len(mail)}"] if session.has_extn("size") else []
        if not (reply := Reply.of(*session.mail(sender, options))).accepted:
            raise refusal(reply, f"takes no mail from '{sender}'")
        replies = {}
        for recipient in recipients:
            replies[recipient] = reply = Reply.of(*session.rcpt(recipient))
            if reply.code == 421:
                raise refusal(reply, "is closing")
        welcome = [recipient for recipient, reply in replies.items() if reply.accepted]
        if not welcome:
            return replies
        reply = session.reply("DATA")
        if reply.code != 354:
            return replies | dict.fromkeys(welcome, _refused(reply, server))
        session.send(_dotted(mail))
    with breaking_off(server, seconds, unknown=True):  # the final dot is out: from here on it may have arrived
        reply = Reply.of(*session.getreply())
        return replies | dict.fromkeys(welcome, reply if reply.accepted else _refused(reply, server, unknown=True))


def _refused(reply: Reply, server: Server, *, unknown: bool = False) -> Reply:
    """The reply, if it refuses the mail. Raises SendError for one that says nothing of it: not even that it was taken.

    >>> _refused(Reply(250, "go on"), Server("mail.example.org", 25, "plain"))
    Traceback (most recent call last):
    tocsin_hooks.messages.SendError: mail.example.org:25 answered the mail with '250 go on', which has no meaning there
    """
    if 400 <= reply.code < 600:
        return reply
    what = "with what is no reply of SMTP" if reply.code < 0 else f"with '{reply}', which has no meaning there"
    raise SendError(Reason.SERVER, f"{server.where} answered the mail {what}", unknown=unknown)


@contextmanager
def breaking_off(server: Server, seconds: float, *, unknown: bool = False) -> Iterator[None]:
    """Turn every way in which a conversation breaks off into a SendError."""
    try:
        yield
    except (OSError, smtplib.SMTPException) as error:
        raise _broken(error, server, seconds, unknown=unknown) from error


def _broken(error: Exception, server: Server, seconds: float, *, unknown: bool) -> SendError:
    causes = (error, error.__context__)  # smtplib says "disconnected" of what was a timeout
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return SendError(
            Reason.TIMEOUT, f"{server.where} did not answer in time (timeout {seconds:g} s)", unknown=unknown
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "; for a private authority set ca_file to its certificate"
        hint = advice if error.verify_code in _UNKNOWN_AUTHORITY else ""
        why = error.verify_message.rstrip(".")
        return SendError(Reason.NETWORK, f"the certificate of {server.where} is not trusted: {why}{hint}")
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return SendError(Reason.NETWORK, f"{server.where} closed the connection", unknown=unknown)
    if isinstance(error, smtplib.SMTPResponseException):
        return SendError(Reason.SERVER, f"{server.where} does not speak SMTP", unknown=unknown)
    if isinstance(error, ssl.SSLError):
        return SendError(Reason.NETWORK, f"no TLS with {server.where}: {error.reason or error}", unknown=unknown)
    reason = getattr(error, "strerror", None) or type(error).__name__
    return SendError(Reason.NETWORK, f"no connection to {server.where}: {reason}", unknown=unknown)


def _own_name(connection: socket.socket) -> str:
    """A name to greet with that costs no look-up: the host's if it is a full one, else the address."""
    name = socket.gethostname()
    if "." in name and name.isascii():
        return name
    address = connection.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _greet(session: Session, server: Server, tls: TlsContext) -> None:
    if server.security == "tls":
        session.secure(tls(), server.host)
    if (reply := Reply.of(*session.getreply())).code < 0:
        raise SendError(Reason.SERVER, f"{server.where} does not speak SMTP")
    if not reply.accepted:
        raise refusal(reply, f"at {server.where} does not serve us")
    _hello(session)
    if server.security == "starttls":
        if not session.has_extn("starttls"):
            raise SendError(
                Reason.CONFIG,
                f"{server.where} does not offer STARTTLS; set security = 'tls' if it speaks TLS from the start, "
                "or 'plain' to send in the clear",
                permanent=True,
            )
        if not (reply := session.reply("STARTTLS")).accepted:
            raise refusal(reply, "offers STARTTLS, but does not start it")
        session.secure(tls(), server.host)
        _hello(session)


def _hello(session: Session) -> None:
    if (reply := Reply.of(*session.ehlo())).accepted:
        return
    if not reply.for_good or not (reply := Reply.of(*session.helo())).accepted:
        raise refusal(reply, "does not take our greeting")


def _log_in(session: Session, server: Server) -> None:
    if not server.username:
        return
    try:
        session.login(server.username, server.password)
    except smtplib.SMTPAuthenticationError as error:
        raise _login_refused(error, server) from None  # the server's text may quote what it was given
    except UnicodeEncodeError:
        raise SendError(
            Reason.CONFIG, "username and password for SMTP must be ASCII; choose another password", permanent=True
        ) from None
    except smtplib.SMTPException as error:
        if type(error) not in (smtplib.SMTPException, smtplib.SMTPNotSupportedError):
            raise  # the conversation broke off
        offers = f"{server.where} offers no login that is known here; leave out username and password"
        raise SendError(Reason.CONFIG, offers, permanent=True) from None


def _login_refused(error: smtplib.SMTPAuthenticationError, server: Server) -> SendError:
    text = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
    reply = Reply.of(error.smtp_code, text)
    if not reply.for_good:
        return refusal(reply, "does not log us in for now")
    return SendError(Reason.AUTH, f"{server.where} refused the login of '{server.username}': {reply}", disable=True)


def _dotted(mail: bytes) -> bytes:
    """The mail as DATA wants it: lines end in CRLF, dots at their start doubled, a lone dot at the end."""
    lines = mail.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")
    return b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines) + b".\r\n"
