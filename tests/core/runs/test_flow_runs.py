"""A flow run: data from task to task, retries without standing still, and the state in which it ends."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.errors import CycleError, ParameterError
from tocsin.flows import ports, signals, triggers
from tocsin.flows.context import context
from tocsin.flows.debug import raise_on_exception
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, task
from tocsin.runs import FlowRunner, TaskRunner, run_flow
from tocsin_hooks.states import Cancelled, Failed, Paused, Pending, Retrying, Running, Skipped, State, Success

MINUTE = timedelta(minutes=1)


@task
def fail() -> None:
    raise ValueError("no rows")


@task
def one() -> int:
    return 1


@task
def add(x: int, y: int = 10) -> int:
    return x + y


def kinds(state: State) -> dict[str, str]:
    return {each.name: type(found).__name__ for each, found in state.result.items()}


class FailsFirst(Task):
    """Fails as often as it is told, then returns the attempt's number."""

    def __init__(self, name: str, failures: int, **options: Any) -> None:
        self.failures = failures
        super().__init__(name, **options)

    def run(self) -> int:
        count: int = context.task_run_count
        if count <= self.failures:
            raise OSError(f"attempt {count}")
        return count


# ---------------------------------------------------------------- data


def test_results_go_from_task_to_task() -> None:
    with Flow("sums") as flow:
        total = add(add(one(), y=2), add(one()))
    assert run_flow(flow).result[total].result == 14


def test_collections_of_tasks_arrive_as_collections_of_results() -> None:
    got: list[Any] = []

    @task
    def keep(value: Any) -> None:
        got.append(value)

    with Flow("gather") as flow:
        a = one()
        keep([a, 2, (a, {a})])
        keep({"rows": a, "more": [a]})
        keep([1, 2])
    assert run_flow(flow).is_successful()
    assert sorted(got, key=repr) == sorted([[1, 2, (1, {1})], {"rows": 1, "more": [1]}, [1, 2]], key=repr)


def test_parameters_reach_tasks_and_have_defaults() -> None:
    with Flow("sums") as flow:
        total = add(Parameter("x"), Parameter("y", default=3))
    assert run_flow(flow, {"x": 1}).result[total].result == 4
    assert run_flow(flow, {"x": 1, "y": 5}).result[total].result == 6


def test_a_missing_or_unknown_parameter_is_refused_with_a_suggestion() -> None:
    with Flow("sums") as flow:
        add(Parameter("rows"), Parameter("limit", default=3))
    with pytest.raises(ParameterError, match="flow 'sums' needs a value for 'rows'"):
        run_flow(flow)
    with pytest.raises(ValueError, match="has no parameter 'limits'; did you mean 'limit'"):
        run_flow(flow, {"rows": 1, "limits": 3})


def test_a_task_runs_after_all_it_waits_for() -> None:
    order: list[str] = []

    class Note(Task):
        def run(self) -> None:
            order.append(self.name)

    a, b, c, d = (Note(name) for name in "abcd")
    flow = Flow("diamond", tasks=[d, c, b, a])
    flow.chain(a, b, d)
    flow.chain(a, c, d)
    run_flow(flow)
    assert order[0] == "a"
    assert order[-1] == "d"
    assert sorted(order) == list("abcd")


def test_a_run_takes_the_order_that_the_flow_tells() -> None:
    order: list[str] = []

    class Note(Task):
        def run(self) -> None:
            order.append(self.name)

    tasks = [Note(str(number)) for number in range(9)]
    flow = Flow("mixed", tasks=tasks)
    flow.chain(tasks[8], tasks[1], tasks[0])
    flow.chain(tasks[4], tasks[3], tasks[0])
    run_flow(flow)
    assert order == [each.name for each in flow.sorted_tasks()]


def test_a_chain_of_ten_thousand_tasks_is_no_deep_recursion() -> None:
    flow = Flow("long")
    tasks = [one.copy() for _ in range(10_000)]
    flow.chain(*tasks)
    assert run_flow(flow).result[tasks[-1]].result == 1


# ---------------------------------------------------------------- retries


