"""States: what they are told, what they take from the run around them, when they are equal, and how they travel."""

from __future__ import annotations

import inspect
import json
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle
import pendulum
import pytest

from tocsin.flows import signals
from tocsin_hooks import states
from tocsin_hooks.results import NoResult, Result
from tocsin_hooks.states import (
    Cached,
    Cancelled,
    Failed,
    Finished,
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
    TimedOut,
    TriggerFailed,
    run_context,
)

ALL = [State, *State.children()]
assert all(isinstance(kind, type) for kind in ALL)


@contextmanager
def inside(**values: Any) -> Iterator[None]:
    token = run_context.set(values)
    try:
        yield
    finally:
        run_context.reset(token)


ORDERS = {
    State: "message result context cached_inputs",
    Scheduled: "message result start_time context cached_inputs",
    Paused: "message result start_time context cached_inputs",
    Resume: "message result start_time context cached_inputs",
    Retrying: "message result start_time context cached_inputs run_count",
    Submitted: "message result state context cached_inputs",
    states.ClientFailed: "message result state context cached_inputs",
    Queued: "message result state start_time context cached_inputs",
    Looped: "message result loop_count context cached_inputs",
    Cached: "message result cached_inputs cached_parameters cached_result_expiration context hashed_inputs",
    Mapped: "message result map_states context cached_inputs n_map_states",
}


@pytest.mark.parametrize("kind", ALL)
def test_arguments_come_in_the_order_of_prefect_1(kind: Any) -> None:
    wanted = ORDERS.get(kind, ORDERS[State]).split()
    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    assert [parameter.name for parameter in parameters] == wanted
    assert all(parameter.default in (None, NoResult) for parameter in parameters)


@pytest.mark.parametrize("kind", ALL)
def test_every_state_starts_empty_and_tells_its_class(kind: Any) -> None:
    state = kind()
    assert (state.message, state.result, state._result, state.cached_inputs) == (None, None, NoResult, {})
    assert repr(state) == f"<{kind.__name__}>"
    assert repr(kind("why")) == f'<{kind.__name__}: "why">'
    assert kind("why", 5).result == 5


def test_the_usual_states_have_colours_of_their_own() -> None:
    usual: list[type[State]] = [
        Pending,
        Scheduled,
        Retrying,
        Running,
        Success,
        Failed,
        Skipped,
        TriggerFailed,
        Cached,
        Mapped,
        Finished,
    ]
    assert len({kind.color for kind in usual}) == len(usual)


# ---------------------------------------------------------------- what they are

CHECKS: dict[str, set[type[State]]] = {
    "is_pending": {Pending, Scheduled, Paused, Resume, Retrying},
    "is_scheduled": {Scheduled, Paused, Resume, Retrying, Queued},
    "is_retrying": {Retrying},
    "is_queued": {Queued},
    "is_submitted": {Submitted},
    "is_meta_state": {Submitted, Queued, states.ClientFailed},
    "is_running": {Running, states.Cancelling},
    "is_looped": {Looped},
    "is_successful": {Success, Cached, Mapped, Skipped},
    "is_cached": {Cached},
    "is_mapped": {Mapped},
    "is_skipped": {Skipped},
    "is_failed": {Failed, TimedOut, TriggerFailed, states.ValidationFailed, states.Crashed},
}


@pytest.mark.parametrize("check", CHECKS)
def test_each_check_holds_for_a_class_and_those_below_it(check: str) -> None:
    assert {kind for kind in ALL if getattr(kind(), check)()} == CHECKS[check]


def test_what_has_finished_succeeded_failed_looped_or_was_cancelled() -> None:
    ended = CHECKS["is_successful"] | CHECKS["is_failed"] | {Finished, Looped, Cancelled}
    assert {kind for kind in ALL if kind().is_finished()} == ended


