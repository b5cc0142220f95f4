"""Inside `raise_on_exception()` mistakes are raised where they are made."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tocsin.debug import is_serializable, raise_on_exception
from tocsin.flows import signals
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.task import Task, task
from tocsin.runs import TaskRunner
from tocsin_hooks.states import Failed, Retrying, State, Success


def broken(*_: Any) -> Any:
    raise ValueError("no rows")


def fail() -> None:
    raise ValueError("no rows")


def do_nothing() -> None:
    pass


@pytest.mark.parametrize("options", [{}, {"trigger": broken}, {"state_handlers": [broken]}, {"task_run_name": "{x}"}])
def test_what_tasks_triggers_and_handlers_raise_stays_raised(options: dict[str, Any]) -> None:
    work = task(do_nothing, **options) if options else task(fail)
    with raise_on_exception(), pytest.raises((ValueError, KeyError)):
        TaskRunner(work).run()
    assert type(TaskRunner(work).run()).__name__ in ("Failed", "TriggerFailed")


@pytest.mark.parametrize("signal", [signals.FAIL, signals.SKIP, signals.SUCCESS, signals.RETRY])
def test_signals_of_a_task_stay_raised(signal: type[signals.StateSignal]) -> None:
    def work() -> None:
        raise signal

    with raise_on_exception(), pytest.raises(signal):
        TaskRunner(task(work)).run()


def test_a_trigger_that_is_not_satisfied_is_raised() -> None:
    last = Task()
    with raise_on_exception(), pytest.raises(signals.TRIGGERFAIL):
        TaskRunner(last).run(upstream_states={Edge(Task(), last): Failed()})


def test_a_pause_is_no_mistake() -> None:
    def work() -> None:
        raise signals.PAUSE("ask somebody")

    with raise_on_exception():
        assert TaskRunner(task(work)).run().message == "ask somebody"


def test_a_loop_and_the_end_of_a_run_are_no_mistakes() -> None:
    def work() -> str:
        if context.get("task_loop_count") is None:
            raise signals.LOOP
        raise signals.ENDRUN(Success(result="enough"))

    with raise_on_exception():
        assert TaskRunner(task(work)).run().result == "enough"


def test_a_signal_from_a_handler_stays_raised() -> None:
    def stop(subject: Any, old: State, new: State) -> State:
        raise signals.FAIL("stop")

    with raise_on_exception(), pytest.raises(signals.FAIL, match="stop"):
        TaskRunner(Task(state_handlers=[stop])).run()


def test_a_timeout_stays_raised() -> None:
    def slow() -> None:
        raise signals.TaskTimeoutSignal

    with raise_on_exception(), pytest.raises(signals.TaskTimeoutSignal):
        TaskRunner(task(slow)).run()


def test_nothing_changes_after_the_block() -> None:
    with pytest.raises(ValueError, match="no rows"), raise_on_exception():
        broken()
    assert type(TaskRunner(task(fail)).run()) is Failed
    assert "raise_on_exception" not in context


def test_a_waiting_task_is_no_mistake() -> None:
    with raise_on_exception():
        waiting = Retrying(start_time=None, message="later")
        waiting.start_time = None
        assert TaskRunner(Task()).run(waiting) is waiting


def test_what_cannot_be_sent_elsewhere_can_be_asked() -> None:
    assert is_serializable(lambda: 1)
    assert not is_serializable(threading.Lock())
    with pytest.raises(TypeError, match="lock"):
        is_serializable(threading.Lock(), raise_on_error=True)
