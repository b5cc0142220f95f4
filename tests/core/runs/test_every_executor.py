"""The same flow comes to the same end on every executor: what tasks return, what handlers see, what is published.

Handlers run where their task runs, so they write down what they see in a file.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tocsin.executors import Executor
from tocsin.flows import signals, triggers
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import Notify, callback_factory, notify
from tocsin.flows.marks import unmapped
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, task
from tocsin.runs import TaskRunner, run_flow
from tocsin_hooks.events import Event
from tocsin_hooks.filters import when
from tocsin_hooks.states import Failed, Paused, Retrying, Skipped, State, Success, TriggerFailed

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no other process can import a test

SOON = timedelta(milliseconds=1)

ELSEWHERE = {"dask processes", "dask cluster"}


class Diary:
    """A state handler that any process may call."""

    def __init__(self, path: Path, name: str = "") -> None:
        self.path = path
        self.name = name

    def __call__(self, subject: Any, old: State, new: State) -> State:
        with self.path.open("a") as file:
            file.write(f"{self.name}{type(old).__name__}>{type(new).__name__}\n")
        return new

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    return Diary(tmp_path / "diary")


@task
def one() -> int:
    return 1


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def numbers() -> list[int]:
    return [1, 2, 3]


@task
def total(values: list[int]) -> int:
    return sum(values)


@task
def double(x: int) -> int:
    return 2 * x


@task
def fail() -> None:
    raise ValueError("no rows")


@task(max_retries=2, retry_delay=SOON)
def flaky() -> int:
    count: int = context.task_run_count
    if count < 3:
        raise OSError(f"attempt {count}")
    return count


# ---------------------------------------------------------------- states and data


def test_results_and_parameters_go_from_task_to_task(executor: Executor) -> None:
    with Flow("sums") as flow:
        end = add(add(one(), y=Parameter("y", default=3)), y=total([one(), one(), 5]))
    assert run_flow(flow, executor=executor).result[end].result == 11
    assert run_flow(flow, {"y": 10}, executor=executor).result[end].result == 18


def test_a_failure_keeps_its_exception_and_stops_what_comes_after(executor: Executor) -> None:
    with Flow("etl") as flow:
        bad = fail()
        after = one(upstream_tasks=[bad])
        cleanup = one(upstream_tasks=[after], task_args={"trigger": triggers.all_failed})
    state = run_flow(flow, executor=executor)
    assert type(state.result[bad]) is Failed
    assert repr(state.result[bad].result) == "ValueError('no rows')"
    assert type(state.result[after]) is TriggerFailed
    assert state.result[cleanup].result == 1
    assert state.is_successful()


def test_an_exception_of_a_class_made_in_a_function_comes_back_as_it_is(executor: Executor) -> None:
    class NoRows(Exception):
        pass

    @task
    def broken() -> None:
        raise NoRows("none")

    state = run_flow(Flow("etl", tasks=[broken]), executor=executor)
    assert type(state.result[broken].result).__name__ == "NoRows"


def test_a_task_is_retried_until_it_succeeds(executor: Executor, diary: Diary) -> None:
    only = flaky.copy(state_handlers=[diary])
    state = run_flow(Flow("etl", tasks=[only]), executor=executor)
    assert state.result[only].result == 3
    again = ["Running>Failed", "Failed>Retrying", "Retrying>Running"]
    assert diary.lines() == ["Pending>Running", *again, *again, "Running>Success"]


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (lambda: signals.SKIP("nothing new"), Skipped),
        (lambda: signals.FAIL("bad"), Failed),
        (lambda: signals.SUCCESS("good", result=7), Success),
    ],
)
def test_a_signal_ends_the_task_as_it_says(executor: Executor, signal: Any, expected: type[State]) -> None:
    @task
    def signalled() -> None:
        raise signal()

    with Flow("etl") as flow:
        first = signalled()
        after = one(upstream_tasks=[first])
    state = run_flow(flow, executor=executor)
    assert type(state.result[first]) is expected
    assert type(state.result[after]) is {Skipped: Skipped, Failed: TriggerFailed, Success: Success}[expected]
    assert state.result[first].message == signal().state.message


def test_a_paused_task_waits_for_somebody(executor: Executor) -> None:
    @task
    def wait() -> None:
        raise signals.PAUSE("look first")

    state = run_flow(Flow("etl", tasks=[wait]), executor=executor)
    assert type(state.result[wait]) is Paused
    assert state.is_running()


def test_mapped_tasks_and_a_reduce(executor: Executor) -> None:
    with Flow("maps") as flow:
        doubled = double.map(numbers())
        summed = add.map(doubled, y=unmapped(10))
        end = total(summed)
    state = run_flow(flow, executor=executor)
    assert [each.result for each in state.result[doubled].map_states] == [2, 4, 6]
    assert state.result[end].result == 42


def test_a_child_that_fails_fails_alone(executor: Executor) -> None:
    @task
    def picky(x: int) -> int:
        if x == 2:
            raise ValueError(context.map_index)
        return x

    with Flow("maps") as flow:
        mapped = picky.map(numbers())
    state = run_flow(flow, executor=executor)
    assert [type(each) for each in state.result[mapped].map_states] == [Success, Failed, Success]
    assert repr(state.result[mapped].map_states[1].result) == "ValueError(1)"
    assert state.is_failed()


def test_the_context_reaches_the_task(executor: Executor) -> None:
    @task(name="look", tags={"prod"})
    def look() -> tuple[Any, ...]:
        return context.flow_name, context.task_name, context.parameters["day"], sorted(context.task_tags), context.mine

    with Flow("etl") as flow:
        found = look(upstream_tasks=[Parameter("day", default="mon")])
    state = run_flow(flow, executor=executor, context={"mine": 5})
    assert state.result[found].result == ("etl", "look", "mon", ["prod"], 5)


class Marked(TaskRunner):
    """A runner of one's own, to be made wherever the task runs."""

    def foresee(self, state: State) -> bool:
        return False