def test_the_tree_can_be_walked_up_and_down() -> None:
    assert set(Failed.children()) == {TimedOut, TriggerFailed, states.ValidationFailed, states.Crashed}
    assert Failed in Failed.children(include_self=True)
    assert set(Success.children(names_only=True)) == {"Cached", "Mapped", "Skipped"}
    assert set(Retrying.parents()) == {Scheduled, Pending, State}
    assert Submitted in State.children()
    assert not any(str(name).startswith("_") for name in State.children(names_only=True))
    assert Submitted.parents(names_only=True) == ["State"]


# ---------------------------------------------------------------- what they carry


def test_a_result_is_unwrapped_and_a_plain_value_wrapped() -> None:
    wrapped = Success(result=Result(5, location="x"))
    assert (wrapped.result, wrapped._result.location) == (5, "x")
    plain = Success(result=5)
    assert plain._result == Result(5)
    plain.result = Result(6, location="y")
    assert (plain.result, plain._result.location) == (6, "y")


def test_none_is_a_result_and_no_result_is_none() -> None:
    assert (Success(result=None).result, Success().result) == (None, None)
    assert Success(result=None) != Success()


def test_times_are_aware_and_default_to_now() -> None:
    before = pendulum.now("UTC")
    for start_time in (Scheduled().start_time, Queued().start_time):
        assert start_time is not None
        assert before <= start_time <= pendulum.now("UTC")
    assert Paused().start_time is None
    noon = pendulum.datetime(2024, 1, 1, 12)
    for given in (noon, noon.naive(), noon.in_timezone("Asia/Tokyo")):
        assert Retrying(start_time=given).start_time == noon


def test_a_state_that_wraps_another_never_wraps_twice() -> None:
    inner = Pending("inner")
    assert Queued(state=Submitted(state=inner)).state is inner
    outer = Submitted()
    outer.state = Queued(state=Running("inner"))
    assert repr(outer.state) == '<Running: "inner">'


def test_counts_and_tags_come_from_the_run_unless_given() -> None:
    assert (Retrying().run_count, Looped().loop_count, Scheduled().context) == (1, 1, {})
    with inside(task_run_count=3, task_loop_count=4, task_tags={"prod"}):
        assert (Retrying().run_count, Retrying(run_count=7).run_count) == (3, 7)
        assert (Looped().loop_count, Looped(loop_count=8).loop_count) == (4, 8)
        assert Scheduled().context == {"tags": ["prod"], "task_run_count": 3}
        assert Success().context == {"tags": ["prod"]}


def test_a_mapped_state_counts_its_children_unless_told() -> None:
    children: list[State] = [Success(), Failed()]
    assert (Mapped().n_map_states, Mapped(map_states=children).n_map_states) == (0, 2)
    assert Mapped(map_states=children, n_map_states=9).n_map_states == 9
    assert Mapped(map_states=children).map_states == children


# ---------------------------------------------------------------- equality


def test_class_result_and_other_fields_make_states_equal_and_message_and_context_do_not() -> None:
    assert Success("a", 5, {"x": 1}) == Success("b", 5)
    assert Success(result=5) != Success(result=6)
    assert Success(result=5) != Cached(result=5)
    assert Retrying(run_count=1, start_time=pendulum.datetime(2024, 1, 1)) != Retrying(
        run_count=2, start_time=pendulum.datetime(2024, 1, 1)
    )
    assert Cached(hashed_inputs={"x": "1"}) != Cached(hashed_inputs={"x": "2"})
    assert Submitted(state=Pending()) != Submitted(state=Running())
    assert len({Success(), Success()}) == 2, "the hash is the identity"


# ---------------------------------------------------------------- results that are kept elsewhere


class Shelf(Result):
    def read(self, location: str) -> Any:
        return Shelf(f"read {location}", location)


def test_a_value_is_read_back_only_when_it_is_not_there() -> None:
    assert Success(result=Result(location="a")).load_result(Shelf()).result == "read a"
    assert Success(result=Shelf(location="a")).load_result().result == "read a"
    assert Success(result=Result(5, location="a")).load_result(Shelf()).result == 5
    assert Success().load_result(Shelf(location="b"))._result is NoResult