def test_a_retry_waits_for_its_delay_and_then_succeeds(clock: ManualClock) -> None:
    flaky = FailsFirst("flaky", 2, max_retries=2, retry_delay=MINUTE)
    state = run_flow(Flow("etl", tasks=[flaky]), clock=clock)
    assert state.result[flaky].result == 3
    assert clock.slept == [60.0, 60.0]


def test_retries_end(clock: ManualClock) -> None:
    flaky = FailsFirst("flaky", 9, max_retries=2, retry_delay=MINUTE)
    state = run_flow(Flow("etl", tasks=[flaky]), clock=clock)
    assert state.result[flaky].message == "Unexpected error: OSError('attempt 3')"


def test_a_retrying_state_says_which_attempt_failed_and_carries_the_exception(clock: ManualClock) -> None:
    flaky = FailsFirst("flaky", 9, max_retries=2, retry_delay=MINUTE)
    runner = FlowRunner(Flow("etl", tasks=[flaky]), clock=clock)
    state = runner.run(return_tasks=[flaky])
    assert type(state) is Running
    waiting = state.result[flaky]
    assert type(waiting) is Retrying
    assert waiting.message == "attempt 1 of 3 failed: Unexpected error: OSError('attempt 1')"
    assert isinstance(waiting.result, OSError)


def test_only_the_exceptions_of_retry_on_are_retried(clock: ManualClock) -> None:
    wrong = FailsFirst("wrong", 9, max_retries=2, retry_delay=MINUTE, retry_on=KeyError)
    right = FailsFirst("right", 1, max_retries=2, retry_delay=MINUTE, retry_on=(KeyError, OSError))
    state = run_flow(Flow("etl", tasks=[wrong, right]), clock=clock)
    assert kinds(state) == {"wrong": "Failed", "right": "Success"}
    assert clock.slept == [60.0]


def test_independent_tasks_go_on_while_one_waits_for_its_retry(clock: ManualClock) -> None:
    order: list[str] = []

    def note(subject: Any, old: State, new: State) -> None:
        order.append(f"{subject.name} {type(new).__name__} at {clock.monotonic():g}")

    flaky = FailsFirst("flaky", 1, max_retries=1, retry_delay=MINUTE)
    flow = Flow("etl", tasks=[flaky], task_state_handlers=[note])
    flow.chain(Task("a"), Task("b"))
    flow.chain(flaky, Task("after"))
    run_flow(flow, clock=clock)
    assert order == [
        "flaky Running at 0",
        "flaky Failed at 0",
        "flaky Retrying at 0",
        "a Running at 0",
        "a Success at 0",
        "b Running at 0",
        "b Success at 0",
        "flaky Running at 60",
        "flaky Success at 60",
        "after Running at 60",
        "after Success at 60",
    ]


def test_a_retry_that_falls_due_while_others_run_goes_first(clock: ManualClock) -> None:
    order: list[str] = []

    class Slow(Task):
        def run(self) -> None:
            clock.advance(30)

    def note(subject: Any, old: State, new: State) -> None:
        if new.is_running():
            order.append(subject.name)

    flaky = FailsFirst("flaky", 1, max_retries=1, retry_delay=MINUTE)
    tasks = [flaky, *(Slow(name) for name in "abcd")]
    run_flow(Flow("etl", tasks=tasks, task_state_handlers=[note]), clock=clock)
    assert order == ["flaky", "a", "b", "flaky", "c", "d"]
    assert clock.slept == []


def test_a_retry_signal_is_honoured_without_max_retries(clock: ManualClock) -> None:
    @task
    def work() -> int:
        if context.task_run_count == 1:
            raise signals.RETRY(start_time=clock.now() + MINUTE)
        return int(context.task_run_count)

    flow = Flow("etl", tasks=[work])
    assert run_flow(flow, clock=clock).result[work].result == 2
    assert clock.slept == [60.0]


def test_one_pass_returns_running_and_the_next_goes_on_from_its_states(clock: ManualClock) -> None:
    flaky, other = FailsFirst("flaky", 1, max_retries=1, retry_delay=MINUTE), FailsFirst("other", 0)
    flow = Flow("etl", tasks=[flaky, other])
    both = [flaky, other]
    first = FlowRunner(flow, clock=clock).run(return_tasks=both)
    assert kinds(first) == {"flaky": "Retrying", "other": "Success"}
    again = FlowRunner(flow, clock=clock).run(first, first.result, both)
    assert type(again) is Running, "it is not due yet"
    clock.advance(MINUTE)
    last = FlowRunner(flow, clock=clock).run(first, first.result, both)
    assert type(last) is Success
    assert last.result[other] is first.result[other], "what has ended is not run again"


