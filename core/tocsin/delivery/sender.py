"""One attempt to deliver: compose the message, ask the channel, say how it ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from tocsin.clock import Clock
from tocsin.crashpoints import Point, reached
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.envelopes import envelope_of
from tocsin.delivery.isolation import START_WITHIN, CutOffError, IsolatedChannel
from tocsin.delivery.leaps import Leaps
from tocsin.delivery.sound import plain_receipt, sound
from tocsin.delivery.undelivered import retitled
from tocsin.masked import logger
from tocsin.plugins.calls import Hooks
from tocsin.routing.compose import Template, compose
from tocsin.settings.rate import Rate
from tocsin.store.records import Leased, Outcome
from tocsin.store.unreadable import REASON as UNREADABLE, fault_of
from tocsin_hooks.channels import Channel
from tocsin_hooks.durations import format_duration
from tocsin_hooks.messages import Action, Message, Reason, Receipt, SendError
from tocsin_hooks.secrets import redact

_log = logger("tocsin.delivery")

_DETAIL_CAP = 2000
_FOR_A_PROCESS = START_WITHIN + timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Destination:
    """A channel of the config: how to make it, how often to try it, and what else it is promised."""

    make: Callable[[], Channel]
    backoff: Backoff = field(default_factory=Backoff)
    rate: Rate | None = None
    deadline: timedelta = timedelta(seconds=60)
    """How long one send may take in all."""
    fallback: str = ""
    """The channel where it is announced that a message did not arrive here."""
    isolated: bool = False
    """Whether it runs in a process of its own, which sends one message at a time."""

    @property
    def thread_deadline(self) -> timedelta:
        """How long a thread waits for a send: a process of its own takes time to start, and is killed in time."""
        return self.deadline + (_FOR_A_PROCESS if self.isolated else timedelta(0))


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one attempt: what to record, and what to tell observers, if there are any, after it was recorded."""

    outcome: Outcome
    tell: Callable[[], None] | None = None
    title: str = ""
    error: SendError | None = None
    cut_off: bool = False
    """Whether this process has ended it, so that it says nothing of the channel."""


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
        self._making: dict[str, threading.Lock] = {}
        self._building = threading.Lock()
        self.leaps = Leaps()
        """How the clock was set while this process sends."""

    def adopt(self, destinations: Mapping[str, Destination], templates: Mapping[str, Template], timezone: str) -> None:
        """Go on with another config; channels are made anew when they are next needed."""
        with self._building:
            self._destinations, self._templates, self._timezone = destinations, templates, timezone
            before, self._channels, self._making = self._channels, {}, {}
        _end_processes(before)

    def close(self) -> bool:
        """End the processes of isolated channels; the next attempt starts them anew. Whether any was at work."""
        with self._building:
            before, self._channels, self._making = self._channels, {}, {}
        return _end_processes(before)

    def destination(self, channel: str) -> Destination | None:
        """What the config says of a channel; None when it says nothing."""
        return self._destinations.get(channel)

    @property
    def destinations(self) -> Mapping[str, Destination]:
        """All channels of the config: another mapping once another config was adopted."""
        return self._destinations

    def attempt(self, delivery: Leased) -> Attempt:
        """Try once, whatever happens on the way."""
        if fault := fault_of(delivery):
            return self._unreadable(delivery, fault)
        started = self._clock.monotonic()
        message = self._message_or_plain(delivery)
        receipt, error = None, None
        try:
            receipt = self._send(delivery, message)
        except CutOffError as raised:
            return self._cut_off(delivery, message, raised, timedelta(seconds=self._clock.monotonic() - started))
        except SendError as raised:
            error = sound(raised)
        except BaseException as raised:  # a channel can raise anything, on a thread where no user interrupts
            error = SendError(Reason.PLUGIN, f"{type(raised).__name__}: {raised}")
        took = timedelta(seconds=self._clock.monotonic() - started)
        if receipt is not None:
            return self._delivered(delivery, message, receipt, took)
        assert error is not None
        return self._failed(delivery, message, error, took)

    def overdue(self, delivery: Leased, took: timedelta) -> Attempt:
        """What to record of an attempt that has not come back within its deadline: it may arrive yet."""
        text = f"no answer within {format_duration(took.total_seconds())}"
        error = SendError(Reason.TIMEOUT, text, unknown=True)
        return self._failed(delivery, self._message_or_plain(delivery), error, took)

    def refused(self, delivery: Leased, error: SendError) -> Attempt:
        """What to record of a delivery that is not tried, since its channel takes nothing more."""
        if fault := fault_of(delivery):
            return self._unreadable(delivery, fault)
        return self._failed(delivery, self._message_or_plain(delivery), error, timedelta(0))

    def _unreadable(self, delivery: Leased, fault: str) -> Attempt:
        """What to record of a delivery whose row cannot be read: nobody can be told what it was about."""
        _log.error("delivery '%s' is dead: %s", delivery.id[:8], fault)
        outcome = Outcome(delivery, self._clock.now(), timedelta(0), reason=UNREADABLE, detail=fault)
        return Attempt(outcome)

    def _message_or_plain(self, delivery: Leased) -> Message:
        try:
            return self.message(delivery)
        except Exception:  # a message in few words is better than a delivery that never ends
            _log.exception("the message of delivery '%s' could not be composed", delivery.id[:8])
            event = delivery.event
            title, action = f"{event.state}: {event.subject}", delivery.action
            return Message(delivery.id, action, title, event.message, event, delivery.channel, delivery.route)

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
        message = compose(delivery.event, envelope, self._templates.get(delivery.template))
        return retitled(message, delivery.planned)

    def _send(self, delivery: Leased, message: Message) -> Receipt:
        if delivery.action is Action.RECOVER and delivery.previous is None and delivery.planned.thread:
            return Receipt("nothing to recover: this channel never accepted a message of the incident", sent=False)
        channel = self.channel(delivery.channel)
        reached(Point.SEND_BEGUN)
        receipt = self._hooks.send(channel, message, delivery.previous)
        reached(Point.SEND_DONE)
        return receipt

    def channel(self, name: str) -> Channel:
        """The channel of that name. Raises SendError where it cannot be had: not at all, or not in time."""
        with self._building:
            if (channel := self._channels.get(name)) is not None:
                return channel
            destination = self._destinations.get(name)
            if destination is None:
                known = ", ".join(sorted(self._destinations)) or "none"
                raise SendError(
                    Reason.CONFIG, f"channel '{name}' is not in the config; there are: {known}", permanent=True
                )
            making = self._making.setdefault(name, threading.Lock())
        # One that hangs as it is made holds up itself alone, and one thread.
        if not making.acquire(timeout=destination.deadline.total_seconds()):
            raise SendError(Reason.TIMEOUT, f"channel '{name}' is still being made")
        try:
            return self._made(name, destination)
        finally:
            making.release()

    def _made(self, name: str, destination: Destination) -> Channel:
        with self._building:
            if (channel := self._channels.get(name)) is not None:
                return channel
        try:
            made = destination.make()
        except Exception as error:
            raise SendError(Reason.CONFIG, f"channel '{name}' cannot be made: {error}") from error
        with self._building:
            if self._destinations.get(name) is destination:  # else another config was adopted meanwhile
                self._channels[name] = made
        return made

    def _delivered(self, delivery: Leased, message: Message, receipt: Receipt, took: timedelta) -> Attempt:
        kept = plain_receipt(receipt)
        outcome = Outcome(delivery, self._clock.now(), took, receipt=kept)
        delivered = partial(self._hooks.delivered, message, kept)
        return Attempt(outcome, self._if_heard("tocsin_delivered", delivered), message.title)

    def _failed(self, delivery: Leased, message: Message, error: SendError, took: timedelta) -> Attempt:
        now = self._clock.now()
        self.leaps.look_at(self._clock)
        destination = self._destinations.get(delivery.channel)
        backoff = Backoff() if destination is None else destination.backoff
        age = self.leaps.age(delivery.created_at, now)
        wait = backoff.after(error, delivery.attempt, age, jitter=self._clock.random())
        outcome = _outcome(delivery, error, now, took, wait)
        what, detail = f"{message.event.subject} {message.event.state}", outcome.detail
        if wait is None:
            _log.error(
                "'%s' did not reach channel '%s' and is dead after %d attempt(s): %s: %s; "
                "'tocsin deliveries retry %s' tries again",
                what, delivery.channel, delivery.attempt, error.reason, detail, delivery.id[:8],
            )  # fmt: skip
            dead = partial(self._hooks.delivery_dead, message, error)
            return Attempt(outcome, self._if_heard("tocsin_delivery_dead", dead), message.title, error)
        seconds = wait.total_seconds()
        _log.warning(
            "'%s' did not reach channel '%s' (attempt %d): %s: %s; next try in %.0f s",
            what, delivery.channel, delivery.attempt, error.reason, detail, seconds,
        )  # fmt: skip
        failed = partial(self._hooks.delivery_failed, message, error, seconds)
        return Attempt(outcome, self._if_heard("tocsin_delivery_failed", failed), message.title, error)

    def _cut_off(self, delivery: Leased, message: Message, error: CutOffError, took: timedelta) -> Attempt:
        """What to record of an attempt that this process has ended: whatever it was the last of, it is made again."""
        outcome = _outcome(delivery, error, self._clock.now(), took, timedelta(0))
        _log.warning(
            "'%s %s' may not have reached channel '%s': %s; it is tried again",
            message.event.subject, message.event.state, delivery.channel, error.detail,
        )  # fmt: skip
        failed = partial(self._hooks.delivery_failed, message, error, 0.0)
        return Attempt(outcome, self._if_heard("tocsin_delivery_failed", failed), message.title, error, cut_off=True)

    def _if_heard(self, hook: str, tell: Callable[[], None]) -> Callable[[], None] | None:
        return tell if self._hooks.hears(hook) else None


def _outcome(delivery: Leased, error: SendError, at: datetime, took: timedelta, wait: timedelta | None) -> Outcome:
    """What to record of an attempt that failed, and is made again after a wait, or not."""
    again, detail = None if wait is None else at + wait, redact(error.detail)[:_DETAIL_CAP]
    return Outcome(delivery, at, took, reason=error.reason, detail=detail, retry_at=again, unknown=error.unknown)


def _end_processes(channels: Mapping[str, Channel]) -> bool:
    at_work = [channel.close() for channel in channels.values() if isinstance(channel, IsolatedChannel)]
    return any(at_work)
