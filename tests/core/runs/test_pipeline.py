"""The steps of a task run: their order, what each makes of a state, and that each can be replaced."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.flows import signals, triggers
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.task import Task, task
from tocsin.results import LocalResult
from tocsin.runs import TaskRunner
from tocsin.runs.settling import Surroundings, call_state_handlers
from tocsin_hooks.results import Result
from tocsin_hooks.states import (
    Cached,
    Failed,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Submitted,
    Success,
    TriggerFailed,
)

MINUTE = timedelta(minutes=1)


@task
def double(x: int) -> int:
    return 2 * x


def after(last: Task, *states: State, key: str | None = None, mapped: bool = False) -> dict[Edge, State]:
    return {Edge(Task(f"before {n}"), last, key, mapped): state for n, state in enumerate(states)}


# ---------------------------------------------------------------- from which state a run starts


@pytest.mark.parametrize("state", [Running(), Success(result=1), Failed(), Skipped()])
def test_what_runs_or_has_ended_is_left_as_it_is(seen: Any, state: State) -> None:
    assert TaskRunner(Task(state_handlers=[seen])).run(state) is state
    assert seen == []


@pytest.mark.parametrize("kind", [Submitted, Queued])
def test_a_state_that_was_handed_on_is_unwrapped(seen: Any, kind: type[Any]) -> None:
    assert type(TaskRunner(Task(state_handlers=[seen])).run(kind(state=Pending()))) is Success
    assert seen == ["Pending>Running", "Running>Success"]


def test_a_scheduled_task_waits_for_its_time(seen: Any, clock: ManualClock) -> None:
    runner = TaskRunner(Task(state_handlers=[seen]), surroundings=Surroundings(clock=clock))
    later = Scheduled(start_time=clock.now() + MINUTE)
    assert runner.run(later) is later
    assert seen == []
    clock.advance(MINUTE)
    assert type(runner.run(later)) is Success
    assert seen == ["Scheduled>Running", "Running>Success"]


def test_a_paused_task_waits_until_it_is_resumed() -> None:
    careful = Task(trigger=triggers.manual_only)
    paused = TaskRunner(careful).run()
    assert type(paused) is Paused
    assert TaskRunner(careful).run(paused) is paused
    assert type(TaskRunner(careful).run(Resume())) is Success
    assert type(TaskRunner(careful).run(context={"resume": True})) is Success


def test_a_paused_task_keeps_its_inputs() -> None:
    careful = double.copy(trigger=triggers.manual_only)
    paused = TaskRunner(careful).run(upstream_states=after(careful, Success(result=4), key="x"))
    assert paused.cached_inputs == {"x": Result(4)}


# ---------------------------------------------------------------- what came before


def test_a_skipped_child_of_a_mapped_task_skips_too(seen: Any) -> None:
    last = Task(state_handlers=[seen])
    mapped = Mapped(map_states=[Success(), Skipped()])
    assert type(TaskRunner(last).run(upstream_states=after(last, mapped))) is Skipped
    assert seen == ["Pending>Skipped"]


def test_a_child_of_a_mapped_task_that_has_not_ended_is_waited_for() -> None:
    last = Task()
    mapped = Mapped(map_states=[Success(), Pending()])
    assert type(TaskRunner(last).run(upstream_states=after(last, mapped))) is Pending


def test_the_trigger_sees_the_upstream_states() -> None:
    asked: list[Any] = []

    def trigger(upstream: Any) -> bool:
        asked.append(dict(upstream))
        return True

    last = Task(trigger=trigger)
    upstream = after(last, Success(), Failed())
    assert type(TaskRunner(last).run(upstream_states=upstream)) is Success
    assert asked == [upstream]


@pytest.mark.parametrize(
    ("signal", "ends"), [(signals.SKIP, "Skipped"), (signals.FAIL, "Failed"), (signals.SUCCESS, "Success")]
)
def test_a_signal_from_a_trigger_ends_the_run_in_its_state(seen: Any, signal: Any, ends: str) -> None:
    def trigger(upstream: Any) -> bool:
        raise signal("because")

    TaskRunner(Task(trigger=trigger, max_retries=1, retry_delay=MINUTE, state_handlers=[seen])).run()
    assert seen == [f"Pending>{ends}"], "and nothing is retried"


# ---------------------------------------------------------------- mapped parents


def test_a_mapped_parent_is_seen_pending_mapped_and_does_not_run(seen: Any) -> None:
    wide = double.copy(state_handlers=[seen])
    upstream = after(wide, Success(result=[1, 2]), key="x", mapped=True)
    assert type(TaskRunner(wide).run(None, upstream, True)) is Mapped
    assert seen == ["Pending>Mapped"]


def test_a_parent_with_nothing_to_map_over_fails(seen: Any) -> None:
    wide = double.copy(state_handlers=[seen])
    state = TaskRunner(wide).run(None, after(wide, Success(result=5), key="x", mapped=True), True)
    assert (type(state), seen) == (Failed, ["Pending>Failed"])
    assert str(state.message).startswith("'double' cannot be mapped over the result of 'before 0'")
    failed = TaskRunner(wide).run(None, after(wide, Failed(), key="x", mapped=True), True)
    assert type(failed) is Failed


def test_a_mapped_parent_is_skipped_after_a_skipped_task() -> None:
    wide = double.copy()
    assert type(TaskRunner(wide).run(None, after(wide, Skipped(), key="x", mapped=True), True)) is Skipped


def test_the_index_of_a_child_is_in_its_context() -> None:
    found: list[Any] = []

    @task(name="load")
    def look() -> None:
        found.append((context.map_index, context.task_full_name, context.task_name))

    TaskRunner(look).run(context={"map_index": 3})
    TaskRunner(look).run()
    assert found == [(3, "load[3]", "load"), (None, "load", "load")]


# ---------------------------------------------------------------- inputs, names, printing


def test_inputs_are_results_constants_and_what_an_earlier_attempt_kept() -> None:
    @task
    def join(a: str, b: str, c: str) -> str:
        return a + b + c

    runner = TaskRunner(join, constants={"b": "b"})
    before = Pending(cached_inputs={"a": Result("old"), "c": Result("c")})
    assert runner.run(before, after(join, Success(result="a"), key="a")).result == "abc"


def test_a_result_that_is_kept_elsewhere_is_read_back(tmp_path: Any) -> None:
    stored = LocalResult(dir=str(tmp_path)).write(21)
    elsewhere = Success(result=Result(location=stored.location))
    reader = Task("before", result=LocalResult(dir=str(tmp_path)))
    state = TaskRunner(double).run(upstream_states={Edge(reader, double, "x"): elsewhere})
    assert state.result == 42


def test_a_result_that_cannot_be_read_back_fails_the_task(seen: Any, tmp_path: Any) -> None:
    last = double.copy(state_handlers=[seen])
    reader = Task("before", result=LocalResult(dir=str(tmp_path)))
    gone = Success(result=Result(location="gone"))
    state = TaskRunner(last).run(upstream_states={Edge(reader, last, "x"): gone})
    assert (type(state), seen) == (Failed, ["Pending>Failed"])
    assert isinstance(state.result, FileNotFoundError)


def test_a_task_run_may_be_named_by_template_or_function() -> None:
    found: list[str] = []

    def look(x: int) -> None:
        found.append(context.task_run_name)

    upstream = after(task(look), Success(result=5), key="x")
    for name in ("x is {x} on {day}", lambda **words: f"x is {words['x']}", lambda x: f"only {x}"):
        named = task(look, task_run_name=name)
        TaskRunner(named).run(upstream_states=upstream, context={"parameters": {"day": "mon", "x": 0}})
    assert found == ["x is 5 on mon", "x is 5", "only 5"]


def test_a_name_that_cannot_be_made_fails_the_run_and_everybody_hears_of_it(seen: Any) -> None:
    state = TaskRunner(Task(task_run_name="{nothing}", state_handlers=[seen])).run()
    assert type(state) is Failed
    assert isinstance(state.result, KeyError)
    assert seen == ["Pending>Failed"]


def test_what_a_task_prints_goes_to_its_logger(caplog: pytest.LogCaptureFixture, capsys: Any) -> None:
    @task(name="talks", log_stdout=True)
    def talks() -> None:
        print("three rows")

    with caplog.at_level(logging.INFO):
        TaskRunner(talks).run()
        print("afterwards")
    said = [record.getMessage() for record in caplog.records if record.name == talks.logger.name]
    assert "three rows" in said
    assert capsys.readouterr().out == "afterwards\n"


def test_a_task_that_does_not_ask_prints_as_ever(capsys: Any) -> None:
    TaskRunner(task(lambda: print("three rows"))).run()
    assert capsys.readouterr().out == "three rows\n"


# ---------------------------------------------------------------- retries


def test_a_retry_signal_is_kept_as_it_is_whatever_the_limits(seen: Any, clock: ManualClock) -> None:
    when = clock.now() + MINUTE

    def again() -> None:
        raise signals.RETRY("not there yet", start_time=when.naive())

    once = task(again, state_handlers=[seen])
    state = TaskRunner(once).run()
    assert type(state) is Retrying
    assert (state.start_time, state.run_count) == (when, 1), "a naive time means UTC"
    assert seen == ["Pending>Running", "Running>Retrying"]


def test_attempts_are_counted_in_the_context() -> None:
    counts: list[int] = []
    count = task(lambda: counts.append(context.task_run_count))
    TaskRunner(count).run()
    TaskRunner(count).run(Retrying(run_count=2))
    TaskRunner(count).run(Pending(context={"task_run_count": 7}))
    assert counts == [1, 3, 7]


def test_a_signal_to_fail_is_retried_and_one_to_succeed_or_skip_is_not(clock: ManualClock) -> None:
    ends = []
    for signal in (signals.FAIL, signals.VALIDATIONFAIL, signals.SUCCESS, signals.SKIP):

        def work(signal: Any = signal) -> None:
            raise signal

        ends.append(type(TaskRunner(task(work, max_retries=1, retry_delay=MINUTE)).run()))
    assert ends == [Retrying, Retrying, Success, Skipped]


def test_a_retrying_state_keeps_the_inputs() -> None:
    def fail(x: int) -> None:
        raise ValueError(x)

    flaky = task(fail, max_retries=1, retry_delay=MINUTE)
    state = TaskRunner(flaky).run(upstream_states=after(flaky, Success(result=3), key="x"))
    assert state.cached_inputs == {"x": Result(3)}


# ---------------------------------------------------------------- a runner of one's own


def test_any_step_may_be_replaced(seen: Any) -> None:
    class Stubborn(TaskRunner):
        @call_state_handlers
        def check_for_retry(self, state: State, inputs: Any) -> State:
            return Retrying("for ever") if state.is_failed() else state

        @call_state_handlers
        def get_task_run_state(self, state: State, inputs: Any) -> State:
            raise ValueError("no rows")

    state = Stubborn(Task(state_handlers=[seen])).run()
    assert state.message == "for ever"
    assert seen == ["Pending>Running", "Running>Failed", "Failed>Retrying"]


def test_a_replaced_step_is_called_even_where_ours_would_have_nothing_to_do() -> None:
    called: list[str] = []

    class Curious(TaskRunner):
        def check_upstream_finished(self, state: State, upstream_states: Any) -> State:
            called.append("upstream")
            return super().check_upstream_finished(state, upstream_states)

        def call_runner_target_handlers(self, old_state: State, new_state: State) -> State:
            called.append(type(new_state).__name__)
            return super().call_runner_target_handlers(old_state, new_state)

    assert type(Curious(Task()).run()) is Success
    assert called == ["upstream", "Running", "Success"]


def test_steps_can_be_taken_one_by_one(seen: Any) -> None:
    runner = TaskRunner(double, [seen])
    with pytest.raises(signals.ENDRUN) as ended:
        runner.check_task_is_ready(Success())
    assert type(ended.value.state) is Success
    with pytest.raises(signals.ENDRUN) as ended:
        runner.check_task_trigger(Pending(), after(double, Failed()))
    assert type(ended.value.state) is TriggerFailed
    running = runner.set_task_to_running(Pending(), {})
    assert runner.get_task_run_state(running, {"x": Result(5)}).result == 10
    assert runner.get_task_inputs(Pending(), after(double, Success(result=5), key="x")) == {"x": Result(5)}
    assert seen == ["Pending>TriggerFailed", "Pending>Running", "Running>Success"]


def test_a_cached_state_to_start_from_is_asked_about() -> None:
    state = TaskRunner(Task(cache_for=MINUTE)).run(Cached(result=5))
    assert (type(state), state.result) == (Cached, 5)
    fresh = TaskRunner(Task()).run(Cached(result=5))
    assert (type(fresh), fresh.result) == (Success, None)


def test_a_loop_is_more_than_one_round_of_the_pipeline(seen: Any) -> None:
    @task(state_handlers=[seen])
    def twice() -> None:
        if context.get("task_loop_count") is None:
            raise signals.LOOP

    assert type(TaskRunner(twice).run()) is Success
    assert seen == ["Pending>Running", "Running>Looped", "Pending>Running", "Running>Success"]
    assert Looped().is_finished()