# ---------------------------------------------------------------- how it ends


def test_a_failure_fails_what_waits_for_it_but_nothing_else() -> None:
    with Flow("etl") as flow:
        bad = fail()
        one.copy(name="after")(upstream_tasks=[bad])
        one.copy(name="clean up", trigger=triggers.all_finished)(upstream_tasks=[bad])
        one.copy(name="apart")()
    state = run_flow(flow)
    assert kinds(state) == {"fail": "Failed", "after": "TriggerFailed", "clean up": "Success", "apart": "Success"}
    assert state.message == "some reference tasks failed: 'after'"


def test_reference_tasks_decide_whether_the_flow_failed() -> None:
    with Flow("etl") as flow:
        bad = fail()
        clean_up = one.copy(trigger=triggers.always_run)(upstream_tasks=[bad])
    assert run_flow(flow).is_successful()
    flow.set_reference_tasks([bad, clean_up])
    assert run_flow(flow).is_failed()


def test_a_cancelled_reference_task_neither_fails_nor_succeeds() -> None:
    @task
    def stopped() -> None:
        raise signals.ENDRUN(Cancelled())

    state = run_flow(Flow("etl", tasks=[stopped]))
    assert (type(state), state.message) == (Success, "no reference tasks failed")


def test_skipped_counts_as_success() -> None:
    @task
    def skip() -> None:
        raise signals.SKIP

    with Flow("etl") as flow:
        after = one(upstream_tasks=[skip()])
    state = run_flow(flow)
    assert state.message == "all reference tasks succeeded"
    assert type(state.result[after]) is Skipped


def test_every_task_has_a_state_also_one_that_never_ran() -> None:
    @task
    def wait() -> None:
        raise signals.PAUSE("ask somebody")

    with Flow("etl") as flow:
        paused = wait()
        after = one(upstream_tasks=[paused])
    state = run_flow(flow)
    assert type(state) is Running
    assert type(state.result[paused]) is Paused
    assert (type(state.result[after]), state.result[after].message) == (Pending, "not run")


def test_a_paused_task_does_not_keep_others_from_being_retried(clock: ManualClock) -> None:
    @task
    def wait() -> None:
        raise signals.PAUSE

    flaky = FailsFirst("flaky", 1, max_retries=1, retry_delay=MINUTE)
    state = run_flow(Flow("etl", tasks=[wait, flaky]), clock=clock)
    assert kinds(state) == {"wait": "Paused", "flaky": "Success"}


def test_states_from_before_are_not_run_again() -> None:
    before = Success(result=41)
    with Flow("sums") as flow:
        first = fail()
        total = add(first, y=1)
    state = run_flow(flow, task_states={first: before})
    assert state.result[first] is before
    assert state.result[total].result == 42


def test_an_empty_flow_succeeds() -> None:
    state = run_flow(Flow("nothing"))
    assert (type(state), state.result) == (Success, {})


def test_a_cycle_is_refused_before_anything_runs(seen: Any) -> None:
    a, b = Task("a"), Task("b")
    flow = Flow("loop", state_handlers=[seen])
    flow.chain(a, b, a)
    with pytest.raises(CycleError, match="flow 'loop' has a cycle: a -> b -> a"):
        run_flow(flow)
    assert seen == []


def test_keyboard_interrupt_is_not_swallowed() -> None:
    @task
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_flow(Flow("etl", tasks=[interrupted]))
    assert "flow_name" not in context


# ---------------------------------------------------------------- context, runners, options


