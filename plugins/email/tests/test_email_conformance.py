"""What every channel does, checked on mail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tocsin_email import tocsin_channel_types
from tocsin_hooks.testing import ChannelConformance, Destination


class MailAccount(Destination):
    """An account on a mail server that demands STARTTLS and a login."""

    passes_retry_after = False

    def __init__(self, server: Any, ca_file: str) -> None:
        [self.channel_type] = tocsin_channel_types()
        self.server = server
        self.secrets = ("pa55-w0rd-of-the-mail-account",)
        self.settings = {
            "base_url": server.url,
            "username": "tocsin",
            "password": {"env": "SMTP_PASSWORD"},
            "from": "tocsin <tocsin@example.org>",
            "to": ["data@example.org"],
            "ca_file": ca_file,
        }

    def accept(self) -> None:
        self.server.refusals, self.server.silent = {}, False

    def refuse_for_now(self, retry_after: float | None = None) -> None:
        self.server.refusals = {"*": "451 4.3.0 try again later"}

    def refuse_for_good(self) -> None:
        self.server.refusals = {"*": "550 5.1.1 no such user"}

    def go_silent(self) -> None:
        self.server.refusals, self.server.silent = {}, True

    def vanish(self) -> None:
        self.server.stop()

    def attempts(self) -> int:
        return int(self.server.conversations)

    def arrived(self) -> list[str]:
        return [f"{mail.parsed['Subject']}\n{mail.part('plain')}" for mail in self.server.mails]

    def marks(self) -> list[str]:
        return [str(mail.parsed["Message-ID"]) for mail in self.server.mails]

    def things(self) -> list[str]:
        return [str(mail.parsed["References"]) for mail in self.server.mails]


class TestConformance(ChannelConformance):
    @pytest.fixture
    def destination(self, mail_server: Callable[..., Any], authority: Any) -> MailAccount:
        return MailAccount(mail_server(), str(authority.ca_file))
