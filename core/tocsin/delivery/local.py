"""The channels that need no account: `inbox`, kept in the local database, and `console`, printed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Literal, TextIO

from tocsin.clock import Clock
from tocsin.store.protocol import Store
from tocsin.store.records import StoreError
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.specs import hookimpl


class InboxConfig(ChannelConfig):
    """Settings of a `type = "inbox"` channel: none."""


class InboxChannel:
    """Keeps each message in the local database, where `tocsin inbox` reads it."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:  # noqa: ARG002
        """Keep `message`, once."""
        try:
            self._store.add_to_inbox(message, now=self._clock.now())
        except StoreError as error:
            raise SendError(Reason.SERVER, str(error)) from error
        return Receipt("in the inbox; read it with 'tocsin inbox'")


class ConsoleConfig(ChannelConfig):
    """Settings of a `type = "console"` channel."""

    stream: Literal["stdout", "stderr"] = "stderr"


class ConsoleChannel:
    """Prints each message."""

    def __init__(self, config: ConsoleConfig, out: TextIO | None = None) -> None:
        self._config = config
        self._out = out

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:  # noqa: ARG002
        """Print `message`."""
        out = self._out or (sys.stdout if self._config.stream == "stdout" else sys.stderr)
        try:
            out.write(f"{plain(message)}\n")
            out.flush()
        except (OSError, ValueError) as error:  # a closed stream, or one that cannot write this text
            text = f"{self._config.stream} cannot be written: {error}"
            raise SendError(Reason.PAYLOAD, text, permanent=True) from error
        return Receipt(f"printed to {self._config.stream}")


def plain(message: Message) -> str:
    """A message as a few lines of text, harmless to a terminal: what controls one is shown, not obeyed."""
    lines = [f"[{message.severity}] {message.title}", *(f"  {line}" for line in message.text.splitlines())]
    lines += [f"  {link.text}: {link.url}" for link in message.links]
    return "\n".join("".join(c if c.isprintable() or c == " " else f"\\x{ord(c):02x}" for c in line) for line in lines)


class LocalChannels:
    """The plugin that core itself registers: `inbox` and `console`.

    The store is asked for when an inbox is made, since which it is stands in the config that names the channel.
    """

    def __init__(self, store: Callable[[], Store], clock: Clock) -> None:
        self._store = store
        self._clock = clock

    @hookimpl
    def tocsin_channel_types(self) -> list[ChannelType]:
        """Provide `type = "inbox"` and `type = "console"`."""
        return [
            ChannelType(
                "inbox",
                InboxConfig,
                lambda _: InboxChannel(self._store(), self._clock),
                summary="Keeps messages in the local database; read them with 'tocsin inbox'",
                sample='type = "inbox"\n',
            ),
            ChannelType(
                "console",
                ConsoleConfig,
                ConsoleChannel,
                summary="Prints messages to the terminal",
                sample='type = "console"\nstream = "stderr"\n',
            ),
        ]
