"""Whatever happens to an outbox, and in whatever order, it does what its model does, and delivers all in the end."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.outbox_model import Claim, Model
from support.outboxes import KINDS, NOON, Kind, Writing
from support.postgres import shared_server
from tocsin.store.protocol import Store, Transaction
from tocsin.store.records import Leased, Outcome, Planned, Sent, Status
from tocsin_hooks.messages import Action, Reason, Receipt

LONG = bool(os.environ.get("TOCSIN_LONG"))
TTL = timedelta(seconds=60)
DAY = timedelta(days=1)
SLACK = timedelta(minutes=2)
"""What an outbox may take for a clock that is not quite exact."""
CHANNELS = ("ops", "mail")
TO = (CHANNELS, ("ops",), ("mail",))
THREADS = ("i1", "i2", "")
WORKERS = ("A", "B")
ACTIONS = (Action.OPEN, Action.UPDATE, Action.UPDATE, Action.REPEAT, Action.RECOVER)
WAITS = [timedelta(seconds=2), timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1)]
TABLES = ("attempts", "deliveries", "receipts", "cells", "suppressions", "inbox", "events", "incidents")

workers = st.sampled_from(WORKERS)
some = st.lists(st.integers(0, 7), min_size=1, max_size=4, unique=True)
buts = st.sampled_from([(), (), (), ("ops",), ("mail",)])
limits = st.integers(1, 4)


@dataclass(frozen=True)
class End:
    """How an attempt is to end: `accepted` by the service or not, and what its worker makes of that."""

    accepted: bool
    unknown: bool = False
    retry_in: timedelta | None = None

    def of(self, claim: Claim, at: datetime) -> Outcome:
        """What the worker records: never that what the service accepted has failed, nor the other way round."""
        if claim.arrived and not self.unknown:
            return Outcome(claim.leased, at, timedelta(0), receipt=Receipt("ok", {"ts": "1"}))
        retry_at = None if self.retry_in is None else at + self.retry_in
        reason = Reason.TIMEOUT if self.unknown else Reason.SERVER
        return Outcome(claim.leased, at, timedelta(0), reason=reason, retry_at=retry_at, unknown=self.unknown)


ends = st.builds(
    End,
    st.booleans(),
    st.sampled_from([False, False, True]),
    st.sampled_from([*WAITS, None]),
)


class Place:
    """Where the outboxes of one kind are made, each of them empty."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self._folder, self._counter = kind, folder, itertools.count()

    def open(self) -> list[Store]:
        """A new outbox, and a handle of it for each worker."""
        folder = self._folder
        if self.kind.name == "postgres":
            store = self.kind.open(folder)
            assert isinstance(store.deliveries(limit=1), list)  # its tables are made
            with shared_server().connect() as db:
                schema = shared_server().schema(folder)
                db.execute("TRUNCATE " + ", ".join(f'"{schema}".{table}' for table in TABLES))
            return [store, self.kind.open(folder)]
        folder = folder / str(next(self._counter))
        stores = [self.kind.open(folder) for _ in range(2 if self.kind.shared else 1)]
        return [stores[0], stores[-1]]


