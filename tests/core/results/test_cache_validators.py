"""When a cached result may be used."""

from __future__ import annotations

import datetime as dt
import pickle
import threading
from types import SimpleNamespace
from typing import Any

import cloudpickle
import pytest
from hypothesis import given, strategies as st

from tocsin import cache_validators as validators
from tocsin.clock import ManualClock
from tocsin.flows.context import context
from tocsin.results import Result
from tocsin.results.hashing import hash_inputs, hash_value
from tocsin_hooks.states import Cached, Success

EXPIRING = [
    validators.duration_only,
    validators.all_inputs,
    validators.all_parameters,
    validators.partial_inputs_only,
    validators.partial_parameters_only,
    validators.partial_inputs_only(),
    validators.partial_parameters_only(validate_on=[]),
]
now = dt.datetime.now(dt.UTC)


def cached(inputs: dict[str, Any] | None = None, parameters: dict[str, Any] | None = None, **options: Any) -> Cached:
    return Cached(hashed_inputs=hash_inputs(inputs), cached_parameters=parameters, **options)


def test_never_use_is_never() -> None:
    assert validators.never_use(cached(), {}, {}) is False


@pytest.mark.parametrize("validator", EXPIRING)
def test_a_cache_is_good_until_it_expires(validator: Any) -> None:
    day = dt.timedelta(days=1)
    assert validator(cached(), {}, {}) is True
    assert validator(cached(cached_result_expiration=now + day), {}, {}) is True
    assert validator(cached(cached_result_expiration=now - day), {}, {}) is False


def test_the_clock_of_the_run_decides() -> None:
    clock = ManualClock()
    state = cached(cached_result_expiration=clock.now().add(seconds=10))
    with context(attempt=SimpleNamespace(clock=clock)):
        assert validators.duration_only(state, None, None)
        clock.advance(10)
        assert not validators.duration_only(state, None, None)


def test_all_inputs_must_be_what_they_were() -> None:
    state = cached({"x": [1, {2}], "y": "a"})
    assert validators.all_inputs(state, {"y": "a", "x": [1, {2}]}, None) is True
    assert validators.all_inputs(state, {"x": [1, {3}], "y": "a"}, None) is False
    assert validators.all_inputs(state, {"x": [1, {2}]}, None) is False
    assert validators.all_inputs(state, {"x": [1, {2}], "y": "a", "z": None}, None) is False
    assert validators.all_inputs(state, None, None) is False


def test_inputs_kept_as_they_are_are_compared_as_they_are() -> None:
    state = Cached(cached_inputs={"x": Result(1), "y": 2})
    assert validators.all_inputs(state, {"x": 1, "y": Result(2)}, None)
    assert not validators.all_inputs(state, {"x": 1, "y": 3}, None)
    assert validators.partial_inputs_only(validate_on=["x"])(state, {"x": 1, "y": 3}, None)


def test_all_parameters_must_be_what_they_were() -> None:
    state = cached(parameters={"day": 1, "limit": 5})
    assert validators.all_parameters(state, None, {"limit": 5, "day": 1}) is True
    assert validators.all_parameters(state, None, {"day": 1}) is False
    assert validators.all_parameters(state, None, None) is False
    assert validators.all_parameters(cached(), None, {}) is True


def test_only_the_inputs_named_count() -> None:
    state = cached({"day": 1, "limit": 5})
    by_day = validators.partial_inputs_only(validate_on=["day"])
    assert by_day(state, {"day": 1, "limit": 9}, None) is True
    assert by_day(state, {"day": 2, "limit": 5}, None) is False
    assert by_day(state, {"limit": 5}, None) is False
    assert validators.partial_inputs_only(state, {"day": 1}, None, validate_on=["day"]) is True
    assert validators.partial_inputs_only()(state, {"day": 9}, None) is True


def test_only_the_parameters_named_count() -> None:
    state = cached(parameters={"day": 1, "limit": 5})
    by_day = validators.partial_parameters_only(validate_on=["day"])
    assert by_day(state, None, {"day": 1, "limit": 9}) is True
    assert by_day(state, None, {"day": 2}) is False
    assert by_day(state, None, None) is False
    assert validators.partial_parameters_only(state, None, {"day": 2}, validate_on=["day"]) is False
    assert validators.partial_parameters_only(state, None, {"day": 2}) is True


def test_a_bare_name_to_validate_on_is_refused() -> None:
    with pytest.raises(TypeError, match=r"give a list: \['day'\]"):
        validators.partial_inputs_only(validate_on="day")


def test_validators_travel_to_other_processes() -> None:
    again = pickle.loads(pickle.dumps(validators.partial_inputs_only(validate_on=["x"])))
    assert again(cached({"x": 1}), {"x": 1}, None) is True
    assert again(cached({"x": 1}), {"x": 2}, None) is False
    assert cloudpickle.loads(cloudpickle.dumps(validators.all_inputs))(cached({"x": 1}), {"x": 1}, None)


def test_a_plain_success_has_no_expiry() -> None:
    assert validators.duration_only(Success(), None, None) is True


# ---------------------------------------------------------------- hashes

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.frozensets(st.text() | st.integers(), max_size=3)
    ),
    max_leaves=8,
)


@given(plain, plain)
def test_hashes_are_equal_as_values_and_types_are(one: Any, other: Any) -> None:
    assert hash_value(one) == hash_value(pickle.loads(pickle.dumps(one)))
    if one != other:
        assert hash_value(one) != hash_value(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), ([1], (1,)), ("a", b"a"), (["ab"], ["a", "b"]), ([], {})]
)
def test_values_that_differ_in_type_or_shape_differ(one: Any, other: Any) -> None:
    assert hash_value(one) != hash_value(other)


def test_the_order_of_dicts_and_sets_does_not_count() -> None:
    assert hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})
    assert hash_value({"a", "b", "c"}) == hash_value({"c", "b", "a"})
    assert hash_value([1, 2]) != hash_value([2, 1])


def test_hashes_are_the_same_in_every_process() -> None:
    found = hash_value({"rows": [1, 2.5, None, "ä"], "tags": {"b", "a"}})
    assert found == "b384822f75ff31cf78533865e8e31f4927df5f5cb3b9720b354a276d072520b3"


def test_what_cannot_be_pickled_is_like_nothing_else() -> None:
    lock = threading.Lock()
    assert hash_value(lock) != hash_value(lock)
    circle: list[Any] = []
    circle.append(circle)
    assert hash_value(circle) != hash_value(circle)


def test_objects_are_hashed_by_what_they_hold() -> None:
    assert hash_value(dt.date(2024, 2, 29)) == hash_value(dt.date(2024, 2, 29)) != hash_value(dt.date(2024, 2, 28))
