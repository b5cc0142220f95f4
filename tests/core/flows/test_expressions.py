"""Expressions of tasks: each becomes a task that has the expression's value."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import pytest

from tocsin.errors import FlowError
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant
from tocsin.flows.operators import GetAttr
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow


def value_of(build: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    """What an expression of two tasks is worth."""
    with Flow("sum") as flow:
        made = build(Constant(x)(), Constant(y)())
    state = run_flow(flow)
    assert state.is_successful(), state.result
    return state.result[made].result


@pytest.mark.parametrize(
    "operate",
    [
        *(operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow),
        *(operator.lt, operator.le, operator.gt, operator.ge),
    ],
)
def test_an_operator_makes_a_task_with_its_value(operate: Callable[[Any, Any], Any]) -> None:
    assert value_of(operate, 7, 3) == operate(7, 3)
    assert value_of(lambda x, y: operate(x, 3), 7, 3) == operate(7, 3)
    assert value_of(lambda x, y: operate(7, y), 7, 3) == operate(7, 3)


def test_comparing_for_equality_is_said_in_words() -> None:
    assert value_of(lambda x, y: x.is_equal(y), 1, 1) is True
    assert value_of(lambda x, y: x.is_not_equal(2), 1, 1) is True
    assert value_of(lambda x, y: x.not_(), 1, 1) is False
    with Flow("f") as flow:
        a, b = Task("a")(), Task("b")()
        assert (a == b, a != b, a == a) == (False, True, True)
    assert len(flow.tasks) == 2


def test_and_and_or_are_those_of_the_language() -> None:
    assert value_of(lambda x, y: x & y, 0, 3) == 0
    assert value_of(lambda x, y: x | y, 0, 3) == 3
    assert value_of(lambda x, y: x.and_(y), 2, 3) == 3
    assert value_of(lambda x, y: x.or_(y), 2, 3) == 2
    assert value_of(lambda x, y: True & y, 2, 3) == 3
    assert value_of(lambda x, y: 0 | y, 2, 3) == 3


def test_items_are_taken_by_plain_keys_and_by_tasks() -> None:
    assert value_of(lambda x, y: x["a"], {"a": 5}, "a") == 5
    assert value_of(lambda x, y: x[y], {"a": 5}, "a") == 5


def test_an_item_is_named_after_its_task_and_kept_like_its_result() -> None:
    with Flow("f"):
        item = Task("rows", checkpoint=False)()["a"]
    assert (item.name, item.checkpoint) == ("rows['a']", False)


def test_attributes_may_lie_deep() -> None:
    assert GetAttr().run(5, "__class__.__name__") == "int"
    assert GetAttr().run(5, "nothing", default=None) is None
    with pytest.raises(AttributeError):
        GetAttr().run(5, "nothing")


def test_a_task_with_several_results_can_be_taken_apart() -> None:
    @task(nout=2)
    def both() -> Any:
        return "left", "right"

    with Flow("f") as flow:
        left, right = both()
    state = run_flow(flow)
    assert (state.result[left].result, state.result[right].result) == ("left", "right")


def test_a_task_that_does_not_say_how_many_results_it_has_cannot_be_taken_apart() -> None:
    with Flow("f"), pytest.raises(TypeError, match="task 'a' cannot be taken apart: it does not say how many"):
        list(Task("a")())


def test_an_expression_needs_a_flow() -> None:
    with pytest.raises(FlowError, match="task 'Add' is called outside a flow"):
        Task("a") + 1


def test_calls_can_be_read_from_left_to_right() -> None:
    @task
    def add(x: int, by: int) -> int:
        return x + by

    def doubled(x: Any, by: int) -> Any:
        return add(x, 2 * by)

    with Flow("f") as flow:
        total = Constant(1)().pipe(doubled, by=2).pipe(add, by=3)
    assert run_flow(flow).result[total].result == 1 + 4 + 3
