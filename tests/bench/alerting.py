"""What alerting costs: decisions a second, and an event among many silences, inhibitions and open incidents."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from tocsin.clock import ManualClock
from tocsin.hub.policy import Policy
from tocsin.simulate import Simulation, event_of

_HEAD = '[channels.ops]\ntype = "inbox"\n[defaults]\nsend = ["ops"]\n'
_ROUTE = '[[routes]]\nname = "route {n}"\nwhen = "flow=flow{n} and is_failed"\nsend = ["ops"]\n'
_INHIBIT = (
    '[[inhibit]]\nname = "inhibition {n}"\nsource = "flow=source{n}"\n'
    'target = "tags=target{n} and not flow=source{n}"\nequal = ["project"]\n'
)


@dataclass(frozen=True)
class Crowd:
    """What an event is decided among."""

    routes: int = 100
    inhibitions: int = 100
    silences: int = 1000
    incidents: int = 10_000


def decisions_per_second(routes: int = 100, events: int = 20_000) -> float:
    """How many events a second one core routes, each to one of the routes or to the defaults."""
    sim = Simulation(_HEAD + "".join(_ROUTE.format(n=n) for n in range(routes)))
    router, clock = Policy.of(sim.config).router, ManualClock()
    made = [
        event_of({"state": "Failed", "flow": f"flow{n % (2 * routes)}", "task": "load"}, clock) for n in range(events)
    ]
    start = time.perf_counter()
    for event in made:
        router.decide(event)
    return events / (time.perf_counter() - start)


def event_in_a_crowd(crowd: Crowd, events: int = 500) -> float:
    """The median of the microseconds from an event to its plan, on a store in memory: nothing is synced."""
    config = _HEAD + "".join(_ROUTE.format(n=n) for n in range(crowd.routes))
    sim = Simulation(config + "".join(_INHIBIT.format(n=n) for n in range(crowd.inhibitions)))
    for n in range(crowd.silences):
        sim.silence(f'flow=quiet{n} and task=~"l.*"', "30d")
    for n in range(crowd.incidents):
        sim.publish(state="Failed", flow=f"open{n}", task="load")
    times = []
    for n in range(events):
        event = event_of(
            {"state": "Failed", "flow": f"flow{n % 150}", "task": f"task{n}", "tags": ["target5"]}, sim.clock
        )
        start = time.perf_counter()
        sim.publish(event)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def lines(crowd: Crowd | None = None, events: int = 20_000) -> str:
    """The figures, for the page."""
    crowd = crowd or Crowd()
    rate = decisions_per_second(crowd.routes, events)
    each = event_in_a_crowd(crowd, events // 40)
    return (
        f"One core decides {rate:,.0f} events a second against {crowd.routes} routes (goal: 20,000). From an event to "
        f"its plan it\ntakes {each:,.0f} us (goal: 1,000) with {crowd.silences:,} silences, {crowd.inhibitions} "
        f"inhibitions and {crowd.incidents:,} open incidents,\nall that is read and written for it included, but for "
        "the sync of a disk.\n"
    )
