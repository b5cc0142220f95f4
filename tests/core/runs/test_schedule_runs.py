"""`flow.run` on a schedule, with parameters of the schedule's clocks, and with tasks that wait for somebody."""

from __future__ import annotations

import datetime as dt
from datetime import timedelta
from typing import Any

import pendulum
import pytest

from tocsin.clock import ManualClock
from tocsin.errors import ParameterError
from tocsin.flows import signals, triggers
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, task
from tocsin.runs import FlowRunner, run_flow
from tocsin.schedules import Schedule, clocks
from tocsin_hooks.states import Failed, Paused, Running, State, Success

NOON = pendulum.datetime(2024, 1, 1, 12)


class Seldom:
    """A schedule of a few events."""

    def __init__(self, *events: tuple[dt.datetime, dict[str, Any] | None]) -> None:
        self.events = list(events)

    def next(self, n: int, after: dt.datetime | None = None, return_events: bool = False) -> list[Any]:
        assert (n, return_events) == (1, True)
        due = [event for event in self.events if after is None or event[0] > after]
        return [clocks.ClockEvent(start, parameters) for start, parameters in due[:1]]


def scheduled(*minutes: int, **parameters: Any) -> Seldom:
    return Seldom(*((NOON.add(minutes=minute), parameters or None) for minute in minutes))


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def flow(ran: list[Any], clock: ManualClock) -> Flow:
    @task
    def note() -> None:
        ran.append((context.scheduled_start_time.minute, clock.monotonic() / 60, context.parameters.get("x")))

    return Flow("nightly", tasks=[note, Parameter("x", default=0)])


def test_a_scheduled_flow_sleeps_until_each_event_and_runs(flow: Flow, ran: list[Any], clock: ManualClock) -> None:
    flow.schedule = scheduled(1, 3, 10)
    state = run_flow(flow, clock=clock)
    assert ran == [(1, 1, 0), (3, 3, 0), (10, 10, 0)]
    assert clock.slept == [60, 120, 420]
    assert state.is_successful()
    assert {each.name for each in state.result} == {"note", "x"}


def test_each_run_of_a_schedule_is_a_run_of_its_own_even_where_the_first_was_given_an_id(clock: ManualClock) -> None:
    seen: list[str] = []

    @task
    def note() -> None:
        seen.append(context.flow_run_id)

    flow = Flow("nightly", tasks=[note])
    flow.schedule = scheduled(1, 3, 10)
    run_flow(flow, clock=clock, context={"flow_run_id": "given"})
    assert seen[0] == "given"
    assert len(set(seen)) == 3, "an event of one run must not pass for one of another"


def test_a_real_schedule_works(flow: Flow, ran: list[Any], clock: ManualClock) -> None:
    start = clocks.IntervalClock(timedelta(minutes=5), start_date=NOON, end_date=NOON.add(minutes=12))
    flow.schedule = Schedule(clocks=[start])
    run_flow(flow, clock=clock)
    assert [minute for minute, *_ in ran] == [5, 10]


def test_a_schedule_without_events_is_an_error_at_the_start(flow: Flow, ran: list[Any], clock: ManualClock) -> None:
    flow.schedule = scheduled()
    with pytest.raises(ValueError, match="flow 'nightly' has no more scheduled runs"):
        run_flow(flow, clock=clock)
    assert ran == []


def test_the_schedule_can_be_left_aside(flow: Flow, ran: list[Any], clock: ManualClock) -> None:
    flow.schedule = scheduled()
    assert run_flow(flow, clock=clock, run_on_schedule=False).is_successful()
    with context(config={"flows": {"run_on_schedule": False}}):
        assert run_flow(flow, clock=clock).is_successful()
    assert [at for _, at, _ in ran] == [0, 0]


def test_parameters_of_a_clock_hold_for_its_run_only(flow: Flow, ran: list[Any], clock: ManualClock) -> None:
    flow.schedule = Seldom(
        (NOON.add(minutes=1), {"x": 5}), (NOON.add(minutes=2), None), (NOON.add(minutes=3), {"x": 7})
    )
    run_flow(flow, {"x": 1}, clock=clock)
    assert [x for *_, x in ran] == [5, 1, 7]


