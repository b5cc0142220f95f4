"""Stopping a run: by Ctrl-C, by SIGTERM, by a task that exits. What has not ended is Cancelled, and everybody hears."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.flows import signals
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.runs import FlowRunner, LocalExecutor, ThreadExecutor, run_flow, stopping
from tocsin_hooks.states import Cancelled, State, Success

# ---------------------------------------------------------------- in this process


@task
def done() -> int:
    return 1


@task
def interrupted() -> None:
    raise KeyboardInterrupt


def kinds(state: State) -> dict[str, str]:
    return {each.name: type(found).__name__ for each, found in state.result.items()}


def stopped(flow: Flow, kind: type[BaseException] = KeyboardInterrupt, **options: Any) -> State:
    with pytest.raises(kind) as caught:
        run_flow(flow, **options)
    state = stopping.state_left_by(caught.value)
    assert state is not None
    return state


@pytest.mark.parametrize("executor", [LocalExecutor(), ThreadExecutor(2)], ids=["local", "threads"])
def test_what_runs_and_what_has_not_begun_become_cancelled_and_handlers_hear(executor: Any, seen: Any) -> None:
    heard: list[str] = []

    def note(subject: Any, old: State, new: State) -> None:
        heard.append(f"{subject.name}: {type(old).__name__}>{type(new).__name__}")

    flow = Flow("etl", state_handlers=[seen], task_state_handlers=[note])
    flow.chain(done, interrupted, Task("after"))
    state = stopped(flow, executor=executor)
    assert type(state) is Cancelled
    assert state.message == "flow run stopped by KeyboardInterrupt"
    assert kinds(state) == {"done": "Success", "interrupted": "Cancelled", "after": "Cancelled"}
    assert heard[2:] == ["interrupted: Pending>Running", "interrupted: Running>Cancelled", "after: Pending>Cancelled"]
    assert seen == ["Scheduled>Running", "Running>Cancelled"]


def test_the_publisher_hears_of_every_cancelled_task_and_of_the_flow(told: Any) -> None:
    publisher, flow = told(), Flow("etl")
    flow.chain(interrupted, Task("after"))
    stopped(flow, publisher=publisher)
    found = [(event.task, event.state) for event in publisher.events if event.state == "Cancelled"]
    assert found == [("interrupted", "Cancelled"), ("after", "Cancelled"), ("", "Cancelled")]


def test_a_task_that_exits_the_process_cancels_the_run() -> None:
    @task
    def leave() -> None:
        sys.exit(3)

    state = stopped(Flow("etl", tasks=[leave, Task("b")]), SystemExit)
    assert state.message == "flow run stopped by SystemExit(3)"
    assert set(kinds(state).values()) == {"Cancelled"}


def test_children_that_have_not_ended_are_cancelled_one_by_one() -> None:
    @task
    def work(x: int) -> int:
        if x == 2:
            raise KeyboardInterrupt
        return x

    class Numbers(Task):
        def run(self) -> list[int]:
            return [1, 2, 3]

    flow, heard = Flow("map"), []
    work.state_handlers.append(lambda subject, old, new: heard.append(type(new).__name__))
    flow.add_edge(Numbers("numbers"), work, "x", mapped=True)
    flow.add_edge(work, Task("reduce"))
    state = stopped(flow)
    children = state.result[work].map_states
    assert [type(child).__name__ for child in children] == ["Success", "Cancelled", "Cancelled"]
    assert heard == ["Mapped", "Running", "Success", "Running", "Cancelled", "Cancelled"]
    assert kinds(state) == {"numbers": "Success", "work": "Mapped", "reduce": "Cancelled"}


def test_an_interrupt_while_the_run_waits_for_a_retry_cancels_it(seen: Any) -> None:
    class Impatient(ManualClock):
        def sleep(self, seconds: float) -> None:
            if seconds > 0:
                raise KeyboardInterrupt

    clock = Impatient()

    @task
    def again() -> None:
        raise signals.RETRY(start_time=clock.now().add(minutes=1))

    again.state_handlers.append(seen)
    state = stopped(Flow("etl", tasks=[again]), clock=clock)
    assert kinds(state) == {"again": "Cancelled"}
    assert seen == ["Pending>Running", "Running>Retrying", "Retrying>Cancelled"]


def test_a_flow_run_inside_a_task_is_cancelled_first(seen: Any) -> None:
    inner = Flow("inner", tasks=[interrupted.copy()], state_handlers=[seen])

    @task
    def outer() -> State:
        return run_flow(inner)

    state = stopped(Flow("outer", tasks=[outer], state_handlers=[seen]))
    assert seen == ["Scheduled>Running", "Scheduled>Running", "Running>Cancelled", "Running>Cancelled"]
    assert kinds(state) == {"outer": "Cancelled"}


def test_a_runner_of_its_own_cancels_too() -> None:
    with pytest.raises(KeyboardInterrupt) as caught:
        FlowRunner(Flow("etl", tasks=[interrupted])).run(return_tasks=[interrupted])
    assert type(stopping.state_left_by(caught.value)) is Cancelled


def test_a_thread_at_work_is_stopped_and_its_task_is_cancelled_in_it() -> None:
    at_work, names = threading.Event(), []

    @task
    def busy() -> None:
        at_work.set()
        while True:
            time.sleep(0.001)

    @task
    def stop() -> None:
        at_work.wait(10)
        raise KeyboardInterrupt

    def note(subject: Any, old: State, new: State) -> None:
        if new.is_finished() and subject is busy:
            names.append((threading.current_thread().name[:11], type(new).__name__))

    busy.state_handlers.append(note)
    state = stopped(Flow("etl", tasks=[busy, stop]), executor=ThreadExecutor(2))
    assert names == [("tocsin-task", "Cancelled")]
    assert kinds(state) == {"busy": "Cancelled", "stop": "Cancelled"}


def test_a_thread_that_cannot_be_stopped_in_time_is_given_up_and_told_of_once() -> None:
    release, at_work, heard = threading.Event(), threading.Event(), []

    @task
    def hang() -> None:
        at_work.set()
        release.wait(30)

    @task
    def stop() -> None:
        at_work.wait(10)
        raise KeyboardInterrupt

    hang.state_handlers.append(lambda subject, old, new: heard.append(type(new).__name__))
    before = set(threading.enumerate())
    state = stopped(Flow("etl", tasks=[hang, stop]), executor=ThreadExecutor(2, stop_within=0.05))
    assert kinds(state)["hang"] == "Cancelled"
    release.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert heard == ["Running", "Cancelled"]


def test_signal_handlers_are_as_before_after_a_run_and_ours_during_it() -> None:
    before, during = signal.getsignal(signal.SIGTERM), []

    @task
    def look() -> None:
        during.append(signal.getsignal(signal.SIGTERM))

    run_flow(Flow("etl", tasks=[look]))
    assert signal.getsignal(signal.SIGTERM) is before
    assert during != [before]


def test_a_handler_of_the_application_is_kept() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))

    @task
    def send() -> None:
        signal.raise_signal(signal.SIGTERM)

    try:
        assert type(run_flow(Flow("etl", tasks=[send]))) is Success
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_in_another_thread_signals_are_left_alone() -> None:
    found: list[State] = []
    thread = threading.Thread(target=lambda: found.append(run_flow(Flow("etl", tasks=[done]))))
    thread.start()
    thread.join(10)
    assert found[0].is_successful()


def test_a_signal_waits_until_a_state_handler_is_through() -> None:
    through: list[str] = []

    def slow(subject: Any, old: State, new: State) -> None:
        if new.is_running():
            signal.raise_signal(signal.SIGTERM)
            through.append(type(new).__name__)

    began: list[int] = []

    @task
    def work() -> None:
        began.append(1)

    work.state_handlers.append(slow)
    state = stopped(Flow("etl", tasks=[work]), SystemExit)
    assert (through, began) == (["Running"], [])
    assert state.message == "flow run stopped by SIGTERM"


# ---------------------------------------------------------------- real signals, in processes of their own

SCRIPT = """
import json, sys, time, threading
from tocsin.flows.flow import Flow
from tocsin.flows.task import task
from tocsin.runs import LocalExecutor, ThreadExecutor, run_flow

