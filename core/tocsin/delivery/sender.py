"""One attempt to deliver: compose the message, ask the channel, say how it ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tocsin.clock import Clock
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.envelopes import envelope_of
from tocsin.plugins.calls import Hooks
from tocsin.routing.compose import Template, compose
from tocsin.store.records import Leased, Outcome
from tocsin_hooks.channels import Channel
from tocsin_hooks.messages import Action, Message, Reason, Receipt, SendError
from tocsin_hooks.secrets import redact

_log = logging.getLogger("tocsin.delivery")

_DETAIL_CAP = 2000


@dataclass(frozen=True, slots=True)
class Destination:
    """A channel of the config: how to make it, and how often to try it."""

    make: Callable[[], Channel]
    backoff: Backoff = field(default_factory=Backoff)


class Sender:
    """Makes attempts, from any thread; builds each channel once, when it is first needed."""

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        hooks: Hooks,
        clock: Clock,
        templates: Mapping[str, Template] | None = None,
        timezone: str = "UTC",
    ) -> None:
        self._destinations = destinations
        self._templates = templates or {}
        self._hooks = hooks
        self._clock = clock
        self._timezone = timezone
        self._channels: dict[str, Channel] = {}
        self._building = threading.Lock()

    def adopt(self, destinations: Mapping[str, Destination], templates: Mapping[str, Template], timezone: str) -> None:
        """Go on with another config; channels are made anew when they are next needed."""
        with self._building:
            self._destinations, self._templates, self._timezone = destinations, templates, timezone
            self._channels = {}

    def attempt(self, delivery: Leased) -> tuple[Outcome, Callable[[], None]]:
        """Try once. Returns the outcome to record, and what to tell observers after it was recorded."""
        message = self.message(delivery)
        started = self._clock.monotonic()
        receipt, error = None, None
        try:
            receipt = self._send(delivery, message)
        except SendError as raised:
            error = raised
        took = timedelta(seconds=self._clock.monotonic() - started)
        if receipt is not None:
            return self._delivered(delivery, message, receipt, took)
        assert error is not None
        return self._failed(delivery, message, error, took)

    def message(self, delivery: Leased) -> Message:
        """The message of a delivery."""
        envelope = envelope_of(
            delivery.planned,
            delivery.id,
            at=delivery.created_at,
            timezone=self._timezone,
            attempt=delivery.attempt,
            may_repeat=delivery.may_repeat,
        )
        return compose(delivery.event, envelope, self._templates.get(delivery.template))

    def _send(self, delivery: Leased, message: Message) -> Receipt:
        if delivery.action is Action.RECOVER and delivery.previous is None and delivery.planned.thread:
            return Receipt("nothing to recover: this channel never accepted a message of the incident", sent=False)
        return self._hooks.send(self.channel(delivery.channel), message, delivery.previous)

    def channel(self, name: str) -> Channel:
        """The channel of that name. Raises SendError with `Reason.CONFIG` when it cannot be had."""
        with self._building:
            if (channel := self._channels.get(name)) is None:
                destination = self._destinations.get(name)
                if destination is None:
                    known = ", ".join(sorted(self._destinations)) or "none"
                    raise SendError(
                        Reason.CONFIG, f"channel '{name}' is not in the config; there are: {known}", permanent=True
                    )
                try:
                    channel = self._channels[name] = destination.make()
                except Exception as error:
                    raise SendError(Reason.CONFIG, f"channel '{name}' cannot be made: {error}") from error
            return channel

    def _delivered(
        self, delivery: Leased, message: Message, receipt: Receipt, took: timedelta
    ) -> tuple[Outcome, Callable[[], None]]:
        kept = Receipt(redact(receipt.detail)[:_DETAIL_CAP], receipt.reference, receipt.sent)
        outcome = Outcome(delivery, self._clock.now(), took, receipt=kept)
        return outcome, lambda: self._hooks.delivered(message, kept)

    def _failed(
        self, delivery: Leased, message: Message, error: SendError, took: timedelta
    ) -> tuple[Outcome, Callable[[], None]]:
        now = self._clock.now()
        backoff = self._destinations[delivery.channel].backoff if delivery.channel in self._destinations else Backoff()
        age = timedelta(seconds=now.timestamp() - delivery.created_at.timestamp())
        wait = backoff.after(error, delivery.attempt, age, jitter=self._clock.random())
        detail = redact(error.detail)[:_DETAIL_CAP]
        outcome = Outcome(
            delivery,
            now,
            took,
            reason=error.reason,
            detail=detail,
            retry_at=None if wait is None else now + wait,
            unknown=error.unknown,
        )
        what = f"{message.event.subject} {message.event.state}"
        if wait is None:
            _log.error(
                "'%s' did not reach channel '%s' and is dead after %d attempt(s): %s: %s; "
                "'tocsin deliveries retry %s' tries again",
                what, delivery.channel, delivery.attempt, error.reason, detail, delivery.id[:8],
            )  # fmt: skip
            return outcome, lambda: self._hooks.delivery_dead(message, error)
        seconds = wait.total_seconds()
        _log.warning(
            "'%s' did not reach channel '%s' (attempt %d): %s: %s; next try in %.0f s",
            what, delivery.channel, delivery.attempt, error.reason, detail, seconds,
        )  # fmt: skip
        return outcome, lambda: self._hooks.delivery_failed(message, error, seconds)