def test_cached_inputs_are_read_back_by_their_names() -> None:
    state = Pending(cached_inputs={"x": Result(location="a"), "y": Result(5)})
    assert state.load_cached_results({"x": Shelf(), "y": Shelf()}) is state
    assert {key: result.value for key, result in state.cached_inputs.items()} == {"x": "read a", "y": 5}


# ---------------------------------------------------------------- travelling


@pytest.mark.parametrize("kind", ALL)
def test_every_state_survives_pickling(kind: Any) -> None:
    state = kind("why", {"rows": [1, 2]}, context={"x": 1})
    again = pickle.loads(pickle.dumps(state))
    assert type(again) is kind
    assert again == state
    assert (again.message, again.context["x"]) == ("why", 1)
    assert pickle.loads(pickle.dumps(kind()))._result is NoResult


def test_an_exception_that_cannot_be_pickled_goes_as_its_text() -> None:
    error = ValueError("no rows", threading.Lock())
    for module in (pickle, cloudpickle):
        again = pickle.loads(module.dumps(Failed("why", error)))
        assert again.result.startswith("ValueError('no rows', <unlocked _thread.lock")


def test_an_exception_of_a_script_or_function_stays_what_it_is() -> None:
    class OwnError(Exception):
        pass

    again = pickle.loads(pickle.dumps(Failed("why", OwnError("no rows"))))
    assert (type(again.result).__name__, str(again.result)) == ("OwnError", "no rows")


def test_any_other_result_that_cannot_be_pickled_raises() -> None:
    with pytest.raises(TypeError, match="lock"):
        pickle.dumps(Success(result=threading.Lock()))


@pytest.mark.parametrize(
    "signal",
    [signals.FAIL, signals.SKIP, signals.SUCCESS, signals.RETRY, signals.PAUSE, signals.TRIGGERFAIL, signals.LOOP],
)
def test_a_signal_and_its_state_travel_together(signal: Any) -> None:
    state = pickle.loads(pickle.dumps(signal("because").state))
    assert (type(state), state.message) == (type(signal("because").state), "because")
    again = pickle.loads(pickle.dumps(signal("because", result=5)))
    assert (type(again), again.state.result) == (signal, 5)
    ended = pickle.loads(pickle.dumps(signals.ENDRUN(state)))
    assert type(ended.state) is type(state)


# ---------------------------------------------------------------- as JSON


@pytest.mark.parametrize("kind", ALL)
def test_every_state_survives_json(kind: Any) -> None:
    state = kind("why", context={"x": 1})
    again = State.deserialize(json.loads(json.dumps(state.serialize())))
    assert type(again) is kind
    assert again == state
    assert (again.message, again.context["x"]) == ("why", 1)


def test_json_tells_where_a_value_is_and_not_the_value() -> None:
    data = json.dumps(Success("done", Result("secret", location="x.txt")).serialize())
    assert "secret" not in data
    again = State.deserialize(json.loads(data))
    assert (again.result, again._result.location) == (None, "x.txt")


def test_the_fields_of_each_state_are_in_its_json() -> None:
    noon = pendulum.datetime(2024, 1, 1, 12)
    for state in (
        Retrying(start_time=noon, run_count=3, cached_inputs={"x": Result(location="y")}),
        Cached(hashed_inputs={"x": "1"}, cached_parameters={"day": "mon"}, cached_result_expiration=noon),
        Looped(loop_count=4),
        Paused(),
        Queued(state=Retrying(start_time=noon), start_time=noon),
    ):
        assert State.deserialize(json.loads(json.dumps(state.serialize()))) == state
    mapped = State.deserialize(Mapped(map_states=[Success(), Failed()]).serialize())
    assert isinstance(mapped, Mapped)
    assert (mapped.n_map_states, len(mapped.map_states)) == (2, 2)


def test_an_unknown_state_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no state is called 'Succes'"):
        State.deserialize({"type": "Succes"})
