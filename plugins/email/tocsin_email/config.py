"""What a `type = "email"` channel can be told, and which server that means."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from tocsin_email.addresses import Mailbox, MailboxesSetting, MailboxSetting, parse_domain
from tocsin_hooks.channels import Capability, ChannelConfig
from tocsin_hooks.durations import Duration
from tocsin_hooks.secrets import Secret

if TYPE_CHECKING:
    import ssl

Security = Literal["starttls", "tls", "plain"]
_PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "plain": 25}
_MOST_RECIPIENTS = 100  # what every server must take in one go, by RFC 5321


@dataclass(frozen=True, slots=True)
class Server:
    """The SMTP server of one attempt, its secrets read."""

    host: str
    port: int
    security: Security
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def where(self) -> str:
        """Host and port, for people."""
        return f"{self.host}:{self.port}"


class EmailConfig(ChannelConfig):
    """Settings of a `type = "email"` channel."""

    model_config = ConfigDict(hide_input_in_errors=True)  # it could hold a password written in the wrong place

    host: str = ""
    """The mail server."""
    port: Annotated[int | None, Field(ge=1, le=65535)] = None
    """587 for starttls, 465 for tls, 25 for plain, unless set."""
    security: Security | None = None
    """How the connection is protected; starttls unless set."""
    username: str | Secret | None = None
    """Needs `password`."""
    password: Secret | None = None
    """Needs `username`."""
    url: Secret | None = None
    """Server, username and password in one: smtp://user:password@host:port."""
    base_url: str = ""
    """smtp://host:port to use in place of the server."""
    sender: MailboxSetting = Field(alias="from")
    """The address that mails come from."""
    to: MailboxesSetting
    """Who gets the mails."""
    cc: MailboxesSetting = ()
    """Who gets a copy."""
    bcc: MailboxesSetting | bool = ()
    """Who gets a hidden copy; true hides everybody."""
    domain: Annotated[str, AfterValidator(parse_domain)] | None = None
    """The domain of message ids; that of `from` unless set."""
    subject_prefix: str = ""
    """Put before every subject."""
    updates: Literal["thread", "new"] = "thread"
    """Whether the mails of an incident are one conversation."""
    timezone: str = "UTC"
    """The zone of times in the text."""
    ca_file: Path | None = None
    """Certificates to trust in place of the usual ones."""
    client_cert: Path | None = None
    """Our own certificate and key."""
    verify: bool = True
    """Whether the server's certificate must be valid."""
    local_hostname: str = ""
    """The name to greet the server with."""
    timeout: Duration = timedelta(seconds=30)
    """For one whole attempt."""

    @field_validator("ca_file", "client_cert")
    @classmethod
    def _existing(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is None:
            return None
        path = (info.context or {}).get("base", Path()) / path.expanduser()
        if not path.is_file():
            raise ValueError(f"there is no file '{path}'")
        return path

    @field_validator("local_hostname", "subject_prefix")
    @classmethod
    def _one_line(cls, text: str, info: ValidationInfo) -> str:
        if not text.isprintable() or (info.field_name == "local_hostname" and not (text.isascii() and " " not in text)):
            raise ValueError(f"{text!r} holds a character that cannot be sent there")
        return text.strip()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"no time zone is called '{name}'; expected, say, \"Europe/Berlin\"") from None
        return name

    @field_validator("base_url")
    @classmethod
    def _gateway(cls, url: str) -> str:
        if url:
            scheme, host, _, user, _ = split_url(url, "base_url")
            if scheme != "smtp" or not host or user:
                raise ValueError(f'{url!r} is no base_url; expected "smtp://host:port"')
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.url and (self.host or self.port or self.username or self.password):
            raise ValueError("'url' holds the whole address; leave out host, port, username and password, or url")
        if not (self.url or self.host or self.base_url):
            raise ValueError('no server; set host = "mail.example.org" or url = { env = "SMTP_URL" }')
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise ValueError(f"'username' and 'password' go together; '{missing}' is missing")
        if self.username and self.security == "plain":
            raise ValueError("a password is never sent over security = \"plain\"; use 'starttls' or 'tls'")
        if not self.recipients():
            raise ValueError("'to' is empty; name at least one address")
        if len(self.recipients()) > _MOST_RECIPIENTS:
            raise ValueError(f"{len(self.recipients())} recipients; at most {_MOST_RECIPIENTS}: use a mailing list")
        if self.ca_file or self.client_cert:
            self.tls_context()
        return self

    def capabilities(self) -> frozenset[Capability] | None:
        """Threads, unless each message is to stand by itself."""
        return None if self.updates == "thread" else frozenset()

    def recipients(self) -> tuple[str, ...]:
        """Every address of the envelope, once."""
        hidden: tuple[Mailbox, ...] = self.bcc if isinstance(self.bcc, tuple) else ()
        return tuple(dict.fromkeys(mailbox.address for mailbox in (*self.to, *self.cc, *hidden)))

    def id_domain(self) -> str:
        """The domain in which message ids are made."""
        return self.domain or self.sender.domain

    def tls_context(self) -> ssl.SSLContext:
        """How the server's certificate is checked. Raises ValueError for a file that holds none."""
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError:
            raise ValueError(f"'{self.ca_file}' holds no certificate in PEM form") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.client_cert:
            try:
                context.load_cert_chain(self.client_cert, password=lambda: "")  # an encrypted key must not prompt
            except (ssl.SSLError, ValueError):
                raise ValueError(
                    f"'{self.client_cert}' does not hold a certificate and its unencrypted key in PEM form"
                ) from None
        return context

    def server(self) -> Server:
        """The server to talk to, with the secrets as they are now.

        Raises SecretError for a secret that cannot be read, ValueError for a `url` that is none.
        """
        if self.url:
            server = _server_of(self.url.get_secret_value(), self.security, f"the url in {self.url.where}")
        else:
            security = self.security or "starttls"
            username = self.username.get_secret_value() if isinstance(self.username, Secret) else self.username or ""
            password = self.password.get_secret_value() if self.password else ""
            server = Server(self.host, self.port or _PORTS[security], security, username, password)
        if self.base_url:
            _, host, port, _, _ = split_url(self.base_url, "base_url")
            server = Server(host, port or server.port, server.security, server.username, server.password)
        return server


