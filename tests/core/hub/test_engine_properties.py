"""What holds of alerting for all configs and all that may happen: nothing is lost in silence, nothing is told twice.

A random config made of the options that act on each other, and a random course of events, time, silences and
acknowledgements, go through the simulation. What came of it is then held against the events alone.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings, strategies as st

from tocsin.hub.incidents import ends_incident, incident_key
from tocsin.routing.router import Decision
from tocsin.settings.alerts import Mode, Over
from tocsin.simulate import Sent, Simulation, family_of
from tocsin_hooks.events import Event

FLOWS, TASKS, RUNS = ("etl", "etl", "größe"), ("a", "a", "b", "c"), ("run1", "run2")  # some things happen often
STATES = ("Failed", "Failed", "Success", "Success", "Retrying", "TimedOut")

HEAD = """
[channels]
ops = { type = "inbox" }
mail = { type = "inbox" }
page = { type = "inbox" }
log = { type = "inbox" }

[windows.noon]
times = [["12:10", "12:40"]]

[escalations.up]
steps = [
  { after = "5m", send = ["page"], if = "not acked" },
  { after = "10m", send = ["page", "mail"], say = "still nobody" },
]
repeat = { every = "15m", times = 2 }
ack_lasts = "30m"
"""

OPTIONS: dict[str, tuple[str, ...]] = {
    "group": (
        '{ by = ["flow"], wait = "30s", interval = "5m", repeat = "1h" }',
        '{ by = ["flow", "task"], wait = "0s", interval = "1m", repeat = "20m" }',
        '{ by = ["*"], wait = "10s", interval = "2m" }',
    ),
    "digest": ('{ every = "30m", max = 3 }', '{ every = "20m", urgent = "state=TimedOut" }'),
    "throttle": (
        '{ limit = "1/20m", over = "summary" }',
        '{ limit = "2/10m", per = ["flow"] }',
        '{ limit = "2/15m", per = ["task"], over = "summary" }',
    ),
    "flap": ('{ changes = 3, within = "30m", calm = "10m" }',),
    "open_after": ('{ failures = 2, within = "1h" }',),
    "mute": (
        '{ windows = ["noon"], then = "drop" }',
        '{ windows = ["noon"], then = "hold" }',
        '{ windows = ["noon"], then = "digest" }',
    ),
    "escalate": ('"up"',),
    "mode": ('"event"',),
    "recover": ("{ notice = false }", '{ on = ["retry"] }'),
}
INTERVAL = dt.timedelta(minutes=5)
"""The longest `interval` of a group."""
EXCLUSIVE = ("digest", "escalate")  # a digest has no first message to escalate from

INHIBITIONS = (
    'source = "task=a and is_failed"\ntarget = "task=b"\nequal = ["flow"]\n',
    'source = "task=a and is_failed"\ntarget = "task=b"\nequal = ["flow"]\nhold = "20s"\n',
    'source = "task=b"\ntarget = "task=a or task=c"\nequal = ["run_id"]\n',
)


@dataclass(frozen=True)
class Course:
    """A config, and what happens under it: each step is the name of a method of `World` and what it is given."""

    config: str
    steps: tuple[tuple[str, ...], ...]


@st.composite
def options(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), unique=True, max_size=4))
    if all(name in names for name in EXCLUSIVE):
        names.remove(EXCLUSIVE[0])
    return "".join(f"{name} = {draw(st.sampled_from(OPTIONS[name]))}\n" for name in names)


@st.composite
def configs(draw: st.DrawFn) -> str:
    text = HEAD
    if draw(st.booleans()):
        text += f'[[inhibit]]\nname = "below"\n{draw(st.sampled_from(INHIBITIONS))}'
    text += f'[[routes]]\nname = "main"\nwhen = "is_failed or is_retrying"\nsend = ["ops"]\n{draw(options())}'
    if draw(st.booleans()):
        text += '[[routes]]\nname = "quiet"\nunder = "main"\nwhen = "state=Retrying"\nsilent = true\n'
    if draw(st.booleans()):
        when = draw(st.sampled_from(["task=a and is_failed", "is_failed", 'flow="größe"', "is_retrying"]))
        send = draw(st.sampled_from(['["mail"]', '["ops", "mail"]', '["page"]']))
        text += f"[[routes]]\nname = \"also\"\nwhen = '{when}'\nsend = {send}\n{draw(options())}"
    if draw(st.booleans()):
        more = draw(st.sampled_from(["", f"digest = {OPTIONS['digest'][0]}\n", f"group = {OPTIONS['group'][0]}\n"]))
        text += f'[[routes]]\nname = "log"\nwhen = "is_finished"\nmode = "event"\nsend = ["log", "ops"]\n{more}'
    return text


happen = st.tuples(
    st.just("publish"),
    st.sampled_from(STATES),
    st.sampled_from(FLOWS),
    st.sampled_from(TASKS),
    st.sampled_from(RUNS),
)
pass_ = st.tuples(st.just("advance"), st.sampled_from(["1s", "15s", "1m", "6m", "17m", "1h"]))
steps = st.lists(
    st.one_of(
        happen,
        happen,
        happen,
        pass_,
        pass_,
        st.tuples(st.just("silence"), st.sampled_from(["task=a", "is_failed"]), st.sampled_from(["9m", ""])),
        st.tuples(st.just("expire")),
        st.tuples(st.just("acknowledge"), st.sampled_from(["flow=etl", "task=a"])),
        st.tuples(st.just("end_run")),
    ),
    min_size=8,
    max_size=20,
)  # fmt: skip
courses = st.builds(Course, configs(), steps.map(tuple))


@dataclass
class Happened:
    """An event, when it was published, and where the routes alone would take it."""

    event: Event
    at: dt.datetime
    decision: Decision
    key: str
    is_problem: bool


@dataclass
class World:
    """A simulation, and a record of what was published."""

    sim: Simulation
    happened: list[Happened] = field(default_factory=list)
    silences: list[str] = field(default_factory=list)

    def publish(self, state: str, flow: str, task: str, run: str) -> None:
        at, policy = self.sim.now, self.sim._engine.policy
        self.sim.publish(state=state, flow=flow, task=task, run_id=run, id=f"e{len(self.happened) + 1}")
        event = Event(
            id=f"e{len(self.happened) + 1}", time=at, flow=flow, run_id=run, state=state, task=task,
            state_family=family_of(state),
        )  # fmt: skip
        opens = policy.router.opens
        assert opens is not None
        self.happened.append(
            Happened(event, at, policy.router.decide(event), incident_key(event, policy.key), opens.matches(event))
        )

    def advance(self, span: str) -> None:
        self.sim.advance(span)

    def silence(self, matching: str, span: str) -> None:
        added = self.sim.silence(matching, span) if span else self.sim.silence(matching, until_recovered=True)
        self.silences.append(added)

    def expire(self) -> None:
        over = [silence.id for silence in self.sim.silences if silence.status(self.sim.now) == "expired"]
        if active := [silence for silence in self.silences if silence not in over]:
            self.sim.expire(active[-1])

    def acknowledge(self, what: str) -> None:
        if any(what.split("=")[1] in incident.key.split("/") for incident in self.sim.incidents):
            self.sim.acknowledge(what)

    def end_run(self) -> None:
        self.sim.end_run()

    def is_over(self) -> None:
        """Everything that was open recovers, in a later run; then enough time passes for all that waits."""
        for key in [incident.key for incident in self.sim.incidents]:
            _, flow, task = key.split("/")
            self.publish("Success", flow, task, "run9")
        self.sim.advance("2d")
        self.sim.advance("6d")  # silences are remembered for some days


def run(course: Course) -> World:
    world = World(Simulation(course.config))
    for name, *given_ in course.steps:
        getattr(world, name)(*given_)
    world.is_over()
    return world


# ---------------------------------------------------------------- what must hold


def broken_promises(world: World) -> list[str]:
    """Everything that is wrong with what came of it."""
    return [
        *_sent_twice(world),
        *_without_reason(world),
        *_from_nowhere(world),
        *_recoveries(world),
        *_unaccounted(world),
        *_unsummed(world),
        *_left_behind(world),
    ]


def _sent_twice(world: World) -> Iterator[str]:
    ids = [sent.id for sent in world.sim.sent]
    yield from (f"sent twice: {_text(s)}" for s in world.sim.sent if ids.count(s.id) > 1)


def _without_reason(world: World) -> Iterator[str]:
    known = {each.event.id for each in world.happened}
    for each in world.sim.suppressed:
        if not (each.stage and each.reason and each.event in known):
            yield f"suppressed without stage, reason or event: {each}"
    for sent in world.sim.sent:
        if not sent.reason or not set(sent.events) <= known:
            yield f"sent without reason or event: {_text(sent)}"


def _from_nowhere(world: World) -> Iterator[str]:
    """Each message has a route that names its channel, or is a step of an escalation that the route asked for."""
    policy = world.sim._engine.policy
    for sent in world.sim.sent:
        options_ = policy.options(sent.route)
        if sent.route not in policy.router.options:
            yield f"by no route of the config: {_text(sent)}"
        elif sent.channel not in options_.send:
            escalation = policy.escalations.get(options_.escalate or "")
            steps_ = () if escalation is None else escalation.steps
            if not any(sent.channel in step.send for step in steps_):
                yield f"to a channel that its route does not name: {_text(sent)}"


def _recoveries(world: World) -> Iterator[str]:
    """Only who was told hears of a recovery, and whoever was told does."""
    by_id = {each.event.id: each for each in world.happened}
    # by channel and thread: the keys of what is open there, and by which route
    telling: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    over: dict[tuple[str, str], set[str]] = defaultdict(set)
    digested: dict[str, set[str]] = defaultdict(set)
    for sent in world.sim.sent:
        past = over[sent.channel, sent._stored.planned.thread]
        told = telling[sent.channel, sent._stored.planned.thread]
        if sent.action == "event":
            if sent.reason == "digest":
                digested[sent.channel] |= {by_id[name].key for name in sent.events}
            continue
        if not sent._stored.planned.thread:  # it says that something is over of which a digest told
            if sent.action != "recover" or sent.incident not in digested[sent.channel]:
                yield f"stands by itself: {_text(sent)}"
            continue
        known = [key for key in _keys(sent, by_id) if key in told and _tells_all_recoveries(world, told[key])]
        if sent.action == "open" and known:
            yield f"opened again while it was open: {_text(sent)}"
        for name in sent.events:
            each = by_id[name]
            if ends_incident(each.event):
                if each.key not in told:
                    if sent.reason == "all recovered" and name in past:
                        continue  # the last message names all that are over
                    yield f"recovers where it was never told: {_text(sent)}"
                elif sent.reason != "flapping":  # more is told once it is calm
                    del told[each.key]
                    past.add(name)
            elif sent.action == "recover":
                yield f"recovers with a problem: {_text(sent)}"
            else:
                told.setdefault(each.key, sent.route)
    for (channel, _), told in telling.items():
        for key, route in told.items():
            if _tells_all_recoveries(world, route) and not _is_left_untold(world, channel, key):
                yield f"channel '{channel}' was never told that '{key}' is over"


def _is_left_untold(world: World, channel: str, key: str) -> bool:
    """Whether a row says that the channel is not to hear of the recovery."""
    ends = {each.event.id for each in world.happened if each.key == key and ends_incident(each.event)}
    rows = [row for row in world.sim.suppressed if row.event in ends and row.stage == "recover"]
    return any(row.channel == channel for row in rows)


def _tells_all_recoveries(world: World, route: str) -> bool:
    recover = world.sim._engine.policy.options(route).recover
    return recover.notice and recover.on == {"retry", "next_run"}


def _unaccounted(world: World) -> Iterator[str]:
    """Each event is told to each channel that its routes name, or there is a row that says why not, or news came.

    News is a later event of the same incident for the same channel, for which the same is asked; or the channel knew
    already: it had been told of that state, and nothing changed.
    """
    for place, each in enumerate(world.happened):
        for target in each.decision.targets:
            accounts = (_is_told, _is_suppressed, _is_overtaken, _is_known)
            if not any(account(world, place, target.channel) for account in accounts):
                yield f"lost: {each.event.id} {each.event.state} of '{each.key}' for channel '{target.channel}'"
        if each.is_problem and not each.decision.targets and not _is_suppressed(world, place, ""):
            yield f"lost: {each.event.id} {each.event.state} of '{each.key}', which nobody is to be told"


def _is_told(world: World, place: int, channel: str) -> bool:
    """Whether a message to the channel has the event in it, or is a digest that has what became of its incident."""
    each = world.happened[place]
    return any(
        each.event.id in sent.events
        or (sent.reason == "digest" and sent.time >= each.at and each.key in sent.incidents)
        for sent in world.sim.sent
        if sent.channel == channel
    )


def _is_suppressed(world: World, place: int, channel: str) -> bool:
    name = world.happened[place].event.id
    rows = [row for row in world.sim.suppressed if row.event == name]
    return any(not channel or not row.channel or channel in row.channel.split(", ") for row in rows)


def _collects(world: World, place: int, channel: str) -> bool:
    """Whether the event is part of an incident on its way to that channel."""
    each = world.happened[place]
    target = next(t for t in each.decision.targets if t.channel == channel)
    return each.is_problem and target.options.mode is Mode.INCIDENT


def _is_overtaken(world: World, place: int, channel: str) -> bool:
    each = world.happened[place]
    if not _collects(world, place, channel):
        return False
    for later in world.happened[place + 1 :]:
        if later.key == each.key:
            if ends_incident(
                later.event
            ):  # the news was still collected: whoever knows of the incident hears of its end
                return later.at - each.at <= INTERVAL and _was_told(world, place, channel)
            if later.is_problem and any(t.channel == channel for t in later.decision.targets):
                return True
    return False


def _is_known(world: World, place: int, channel: str) -> bool:
    """Whether the last that the channel was told of the problem is that it is in this very state."""
    each = world.happened[place]
    if not _collects(world, place, channel):
        return False
    states = {earlier.event.id: earlier.event.state for earlier in world.happened[:place] if earlier.key == each.key}
    told = [
        states[name]
        for sent in world.sim.sent
        if sent.channel == channel and sent.action != "event" and sent.time <= each.at
        for name in sent.events
        if name in states
    ]
    return told[-1:] == [each.event.state] or _was_kept_silent(world, place, channel)


def _was_kept_silent(world: World, place: int, channel: str) -> bool:
    """Whether that the problem is in this state was not worth a message before, on a route that is silent."""
    each = world.happened[place]
    same = {
        earlier.event.id
        for earlier in world.happened[:place]
        if (earlier.key, earlier.event.state) == (each.key, each.event.state)
    }
    rows = [row for row in world.sim.suppressed if row.stage == "silent" and row.event in same]
    return any(row.channel == channel for row in rows)


def _was_told(world: World, place: int, channel: str) -> bool:
    """Whether the channel was told of the problem since it began."""
    each = world.happened[place]
    names: set[str] = set()
    for earlier in world.happened[:place]:
        if earlier.key == each.key:
            if ends_incident(earlier.event):
                names = set()
            names.add(earlier.event.id)
    return any(names & set(sent.events) for sent in world.sim.sent if sent.channel == channel and sent.time <= each.at)


def _unsummed(world: World) -> Iterator[str]:
    """What a throttle cut is summed up later, where its route asks for that."""
    policy = world.sim._engine.policy
    for row in world.sim.suppressed:
        option = policy.options(row.route).throttle
        if row.stage == "throttle" and option is not None and option.over is Over.SUMMARY:
            sums = [s for s in world.sim.sent if s.reason == "summary" and s.time >= row.at]
            if not any((s.channel, s.route) == (row.channel, row.route) for s in sums):
                yield f"never summed up: {row}"


def _left_behind(world: World) -> Iterator[str]:
    """When all is over, nothing waits and nothing is remembered that time alone should have cleared."""
    store = world.sim._store
    due = store.next_cell_due()
    if due is not None:
        yield f"something is still due at {due}"
    for kind in ("group", "member", "muted", "flap", "after", "source", "throttle", "escalation", "mark", "digested"):
        for cell in store.transact(lambda tx, kind=kind: tx.cells(kind), keep=False):  # type: ignore[misc]
            yield f"left behind: {kind} {cell.key!r} {cell.body}"
    if store.any_open():
        yield "an incident is still open"


def _keys(sent: Sent, by_id: dict[str, Happened]) -> Sequence[str]:
    return [by_id[name].key for name in sent.events]


def _text(sent: Sent) -> str:
    return (
        f"{sent.time:%d %H:%M:%S} {sent.channel} {sent.route} {sent.action} {sent.reason} {','.join(sent.events)} "
        f"{sent.incident}"
    )


def story(world: World) -> str:
    """What happened and what came of it, for whoever has to mend it."""
    lines = [f"{h.at:%d %H:%M:%S} {h.event.id} {h.event.state} {h.key} {h.event.run_id}" for h in world.happened]
    lines += ["sent:", *map(_text, world.sim.sent)]
    lines += ["suppressed:"]
    lines += [f"{s.at:%d %H:%M:%S} {s.event} {s.stage} {s.route} {s.channel} {s.reason}" for s in world.sim.suppressed]
    return "\n".join(lines)


FEW = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


@FEW
@given(courses)
def test_whatever_happens_no_promise_is_broken(course: Course) -> None:
    world = run(course)
    broken = broken_promises(world)
    assert not broken, "\n".join([*broken, course.config.removeprefix(HEAD), story(world)])


@settings(FEW, max_examples=20)
@given(courses)
def test_the_same_course_comes_to_the_same_twice(course: Course) -> None:
    one, two = run(course), run(course)
    assert [_seen(sent) for sent in one.sim.sent] == [_seen(sent) for sent in two.sim.sent]
    assert one.sim.suppressed == two.sim.suppressed


def _seen(sent: Sent) -> tuple[object, ...]:
    return (_text(sent), sent.id, sent.group, sent.silent, sent.message.title, sent.message.text)