def test_a_task_finds_its_run_in_the_context(clock: ManualClock) -> None:
    found: dict[str, Any] = {}

    @task(name="look", tags={"prod"})
    def look() -> None:
        found.update(context.to_dict())

    flow = Flow("etl", tasks=[look, Parameter("day", default="mon")])
    run_flow(flow, clock=clock, run_name="nightly", context={"team": "data", "today": "never"})
    assert found["flow_name"] == "etl"
    assert found["flow_run_name"] == "nightly"
    assert found["flow_run_id"] == "00000000-0000-4000-8000-000000000001"
    assert found["task_name"] == found["task_full_name"] == "look"
    assert found["task_slug"] == "look-prod-1"
    assert found["task_tags"] == {"prod"}
    assert found["task_run_count"] == 1
    assert found["task_run_id"] == f"{found['flow_run_id']}/look-prod-1"
    assert found["parameters"] == {"day": "mon"}
    assert found["yesterday"] == "2023-12-31"
    assert (found["team"], found["today"]) == ("data", "never"), "what the user says wins"
    assert "task_name" not in context


def test_a_flow_run_inside_a_task_knows_its_own_context_only() -> None:
    found: dict[str, Any] = {}

    def look(subject: Any, old: State, new: State) -> None:
        found.update(context.to_dict())

    inner = Flow("inner", state_handlers=[look])

    @task
    def outer() -> State:
        return run_flow(inner)

    run_flow(Flow("outer", tasks=[outer]))
    assert found["flow_name"] == "inner"
    assert "task_name" not in found


def test_a_task_can_be_given_context_of_its_own() -> None:
    @task
    def look() -> Any:
        return context.colour

    flow = Flow("etl", tasks=[look])
    assert run_flow(flow, task_contexts={look: {"colour": "red"}}).result[look].result == "red"


def test_a_runner_class_of_ones_own_is_used() -> None:
    class Loud(TaskRunner):
        def run(self, *args: Any, **kwargs: Any) -> State:
            state = super().run(*args, **kwargs)
            state.message = "loud"
            return state

    only = Task("a")
    assert run_flow(Flow("etl", tasks=[only]), task_runner_cls=Loud).result[only].message == "loud"


def test_an_observer_sees_each_change_and_cannot_break_the_run() -> None:
    changes: list[str] = []

    def watch(subject: Task | Flow, old: State, new: State) -> None:
        changes.append(f"{subject.name}: {type(old).__name__} to {type(new).__name__}")
        raise RuntimeError("display gone")

    assert run_flow(Flow("etl", tasks=[Task("a")]), on_change=watch).is_successful()
    assert changes == [
        "etl: Scheduled to Running",
        "a: Pending to Running",
        "a: Running to Success",
        "etl: Running to Success",
    ]


def test_flow_run_knows_every_option_of_run_flow() -> None:
    assert set(inspect.signature(run_flow).parameters) - {"flow", "parameters", "publisher"} == ports.OPTIONS


def test_failed_exceptions_are_logged_once_with_their_traceback(caplog: pytest.LogCaptureFixture) -> None:
    run_flow(Flow("etl", tasks=[fail]))
    [record] = [record for record in caplog.records if record.name == "tocsin.fail"]
    assert record.levelname == "ERROR"
    assert "ValueError: no rows" in caplog.text


def test_a_failed_state_keeps_the_exception() -> None:
    state = run_flow(Flow("etl", tasks=[fail]))
    assert type(state) is Failed
    assert isinstance(state.result[fail].result, ValueError)


def test_a_runner_called_by_hand_makes_one_pass_and_leaves_retries_to_the_next(clock: ManualClock) -> None:
    tries: list[int] = []

    @task(max_retries=1, retry_delay=timedelta(0))
    def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("busy")
        return "ok"

    with Flow("etl") as flow:
        result = flaky()
    runner = FlowRunner(flow, clock=clock)
    first = runner.run(return_tasks=[result])
    assert first.is_running()
    assert first.result[result].is_retrying()
    second = runner.run(first, task_states=first.result, return_tasks=[result])
    assert second.is_successful()
    assert second.result[result].result == "ok"


@pytest.mark.parametrize("strange", [Task("load"), 1, "load"])
def test_tasks_that_a_runner_is_to_return_and_the_flow_has_not_are_told(strange: Any) -> None:
    with Flow("etl") as flow:
        flow.add_task(Task("extract"))
    with raise_on_exception(), pytest.raises(ValueError, match="return_tasks of flow 'etl' has tasks that it has not"):
        FlowRunner(flow).run(return_tasks=[strange])
