"""State handlers: in which order they see which transitions, and what becomes of what they return or raise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.flows import signals
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.runs import FlowRunner, TaskRunner, run_flow
from tocsin.runs.settling import Surroundings
from tocsin_hooks.states import Failed, Pending, Retrying, Running, Skipped, State, Success, TriggerFailed

MINUTE = timedelta(minutes=1)


def fail() -> None:
    raise ValueError("no rows")


def test_a_task_that_succeeds_is_seen_pending_running_success(seen: Any) -> None:
    state = TaskRunner(task(lambda: 5, state_handlers=[seen])).run()
    assert seen == ["Pending>Running", "Running>Success"]
    assert state.result == 5


def test_a_task_that_fails_is_seen_pending_running_failed(seen: Any) -> None:
    state = TaskRunner(task(fail, state_handlers=[seen])).run()
    assert seen == ["Pending>Running", "Running>Failed"]
    assert state.message == "Unexpected error: ValueError('no rows')"
    assert isinstance(state.result, ValueError)


def test_a_failure_with_retries_left_is_seen_failed_and_then_retrying(seen: Any, clock: ManualClock) -> None:
    flaky = task(fail, max_retries=1, retry_delay=MINUTE, state_handlers=[seen])
    around = Surroundings(clock=clock)
    waiting = TaskRunner(flaky, surroundings=around).run()
    assert isinstance(waiting, Retrying)
    assert waiting.run_count == 1
    assert waiting.start_time == clock.now() + MINUTE
    assert TaskRunner(flaky, surroundings=around).run(waiting) is waiting, "it is not due yet"
    clock.advance(MINUTE)
    assert isinstance(TaskRunner(flaky, surroundings=around).run(waiting), Failed)
    assert seen == [
        "Pending>Running",
        "Running>Failed",
        "Failed>Retrying",
        "Retrying>Running",
        "Running>Failed",
    ]


def test_a_task_whose_trigger_fails_never_runs(seen: Any) -> None:
    ran: list[int] = []
    last = task(lambda: ran.append(1), name="last", state_handlers=[seen])
    state = TaskRunner(last).run(upstream_states={Edge(Task("first"), last): Failed()})
    assert type(state) is TriggerFailed
    assert state.message == "upstream did not succeed: 'first'"
    assert (seen, ran) == (["Pending>TriggerFailed"], [])


def test_a_trigger_failure_is_not_retried(seen: Any) -> None:
    last = Task("last", max_retries=3, retry_delay=MINUTE, state_handlers=[seen])
    TaskRunner(last).run(upstream_states={Edge(Task("first"), last): Failed()})
    assert seen == ["Pending>TriggerFailed"]


def test_a_trigger_that_breaks_counts_as_not_satisfied() -> None:
    def broken(upstream: Any) -> bool:
        raise KeyError("x")

    state = TaskRunner(Task("last", trigger=broken)).run()
    assert type(state) is TriggerFailed
    assert isinstance(state.result, KeyError)


def test_a_skipped_upstream_task_skips_before_the_trigger_is_asked(seen: Any) -> None:
    last = Task("last", trigger=lambda upstream: False, state_handlers=[seen])
    assert type(TaskRunner(last).run(upstream_states={Edge(Task("first"), last): Skipped()})) is Skipped
    assert seen == ["Pending>Skipped"]


def test_a_task_may_run_all_the_same_after_a_skipped_one() -> None:
    last = Task("last", skip_on_upstream_skip=False)
    assert type(TaskRunner(last).run(upstream_states={Edge(Task("first"), last): Skipped()})) is Success


def test_a_task_waits_while_an_upstream_task_has_not_ended(seen: Any) -> None:
    last = Task("last", state_handlers=[seen])
    assert type(TaskRunner(last).run(upstream_states={Edge(Task("first"), last): Running()})) is Pending
    assert seen == []


@pytest.mark.parametrize(
    ("signal", "ends"),
    [
        (signals.SUCCESS, "Success"),
        (signals.FAIL, "Failed"),
        (signals.SKIP, "Skipped"),
        (signals.VALIDATIONFAIL, "ValidationFailed"),
        (signals.PAUSE, "Paused"),
        (signals.RETRY, "Retrying"),
    ],
)
def test_a_signal_ends_the_run_in_its_state(seen: Any, signal: type[signals.StateSignal], ends: str) -> None:
    def work() -> None:
        raise signal("because")

    state = TaskRunner(task(work, state_handlers=[seen])).run()
    assert seen == ["Pending>Running", f"Running>{ends}"]
    assert state.message == "because"


def test_endrun_ends_a_task_without_a_retry(seen: Any) -> None:
    def work() -> None:
        raise signals.ENDRUN(Failed("enough"))

    state = TaskRunner(task(work, max_retries=2, retry_delay=MINUTE, state_handlers=[seen])).run()
    assert seen == ["Pending>Running", "Running>Failed"]
    assert state.message == "enough"


# ---------------------------------------------------------------- order, and what is returned


def test_own_handlers_come_first_then_the_flows_for_tasks_then_the_runners() -> None:
    calls: list[tuple[str, str]] = []

    def says(name: str) -> Any:
        return lambda subject, old, new: calls.append((name, type(subject).__name__))

    around = Surroundings(flow_handlers=[says("flow's")])
    runner = TaskRunner(
        Task("a", state_handlers=[says("own 1"), says("own 2")]), [says("runner's")], surroundings=around
    )
    runner.run()
    once = [("own 1", "Task"), ("own 2", "Task"), ("flow's", "Task"), ("runner's", "TaskRunner")]
    assert calls == once * 2


def test_a_handler_sees_what_the_one_before_it_made_of_the_state(seen: Any) -> None:
    def soften(subject: Any, old: State, new: State) -> State | None:
        return Success("good enough", result="none") if new.is_failed() else None

    state = TaskRunner(task(fail, max_retries=1, retry_delay=MINUTE, state_handlers=[soften, seen])).run()
    assert seen == ["Pending>Running", "Running>Success"], "and nothing is retried"
    assert state.result == "none"


def test_a_handler_that_returns_nothing_leaves_the_state_alone() -> None:
    state = TaskRunner(task(lambda: 5, state_handlers=[lambda *_: None, lambda *_: False])).run()
    assert (type(state), state.result) == (Success, 5)


def test_an_equal_state_from_a_handler_is_another_state() -> None:
    other = Success(result=5)
    state = TaskRunner(task(lambda: 5, state_handlers=[lambda t, old, new: other if new == other else new])).run()
    assert state is other


def test_a_handler_may_keep_a_task_from_running() -> None:
    ran: list[int] = []
    halt = Skipped("not today")
    stop = task(lambda: ran.append(1), state_handlers=[lambda t, old, new: halt if new.is_running() else new])
    assert TaskRunner(stop).run() is halt
    assert ran == []


def test_a_handler_that_returns_no_state_fails_the_run_and_is_named() -> None:
    def junk(subject: Any, old: State, new: State) -> Any:
        return "sent"

    state = TaskRunner(Task("a", state_handlers=[junk])).run()
    assert type(state) is Failed
    assert "junk' returned 'sent', which is no State" in str(state.message)


# ---------------------------------------------------------------- what is raised


def test_a_handler_that_raises_fails_the_run_and_no_later_handler_is_called(seen: Any) -> None:
    def broken(subject: Any, old: State, new: State) -> State:
        raise OSError("no network")

    flaky = Task("a", max_retries=3, retry_delay=MINUTE, state_handlers=[broken, seen])
    state = TaskRunner(flaky, [seen]).run()
    assert state.message == "Unexpected error while calling state handlers: OSError('no network')"
    assert isinstance(state.result, OSError)
    assert (type(state), seen) == (Failed, [])


def test_a_handler_that_raises_on_success_fails_good_work() -> None:
    def broken(subject: Any, old: State, new: State) -> State:
        if new.is_successful():
            raise OSError
        return new

    assert type(TaskRunner(task(lambda: 5, state_handlers=[broken])).run()) is Failed


def test_a_signal_in_a_handler_is_the_new_state_and_ends_the_handlers(seen: Any) -> None:
    def skip(subject: Any, old: State, new: State) -> State:
        raise signals.SKIP("by handler")

    state = TaskRunner(Task("a", state_handlers=[skip, seen])).run()
    assert (type(state), state.message, seen) == (Skipped, "by handler", [])


def test_a_retry_signal_in_a_handler_retries() -> None:
    def again(subject: Any, old: State, new: State) -> State:
        if new.is_failed():
            raise signals.RETRY
        return new

    assert type(TaskRunner(task(fail, state_handlers=[again])).run()) is Retrying


@pytest.mark.parametrize("signal", [signals.PAUSE("wait"), signals.ENDRUN(Failed("stop"))])
def test_pause_and_endrun_in_a_handler_end_the_run(signal: Any, seen: Any) -> None:
    def ends(subject: Any, old: State, new: State) -> State:
        if new.is_failed():
            raise signal
        return new

    flaky = task(fail, max_retries=3, retry_delay=MINUTE, state_handlers=[ends])
    assert TaskRunner(flaky).run() is signal.state


# ---------------------------------------------------------------- flows


def test_a_flow_is_seen_pending_running_success(seen: Any) -> None:
    flow = Flow("etl", tasks=[Task("a")], state_handlers=[seen])
    assert isinstance(FlowRunner(flow).run(), Success)
    assert seen == ["Pending>Running", "Running>Success"]


def test_a_run_to_the_end_starts_from_scheduled(seen: Any) -> None:
    run_flow(Flow("etl", tasks=[task(fail)], state_handlers=[seen]))
    assert seen == ["Scheduled>Running", "Running>Failed"]


def test_no_flow_handler_is_called_while_a_task_waits(seen: Any, clock: ManualClock) -> None:
    flow = Flow("etl", tasks=[task(fail, max_retries=2, retry_delay=MINUTE)], state_handlers=[seen])
    run_flow(flow, clock=clock)
    assert seen == ["Scheduled>Running", "Running>Failed"]
    assert clock.slept == [60.0, 60.0]


def test_flow_handlers_and_task_handlers_see_only_their_own() -> None:
    subjects: list[str] = []

    def note(subject: Any, old: State, new: State) -> None:
        subjects.append(subject.name)

    run_flow(Flow("etl", tasks=[Task("a")], state_handlers=[note]))
    assert subjects == ["etl", "etl"]


def test_task_state_handlers_see_every_task_of_the_flow() -> None:
    subjects: list[str] = []

    def note(subject: Any, old: State, new: State) -> None:
        subjects.append(f"{subject.name} {type(new).__name__}")

    flow = Flow("etl", task_state_handlers=[note])
    flow.chain(Task("a"), Task("b"))
    run_flow(flow)
    assert subjects == ["a Running", "a Success", "b Running", "b Success"]


def test_a_flow_handler_that_raises_fails_the_flow_and_silences_the_later_ones(seen: Any) -> None:
    def broken(subject: Any, old: State, new: State) -> State:
        if new.is_finished():
            raise OSError("no network")
        return new

    only = Task("a")
    state = run_flow(Flow("etl", tasks=[only], state_handlers=[broken, seen]))
    assert seen == ["Scheduled>Running"]
    assert type(state) is Failed
    assert type(state.result[only]) is Success


def test_on_failure_is_called_for_each_failed_attempt(clock: ManualClock) -> None:
    calls: list[str] = []

    def note(subject: Any, state: State) -> None:
        calls.append(f"{subject.name} {type(state).__name__}")

    flaky = task(fail, max_retries=1, retry_delay=MINUTE, on_failure=note)
    run_flow(Flow("etl", tasks=[flaky], on_failure=note), clock=clock)
    assert calls == ["fail Failed", "fail Failed", "etl Failed"]


def test_the_terminal_state_handler_may_replace_the_final_state(seen: Any) -> None:
    def lenient(flow: Flow, state: State, reference: set[State]) -> State:
        assert [type(each) for each in reference] == [Failed]
        return Success("good enough")

    state = run_flow(Flow("etl", tasks=[task(fail)], terminal_state_handler=lenient, state_handlers=[seen]))
    assert state.message == "good enough"
    assert seen[-1] == "Running>Success"


def test_a_terminal_state_handler_that_raises_fails_the_flow(seen: Any) -> None:
    def broken(flow: Flow, state: State, reference: set[State]) -> State:
        raise OSError("no network")

    state = run_flow(Flow("etl", tasks=[Task("a")], terminal_state_handler=broken, state_handlers=[seen]))
    assert state.message == "Unexpected error: OSError('no network')"
    assert seen == ["Scheduled>Running", "Running>Failed"]
