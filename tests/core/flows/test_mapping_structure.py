"""Mapping, as it is written down: which edges are mapped, which are not, which are flattened."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.errors import FlowError
from tocsin.flows.apply_map import apply_map
from tocsin.flows.control_flow import case, merge
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant, List
from tocsin.flows.marks import flatten, mapped, unmapped
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow


@task
def inc(x: int) -> int:
    return x + 1


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def total(rows: list[int]) -> int:
    return sum(rows)


def inc_inc(x: Any) -> Any:
    return inc(inc(x))


def edge_to(flow: Flow, end: Task, key: str | None) -> Edge:
    [found] = [edge for edge in flow.edges_to(end) if edge.key == key]
    return found


def test_a_mapped_task_maps_over_all_but_what_is_unmapped() -> None:
    with Flow("f") as flow:
        a, b = Task("a")(), Task("b")()
        before, beside = Task("before")(), Task("beside")()
        made = add.map(a, unmapped(b), upstream_tasks=[before, unmapped(beside)])
    assert flow.edges_to(made) == {
        Edge(a, made, "x", mapped=True),
        Edge(b, made, "y"),
        Edge(before, made, mapped=True),
        Edge(beside, made),
    }


def test_plain_lists_become_tasks_to_map_over_and_unmapped_values_constants() -> None:
    with Flow("f") as flow:
        made = add.map([1, 2], unmapped([3]))
    edge = edge_to(flow, made, "x")
    assert isinstance(edge.upstream_task, Constant)
    assert (edge.upstream_task.value, edge.upstream_task.auto_generated, edge.mapped) == ([1, 2], True, True)
    assert flow.constants[made] == {"y": [3]}


def test_a_list_of_tasks_is_gathered_before_it_is_mapped() -> None:
    with Flow("f") as flow:
        made = inc.map([Task("a")(), Task("b")()])
    edge = edge_to(flow, made, "x")
    assert isinstance(edge.upstream_task, List)
    assert edge.mapped


def test_annotations_say_how_one_argument_is_tied() -> None:
    with Flow("f") as flow:
        a = Task("a")()
        called = add(mapped(a), a)
        flat = inc.map(flatten(a))
        whole = inc(flatten(a))
        both = inc.map(unmapped(flatten(a)))
    assert edge_to(flow, called, "x") == Edge(a, called, "x", mapped=True)
    assert edge_to(flow, called, "y") == Edge(a, called, "y")
    assert edge_to(flow, flat, "x") == Edge(a, flat, "x", mapped=True, flattened=True)
    assert edge_to(flow, whole, "x") == Edge(a, whole, "x", flattened=True)
    assert edge_to(flow, both, "x") == Edge(a, both, "x", flattened=True)


def test_a_mapped_task_may_be_changed_like_a_called_one() -> None:
    flow = Flow("f")
    made = inc.map([1], flow=flow, task_args={"name": "again"})
    assert (made.name, made in flow.tasks, inc in flow.tasks) == ("again", True, False)


@pytest.mark.parametrize("value", [5, {1, 2}, iter([1])])
def test_a_value_without_items_cannot_be_mapped_over(value: Any) -> None:
    with Flow("f"):
        with pytest.raises(TypeError, match="task 'inc' cannot be mapped over a value of type"):
            inc.map(value)
        with pytest.raises(TypeError, match="task 'inc' cannot be mapped over a value of type"):
            inc.map(x=value)
        with pytest.raises(TypeError, match="apply_map cannot map over a value of type"):
            apply_map(inc, value)


def test_edges_may_be_mapped_from_either_end() -> None:
    flow = Flow("f")
    a, b, c = Task("a"), inc.copy(), inc.copy()
    b.set_upstream(a, flow=flow, key="x", mapped=True)
    b.set_downstream(c, flow=flow, key="x", mapped=True)
    assert flow.edges == {Edge(a, b, "x", mapped=True), Edge(b, c, "x", mapped=True)}


# ---------------------------------------------------------------- apply_map


def test_a_function_of_tasks_is_applied_to_each_item() -> None:
    def steps(x: Any, y: Any) -> Any:
        return add(inc(x), y)

    with Flow("f") as flow:
        summed = total(apply_map(steps, [1, 2, 3], unmapped(10)))
    assert run_flow(flow).result[summed].result == 2 + 3 + 4 + 30


def test_all_edges_inside_are_mapped() -> None:
    with Flow("f") as flow:
        source = Task("source")()
        last = apply_map(inc_inc, source)
    [edge] = flow.edges_to(last)
    assert edge.mapped
    assert flow.edges_to(edge.upstream_task) == {Edge(source, edge.upstream_task, "x", mapped=True)}


def test_branches_may_be_taken_item_by_item() -> None:
    def steps(x: Any) -> Any:
        with case(x % 2, 0):
            even = x * 10
        with case(x % 2, 1):
            odd = x + 100
        return merge(even, odd)

    with Flow("f") as flow:
        summed = total(apply_map(steps, [1, 2, 3]))
    assert run_flow(flow).result[summed].result == 101 + 20 + 103


def test_a_task_that_starts_inside_runs_as_often_as_the_others() -> None:
    @task
    def one() -> int:
        return 1

    with Flow("f") as flow:
        source, shared = Constant([1, 2])(), Constant(5)()
        made = apply_map(lambda x, y: one(), source, unmapped(shared))
    assert flow.edges_to(made) == {Edge(source, made, mapped=True), Edge(shared, made)}
    assert len(run_flow(flow).result[made].map_states) == 2


def test_a_task_from_outside_is_shared() -> None:
    with Flow("f") as flow:
        shared = Constant(5)()
        made = apply_map(lambda x: add(x, shared), [1, 2])
    assert edge_to(flow, made, "y") == Edge(shared, made, "y")


def test_apply_map_needs_a_flow() -> None:
    with pytest.raises(FlowError, match="apply_map is used outside a flow"):
        apply_map(inc, [1])
    flow = Flow("f")
    made = apply_map(inc_inc, [1], flow=flow)
    assert made in flow.tasks
