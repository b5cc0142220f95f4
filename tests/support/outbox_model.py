"""What an outbox has to do, in the plainest words: a model beside which a real one is run.

It says of each delivery where it stands, who holds it, and whether the service may have it already. Which of several
deliveries a claim takes is the outbox's own choice; what it may take, and what it must, is said here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tocsin.store.coalescing import COALESCED, NEWER, OVER
from tocsin.store.protocol import Store
from tocsin.store.records import DeliveryRecord, Leased, Outcome, Sent, Status
from tocsin.store.sqlite import LANE_PATIENCE
from tocsin_hooks.messages import Action

NOTHING = timedelta(0)
WAITING = (Status.PENDING, Status.LEASED)


@dataclass(repr=False)
class Row:
    """One delivery, as the model has it."""

    number: int
    id: str
    event: str
    thread: str
    channel: str
    action: Action
    created: datetime
    due: datetime
    since: datetime
    """Since when those behind it in its lane wait for it."""
    wait: timedelta = NOTHING
    """How long it was to wait when `due` was last set: a longer way to go shows that the clock was set back."""
    anew: bool = False
    """Whether a clock that was set back has let its wait, or that for it, begin anew."""
    status: Status = Status.PENDING
    token: int = 0
    attempts: int = 0
    owner: str = ""
    finished: datetime | None = None
    coalesced: bool = False
    may_repeat: bool = False
    arrived: int = 0
    """How often the service got it."""
    excuses: int = 0
    """How often a claim was lost, or its end unknown: each explains one more arrival."""

    def __repr__(self) -> str:
        where = f"{self.thread or 'alone'}/{self.channel} {self.action} {self.status}"
        when = f"created {self.created:%d %H:%M:%S} since {self.since:%d %H:%M:%S} due {self.due:%d %H:%M:%S}"
        return f"<{self.number} {where} {when} wait {self.wait.total_seconds():g} token {self.token} of '{self.owner}'>"

    @property
    def waits(self) -> bool:
        return self.status in WAITING

    @property
    def lane(self) -> tuple[str, str]:
        return self.thread, self.channel


@dataclass
class Claim:
    """What a worker holds, or believes to hold."""

    leased: Leased
    begun: bool = False
    arrived: bool = False


@dataclass
class Model:
    """All deliveries, and what every channel was told."""

    rows: dict[int, Row] = field(default_factory=dict)
    told: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """When a thread and channel last got a receipt."""
    longest: timedelta = NOTHING
    """The longest wait that anybody planned."""

    # ------------------------------------------------------------ what may be claimed, and what must

    def waiting(self) -> list[Row]:
        return [row for row in self.rows.values() if row.waits]

    def before(self, row: Row) -> list[Row]:
        """The older ones of its lane that wait."""
        lane = (each for each in self.waiting() if row.thread and each.lane == row.lane)
        return [each for each in lane if each.number < row.number]

    def is_held_up(self, row: Row, now: datetime) -> bool:
        """Whether an older one holds a delivery up for certain: it is not too old, and no clock was set back."""
        return any(now - LANE_PATIENCE < each.since <= now and not each.anew for each in self.before(row))

    def held_up_until(self, row: Row) -> datetime:
        """How long older ones can hold a delivery up, as long as one of them waits."""
        before = self.before(row)
        return max(row.since, *(each.since for each in before)) + LANE_PATIENCE if before else row.since

    def must_go(self, row: Row, now: datetime) -> bool:
        return self.held_up_until(row) <= now

    def set_back(self, row: Row, now: datetime) -> bool:
        """Whether the clock was set back since the delivery got its time."""
        return row.due - row.wait > now or row.since > now

    def notice(self, now: datetime) -> None:
        """Let every wait begin now that began at a time that is yet to come: nobody waits longer than was planned."""
        for row in self.waiting():
            row.anew |= self.set_back(row, now)
            row.due, row.since = min(row.due, now + row.wait), min(row.since, now)

    def clock_is_sound(self, now: datetime) -> bool:
        return not any(row.anew or self.set_back(row, now) for row in self.waiting())

    def next_due(self, now: datetime, but: Collection[str], *, looked: bool) -> datetime:
        """When there is next something to claim, at the latest. Something does wait.

        What is held up is known of once somebody has `looked` for something to claim.
        """
        rows = [row for row in self.waiting() if row.channel not in but]
        go = [row.due for row in rows if self.must_go(row, now)]
        held = [self.held_up_until(row) for row in rows if not self.must_go(row, now)]
        return max(now, min([*go, *held] if looked else go))

    def countable(self, before: datetime, owner: str, now: datetime, but: Collection[str]) -> tuple[int, int]:
        """How many can be claimed before a time, or are claimed by `owner`: at least, and with all behind them."""
        rows = [row for row in self.waiting() if row.channel not in but and (row.due <= before or row.owner == owner)]
        return sum(self.must_go(row, now) for row in rows), len(rows)

    # ------------------------------------------------------------ what happens

    def planned(self, sent: Sequence[Sent | None], record: dict[str, DeliveryRecord], now: datetime) -> None:
        for each in sent:
            if each is not None:
                plan = each.planned
                row = Row(
                    record[each.id].number,
                    each.id,
                    each.event.id,
                    plan.thread,
                    plan.channel,
                    plan.action,
                    now,
                    now,
                    now,
                )
                assert all(row.number > older for older in self.rows), "a number was used twice"
                self.rows[row.number] = row

    def claimed(
        self, got: Sequence[Leased], now: datetime, owner: str, ttl: timedelta, limit: int, but: Collection[str],
        records: Iterable[DeliveryRecord], expired: datetime | None = None,
    ) -> None:  # fmt: skip
        """Check what one claim took, and what it put together, and take it over."""
        self.notice(now)
        spared = [row for row in self.waiting() if expired and row.owner and row.due > expired]
        rows = [row for row in self.waiting() if row.channel not in but and not self.is_held_up(row, now)]
        due = [row for row in rows if row.due <= now or row.anew]
        must = [row for row in due if row.due <= now and row not in spared and self.must_go(row, now)]
        dropped = self._put_together(records, now, but)
        assert len(got) <= limit
        assert len({each.number for each in got}) == len(got), "one claim takes a delivery once"
        for leased in got:
            row = self.rows[leased.number]
            assert row not in spared or row.anew, "claimed, though its lease is to be respected"
            self._take(leased, now, owner, ttl, but)
        done = {each.number for each in got} | dropped
        left = [row.number for row in must if row.number not in done]
        assert not left or len(due) > limit, f"due, and not claimed at {now}: {left} of {rows}"
        assert not must or done, f"due, and nothing is done at {now}: {must} of {self.waiting()}"

    def _take(self, leased: Leased, now: datetime, owner: str, ttl: timedelta, but: Collection[str]) -> None:
        row = self.rows[leased.number]
        assert (leased.id, leased.channel, leased.event.id) == (row.id, row.channel, row.event)
        assert row.waits, f"claimed, though it has ended: {row}"
        assert row.channel not in but
        assert row.due <= now or row.anew, f"claimed before its time, or while another holds it: {row}"
        assert not self.is_held_up(row, now), f"out of order: {row}, before {self.before(row)}"
        if row.status is Status.LEASED:
            row.may_repeat = True
            row.excuses += 1
        row.status, row.owner, row.due, row.wait = Status.LEASED, owner, now + ttl, ttl
        row.token, row.attempts, row.anew = row.token + 1, row.attempts + 1, False
        self.longest = max(self.longest, ttl)
        assert (leased.token, leased.attempt) == (row.token, row.attempts)
        assert leased.may_repeat == row.may_repeat, f"may it have arrived? {row}"
        assert (leased.previous is not None) == (row.lane in self.told and bool(row.thread))

    def _put_together(self, records: Iterable[DeliveryRecord], now: datetime, but: Collection[str]) -> set[int]:
        gone = [each for each in records if each.reason == COALESCED and self.rows[each.number].waits]
        numbers = {each.number for each in gone}
        for record in gone:
            row = self.rows[record.number]
            assert not row.arrived, f"put together with another, though it has arrived: {row}"
            assert not row.may_repeat, f"put together with another, though it may have arrived: {row}"
            assert row.status is Status.PENDING, f"put together with another, though it is held: {row}"
            assert row.thread
            assert row.channel not in but
            assert row.due <= now or row.anew or self.before(row)
            later = [each for each in self.waiting() if each.lane == row.lane and each.number > row.number]
            if record.detail == OVER:
                assert row.lane not in self.told, "what was told has to be told to be over"
                over = [each for each in (row, *later) if each.action is Action.RECOVER and each.number in numbers]
                assert over, f"not told, and not over: {row}"
            else:
                assert record.detail == NEWER
                assert row.action is Action.UPDATE
                assert any(each.action is Action.UPDATE for each in later), f"nothing newer tells it: {row}"
        for record in gone:
            row = self.rows[record.number]
            row.status, row.coalesced, row.owner, row.finished = Status.DELIVERED, True, "", now
        return numbers

    def arrives(self, claim: Claim) -> None:
        """The service accepts a message."""
        claim.begun = claim.arrived = True
        row = self.rows.get(claim.leased.number)
        if row is None:
            return  # forgotten long after it ended: retention bounds what is remembered
        row.arrived += 1
        assert row.arrived <= 1 + row.excuses, f"it arrives once more, and nothing explains it: {row}"
        assert not row.coalesced, f"it arrives, though it was put together with another: {row}"

    def holds(self, outcome: Outcome) -> bool:
        """Whether an outcome counts."""
        row = self.rows.get(outcome.delivery.number)
        if row is None or row.token != outcome.delivery.token:
            return False
        late = outcome.receipt is not None and row.status in (Status.PENDING, Status.DEAD)
        return row.status is Status.LEASED or late

    def recorded(self, outcome: Outcome) -> bool:
        """Settle one attempt; whether it counts."""
        if not self.holds(outcome):
            return False
        row = self.rows[outcome.delivery.number]
        row.status, row.owner = _left_as(outcome), ""
        row.due = outcome.retry_at or outcome.at
        row.wait = row.due - outcome.at
        row.finished = None if outcome.retry_at else outcome.at
        row.may_repeat |= outcome.unknown
        row.excuses += outcome.unknown
        self.longest = max(self.longest, row.wait)
        if outcome.receipt is not None and row.thread:
            self.told[row.lane] = outcome.at
        return True

    def held(self, claims: Iterable[Claim]) -> list[Row]:
        """The deliveries that are still held by these claims."""
        found = ((self.rows.get(each.leased.number), each.leased.token) for each in claims)
        return [row for row, token in found if row and row.token == token and row.status is Status.LEASED]

    def pruned(self, before: datetime, records: Iterable[DeliveryRecord]) -> int:
        """Take over what is forgotten; how many. What was planned at a later time than it ended may stay."""
        left = {each.number for each in records}
        gone = [row for row in self.rows.values() if row.number not in left]
        for row in self.rows.values():
            ended = row.finished is not None and row.finished < before
            assert ended or row.number in left, f"forgotten: {row}"
            assert not (ended and row.created < before and row.number in left), f"not forgotten: {row}"
        for row in gone:
            del self.rows[row.number]
        threads = {row.thread for row in self.rows.values()}
        self.told = {lane: at for lane, at in self.told.items() if at >= before or lane[0] in threads}
        return len(gone)

    # ------------------------------------------------------------ what is true at every moment

    def check(self, store: Store, now: datetime) -> None:
        """The outbox holds what the model holds: nothing is gone, nothing is invented, nothing changed by itself."""
        found = {each.number: each for each in store.deliveries(limit=None)}
        assert not (lost := self.rows.keys() - found.keys()), f"gone: {[self.rows[number] for number in lost]}"
        assert not (more := found.keys() - self.rows.keys()), f"not forgotten: {[found[number] for number in more]}"
        for number, row in self.rows.items():
            real = found[number]
            assert _seen(real) == (
                row.id, row.event, row.channel, row.status, row.attempts, row.created, row.finished, row.coalesced,
            )  # fmt: skip
            if row.status is Status.PENDING and not row.anew and not self.set_back(row, now):
                assert real.due_at is not None
                assert real.due_at >= row.due if row.thread else real.due_at == row.due  # it may wait for those before


def _left_as(outcome: Outcome) -> Status:
    if outcome.receipt is not None:
        return Status.DELIVERED
    return Status.DEAD if outcome.retry_at is None else Status.PENDING


def _seen(real: DeliveryRecord) -> tuple[object, ...]:
    return (
        real.id, real.event.id, real.channel, real.status, real.attempts, real.created_at, real.finished_at,
        real.reason == COALESCED,
    )  # fmt: skip
