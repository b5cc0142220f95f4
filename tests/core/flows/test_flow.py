"""A flow: how tasks get into it, what they are called there, and what it refuses."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.errors import CycleError, FlowError, ParameterError, TocsinError
from tocsin.flows import ports
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant, Dict, List
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, task
from tocsin.options import set_temporary_config
from tocsin_hooks.states import Success


@task
def extract() -> list[int]:
    return [1]


@task
def load(rows: list[int], limit: int = 5, **more: Any) -> int:
    return len(rows)


@task
def strict(rows: list[int]) -> int:
    return len(rows)


# ---------------------------------------------------------------- the functional way


def test_a_task_called_in_the_block_is_copied_into_the_flow() -> None:
    with Flow("etl") as flow:
        first, second = extract(), extract()
    assert flow.tasks == {first, second}
    assert extract not in flow.tasks
    assert first is not second


def test_arguments_become_edges_and_constants() -> None:
    with Flow("etl") as flow:
        rows = extract()
        done = load(rows, limit=3, day="mon")
    assert flow.edges == {Edge(rows, done, "rows")}
    assert flow.constants == {done: {"limit": 3, "day": "mon"}}


def test_upstream_and_downstream_tasks_are_waited_for_without_data() -> None:
    with Flow("etl") as flow:
        a, c = Task("a")(), Task("c")()
        b = Task("b")(upstream_tasks=[a], downstream_tasks=[c])
    assert flow.edges == {Edge(a, b), Edge(b, c)}


def test_collections_with_tasks_become_tasks_that_gather() -> None:
    with Flow("etl") as flow:
        rows = extract()
        listed = strict([rows, 2])
        mapped = strict({"a": rows})
    [gather] = flow.upstream_tasks(listed)
    assert isinstance(gather, List)
    assert flow.constants[gather] == {"arg_2": 2}
    assert flow.upstream_tasks(gather) == {rows}
    [gather] = flow.upstream_tasks(mapped)
    assert isinstance(gather, Dict)


def test_a_plain_collection_is_a_constant() -> None:
    with Flow("etl") as flow:
        done = strict([1, 2])
    assert flow.constants == {done: {"rows": [1, 2]}}
    assert flow.tasks == {done}


def test_a_task_may_be_changed_as_it_is_called() -> None:
    with Flow("etl"):
        again = extract(task_args={"name": "again", "tags": {"x"}})
    assert (again.name, again.tags) == ("again", {"x"})
    with Flow("etl"), pytest.raises(AttributeError, match="task 'extract' has no attribute 'nam'"):
        extract(task_args={"nam": "again"})


def test_a_task_called_outside_a_flow_says_what_to_do() -> None:
    with pytest.raises(FlowError, match=r"task 'extract' is called outside a flow; use `with Flow\(\.\.\.\):`"):
        extract()
    assert extract.run() == [1]


def test_the_flow_may_be_passed_instead_of_a_block() -> None:
    flow = Flow("etl")
    rows = extract(flow=flow)
    load(rows, flow=flow)
    assert len(flow.tasks) == 2


def test_a_task_made_in_the_block_but_never_added_is_warned_of() -> None:
    def build() -> None:
        with Flow("etl"):
            Task("lost")
            Task("found")()

    with pytest.warns(UserWarning, match="made in the block of flow 'etl' but not added to it: 'lost'"):
        build()


def block_that_fails() -> None:
    with Flow("etl"):
        Task("lost")
        raise KeyError


def test_no_warning_for_tasks_that_are_added_or_when_the_block_fails() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Flow("etl") as flow:
            flow.add_task(Task("a"))
            Task("b").bind()
            Parameter("p")()
        with pytest.raises(KeyError):
            block_that_fails()
    assert {each.name for each in flow.tasks} == {"a", "b", "p"}


def test_blocks_nest() -> None:
    with Flow("outer") as outer:
        a = extract()
        with Flow("inner") as inner:
            b = extract()
        c = extract()
    assert (outer.tasks, inner.tasks) == ({a, c}, {b})


# ---------------------------------------------------------------- the imperative way


def test_edges_can_be_set_from_either_end() -> None:
    flow = Flow("etl")
    a, b, c = Task("a"), Task("b"), Task("c")
    b.set_upstream(a, flow=flow)
    b.set_downstream(c, flow=flow)
    assert flow.edges == {Edge(a, b), Edge(b, c)}
    flow.chain(c, Task("d"))
    assert [each.name for each in flow.sorted_tasks()] == ["a", "b", "c", "d"]


def test_set_dependencies_takes_keyword_tasks_and_constants() -> None:
    flow = Flow("etl")
    rows, done = extract.copy(), load.copy()
    flow.set_dependencies(done, upstream_tasks=[Task("first")], keyword_tasks={"rows": rows, "limit": 3})
    assert {edge.key for edge in flow.edges_to(done)} == {None, "rows"}
    assert flow.constants[done] == {"limit": 3}


def test_a_value_to_wait_for_is_a_constant_task() -> None:
    flow = Flow("etl")
    flow.set_dependencies(Task("a"), upstream_tasks=[5])
    [before] = flow.root_tasks()
    assert isinstance(before, Constant)


def test_an_edge_that_is_added_twice_is_there_once() -> None:
    flow = Flow("etl")
    a, b = Task("a"), Task("b")
    flow.chain(a, b)
    flow.chain(a, b)
    assert flow.edges_to(b) == {Edge(a, b)}
    assert flow.edges_from(a) == {Edge(a, b)}


def test_a_plain_value_may_be_given_anew() -> None:
    flow = Flow("etl")
    done = load.copy()
    done.bind([1], flow=flow)
    done.bind([2], flow=flow)
    assert flow.constants[done] == {"rows": [2]}


def test_an_argument_has_one_value() -> None:
    flow = Flow("etl")
    done = load.copy()
    done.bind(extract.copy(), flow=flow)
    with pytest.raises(FlowError, match="argument 'rows' of task 'load' has a value already"):
        done.bind([1], flow=flow)


def test_an_argument_that_a_task_does_not_take_is_refused() -> None:
    flow = Flow("etl")
    with pytest.raises(TypeError, match=r"task 'strict' takes \(rows.*missing a required argument: 'rows'"):
        strict(flow=flow)
    flow.add_edge(extract, strict, key="row")
    with pytest.raises(TypeError, match="task 'strict' takes no argument 'row'; did you mean 'rows'"):
        flow.validate()
    with pytest.raises(ValueError, match="takes no argument 'limit'"):
        flow.set_dependencies(strict, keyword_tasks={"limit": 3})
    with pytest.raises(TypeError, match="takes no argument 'row'"):
        Flow("etl").add_edge(extract, strict, key="row", validate=True)


def test_what_is_no_task_is_refused() -> None:
    with pytest.raises(TypeError, match="flow 'etl' is made of tasks; found 5"):
        Flow("etl").add_task(5)  # type: ignore[arg-type]


# ---------------------------------------------------------------- names


def test_slugs_are_name_sorted_tags_and_a_counter() -> None:
    flow = Flow("etl")
    for each in (Task("a"), Task("a"), Task("a", tags={"y", "x"}), Task("b"), Task("c", slug="mine"), Parameter("p")):
        flow.add_task(each)
    assert list(flow.slugs.values()) == ["a-1", "a-2", "a-x-y-1", "b-1", "mine", "p"]


def test_slugs_never_clash() -> None:
    flow = Flow("etl", tasks=[Parameter("a-1"), Task("a"), Task("a-2"), Task("a")])
    assert len(set(flow.slugs.values())) == 4
    with pytest.raises(FlowError, match="flow 'etl' already has a task with the slug 'a-1'"):
        flow.add_task(Parameter("a-1"))


# ---------------------------------------------------------------- looking


def diamond() -> tuple[Flow, Task, Task, Task, Task]:
    a, b, c, d = (Task(name) for name in "abcd")
    flow = Flow("diamond")
    flow.chain(a, b, d)
    flow.chain(a, c, d)
    return flow, a, b, c, d


def test_the_ends_and_the_neighbours_of_tasks() -> None:
    flow, a, b, c, d = diamond()
    assert (flow.root_tasks(), flow.terminal_tasks()) == ({a}, {d})
    assert (flow.upstream_tasks(d), flow.downstream_tasks(a)) == ({b, c}, {b, c})
    assert (flow.all_upstream_tasks(d), flow.all_downstream_tasks(a)) == ({a, b, c}, {b, c, d})
    assert flow.sorted_tasks() == tuple(flow) == (a, b, c, d)
    assert flow.sorted_tasks(root_tasks=[b]) == (b, d)
    assert flow.all_upstream_edges()[d] == {Edge(b, d), Edge(c, d)}
    assert flow.all_downstream_edges()[d] == set()


def test_reference_tasks_are_the_terminal_ones_unless_set() -> None:
    flow, a, b, _, d = diamond()
    assert flow.reference_tasks() == {d}
    flow.set_reference_tasks([a, b])
    assert flow.reference_tasks() == {a, b}
    flow.set_reference_tasks([])
    assert flow.reference_tasks() == {d}
    with pytest.raises(FlowError, match="task 'stranger' is not in flow 'diamond'"):
        flow.set_reference_tasks([Task("stranger")])


def test_tasks_are_found_by_name_slug_tags_and_type() -> None:
    a, b, p = Task("a", tags={"x", "y"}), Task("b", tags={"x"}), Parameter("p")
    flow = Flow("etl", tasks=[a, b, p])
    assert flow.get_tasks(name="a") == [a]
    assert flow.get_tasks(slug="b-x-1") == [b]
    assert flow.get_tasks(tags=["x"]) == [a, b]
    assert flow.get_tasks(tags=["x", "y"]) == [a]
    assert flow.get_tasks(task_type=Parameter) == [p]
    assert flow.parameters() == {p}


# ---------------------------------------------------------------- what cannot work


def test_a_cycle_is_named_from_task_to_task() -> None:
    a, b, c, after = Task("a"), Task("b"), Task("c"), Task("after")
    flow = Flow("loop")
    flow.chain(Task("before"), a, b, c, a)
    flow.chain(c, after)
    with pytest.raises(CycleError) as caught:
        flow.validate()
    assert sorted(caught.value.names[1:]) == ["a", "b", "c"]
    assert str(caught.value).startswith("flow 'loop' has a cycle: ")
    names = caught.value.names
    assert names[0] == names[-1]
    for one, next_ in pairwise(names):
        assert (one, next_) in {("a", "b"), ("b", "c"), ("c", "a")}
    assert isinstance(caught.value, TocsinError)
    assert isinstance(caught.value, ValueError)


def test_a_cycle_can_be_found_as_it_is_made() -> None:
    flow = Flow("loop")
    a = Task("a")
    with pytest.raises(CycleError, match="a -> a"):
        flow.add_edge(a, a, validate=True)


def test_a_parameter_waits_for_nothing() -> None:
    with pytest.raises(FlowError, match="parameter 'p' cannot wait for 'a'"):
        Flow("etl").add_edge(Task("a"), Parameter("p"))


def test_a_flow_needs_a_name() -> None:
    with pytest.raises(FlowError, match="a flow needs a name"):
        Flow("")


def test_the_config_can_ask_for_cycles_to_be_found_at_once() -> None:
    a, b = Task("a"), Task("b")
    flow = Flow("loop")
    flow.chain(a, b)
    with set_temporary_config({"flows.eager_edge_validation": True}), pytest.raises(CycleError, match="a -> b -> a"):
        flow.add_edge(b, a)


def test_the_key_of_an_edge_is_the_name_of_an_argument() -> None:
    with pytest.raises(ValueError, match="the key of an edge is 'a b'"):
        Edge(Task("a"), Task("b"), "a b")


def test_a_flow_takes_its_options_in_the_order_of_prefect_1() -> None:
    options = list(inspect.signature(Flow).parameters.values())
    assert [each.name for each in options if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD] == [
        "name",
        "schedule",
        "executor",
        "run_config",
        "storage",
        "tasks",
        "edges",
        "reference_tasks",
        "state_handlers",
        "on_failure",
        "validate",
        "result",
        "terminal_state_handler",
    ]
    flow = Flow("etl", schedule=1, executor=2, run_config=3, storage=4, result=5)
    assert (flow.schedule, flow.executor, flow.run_config, flow.storage, flow.result) == (1, 2, 3, 4, 5)
    with pytest.raises(TypeError, match="environment"):
        Flow("etl", environment=None)  # type: ignore[call-arg]


def test_what_prefect_1_has_and_tocsin_has_not_says_so() -> None:
    with pytest.raises(
        AttributeError, match=r"a flow has no 'register': tocsin has no server; run it with `tocsin run`"
    ):
        Flow("etl").register  # noqa: B018
    with pytest.raises(AttributeError, match=r"a flow has no 'nothing'$"):
        Flow("etl").nothing  # noqa: B018


# ---------------------------------------------------------------- flow.run


@pytest.fixture
def calls() -> Iterator[list[tuple[Any, ...]]]:
    """What `flow.run` asks of whoever runs flows."""
    made: list[tuple[Any, ...]] = []

    def run_flow(flow: Flow, parameters: Any, **options: Any) -> Success:
        made.append((flow.name, parameters, options))
        return Success()

    installed, ports.run_flow = ports.run_flow, run_flow
    yield made
    ports.run_flow = installed


def test_run_tells_parameters_from_options(calls: list[tuple[Any, ...]]) -> None:
    clock = ManualClock()
    flow = Flow("etl", tasks=[Parameter("x"), Parameter("run_name"), Parameter("y")])
    flow.run({"y": 3}, x=1, run_name="mine", clock=clock)
    assert calls == [("etl", {"y": 3, "x": 1, "run_name": "mine"}, {"clock": clock})]


def test_run_refuses_what_it_does_not_know(calls: list[tuple[Any, ...]]) -> None:
    with pytest.raises(ParameterError, match="nor is it an option; did you mean 'executor'"):
        Flow("etl").run(exekutor=None)
    assert calls == []


def test_run_inside_the_block_is_refused(calls: list[tuple[Any, ...]]) -> None:
    with Flow("etl") as flow, pytest.raises(FlowError, match="flow 'etl' is run inside its own `with` block"):
        flow.run()
    assert "flow" not in context
    assert calls == []
