"""Tasks that take too long: how each sort of thread and process stops them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tocsin.flows import signals
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.task import Task, task
from tocsin.runs import TaskRunner
from tocsin.runs.timeouts import call_within
from tocsin_hooks.states import Failed, Retrying, Skipped, State, Success, TimedOut

MINUTE = timedelta(minutes=1)
LOGGER = Task("slow").logger


def hang() -> None:
    while True:
        time.sleep(0.01)


def lock() -> Any:
    return threading.Lock()


def alarm_left() -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


def in_a_thread(fn: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(fn()))
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(autouse=True)
def _alarm_as_it_was() -> Any:
    """Whatever a test does, it leaves the alarm of whoever runs it armed as it was."""
    handler, left = signal.getsignal(signal.SIGALRM), alarm_left()
    yield
    assert signal.getsignal(signal.SIGALRM) is handler
    assert bool(alarm_left()) is bool(left)


# ---------------------------------------------------------------- in the main thread


def test_a_task_that_takes_too_long_ends_timed_out(seen: Any) -> None:
    state = TaskRunner(task(hang, timeout=1, state_handlers=[seen])).run()
    assert type(state) is TimedOut
    assert state.message == "the task took longer than its timeout of 1 s"
    assert isinstance(state.result, signals.TaskTimeoutSignal)
    assert seen == ["Pending>Running", "Running>TimedOut"]


def test_a_task_in_time_is_not_stopped() -> None:
    assert TaskRunner(task(lambda: 5, timeout=1)).run().result == 5


def test_a_task_that_fails_or_signals_in_time_does_just_that() -> None:
    def skip() -> None:
        raise signals.SKIP

    assert type(TaskRunner(task(lambda: 1 / 0, timeout=1)).run()) is Failed
    assert type(TaskRunner(task(skip, timeout=1)).run()) is Skipped


def test_a_timeout_is_no_exception_that_a_task_could_swallow() -> None:
    def stubborn() -> None:
        while True:
            try:
                hang()
            except Exception:
                continue

    with pytest.raises(signals.TaskTimeoutSignal):
        call_within(0.05, stubborn, {}, LOGGER)


def test_a_timeout_is_retried() -> None:
    def slow() -> None:
        raise signals.TaskTimeoutSignal

    state = TaskRunner(task(slow, max_retries=1, retry_delay=MINUTE)).run()
    assert type(state) is Retrying
    assert isinstance(state.result, signals.TaskTimeoutSignal)


def test_the_inner_limit_leaves_the_outer_one_in_force() -> None:
    def outer() -> None:
        with pytest.raises(signals.TaskTimeoutSignal, match=r"0\.05 s"):
            call_within(0.05, hang, {}, LOGGER)
        hang()

    with pytest.raises(signals.TaskTimeoutSignal, match=r"0\.2 s"):
        call_within(0.2, outer, {}, LOGGER)


def test_the_outer_limit_counts_inside_a_longer_inner_one() -> None:
    reached: list[str] = []
    inner = task(hang, name="inner", timeout=30)

    def outer() -> None:
        try:
            TaskRunner(inner).run()
        finally:
            reached.append("the end of the outer task")

    begun = time.monotonic()
    state = TaskRunner(task(outer, timeout=1)).run()
    assert (type(state), state.message) == (TimedOut, "the task took longer than its timeout of 1 s")
    assert time.monotonic() - begun < 10
    assert reached == ["the end of the outer task"]


def test_the_alarm_of_others_rings_when_it_would_have() -> None:
    rung: list[float] = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
    left = alarm_left()
    begun = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(signals.TaskTimeoutSignal, match=r"0\.3 s"):
            call_within(0.3, hang, {}, LOGGER)
        first = len(rung)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        call_within(5, lambda: None, {}, LOGGER)
        while len(rung) == first and time.monotonic() - begun < 5:
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left)
    assert (first, len(rung)) == (1, 2), "once inside a longer limit, and once after a call that was in time"


# ---------------------------------------------------------------- in another thread


def test_in_another_thread_the_task_runs_in_a_process_of_its_own_that_is_killed(tmp_path: Any) -> None:
    written = tmp_path / "pid"

    def slow() -> None:
        written.write_text(str(os.getpid()))
        time.sleep(60)

    state = in_a_thread(lambda: TaskRunner(task(slow, timeout=1)).run())
    assert type(state) is TimedOut
    pid = int(written.read_text())
    assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_inputs_context_and_results_travel_to_that_process_and_back() -> None:
    @task(name="sum", timeout=20)
    def add(x: int, y: int) -> Any:
        return x + y, context.task_name, context.parameters["day"], os.getpid()

    def run() -> State:
        upstream = {Edge(Task(), add, "x"): Success(result=2)}
        return TaskRunner(add, constants={"y": 3}).run(None, upstream, context={"parameters": {"day": "mon"}})

    total, name, day, pid = in_a_thread(run).result
    assert (total, name, day) == (5, "sum", "mon")
    assert pid != os.getpid()


def test_what_is_raised_there_is_raised_here() -> None:
    class OwnError(Exception):
        pass

    def fail() -> None:
        raise OwnError("no rows")

    def skip() -> None:
        raise signals.SKIP("not today")

    failed = in_a_thread(lambda: TaskRunner(task(fail, timeout=20)).run())
    assert (type(failed), str(failed.result)) == (Failed, "no rows")
    skipped = in_a_thread(lambda: TaskRunner(task(skip, timeout=20)).run())
    assert (type(skipped), skipped.message) == (Skipped, "not today")


def test_a_result_that_cannot_travel_fails_the_task_with_the_reason() -> None:
    state = in_a_thread(lambda: TaskRunner(task(lock, timeout=20)).run())
    assert type(state) is Failed
    assert "ran in a process of its own, and its result, a lock, cannot be pickled" in str(state.message)


def test_a_process_that_dies_fails_the_task_with_its_code() -> None:
    state = in_a_thread(lambda: TaskRunner(task(lambda: os._exit(3), timeout=20)).run())
    assert type(state) is Failed
    assert "ended with code 3 and no result" in str(state.message)


# ---------------------------------------------------------------- in a daemonic process


def from_a_daemon(answers: Any) -> None:
    def run() -> None:
        slow = TaskRunner(task(hang, timeout=1)).run()
        quick = TaskRunner(task(lambda: context.task_name, name="quick", timeout=20)).run()
        failed = TaskRunner(task(lambda: 1 / 0, timeout=20)).run()
        answers.send([type(slow).__name__, quick.result, type(failed.result).__name__])

    in_a_thread(run)


def test_in_a_daemonic_process_the_task_is_left_behind() -> None:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    process = spawn.Process(target=from_a_daemon, args=(there,), daemon=True)
    process.start()
    there.close()
    try:
        assert here.recv() == ["TimedOut", "quick", "ZeroDivisionError"]
    finally:
        process.kill()
        process.join()
        here.close()