def split_url(url: str, name: str) -> tuple[str, str, int | None, str, str]:
    """Scheme, host, port, user and password of an address such as `smtp://user:password@host:587`.

    Raises ValueError, calling the address `name` and not quoting it.

    >>> split_url("smtps://me%40example.org:p%2Fw@mail.example.org", "url")
    ('smtps', 'mail.example.org', None, 'me@example.org', 'p/w')
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{name} is no URL; expected smtp://user:password@host:port") from None
    if parts.scheme not in ("smtp", "smtps") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{name} does not have the form smtp://user:password@host:port")
    return parts.scheme, parts.hostname or "", port, unquote(parts.username or ""), unquote(parts.password or "")


def _server_of(url: str, security: Security | None, name: str) -> Server:
    scheme, host, port, username, password = split_url(url, name)
    if not host:
        raise ValueError(f"{name} names no host")
    if scheme == "smtps" and security not in (None, "tls"):
        raise ValueError(f"{name} says smtps, but security is '{security}'")
    if password:
        Secret.literal(password).get_secret_value()  # so that redact() knows it by itself
    if bool(username) != bool(password):
        raise ValueError(f"{name} needs both user and password, or neither")
    chosen: Any = security or ("tls" if scheme == "smtps" else "starttls")
    if username and chosen == "plain":
        raise ValueError(f'{name} holds a password, which is never sent over security = "plain"')
    return Server(host, port or _PORTS[chosen], chosen, username, password)
