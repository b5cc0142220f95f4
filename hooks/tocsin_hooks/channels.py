"""What a channel is, and how a plugin describes one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from tocsin_hooks.messages import Message, Receipt


class Capability(StrEnum):
    """What a channel can do beyond sending one message after another."""

    EDIT = "edit"
    """Change the message it sent before."""
    THREAD = "thread"
    """Put a message below the first of its incident."""
    RESOLVE = "resolve"
    """Close at the service what it opened there."""
    ACK = "ack"
    """Show at the service that somebody has taken an incident on."""
    ATTACH = "attach"
    """Carry files."""


class ChannelConfig(BaseModel):
    """Base of a channel type's settings: the keys of a `[channels.NAME]` table that are the channel's own.

    Unknown keys are refused. Use `Secret` for what must not be written into the file, `MaybeSecret` for addresses.
    A validator that raises ValueError makes `tocsin check` refuse the channel with that text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)

    def capabilities(self) -> frozenset[Capability] | None:
        """What a channel with these settings can do, where that is less than its type can; None: all of it."""
        return None


@runtime_checkable
class Channel(Protocol):
    """A configured destination. One object serves many threads, one message at a time per incident."""

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        """Make one attempt to deliver `message`, within the channel's own time limit.

        `previous` is the last receipt of the same incident on this channel: edit, thread or resolve by it.
        Raises SendError when the service did not accept. Never retries, never sleeps, never logs a secret.
        """


class ChannelFactory(Protocol):
    """Makes a channel of its settings: usually the channel class itself."""

    def __call__(self, config: Any, /) -> Channel:
        """The channel; opens no connection yet."""


@dataclass(frozen=True, slots=True)
class ChannelType:
    """A sort of channel that a plugin provides: what `type = "NAME"` in the config stands for.

    `summary` is one line for `tocsin plugins`; `sample` a minimal `[channels.NAME]` body in TOML, shown by
    `tocsin plugins show`. `capabilities` is what the type can do at most.
    """

    name: str
    config: type[ChannelConfig]
    channel: ChannelFactory
    capabilities: frozenset[Capability] = frozenset()
    summary: str = ""
    sample: str = ""
    isolate: bool = False
    """Whether channels of the type are sent to from a process of their own, which is killed past its deadline."""