def say(*what):
    print(json.dumps(what), flush=True)

@task
def work():
    say("started")
    {work}

@task
def after():
    say("after ran")

def note(subject, old, new):
    if new.is_finished():
        say(subject.name, type(new).__name__)
        {handler}

flow = Flow("etl", state_handlers=[note], task_state_handlers=[note])
flow.chain(work, after)
try:
    run_flow(flow, executor={executor})
finally:
    say("cleaned up")
"""


class Script:
    """A run in a process of its own, which writes a line for all that happens."""

    def __init__(self, path: Path, **parts: str) -> None:
        parts = {"work": "time.sleep(30)", "handler": "pass", "executor": "LocalExecutor()", **parts}
        path.write_text(SCRIPT.format(**parts))
        self.process = subprocess.Popen(
            [sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def read(self) -> list[Any]:
        assert self.process.stdout is not None
        return list(json.loads(self.process.stdout.readline()))

    def stop(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def rest(self) -> list[Any]:
        out, _ = self.process.communicate(timeout=20)
        return [json.loads(line) for line in out.splitlines()]


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Any]:
    made: list[Script] = []

    def make(**parts: str) -> Script:
        made.append(Script(tmp_path / "script.py", **parts))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.communicate()


CONFIG = """
[store]
path = "tocsin.db"
[channels.box]
type = "inbox"
[[routes]]
when = "state=Cancelled"
send = ["box"]
"""

FLOW = """
import sys, time
from tocsin import Flow, task