def test_a_runner_of_ones_own_makes_the_attempts(executor: Executor) -> None:
    state = run_flow(Flow("etl", tasks=[flaky]), executor=executor, task_runner_cls=Marked)
    assert str(state.result[flaky].result) == "attempt 1", "its own foresee() allows no retry"


# ---------------------------------------------------------------- handlers


def test_handlers_run_in_order_the_tasks_the_flows_the_runners(executor: Executor, diary: Diary) -> None:
    own, shared, runners = (Diary(diary.path, name) for name in ("task ", "flow ", "runner "))
    flow = Flow("etl", tasks=[one.copy(state_handlers=[own])], task_state_handlers=[shared])
    run_flow(flow, executor=executor, task_runner_state_handlers=[runners])
    changes = ["Pending>Running", "Running>Success"]
    assert diary.lines() == [f"{name}{change}" for change in changes for name in ("task ", "flow ", "runner ")]


def test_handlers_run_in_the_process_of_their_task(executor: Executor, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "pids"

    def note(subject: Any, old: State, new: State) -> None:
        with path.open("a") as file:
            file.write(f"{os.getpid()} ")

    @task(state_handlers=[note])
    def where() -> int:
        return os.getpid()

    state = run_flow(Flow("etl", tasks=[where]), executor=executor)
    pid = state.result[where].result
    assert path.read_text().split() == [str(pid)] * 2
    assert (pid != os.getpid()) is (kind in ELSEWHERE)


def test_a_handler_may_replace_the_state(executor: Executor) -> None:
    def soften(subject: Any, old: State, new: State) -> State:
        return Success("good enough", result=0) if new.is_failed() else new

    only = fail.copy(state_handlers=[soften])
    state = run_flow(Flow("etl", tasks=[only]), executor=executor)
    assert (state.result[only].message, state.result[only].result) == ("good enough", 0)


def test_a_handler_that_raises_fails_the_task(executor: Executor) -> None:
    def broken(subject: Any, old: State, new: State) -> State:
        raise OSError("no network")

    only = one.copy(state_handlers=[broken])
    state = run_flow(Flow("etl", tasks=[only]), executor=executor)
    assert type(state.result[only]) is Failed
    assert "no network" in str(state.result[only].message)


# ---------------------------------------------------------------- what is published


def test_every_change_is_published_once_in_order_and_in_this_process(executor: Executor, told: Any) -> None:
    processes: set[int] = set()

    def answer(event: Event, state: State) -> State:
        processes.add(os.getpid())
        return state

    hub = told(answer=answer)
    run_flow(Flow("etl", tasks=[flaky]), executor=executor, publisher=hub, run_name="nightly")
    assert [(event.old_state, event.state, event.attempt) for event in hub.of("flaky")] == [
        ("Pending", "Running", 1),
        ("Running", "Failed", 1),
        ("Failed", "Retrying", 1),
        ("Retrying", "Running", 2),
        ("Running", "Failed", 2),
        ("Failed", "Retrying", 2),
        ("Retrying", "Running", 3),
        ("Running", "Success", 3),
    ]
    assert len({event.id for event in hub.events}) == len(hub.events) == 10
    assert processes == {os.getpid()}
    failed = hub.of("flaky")[1]
    assert failed.will_retry
    assert (failed.exception.message, failed.run_name) == ("attempt 1", "nightly")
    assert "raise OSError" in failed.exception.traceback, "it was written down where the exception was raised"


def test_what_nobody_wants_is_not_published_but_for_notes(executor: Executor, told: Any) -> None:
    hub, page = told(wanted=False), notify("ops", when="is_failed")
    run_flow(Flow("etl", tasks=[one, fail.copy(state_handlers=[page])]), executor=executor, publisher=hub)
    assert [event.state for event in hub.of("fail")] == ["Running", "Failed"]
    assert hub.of("one") == []
    assert all(notes == (Notify("ops", page.filter),) for notes in hub.notes)


def test_a_state_that_the_publisher_proposes_at_the_end_is_the_end(executor: Executor, told: Any) -> None:
    hub = told(answer=lambda event, state: Skipped("by hub") if event.state == "Failed" else state)
    state = run_flow(Flow("etl", tasks=[flaky]), executor=executor, publisher=hub)
    assert state.result[flaky].message == "by hub"
    assert [event.state for event in hub.of("flaky")] == ["Running", "Failed"]


def test_a_callback_that_raises_is_recorded(executor: Executor, told: Any) -> None:
    def send_post(subject: Any, state: State) -> None:
        raise ConnectionError("no network")

    hub = told()
    only = one.copy(state_handlers=[callback_factory(send_post, lambda state: state.is_successful())])
    assert run_flow(Flow("etl", tasks=[only]), executor=executor, publisher=hub).is_successful()
    [(name, subject, error)] = hub.failures
    assert name.endswith("send_post")
    assert (subject, error) == ("etl/one", "ConnectionError('no network')")


def test_a_callback_may_ask_with_a_filter(executor: Executor, diary: Diary) -> None:
    page = callback_factory(lambda subject, state: diary(subject, state, state), when("state=Retrying and flow=etl"))
    run_flow(Flow("etl", tasks=[flaky.copy(state_handlers=[page])]), executor=executor)
    assert diary.lines() == ["Retrying>Retrying"] * 2


def test_on_change_sees_each_change_with_the_task_of_the_flow(executor: Executor) -> None:
    changes: list[tuple[Any, str, str]] = []

    def see(subject: Task | Flow, old: State, new: State) -> None:
        changes.append((subject, type(old).__name__, type(new).__name__))

    run_flow(Flow("etl", tasks=[one]), executor=executor, on_change=see)
    assert [change for change in changes if change[0] is one] == [
        (one, "Pending", "Running"),
        (one, "Running", "Success"),
    ]


# ---------------------------------------------------------------- as in Prefect 1


def test_what_submit_hands_back_becomes_a_value_with_wait(executor: Executor) -> None:
    with executor.start():
        first = executor.submit(lambda x: x + 1, 1)
        second = executor.submit(lambda x, y: x * y, first, y=5, extra_context={"task_name": "times"})
        assert executor.wait([first, second]) == [2, 10]


def test_an_executor_can_be_sent_elsewhere(executor: Executor) -> None:
    with executor.start():
        copy = cloudpickle.loads(cloudpickle.dumps(executor))
    with copy.start():
        assert copy.wait(copy.submit(lambda: 5)) == 5


def test_an_exception_that_leaves_the_run_ends_it_and_the_executor_serves_the_next(executor: Executor) -> None:
    @task
    def leave() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run_flow(Flow("etl", tasks=[leave]), executor=executor)
    assert run_flow(Flow("etl", tasks=[one]), executor=executor).is_successful()


@pytest.fixture(autouse=True)
def _nobody_is_left_behind() -> Iterator[None]:
    """Warnings are errors: a process or a pipe that was forgotten would say so."""
    yield
    import gc

    gc.collect()


def test_a_retry_is_an_event_of_its_own(executor: Executor, told: Any) -> None:
    hub = told()
    run_flow(Flow("etl", tasks=[flaky]), executor=executor, publisher=hub)
    waits = [event for event in hub.events if event.state == "Retrying"]
    assert [event.attempt for event in waits] == [1, 2]
    assert all(event.next_attempt_at is not None and event.is_a(Retrying.__name__) for event in waits)
