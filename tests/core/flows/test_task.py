"""A task: what it is told, and what it refuses to be told."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest

from tocsin.errors import FlowError, ParameterError
from tocsin.flows import signals
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import Callback, Notify, callback_factory, callback_failures, notify
from tocsin.flows.parameter import Parameter, check_parameters
from tocsin.flows.task import FunctionTask, Task, task
from tocsin_hooks.states import Failed, Pending, Retrying, Running, Skipped, State, Success

MINUTE = timedelta(minutes=1)


def test_a_task_is_called_after_its_class_or_its_function() -> None:
    @task
    def extract() -> None:
        """Get rows."""

    class Load(Task):
        pass

    assert (extract.name, Load().name, Task("mine").name) == ("extract", "Load", "mine")
    assert isinstance(extract, FunctionTask)
    assert extract.__doc__ == "Get rows."
    assert repr(extract) == "<Task: extract>"


def test_the_decorator_takes_the_options_of_a_task() -> None:
    @task(name="e", max_retries=2, retry_delay=MINUTE, tags={"prod"})
    def extract() -> int:
        return 5

    assert (extract.name, extract.max_retries, extract.retry_delay, extract.tags) == ("e", 2, MINUTE, {"prod"})
    assert extract.run() == 5


def test_a_copy_does_not_share_tags_or_handlers() -> None:
    first = Task("a", tags={"x"}, state_handlers=[notify("ops")])
    second = first.copy(name="b")
    second.tags.add("y")
    second.state_handlers.clear()
    assert (first.name, first.tags, len(first.state_handlers)) == ("a", {"x"}, 1)


def test_an_unknown_option_is_not_taken_in_silence() -> None:
    with pytest.raises(TypeError, match="max_retry"):
        task(lambda: None, max_retry=None)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"max_retries": 2}, FlowError, "has max_retries but no retry_delay; give both"),
        ({"retry_delay": MINUTE}, FlowError, "has a retry_delay but no max_retries above 0"),
        ({"max_retries": 1, "retry_delay": 60}, TypeError, "retry_delay is 60; give a timedelta"),
        ({"max_retries": -1, "retry_delay": MINUTE}, FlowError, "max_retries is -1"),
        ({"tags": "prod"}, TypeError, "tags is 'prod'; give a set: {'prod'}"),
        ({"state_handlers": print}, TypeError, r"state_handlers is one function; give a list: \[print\]"),
        ({"state_handlers": ["ops"]}, TypeError, "state_handlers has 'ops', which cannot be called"),
        ({"trigger": "all"}, TypeError, "trigger is ''all'', which cannot be called"),
        ({"retry_on": [3]}, TypeError, "retry_on has 3, which is no exception class"),
        ({"retry_on": OSError}, FlowError, "has retry_on but no max_retries above 0; give both"),
        ({"timeout": 1.5}, TypeError, "timeout is 1.5; give whole seconds or a timedelta"),
    ],
)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        Task("a", **options)


def test_a_function_whose_arguments_cannot_be_named_is_refused() -> None:
    with pytest.raises(FlowError, match=r"takes '\*rows'; give its arguments names"):
        task(lambda *rows: None)
    with pytest.raises(FlowError, match="has an argument 'flow'; rename it"):
        task(lambda flow: None)


# ---------------------------------------------------------------- parameters


def test_a_parameter_is_required_unless_it_has_a_default() -> None:
    assert Parameter("x").required
    assert not Parameter("x", default=None).required
    assert not Parameter("x", required=False).required
    assert Parameter("x", default=3).run() == 3


def test_a_parameter_is_not_copied_into_a_flow() -> None:
    given = Parameter("x")
    with Flow("etl") as flow:
        assert given() is given
    assert flow.slugs == {given: "x"}


def test_a_parameter_without_a_value_fails() -> None:
    with pytest.raises(signals.FAIL) as caught:
        Parameter("x").run()
    assert caught.value.state.message == "parameter 'x' is required but was not given"
    with context(parameters={"x": None}):
        assert Parameter("x").run() is None


def test_parameters_from_outside_must_be_plain_data() -> None:
    check_parameters({"a": [1, {"b": None}]})
    with pytest.raises(ParameterError, match="parameter 'b' is of type 'set', which has no JSON form"):
        check_parameters({"a": 1, "b": {1}})


# ---------------------------------------------------------------- handlers


def said(subject: Any, state: State) -> None:
    raise AssertionError(state)


def is_failed(state: State) -> bool:
    return state.is_failed()


def test_a_callback_is_called_only_if_the_check_is_true_itself() -> None:
    calls: list[State] = []
    failed = Failed()
    for answer in (True, 1, "yes", False, None):
        check: Any = {failed: answer}.__getitem__
        handler = callback_factory(lambda subject, state: calls.append(state), check)
        assert handler(Task("a"), Running(), failed) is failed
    assert calls == [failed]


def test_a_check_that_raises_is_no_harm() -> None:
    before = callback_failures()
    state = Success()
    assert callback_factory(said, lambda state: state.nothing)(Task("a"), Running(), state) is state  # type: ignore[attr-defined]
    assert callback_failures() == before + 1


def test_handlers_can_be_pickled() -> None:
    callback = pickle.loads(pickle.dumps(callback_factory(said, is_failed, strict=True)))
    assert isinstance(callback, Callback)
    with pytest.raises(AssertionError):
        callback(Task("a"), Running(), Failed())
    assert pickle.loads(pickle.dumps(notify("ops", when="is_failed"))) == notify("ops", when="is_failed")
    assert isinstance(pickle.loads(pickle.dumps(Task("a", on_failure=said))), Task)


def test_notify_holds_a_channel_and_a_filter() -> None:
    assert notify("ops") == Notify("ops", None)
    assert str(notify("ops", when="state = Retrying").filter) != "None"
    state = Success()
    assert notify("ops")(Task("a"), Running(), state) is state


# ---------------------------------------------------------------- signals


def test_a_signal_builds_its_state_at_once() -> None:
    signal = signals.FAIL("no rows", result=[1])
    assert (type(signal.state), signal.state.message, signal.state.result) == (Failed, "no rows", [1])
    assert signals.SKIP("later").state.result.args == ("later",)
    assert signals.RETRY(run_count=4).state.run_count == 4  # type: ignore[attr-defined]


def test_signals_pass_by_except_exception() -> None:
    assert not issubclass(signals.StateSignal, Exception)
    assert not issubclass(signals.ENDRUN, Exception)


def test_the_signal_of_a_state_goes_by_its_exact_class() -> None:
    assert signals.signal_from_state(Retrying()) is signals.RETRY
    assert signals.signal_from_state(Skipped()) is signals.SKIP
    with pytest.raises(ValueError, match="no signal leads to the state 'Pending'"):
        signals.signal_from_state(Pending())
