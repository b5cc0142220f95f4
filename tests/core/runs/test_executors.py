"""Executors: the same flow gives the same states on threads, and a thread that hangs keeps nobody waiting."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

import pytest

from support.threadless import Limit
from tocsin.clock import Clock, ManualClock
from tocsin.errors import FlowError
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.runs import Executor, LocalExecutor, ThreadExecutor, run_flow
from tocsin.runs.executors import Outcome
from tocsin_hooks.states import Failed, State, Success


@task
def number(value: int) -> int:
    return value


@task
def total(values: list[int]) -> int:
    return sum(values)


@pytest.mark.parametrize("executor", [LocalExecutor(), ThreadExecutor(workers=3), ThreadExecutor(workers=1)])
def test_every_executor_gives_the_same_result(executor: Executor) -> None:
    with Flow("sums") as flow:
        end = total([number(each) for each in range(50)])
    for _ in range(2):
        assert run_flow(flow, executor=executor).result[end].result == 1225


def test_the_flow_may_bring_its_executor() -> None:
    names: list[str] = []

    @task
    def where() -> None:
        names.append(threading.current_thread().name)

    run_flow(Flow("etl", tasks=[where], executor=ThreadExecutor(workers=1)))
    assert names == ["tocsin-task-1"]


def test_threads_work_at_the_same_time() -> None:
    meet = threading.Barrier(3, timeout=10)

    @task
    def wait() -> None:
        meet.wait()

    flow = Flow("meet", tasks=[wait.copy() for _ in range(3)])
    assert run_flow(flow, executor=ThreadExecutor(workers=3)).is_successful()


def test_each_thread_has_the_context_of_its_own_task() -> None:
    meet = threading.Barrier(2, timeout=10)

    @task
    def look() -> str:
        meet.wait()
        return str(context.task_name)

    a, b = look.copy(name="a"), look.copy(name="b")
    state = run_flow(Flow("meet", tasks=[a, b]), executor=ThreadExecutor(workers=2))
    assert (state.result[a].result, state.result[b].result) == ("a", "b")


def test_a_retry_falls_due_while_another_thread_is_at_work() -> None:
    clock = ManualClock()
    retried = threading.Event()

    @task(max_retries=1, retry_delay=timedelta(minutes=1))
    def flaky() -> None:
        if context.task_run_count == 1:
            raise ValueError
        retried.set()

    @task
    def slow() -> bool:
        clock.advance(60)
        return retried.wait(10)

    def note(subject: Any, old: State, new: State) -> None:
        if new.is_retrying():
            started.set()

    started = threading.Event()
    flaky.state_handlers.append(note)
    late = slow.copy(trigger=lambda _: started.wait(10))
    state = run_flow(Flow("etl", tasks=[flaky, late]), executor=ThreadExecutor(workers=2), clock=clock)
    assert state.result[late].result is True
    assert state.is_successful()


def test_an_interrupt_waits_no_longer_than_it_should_for_a_thread_that_hangs() -> None:
    release = threading.Event()
    hanging = threading.Event()

    @task
    def hang() -> None:
        hanging.set()
        release.wait(30)

    @task
    def interrupted() -> None:
        hanging.wait(10)
        raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            run_flow(Flow("etl", tasks=[hang, interrupted]), executor=ThreadExecutor(2, stop_within=0.05))
        assert not release.is_set()
    finally:
        release.set()


def test_an_executor_needs_a_worker() -> None:
    with pytest.raises(FlowError, match="ThreadExecutor has 0 workers; give 1 or more"):
        ThreadExecutor(workers=0)


class Remote(Executor):
    """Sends everything through pickle, as an executor on other machines does; it loses what it is told to lose."""

    def __init__(self, lost: str = "") -> None:
        self.lost = lost
        self.waiting: list[tuple[Any, bytes]] = []

    def start(self, clock: Clock | None = None) -> AbstractContextManager[None]:
        return nullcontext()

    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        self.waiting.append((key, pickle.dumps((fn, args))))

    def completed(self, timeout: float | None) -> Sequence[Outcome]:
        done = []
        for key, sent in self.waiting:
            fn, args = pickle.loads(sent)
            if key.name == self.lost:
                done.append(Outcome(key, None, ConnectionError("worker gone")))
            else:
                done.append(Outcome(key, pickle.loads(pickle.dumps(fn(*args)))))
        self.waiting.clear()
        return done


class Five(Task):
    def run(self) -> int:
        return 5


class Double(Task):
    def run(self, value: int) -> int:  # type: ignore[override]
        return 2 * value


def test_what_is_submitted_can_be_sent_elsewhere() -> None:
    with Flow("remote") as flow:
        end = Double("double")(Five("five")())
    assert run_flow(flow, executor=Remote()).result[end].result == 10


def test_a_task_that_the_executor_loses_has_failed_and_its_handlers_hear_of_it(seen: Any) -> None:
    with Flow("remote") as flow:
        five = Five("five")()
        Double("double")(five)
    five.state_handlers.append(seen)
    state = run_flow(flow, executor=Remote(lost="five"))
    assert type(state.result[five]) is Failed
    assert isinstance(state.result[five].result, ConnectionError)
    assert "Pending>Failed" in seen
    assert not any(isinstance(found, Success) for found in state.result.values())


@pytest.mark.parametrize("room", [0, 1, 2])
def test_as_many_threads_as_can_be_had_do_the_work(room: int, caplog: pytest.LogCaptureFixture) -> None:
    names: set[str] = set()

    @task
    def seen(value: int) -> int:
        names.add(threading.current_thread().name)
        return value

    with Flow("sums") as flow:
        end = total([seen(each) for each in range(50)])
    for _ in range(2):
        executor = ThreadExecutor(workers=3, begin=Limit(room).begin)
        assert run_flow(flow, executor=executor).result[end].result == 1225
    assert names <= {f"tocsin-task-{number + 1}" for number in range(room)} | ({"MainThread"} if not room else set())
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2, "once in each run"
    assert all(text.startswith("fewer tasks run at once than there should: can't start new thread") for text in texts)


def test_a_task_that_fails_or_interrupts_does_so_without_threads_too() -> None:
    @task
    def fail() -> None:
        raise ValueError("bad row")

    @task
    def interrupt() -> None:
        raise KeyboardInterrupt

    executor = ThreadExecutor(begin=Limit(0).begin)
    assert run_flow(Flow("etl", tasks=[fail]), executor=executor).is_failed()
    with pytest.raises(KeyboardInterrupt):
        run_flow(Flow("etl", tasks=[interrupt]), executor=ThreadExecutor(begin=Limit(0).begin))
