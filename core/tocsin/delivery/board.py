"""What this process has claimed: which delivery waits for a thread, which is under way, and which may go next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from tocsin.delivery.breaker import Breaker, Standing
from tocsin.store.records import Leased

MOST = 128
"""How many deliveries are claimed ahead at most."""

_AHEAD = 0.5  # seconds of work that is claimed ahead of the threads
_SMOOTHING = 0.2


@dataclass(eq=False, slots=True)
class Flight:
    """Something that a thread does: a delivery that is sent, or (`tell`) what observers are told of one."""

    started: float
    deadline: float
    delivery: Leased | None = None
    tell: Callable[[], None] | None = None
    abandoned: bool = False
    """Whether it is past its deadline: its thread is waited for no more."""


@dataclass(slots=True)
class Line:
    """One channel: what waits for it, how it fares, and how long a message takes."""

    ready: deque[Leased] = field(default_factory=deque)
    rated: deque[Leased] = field(default_factory=deque)
    """Waits until the channel's rate lets it through."""
    running: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    seconds: float | None = None

    @property
    def held(self) -> int:
        """How many deliveries wait."""
        return len(self.ready) + len(self.rated)

    def quota(self, threads: int) -> int:
        """How many deliveries may wait: what the threads do in a moment, so that no other process is kept from them."""
        if self.seconds is None:
            return threads
        return max(1, min(MOST, round(threads * _AHEAD / max(self.seconds, 1e-4))))


class Board:
    """Bookkeeping without effects; whoever uses it holds a lock.

    A channel may use all threads when it is alone, and three quarters of them otherwise: one that hangs leaves some
    to the others.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.lines: dict[str, Line] = {}
        self.flights: dict[int, Flight] = {}
        self.errands: deque[Callable[[], None]] = deque()
        self.alone = False
        """Whether there is one channel only."""
        self.one_at_a_time: set[str] = set()
        self._turn: deque[str] = deque()

    def line(self, channel: str) -> Line:
        """The line of a channel."""
        if (line := self.lines.get(channel)) is None:
            line = self.lines[channel] = Line()
            self._turn.append(channel)
        return line

    @property
    def waits(self) -> int:
        """How many deliveries are held and not under way."""
        return sum(line.held for line in self.lines.values())

    @property
    def has_ready(self) -> bool:
        """Whether there is something that a thread could begin with, as far as its channel lets it."""
        return any(line.ready for line in self.lines.values())

    @property
    def begins(self) -> int:
        """How many threads could begin with something."""
        return min(self.threads, len(self.errands) + sum(len(line.ready) for line in self.lines.values()))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held and nothing under way."""
        return not (self.flights or self.errands or self.waits)

    def is_empty_but_for(self, held_back: Collection[str]) -> bool:
        """Whether nothing is held and nothing under way, but for what waits for the rates of these channels."""
        others = (line for channel, line in self.lines.items() if line.ready or channel not in held_back)
        return not (self.flights or self.errands or any(line.held for line in others))

    # ------------------------------------------------------------ claiming

    def room(self) -> int:
        """How many deliveries to claim now; none while there is enough to do."""
        known = [line for line in self.lines.values() if line.seconds is not None]
        most = max([line.quota(self.threads) for line in known] or [self.threads])
        free, ready = most - self.waits, sum(len(line.ready) for line in self.lines.values())
        busy = len(self.flights) >= self.threads
        return 0 if busy and ready > most // 2 else max(free, 0)

    def shut(self, now: float) -> list[str]:
        """The channels of which nothing more is to be claimed."""
        return [
            channel
            for channel, line in self.lines.items()
            if line.breaker.standing(now) is Standing.OPEN or line.held >= line.quota(self.threads)
        ]

    def put(self, claimed: Iterable[Leased], *, rated: Callable[[str], bool]) -> None:
        """Take what was claimed."""
        for delivery in claimed:
            line = self.line(delivery.channel)
            (line.rated if rated(delivery.channel) else line.ready).append(delivery)

    def surrender(self, now: float) -> list[Leased]:
        """What waits for channels that have been found to fail: to be given back, untried."""
        given: list[Leased] = []
        for line in self.lines.values():
            if line.held and line.breaker.standing(now) in (Standing.OPEN, Standing.OFF):
                given += [*line.ready, *line.rated]
                line.ready.clear()
                line.rated.clear()
        return given

    def give_up(self) -> list[Leased]:
        """All that waits: the worker ends."""
        given = [delivery for line in self.lines.values() for delivery in (*line.ready, *line.rated)]
        for line in self.lines.values():
            line.ready.clear()
            line.rated.clear()
        return given

    def all_held(self) -> list[Leased]:
        """All that is claimed and not ended, whose leases are to be prolonged."""
        waiting = [delivery for line in self.lines.values() for delivery in (*line.ready, *line.rated)]
        return waiting + [flight.delivery for flight in self.flights.values() if flight.delivery is not None]

    # ------------------------------------------------------------ under way

    @property
    def idle(self) -> int:
        """How many threads have nothing to do."""
        return max(0, self.threads - len(self.flights))

    def pick(self, now: float, deadline: Callable[[str], float]) -> Flight | None:
        """The next thing for a thread to do, channel after channel; None when there is nothing."""
        if self.errands:
            return self._begin(Flight(now, now + deadline(""), tell=self.errands.popleft()))
        for _ in range(len(self._turn)):
            channel = self._turn[0]
            self._turn.rotate(-1)
            line = self.lines[channel]
            if line.ready and line.running < self._share(channel) and line.breaker.permits(now, under_way=line.running):
                line.running += 1
                return self._begin(Flight(now, now + deadline(channel), delivery=line.ready.popleft()))
        return None

    def _share(self, channel: str) -> int:
        if channel in self.one_at_a_time:
            return 1
        return self.threads if self.alone else max(1, self.threads - max(1, self.threads // 4))

    def _begin(self, flight: Flight) -> Flight:
        self.flights[id(flight)] = flight
        return flight

    def land(self, flight: Flight, now: float) -> None:
        """A flight has ended."""
        if self.flights.pop(id(flight), None) is None or flight.delivery is None:
            return
        line = self.line(flight.delivery.channel)
        line.running -= 1
        took = now - flight.started
        line.seconds = took if line.seconds is None else line.seconds + _SMOOTHING * (took - line.seconds)

    def overdue(self, now: float) -> list[Flight]:
        """What is past its deadline; it is given up here."""
        late = [flight for flight in self.flights.values() if now >= flight.deadline]
        for flight in late:
            flight.abandoned = True
            self.land(flight, now)
        return late

    def next_deadline(self) -> float | None:
        """When the next flight is past its deadline."""
        return min((flight.deadline for flight in self.flights.values()), default=None)
