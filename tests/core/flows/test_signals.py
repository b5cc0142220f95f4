"""Signals: the state that each builds, and that nothing on the way swallows them."""

from __future__ import annotations

from typing import Any

import pendulum
import pytest

from tocsin import signals, states
from tocsin.errors import FlowError

STATES = {
    signals.FAIL: states.Failed,
    signals.TRIGGERFAIL: states.TriggerFailed,
    signals.VALIDATIONFAIL: states.ValidationFailed,
    signals.SUCCESS: states.Success,
    signals.RETRY: states.Retrying,
    signals.SKIP: states.Skipped,
    signals.PAUSE: states.Paused,
    signals.LOOP: states.Looped,
}


@pytest.mark.parametrize(("signal", "kind"), STATES.items())
def test_each_signal_builds_its_state_and_is_found_from_it(signal: type[Any], kind: type[Any]) -> None:
    raised = signal("because", context={"x": 1})
    assert type(raised.state) is kind
    assert (raised.state.message, raised.state.context, str(raised)) == ("because", {"x": 1}, "because")
    assert signals.signal_from_state(kind()) is signal


@pytest.mark.parametrize("signal", [each for each in STATES if each is not signals.LOOP])
def test_the_result_is_the_signal_itself_unless_one_is_given(signal: type[Any]) -> None:
    raised = signal("because")
    assert raised.state.result is raised
    assert signal("because", result=5).state.result == 5
    assert signal("because", 5).state.result == 5


def test_further_arguments_go_to_the_state() -> None:
    noon = pendulum.datetime(2024, 1, 1, 12)
    retry = signals.RETRY("later", start_time=noon, run_count=3).state
    assert isinstance(retry, states.Retrying)
    assert (retry.start_time, retry.run_count) == (noon, 3)
    looped = signals.LOOP(result=4, loop_count=2).state
    assert isinstance(looped, states.Looped)
    assert (looped.result, looped.loop_count) == (4, 2)


@pytest.mark.parametrize("kind", [*STATES, signals.TaskTimeoutSignal])
def test_no_signal_is_an_exception_that_user_code_would_catch(kind: type[BaseException]) -> None:
    assert not issubclass(kind, Exception)
    assert not issubclass(signals.ENDRUN, Exception)


def test_failures_of_all_kinds_are_failures() -> None:
    assert issubclass(signals.TRIGGERFAIL, signals.FAIL)
    assert issubclass(signals.VALIDATIONFAIL, signals.FAIL)


@pytest.mark.parametrize("kind", [states.TimedOut, states.Cached, states.Mapped, states.Running, states.State])
def test_only_exactly_the_state_of_a_signal_leads_back_to_it(kind: type[Any]) -> None:
    with pytest.raises(FlowError, match=kind.__name__):
        signals.signal_from_state(kind())


def test_endrun_carries_the_state_it_is_given() -> None:
    state = states.Cancelled("enough")
    assert signals.ENDRUN(state).state is state
    assert signals.ENDRUN(state=state).state is state