def test_a_required_parameter_may_come_from_the_schedule(clock: ManualClock) -> None:
    day = Parameter("day")
    flow = Flow("etl", tasks=[day])
    flow.schedule = scheduled(1, day="mon")
    assert run_flow(flow, clock=clock).result[day].result == "mon"
    flow.schedule = scheduled(2)
    with pytest.raises(ParameterError, match="needs a value for 'day'"):
        run_flow(flow, clock=clock)


def test_each_scheduled_run_has_an_id_of_its_own_and_starts_anew(clock: ManualClock) -> None:
    ids: set[str] = set()

    @task(max_retries=1, retry_delay=timedelta(seconds=1))
    def flaky() -> None:
        ids.add(context.flow_run_id)
        if context.task_run_count == 1:
            raise ValueError

    flow = Flow("etl", tasks=[flaky])
    flow.schedule = scheduled(1, 2)
    assert run_flow(flow, clock=clock).is_successful()
    assert clock.slept == [60, 1, 59, 1]
    assert len(ids) == 2


def test_a_failed_run_does_not_end_the_schedule(clock: ManualClock) -> None:
    count: list[int] = []

    @task
    def fail() -> None:
        count.append(1)
        raise ValueError

    flow = Flow("etl", tasks=[fail])
    flow.schedule = scheduled(1, 2, 3)
    assert type(run_flow(flow, clock=clock)) is Failed
    assert len(count) == 3


def test_an_interrupt_between_two_runs_ends_the_schedule(flow: Flow, ran: list[Any], seen: Any) -> None:
    class Impatient(ManualClock):
        def sleep(self, seconds: float) -> None:
            if len(ran) == 2:
                raise KeyboardInterrupt
            super().sleep(seconds)

    flow.state_handlers.append(seen)
    flow.schedule = scheduled(1, 2, 3)
    with pytest.raises(KeyboardInterrupt):
        run_flow(flow, clock=Impatient())
    assert len(ran) == 2
    assert seen == ["Scheduled>Running", "Running>Success"] * 2, "no run was under way"


def test_states_given_from_before_are_for_the_first_run_only(clock: ManualClock) -> None:
    @task
    def number() -> int:
        return 1

    flow = Flow("etl", tasks=[number])
    flow.schedule = scheduled(1)
    assert run_flow(flow, clock=clock, task_states={number: Success(result=9)}).result[number].result == 9
    flow.schedule = scheduled(2, 3)
    assert run_flow(flow, clock=clock, task_states={number: Success(result=9)}).result[number].result == 1


# ---------------------------------------------------------------- a runner of another kind


class Odd:
    """A runner that has nothing in common with tocsin's but `run`."""

    runs: list[dict[str, Any]]

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def run(self, **options: Any) -> State:
        type(self).runs.append(options)
        return Success("odd") if len(self.runs) < 3 else Failed(result=ValueError("odd"))


def test_a_runner_that_knows_no_tasks_ends_its_run_but_not_the_schedule(flow: Flow, clock: ManualClock) -> None:
    Odd.runs = []
    flow.schedule = scheduled(1, 2)
    state = run_flow(flow, clock=clock, runner_cls=Odd)
    assert (len(Odd.runs), state.message) == (2, "odd")
    assert {found.message for found in state.result.values()} == {"not run"}
    assert isinstance(run_flow(flow, clock=clock, runner_cls=Odd, run_on_schedule=False).result, ValueError)


def test_a_runner_is_told_all_by_name(flow: Flow, clock: ManualClock) -> None:
    Odd.runs = []
    run_flow(flow, {"x": 1}, clock=clock, runner_cls=Odd)
    [options] = Odd.runs
    assert set(options) == {"state", "task_states", "return_tasks", "parameters", "context"}
    assert options["parameters"] == {"x": 1}


# ---------------------------------------------------------------- paused tasks


def paused() -> Flow:
    flow = Flow("etl")
    flow.chain(Task("build"), Task("ship", trigger=triggers.manual_only), Task("tell"))
    return flow


def kinds(state: State) -> list[str]:
    return [f"{each.name}: {type(found).__name__}" for each, found in state.result.items()]


