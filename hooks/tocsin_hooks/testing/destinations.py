"""What a channel's own test tells the conformance suite about the service it sends to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from tocsin_hooks.channels import ChannelType
from tocsin_hooks.testing.http import Received, Receiver


class Destination(ABC):
    """A stand-in for the service behind a channel, really listening on loopback.

    `settings` is the `[channels.NAME]` table as TOML would give it, without `type`: secrets are references such as
    `{"env": "OPS_TOKEN"}`, set by the fixture. It accepts until told otherwise.
    """

    channel_type: ChannelType
    settings: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    """Values that must never show: the secrets themselves and what they would be recognised by."""
    short_timeout: ClassVar[Mapping[str, Any]] = {"timeout": "300ms"}
    """Settings that make the channel give up soon on a service that is silent."""

    @abstractmethod
    def accept(self) -> None:
        """Accept messages from now on."""

    @abstractmethod
    def refuse_for_now(self, retry_after: float | None = None) -> None:
        """Refuse messages as a service does that is busy, asking for `retry_after` seconds of peace."""

    @abstractmethod
    def refuse_for_good(self) -> None:
        """Refuse messages in a way that no later attempt could mend."""

    @abstractmethod
    def go_silent(self) -> None:
        """Take connections and messages, and never answer."""

    @abstractmethod
    def vanish(self) -> None:
        """Stop listening: connections are refused."""

    @abstractmethod
    def attempts(self) -> int:
        """How many requests came in, accepted or not."""

    @abstractmethod
    def arrived(self) -> list[str]:
        """The text of each message accepted, decoded as the service would: title and text somewhere in it."""

    def marks(self) -> list[str] | None:
        """What the service would know a repetition of each arrived message by, in order; None where it cannot."""
        return None

    def things(self) -> list[str] | None:
        """What each accepted message opened or changed at the service, in order: an alert, a thread, a post.

        The same text stands for the same thing. None where each message is a thing of its own.
        """
        return None

    passes_retry_after: ClassVar[bool] = True
    """Whether the service can ask for a wait."""


class HttpDestination(Destination):
    """A service that takes a message per request, and answers as `Receiver` is told.

    A subclass gives `channel_type`, `settings`, `text_of`, and its own answers where these would not do.
    """

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._accepting: list[tuple[int, int | None]] = []
        self.accept()

    @abstractmethod
    def text_of(self, request: Received) -> str:
        """All text of the message that `request` carries."""

    def accept(self) -> None:  # noqa: D102
        self._from_now_on(accepting=True)
        self.answer_accepted()

    def answer_accepted(self) -> None:
        """Let the server give the service's answer to what it accepts."""
        self.receiver.answer(200)

    def refuse_for_now(self, retry_after: float | None = None) -> None:  # noqa: D102
        self._from_now_on(accepting=False)
        if retry_after is None:
            self.receiver.answer(503)
        else:
            self.receiver.answer(429, headers={"Retry-After": f"{retry_after:g}"})

    def refuse_for_good(self) -> None:  # noqa: D102
        self._from_now_on(accepting=False)
        self.receiver.answer(400)

    def go_silent(self) -> None:  # noqa: D102
        self._from_now_on(accepting=False)
        self.receiver.hang()

    def vanish(self) -> None:  # noqa: D102
        self.receiver.close()

    def attempts(self) -> int:  # noqa: D102
        return len(self.receiver.requests)

    def arrived(self) -> list[str]:  # noqa: D102
        return [self.text_of(request) for request in self.accepted()]

    def accepted(self) -> list[Received]:
        """The requests that came in while the service accepted."""
        requests = self.receiver.requests
        return [request for start, end in self._accepting for request in requests[start:end]]

    def _from_now_on(self, *, accepting: bool) -> None:
        now = len(self.receiver.requests)
        if self._accepting and self._accepting[-1][1] is None:
            self._accepting[-1] = (self._accepting[-1][0], now)
        if accepting:
            self._accepting.append((now, None))