@task
def work():
    print("started", file=sys.stderr, flush=True)
    time.sleep(30)

@task
def after():
    pass

with Flow("etl") as flow:
    after(upstream_tasks=[work()])
"""

ENDED = [["work", "Cancelled"], ["after", "Cancelled"], ["etl", "Cancelled"], ["cleaned up"]]


@pytest.mark.parametrize("executor", ["LocalExecutor()", "ThreadExecutor(2)"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)])
def test_a_signal_cancels_the_run_and_ends_the_program(script: Any, executor: str, number: int, code: int) -> None:
    run = script(executor=executor, work="\n    ".join(["for _ in range(3000):", "    time.sleep(0.01)"]))
    assert run.read() == ["started"]
    run.stop(number)
    assert run.rest() == ENDED
    assert run.process.returncode == code


@pytest.mark.timeout(20)  # without the bound it would take much longer
def test_a_signal_wakes_a_task_that_sleeps(script: Any) -> None:
    run = script()
    assert run.read() == ["started"]
    run.stop(signal.SIGTERM)
    assert run.rest() == ENDED


def test_a_second_signal_ends_at_once(script: Any) -> None:
    run = script(handler="time.sleep(30)")
    assert run.read() == ["started"]
    run.stop(signal.SIGINT)
    assert run.read() == ["work", "Cancelled"]
    time.sleep(stopping.PATIENCE + 0.2)
    run.stop(signal.SIGINT)
    assert run.rest() == [["cleaned up"]]
    assert run.process.returncode == -signal.SIGINT


def test_the_command_line_delivers_sums_up_and_exits_with_the_code_of_the_signal(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text(CONFIG)
    (tmp_path / "etl.py").write_text(FLOW)
    run = subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "run", "etl.py", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    try:
        assert run.stderr.readline() == "started\n"
        run.send_signal(signal.SIGTERM)
        out, _ = run.communicate(timeout=20)
    finally:
        run.kill()
    summary = json.loads(out)
    assert run.returncode == 143
    assert (summary["state"], summary["message"]) == ("Cancelled", "flow run stopped by SIGTERM")
    assert summary["deliveries"]["box"]["delivered"] == 3


def test_two_signals_in_quick_succession_count_once(script: Any) -> None:
    run = script()
    assert run.read() == ["started"]
    run.stop(signal.SIGINT)
    run.stop(signal.SIGTERM)
    assert run.rest() == ENDED