def test_somebody_is_asked_until_he_agrees_and_the_task_goes_on() -> None:
    answers, asked = iter(["", "no", " Y "]), []

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers)

    state = run_flow(paused(), ask=ask)
    assert asked == ["'ship' is paused; enter 'y' to resume it: "] * 3
    assert kinds(state) == ["build: Success", "ship: Success", "tell: Success"]


def test_with_nobody_to_ask_the_run_comes_back_running() -> None:
    def nobody(question: str) -> str:
        raise EOFError

    state = run_flow(paused(), ask=nobody)
    assert type(state) is Running
    assert kinds(state) == ["build: Success", "ship: Paused", "tell: Pending"]


def test_without_a_terminal_nobody_is_asked() -> None:
    assert type(run_flow(paused())) is Running


def test_a_paused_task_can_be_resumed_by_a_later_run() -> None:
    flow = paused()
    first = run_flow(flow)
    [ship] = flow.get_tasks("ship")
    assert type(first.result[ship]) is Paused
    last = run_flow(flow, task_states=first.result, task_contexts={ship: {"resume": True}}, state=first)
    assert type(last) is Success


def test_a_paused_child_is_asked_about_by_its_name() -> None:
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "y"

    class Two(Task):
        def run(self) -> list[int]:
            return [0, 1]

    @task
    def each(x: int) -> int:
        if x == 1 and not context.get("resume"):
            raise signals.PAUSE
        return x

    flow = Flow("map")
    flow.add_edge(Two(), each, "x", mapped=True)
    state = run_flow(flow, ask=ask)
    assert asked == ["'each[1]' is paused; enter 'y' to resume it: "]
    assert state.result[each].result == [0, 1]


def test_a_pause_with_a_time_ends_by_itself(clock: ManualClock) -> None:
    @task
    def later() -> float:
        if clock.monotonic() < 60:
            raise signals.PAUSE(start_time=clock.now().add(minutes=1))
        return clock.monotonic()

    assert run_flow(Flow("etl", tasks=[later]), clock=clock).result[later].result == 60


# ---------------------------------------------------------------- one pass


def test_tasks_to_return_must_be_of_the_flow() -> None:
    state = FlowRunner(Flow("etl", tasks=[Task("a")])).run(return_tasks=[Task("b")])
    assert isinstance(state.result, ValueError)
    assert "return_tasks of flow 'etl' has tasks that it has not: 'b'" in str(state.message)


def test_only_what_is_asked_for_is_returned() -> None:
    a, b = Task("a"), Task("b")
    flow = Flow("etl", tasks=[a, b])
    assert set(FlowRunner(flow).run(return_tasks=[b]).result) == {b}
    assert FlowRunner(flow).run().result == {}


def test_a_run_that_waits_returns_what_was_asked_for() -> None:
    flow = paused()
    ship, tell = flow.get_tasks("ship")[0], flow.get_tasks("tell")[0]
    state = FlowRunner(flow).run(return_tasks=[ship, tell])
    assert [type(found).__name__ for found in state.result.values()] == ["Paused", "Pending"]


def test_the_steps_of_a_run_can_be_called_one_by_one() -> None:
    runner = FlowRunner(Flow("etl"))
    state = runner.set_flow_to_running(runner.check_flow_reached_start_time(Running()))
    assert type(state) is Running
    with pytest.raises(signals.ENDRUN):
        runner.check_flow_is_pending_or_running(Success())
    end = runner.determine_final_state(state, {Failed()}, {}, {Success()})
    assert (type(end), end.message, end.result) == (Failed, "some reference tasks failed", {})
    assert runner.determine_final_state(state, set(), {}, {Paused()}) is state


def test_a_terminal_state_handler_that_raises_fails_the_flow_and_handlers_hear(seen: Any) -> None:
    def broken(flow: Flow, state: State, states: set[State]) -> State:
        raise ValueError("no")

    flow = Flow("etl", tasks=[Task("a")], state_handlers=[seen], terminal_state_handler=broken)
    assert type(run_flow(flow)) is Failed
    assert seen == ["Scheduled>Running", "Running>Failed"]
