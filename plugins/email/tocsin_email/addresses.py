"""Which texts are mail addresses, and in what form they go into headers and envelopes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"{_ATOM}(\.{_ATOM})*")
_DOMAIN = re.compile(r"(?!.*--\.)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_WITH_NAME = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name, perhaps empty, and an address of ASCII characters only."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        """What follows the at sign."""
        return self.address.rpartition("@")[2]

    def __str__(self) -> str:
        return f"{self.name} <{self.address}>" if self.name else self.address


def parse_mailbox(text: str) -> Mailbox:
    """The mailbox that `text` names: `ops@example.org` or `Ops <ops@example.org>`.

    Raises ValueError for anything else, also for several addresses at once. Stricter than RFC 5322 on purpose:
    comments, quoted local parts and address literals are where parsers disagree.

    >>> parse_mailbox('"Müller, Ops" <ops@bücher.example>')
    Mailbox(name='Müller, Ops', address='ops@xn--bcher-kva.example')
    """
    if not text.isprintable():
        raise ValueError(f"mail address {text!r} holds a control character")
    match = _WITH_NAME.fullmatch(text.strip())
    name, address = (match["name"].strip(), match["address"].strip()) if match else ("", text.strip())
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    local, at, domain = address.rpartition("@")
    if at and not local.isascii():
        raise ValueError(f"mail address {address!r} needs SMTPUTF8, which few servers take; use an ASCII address")
    domain = _ascii_domain(domain)
    if not at or not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain) or len(address) > 254:
        raise ValueError(f'{text!r} is no mail address; expected "ops@example.org" or "Ops <ops@example.org>"')
    return Mailbox(name, f"{local}@{domain}")


def _ascii_domain(domain: str) -> str:
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return ""  # and so refused with the rest


def parse_domain(text: str) -> str:
    """The domain that `text` names, in ASCII.

    >>> parse_domain("alerts.example.org")
    'alerts.example.org'
    """
    domain = _ascii_domain(text.strip())
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f'{text!r} is no domain; expected, say, "example.org"')
    return domain


def _mailbox(value: Any) -> Mailbox:
    if isinstance(value, Mailbox):
        return value
    if isinstance(value, str):
        return parse_mailbox(value)
    raise ValueError('expected a mail address such as "Ops <ops@example.org>"')


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str | Mailbox) else value


MailboxSetting = Annotated[Mailbox, PlainValidator(_mailbox), PlainSerializer(str, return_type=str)]
"""A setting that is one mailbox."""
MailboxesSetting = Annotated[tuple[MailboxSetting, ...], BeforeValidator(_several)]
"""A setting that is a mailbox or a list of them."""