class OutboxMachine(RuleBasedStateMachine):
    """Two workers on one outbox, and all that can happen to them."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.stores = dict(zip(WORKERS, place.open(), strict=True))
        self.model, self.write = Model(), Writing()
        self.now: datetime = NOON
        self.claims: dict[str, list[Claim]] = {worker: [] for worker in WORKERS}
        self.given_up: dict[str, list[Claim]] = {worker: [] for worker in WORKERS}
        self.lives = dict.fromkeys(WORKERS, 1)
        self.events: dict[str, tuple[str, Action]] = {}

    @property
    def store(self) -> Store:
        return self.stores["A"]

    def owner(self, worker: str) -> str:
        return f"{worker}{self.lives[worker]}"

    # ------------------------------------------------------------ publishing

    @initialize()
    def one_incident(self) -> None:
        self.publish("i1", Action.OPEN, CHANNELS)

    @rule(thread=st.sampled_from(THREADS), action=st.sampled_from(ACTIONS), to=st.sampled_from(TO), twice=st.booleans())
    def publish(self, thread: str, action: Action, to: Sequence[str], twice: bool = False) -> None:
        name = f"e{len(self.events)}"
        self.events[name] = (thread, action)
        assert all(self.plan(name, to)), "an event that is new is planned"
        if twice:
            assert self.plan(name, to) == [None for _ in to], "an event that is known is not planned again"

    def plan(self, name: str, to: Sequence[str]) -> list[Sent | None]:
        thread, action = self.events[name]

        def work(tx: Transaction) -> list[Sent | None]:
            event = tx.add_event(self.write.event(name, time=self.now))
            plans = [Planned(channel, "pages", action, thread=thread) for channel in to]
            return [tx.deliver(event, None, each, now=self.now) for each in plans]

        sent = self.stores["B"].transact(work)
        self.model.planned(sent, {each.id: each for each in self.store.deliveries(limit=None)}, self.now)
        return sent

    # ------------------------------------------------------------ working

    @rule(worker=workers, limit=limits, but=buts, leapt=st.booleans())
    def claim(self, worker: str, limit: int, but: Collection[str], leapt: bool = False) -> None:
        expired = self.now - DAY if leapt else None
        got = self.stores[worker].lease(
            now=self.now, ttl=TTL, limit=limit, owner=self.owner(worker), but=but, expired=expired
        )
        self.takes(worker, got, limit, but, expired)

    def takes(
        self, worker: str, got: list[Leased], limit: int, but: Collection[str], expired: datetime | None = None
    ) -> None:
        records, before = self.store.deliveries(limit=None), len(self.model.waiting())
        self.model.claimed(got, self.now, self.owner(worker), TTL, limit, but, records, expired)
        self.claims[worker] += [Claim(each) for each in got]
        due = self.store.next_due(now=self.now, but=but)
        done = got or expired or len(self.model.waiting()) < before
        if not done and due is not None:
            assert due > self.now, "nothing to claim, and yet it is due: a worker would spin"
            if self.model.clock_is_sound(self.now):
                assert due <= self.model.next_due(self.now, but, looked=True), "a worker would sleep too long"

    def held(self, worker: str, picks: Sequence[int]) -> list[Claim]:
        held = self.claims[worker]
        return [held[n] for n in dict.fromkeys(pick % len(held) for pick in picks)] if held else []

    @precondition(lambda self: any(self.claims.values()))
    @rule(worker=workers, picks=some, accepted=st.booleans())
    def send(self, worker: str, picks: Sequence[int], accepted: bool) -> None:
        for claim in self.held(worker, picks):
            self.try_to_send(claim, accepted)

    def try_to_send(self, claim: Claim, accepted: bool) -> None:
        if not claim.begun:
            claim.begun = True
            if accepted:
                self.model.arrives(claim)

    def ended(self, worker: str, picks: Sequence[int], how: Sequence[End]) -> list[Outcome]:
        """What is to be recorded of the claims picked; the worker lets go of them."""
        outcomes = []
        for claim, end in zip(self.held(worker, picks), how, strict=False):
            self.try_to_send(claim, end.accepted)
            self.claims[worker].remove(claim)
            outcomes.append(end.of(claim, self.now))
            if outcomes[-1].receipt is None and claim.arrived:
                self.given_up[worker].append(claim)
        return outcomes

    @precondition(lambda self: any(self.claims.values()))
    @rule(worker=workers, picks=some, how=st.lists(ends, min_size=4, max_size=4))
    def record(self, worker: str, picks: Sequence[int], how: Sequence[End]) -> None:
        outcomes = self.ended(worker, picks, how)
        expected = [self.model.recorded(each) for each in outcomes]
        assert self.stores[worker].record(outcomes) == expected

    @rule(worker=workers, picks=some, how=st.lists(ends, min_size=4, max_size=4), limit=limits, but=buts)
    def exchange(self, worker: str, picks: Sequence[int], how: Sequence[End], limit: int, but: Collection[str]) -> None:
        outcomes = self.ended(worker, picks, how)
        expected = [self.model.recorded(each) for each in outcomes]
        held, got = self.stores[worker].exchange(
            outcomes, now=self.now, ttl=TTL, limit=limit, owner=self.owner(worker), but=but
        )
        assert held == expected
        self.takes(worker, got, limit, but)

    @precondition(lambda self: any(self.given_up.values()))
    @rule(pick=st.integers(0, 7))
    def hear_late(self, pick: int) -> None:
        """The answer comes for which its worker did not wait."""
        awaited = [(worker, each) for worker in WORKERS for each in self.given_up[worker]]
        worker, claim = awaited[-1 - pick % len(awaited)]
        self.given_up[worker].remove(claim)
        outcome = Outcome(claim.leased, self.now, timedelta(0), receipt=Receipt("late", {"ts": "2"}))
        assert self.stores[worker].record([outcome]) == [self.model.recorded(outcome)]

    @precondition(lambda self: any(self.claims.values()))
    @rule(worker=workers)
    def renew(self, worker: str) -> None:
        rows = self.model.held(self.claims[worker])
        held = [each.leased for each in self.claims[worker]]
        count = self.stores[worker].renew(held, until=self.now + TTL, now=self.now)
        assert count == len(rows)
        for row in rows:
            row.due, row.wait = self.now + TTL, TTL

    @precondition(lambda self: any(self.claims.values()))
    @rule(worker=workers, picks=some)
    def give_back(self, worker: str, picks: Sequence[int]) -> None:
        given = [each for each in self.held(worker, picks) if not each.begun]
        self.claims[worker] = [each for each in self.claims[worker] if each not in given]
        rows = self.model.held(given)
        assert self.stores[worker].give_back([each.leased for each in given], now=self.now) == len(rows)
        for row in rows:
            row.status, row.owner, row.due, row.wait = Status.PENDING, "", self.now, timedelta(0)
            row.attempts -= 1

    @rule(worker=workers)
    def deliver(self, worker: str) -> None:
        self.claim(worker, 4, ())
        while self.claims[worker]:
            self.record(worker, [0], [End(accepted=True)])

    @rule(thread=st.sampled_from(THREADS), to=st.sampled_from(TO), worker=workers)
    def come_and_go(self, thread: str, to: Sequence[str], worker: str) -> None:
        """A problem is over before anybody was told; or, if there was one before it, told of anew."""
        self.publish(thread, Action.OPEN, to)
        self.publish(thread, Action.RECOVER, to)
        self.now += timedelta(seconds=11)
        self.claim(worker, 4, ())

    # ------------------------------------------------------------ what goes wrong, and what mends it

    @rule(worker=workers, noticed=st.booleans())
    def crash(self, worker: str, noticed: bool) -> None:
        self.claims[worker], self.given_up[worker] = [], []
        self.lives[worker] += 1
        if self.place.kind.shared:
            self.stores[worker].close()
        for _ in range(2 * noticed):  # once it is known, there is nothing more to know
            self.release()

    def release(self) -> None:
        alive = {self.owner(worker) for worker in WORKERS}
        rows = [row for row in self.model.waiting() if row.status is Status.LEASED and row.owner not in ("", *alive)]
        assert self.store.release(alive.__contains__, now=self.now) == len(rows)
        for row in rows:
            row.owner, row.due, row.wait = "", self.now, timedelta(0)

    @precondition(lambda self: any(row.status is Status.DEAD for row in self.model.rows.values()))
    @rule(picks=some)
    def revive(self, picks: Sequence[int]) -> None:
        numbers = sorted(self.model.rows)
        chosen = [self.model.rows[n] for n in dict.fromkeys(numbers[pick % len(numbers)] for pick in picks)]
        dead = [row for row in chosen if row.status is Status.DEAD]
        assert self.store.revive([row.number for row in chosen], now=self.now) == len(dead)
        for row in dead:
            row.status, row.attempts, row.finished = Status.PENDING, 0, None
            row.created = row.due = row.since = self.now
            row.wait, row.anew = timedelta(0), False

    @rule(by=st.sampled_from([1, 11, 61, 5 * 60, 16 * 60, 3601]))
    def time_passes(self, by: int) -> None:
        self.now += timedelta(seconds=by)

    @precondition(lambda self: any(self.claims.values()))
    @rule(worker=workers, limit=limits)
    def another_takes_over(self, worker: str, limit: int) -> None:
        self.now += TTL
        self.claim(worker, limit, ())

    @rule()
    def time_passes_until_something_is_due(self) -> None:
        self.now = max(self.now, self.store.next_due(now=self.now) or self.now)

    @rule(by=st.sampled_from([DAY, -DAY]))
    def the_clock_jumps(self, by: timedelta) -> None:
        self.now += by

    @rule(ago=st.sampled_from([timedelta(0), timedelta(minutes=5)]))
    def prune(self, ago: timedelta) -> None:
        before = self.now - ago
        count = self.store.prune(before=before)
        assert count == self.model.pruned(before, self.store.deliveries(limit=None))

    # ------------------------------------------------------------ what is true at every moment, and in the end

    @invariant()
    def the_outbox_is_as_its_model(self) -> None:
        self.model.check(self.store, self.now)
        self.what_is_next_is_told()

    def what_is_next_is_told(self) -> None:
        but = ((), ("ops",))[len(self.events) % 2]
        due = self.store.next_due(now=self.now, but=but)
        assert (due is None) == all(row.channel in but for row in self.model.waiting())
        if due is not None and self.model.clock_is_sound(self.now):
            latest = self.model.next_due(self.now, but, looked=False)
            assert due <= latest, f"next due at {due}, at {self.now}: {self.model.waiting()}"
            soon, owner = self.now + timedelta(seconds=30), self.owner("A")
            counted = self.store.waiting(before=soon, owner=owner, now=self.now, but=but)
            least, most = self.model.countable(soon, owner, self.now, but)
            assert least <= counted <= most

    def teardown(self) -> None:
        try:
            self.everything_ends()
        finally:
            for store in self.stores.values():
                store.close()

    def everything_ends(self) -> None:
        """When nothing goes wrong any more, all ends, after no more time than somebody planned to wait."""
        for worker in WORKERS:
            self.crash(worker, noticed=False)
        waited = timedelta(0)
        for _ in range(4 * len(self.model.rows) + 4):
            before = len(self.model.waiting())
            for worker in WORKERS:
                self.deliver(worker)
            self.the_outbox_is_as_its_model()
            if not self.model.waiting():
                break
            if len(self.model.waiting()) == before:
                due = self.store.next_due(now=self.now)
                assert due is not None
                assert due > self.now, f"due, and nobody can claim it: {self.model.waiting()}"
                waited += due - self.now
                assert waited <= self.model.longest + SLACK, f"it waits longer than planned: {self.model.waiting()}"
                self.now = due
        assert not self.model.waiting(), "it does not end"
        for row in self.model.rows.values():
            assert row.status in (Status.DELIVERED, Status.DEAD)
            assert row.arrived or row.coalesced or row.status is Status.DEAD, f"not sent: {row}"


EXAMPLES = {"sqlite-file": 60, "sqlite-memory": 100, "postgres": 12}
"""How many courses of events are tried on each kind of outbox: about as many as take 15 seconds."""
FEW = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    derandomize=not LONG,  # in the everyday tests a course that fails is found by everybody, or by nobody
    phases=list(Phase) if LONG else [Phase.explicit, Phase.generate],  # to make one short takes minutes
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)


@pytest.mark.timeout(3600 if LONG else 120)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_whatever_happens_to_an_outbox_all_ends_and_nothing_is_lost_doubled_or_out_of_order(
    kind: Kind, tmp_path: Path
) -> None:
    place = Place(kind, tmp_path)

    class Machine(OutboxMachine):
        def __init__(self) -> None:
            super().__init__(place)

    examples = EXAMPLES[kind.name] * (20 if LONG else 1)
    run_state_machine_as_test(Machine, settings=settings(FEW, max_examples=examples))
