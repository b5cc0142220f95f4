"""How things stand in the outbox and beside it, and which of it needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from tocsin.delivery.presence import SeenHub, hubs
from tocsin.hub import operations
from tocsin.hub.outbox import Outbox
from tocsin.hub.spill import Spilled
from tocsin.routing.silences import Silence
from tocsin.settings.settings import Config, StoreSettings
from tocsin.store.checkup import damaged_beside
from tocsin.store.summary import ChannelSummary, StoreSummary
from tocsin_hooks.messages import Reason

STUCK = timedelta(minutes=15)
"""How long something may wait before somebody has to look."""
_LASTING = (Reason.CONFIG, Reason.AUTH)
"""Why tries fail until somebody mends the channel."""


@dataclass(frozen=True, slots=True)
class Condition:
    """How things stand at a moment."""

    summary: StoreSummary
    spilled: Spilled
    hubs: tuple[SeenHub, ...] = ()
    silences: tuple[Silence, ...] = ()
    """Those in force."""
    set_aside: tuple[Path, ...] = ()
    """Damaged stores, with what waited in them."""
    owed_at: datetime | None = None
    """When there is next a message to tell that was held back."""

    @property
    def at(self) -> datetime:
        """The moment."""
        return self.summary.at

    @property
    def attended(self) -> bool:
        """Whether a hub is there."""
        return any(hub.there for hub in self.hubs)


def condition_of(outbox: Outbox, config: Config, now: datetime) -> Condition:
    """How things stand now, in the store of `config`. Raises StoreError and SpillError."""
    store, channels = outbox.store, config.channels
    return Condition(
        summary=store.summary(now=now, channels=channels),
        spilled=outbox.spill.waiting(),
        hubs=tuple(hubs(store, now)),
        silences=tuple(each for each in operations.silences(outbox) if each.in_force(now)),
        set_aside=stores_set_aside(config.store),
        owed_at=store.transact(outbox.engine.owed_at, keep=False),
    )


def untouched(spilled: Spilled, config: Config, now: datetime) -> Condition:
    """How things stand where there is no store yet."""
    channels = tuple(ChannelSummary(name) for name in sorted(config.channels))
    return Condition(StoreSummary(now, channels), spilled, set_aside=stores_set_aside(config.store))


def stores_set_aside(settings: StoreSettings) -> tuple[Path, ...]:
    """The damaged files beside the store that nobody has moved away yet."""
    return () if settings.url is not None else tuple(damaged_beside(settings.path))


# ---------------------------------------------------------------- what needs a person


def troubles(condition: Condition) -> list[str]:
    """What somebody has to look after, the worst first; empty when all is well.

    >>> from datetime import UTC
    >>> from pathlib import Path
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> ops = ChannelSummary("ops", pending=2, due=2, oldest=noon - timedelta(hours=1))
    >>> troubles(Condition(StoreSummary(noon, (ops,)), Spilled(Path("a.jsonl"))))
    ["2 deliveries wait for 'ops', the oldest since 2026-01-02 11:00:00 UTC, and nobody delivers: run 'tocsin hub'"]
    """
    return [*_lost(condition), *_damaged(condition), *_spilled(condition), *_channels(condition), *_untold(condition)]


def _lost(condition: Condition) -> Iterator[str]:
    for hub in condition.hubs:
        if hub.there and hub.lost:
            yield (
                f"the hub on '{hub.host}' has lost {_count(hub.lost, 'event')}, which neither the store nor the spill"
                f" file took; its log names {'it' if hub.lost == 1 else 'them'}"
            )


def _damaged(condition: Condition) -> Iterator[str]:
    for path in condition.set_aside:
        what = f"a damaged store was set aside as '{path}', with what waited in it"
        yield f"{what}; save what is needed, then move it away"


def _spilled(condition: Condition) -> Iterator[str]:
    if condition.spilled.size:
        events = condition.spilled.events
        yield (
            f"{_count(events, 'event')} {'waits' if events == 1 else 'wait'} in the spill file"
            f" '{condition.spilled.path}', since the store refused; the next run, 'tocsin hub' or 'tocsin tick' stores"
            f" {'it' if events == 1 else 'them'}"
        )


def _channels(condition: Condition) -> Iterator[str]:
    for channel in condition.summary.channels:
        name = channel.name
        if channel.off:
            yield (
                f"channel '{name}' is switched off, since it refused for good; mend it, then change the config or run"
                f" 'tocsin deliveries retry --all-dead --channel {name}'"
            )
        if channel.dead:
            why = ", ".join(f"{reason or 'unknown'}: {count}" for reason, count in channel.dead_reasons.items())
            yield (
                f"{_deliveries(channel.dead)} to '{name}' {'is' if channel.dead == 1 else 'are'} dead ({why});"
                f" 'tocsin deliveries --status dead --channel {name}' shows {'it' if channel.dead == 1 else 'them'}"
            )
        if is_stuck(channel, condition.at):
            yield _stuck(channel, attended=condition.attended)
        elif is_set_up_wrong(channel):
            what = _waits(channel)
            yield f"{what}, and the last try failed ({channel.last_reason}): 'tocsin test {name}' says what is wrong"


def is_stuck(channel: ChannelSummary, now: datetime) -> bool:
    """Whether something has waited too long for a channel where nothing arrived meanwhile; one that moves is not stuck.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> waits = ChannelSummary("ops", pending=1, oldest=noon)
    >>> [is_stuck(waits, noon + timedelta(minutes=minutes)) for minutes in (15, 16)]
    [False, True]
    """
    since = now - STUCK
    if channel.oldest is None or channel.oldest >= since:
        return False
    return channel.last_success is None or channel.last_success < since


def is_set_up_wrong(channel: ChannelSummary) -> bool:
    """Whether something waits for a channel that lacked a secret, or was refused with it, since: no wait mends that.

    >>> from dataclasses import replace
    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> waits = ChannelSummary("ops", pending=1, oldest=noon, last_failure=noon)
    >>> [is_set_up_wrong(replace(waits, last_reason=reason)) for reason in ("config", "auth", "network")]
    [True, True, False]
    """
    if channel.oldest is None or channel.last_failure is None or channel.last_failure < channel.oldest:
        return False  # what was sent again waits since then
    return channel.last_reason in _LASTING and (channel.last_success or channel.oldest) <= channel.last_failure


def is_neglected(channel: ChannelSummary, now: datetime) -> bool:
    """Whether something has been due too long on a channel where nobody has tried anything meanwhile.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    >>> tried = ChannelSummary("ops", pending=1, due_since=noon, last_failure=noon + timedelta(minutes=9))
    >>> [is_neglected(tried, noon + timedelta(minutes=minutes)) for minutes in (20, 25)]
    [False, True]
    """
    since = now - STUCK
    if channel.due_since is None or channel.due_since >= since:
        return False
    return channel.last_try is None or channel.last_try < since


def _stuck(channel: ChannelSummary, *, attended: bool) -> str:
    waits = _waits(channel)
    if channel.failing_since is not None:
        why = f" ({channel.last_reason})" if channel.last_reason else ""
        return f"{waits}, and every try since {_utc(channel.failing_since)} failed{why}"
    return f"{waits}, and nobody delivers: " + ("look at the hub's log" if attended else "run 'tocsin hub'")


def _waits(channel: ChannelSummary) -> str:
    oldest = "" if channel.oldest is None else f", the oldest since {_utc(channel.oldest)}"
    return f"{_deliveries(channel.waiting)} {'waits' if channel.waiting == 1 else 'wait'} for '{channel.name}'{oldest}"


def _untold(condition: Condition) -> Iterator[str]:
    owed = condition.owed_at
    if owed is not None and owed < condition.at - STUCK and not condition.attended:
        yield f"messages were to be told at {_utc(owed)}, and nobody keeps time: run 'tocsin hub', or 'tocsin tick'"


def _deliveries(number: int) -> str:
    return "1 delivery" if number == 1 else f"{number} deliveries"


def _count(number: int, noun: str) -> str:
    return f"1 {noun}" if number == 1 else f"{number} {noun}s"


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
