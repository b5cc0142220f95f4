"""Branches: which tasks run, which are skipped, and where the ways meet again."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.errors import FlowError
from tocsin.flows.control_flow import CompareValue, FilterTask, Merge, case, ifelse, merge, switch
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant
from tocsin.flows.parameter import Parameter
from tocsin.flows.signals import SKIP
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow
from tocsin_hooks.results import NoResult
from tocsin_hooks.states import Failed, Mapped, Skipped, State


@task
def inc(x: int) -> int:
    return x + 1


@task
def fail() -> None:
    raise ValueError("no")


def states_of(flow: Flow, **parameters: Any) -> dict[str, State]:
    """The states of a run by the names of the tasks."""
    return {each.name: state for each, state in run_flow(flow, parameters).result.items()}


def kinds_of(flow: Flow, *names: str, **parameters: Any) -> list[str]:
    states = states_of(flow, **parameters)
    return [type(states[name]).__name__ for name in names]


# ---------------------------------------------------------------- case


def test_tasks_of_a_case_run_only_if_the_value_is_that_of_the_case() -> None:
    with Flow("f") as flow:
        way = Parameter("way")()
        with case(way, "left"):
            Task("left")()
        with case(way, "right"):
            Task("right")()
        Task("after")()
    assert kinds_of(flow, "left", "right", "after", way="left") == ["Success", "Skipped", "Success"]
    assert kinds_of(flow, "left", "right", way="right") == ["Skipped", "Success"]


def test_only_the_first_tasks_of_a_case_wait_for_the_comparison() -> None:
    with Flow("f") as flow:
        before = Constant(True)()
        with case(before, True):
            first = inc(1)
            second = inc(first)
    [check] = flow.get_tasks(name="case(True)")
    assert flow.upstream_tasks(first) == {check}
    assert flow.upstream_tasks(second) == {first}
    assert flow.edges_to(check) == {Edge(before, check, "value")}


def test_cases_nest() -> None:
    with Flow("f") as flow:
        a, b = Parameter("a")(), Parameter("b")()
        with case(a, 1):
            Task("outer")()
            with case(b, 2):
                Task("inner")()
    assert kinds_of(flow, "outer", "inner", a=1, b=2) == ["Success", "Success"]
    assert kinds_of(flow, "outer", "inner", a=1, b=0) == ["Success", "Skipped"]
    assert kinds_of(flow, "outer", "inner", a=0, b=2) == ["Skipped", "Skipped"]


def test_parameters_and_tasks_that_were_there_before_do_not_belong_to_a_case() -> None:
    with Flow("f") as flow:
        earlier = Task("earlier")()
        with case(Constant(1)(), 2):
            given = Parameter("given", default=1)()
            inside = inc(given, upstream_tasks=[earlier])
    assert flow.upstream_tasks(earlier) == flow.upstream_tasks(given) == set()
    assert len(flow.upstream_tasks(inside)) == 3


def test_an_empty_case_adds_nothing() -> None:
    with Flow("f") as flow, case(Constant(1, name="c")(), 2):
        pass
    assert [each.name for each in flow.tasks] == ["c"]


def test_a_case_that_cannot_work_says_why() -> None:
    with pytest.raises(TypeError, match="the value of a case is task 'b'"):
        case(Task("a"), Task("b"))
    with pytest.raises(ValueError, match=r"case\(1\) is used outside a flow"), case(Task("a"), 1):
        pass
    other = Flow("other")
    with Flow("f"), pytest.raises(ValueError, match="task 'x' is added to another flow"), case(Constant(1)(), 1):
        other.add_task(Task("x"))


def test_a_block_that_fails_leaves_no_case_open() -> None:
    with Flow("f") as flow:
        with pytest.raises(KeyError), case(Constant(1)(), 1):
            raise KeyError
        free = Task("free")()
    assert flow.upstream_tasks(free) == set()


# ---------------------------------------------------------------- switch, ifelse, merge


def test_a_switch_runs_the_task_of_the_value() -> None:
    with Flow("f") as flow:
        switch(Parameter("way")(), {"a": Task("a"), "b": Task("b")})
    assert kinds_of(flow, "a", "b", way="b") == ["Skipped", "Success"]
    assert kinds_of(flow, "a", "b", way="c") == ["Skipped", "Skipped"]


@pytest.mark.parametrize(("value", "kinds"), [(3, ["Success", "Skipped"]), ("", ["Skipped", "Success"])])
def test_ifelse_goes_by_truth(value: Any, kinds: list[str]) -> None:
    with Flow("f") as flow:
        ifelse(Parameter("x")(), Task("yes"), Task("no"))
    assert kinds_of(flow, "yes", "no", x=value) == kinds


def test_ifelse_may_have_one_way_only() -> None:
    with Flow("f") as flow:
        ifelse(Constant(0)(), Task("yes"), None)
        ifelse(Constant(0)(), None, None)
    assert kinds_of(flow, "yes") == ["Skipped"]
    assert len(flow.get_tasks(name="as_bool")) == 1


def test_merge_takes_the_way_that_was_taken() -> None:
    with Flow("f") as flow:
        way = Parameter("way")()
        with case(way, 1):
            a = inc(10)
        with case(way, 2):
            b = inc(20)
        merge(a, b, name="merged", checkpoint=False)
    assert states_of(flow, way=1)["merged"].result == 11
    assert states_of(flow, way=2)["merged"].result == 21
    assert isinstance(states_of(flow, way=3)["merged"], Skipped)
    [merged] = flow.get_tasks(name="merged")
    assert merged.checkpoint is False


def test_merge_keeps_the_order_of_many_ways() -> None:
    results: dict[str, Any] = {f"task_{number}": number for number in range(1, 12)}
    assert Merge().run(**dict(sorted(results.items(), reverse=True))) == 1
    assert Merge().run(**{**results, "task_1": None}) == 2
    assert Merge().run(task_1=None) is None


def test_merge_fails_with_a_way_that_fails() -> None:
    with Flow("f") as flow:
        merge(inc(1), fail(), name="merged")
    assert isinstance(states_of(flow)["merged"], Failed)


def test_merge_cannot_be_told_to_skip() -> None:
    with pytest.raises(FlowError, match="leave skip_on_upstream_skip away"):
        Merge(skip_on_upstream_skip=True)


def test_a_comparison_skips_when_values_differ() -> None:
    CompareValue(1).run(1)
    assert CompareValue("a").name == 'CompareValue: "a"'
    with pytest.raises(SKIP):
        CompareValue(1).run(2)


def test_mapped_branches_go_each_their_own_way() -> None:
    with Flow("f") as flow:
        ways = Constant([1, 2, 1])()
        kept = inc.copy(name="kept").bind(ways, mapped=True)
        switch(ways, {1: kept}, mapped=True)
    state = states_of(flow)["kept"]
    assert isinstance(state, Mapped)
    assert [type(child).__name__ for child in state.map_states] == ["Success", "Skipped", "Success"]


# ---------------------------------------------------------------- filtering


def test_a_filter_drops_failures_and_what_is_none() -> None:
    assert FilterTask().run([1, None, ValueError(), NoResult, 0]) == [1, 0]
    assert FilterTask(filter_func=lambda item: item > 1).run([1, 2]) == [2]


def test_a_filter_runs_after_failures_and_says_what_it_kept(caplog: pytest.LogCaptureFixture) -> None:
    with Flow("f") as flow:
        FilterTask(name="kept", log_func=lambda kept: f"kept {kept}")([fail(), inc(1)])
    with caplog.at_level("INFO", logger="tocsin"):
        assert FilterTask(log_func=lambda kept: f"kept {kept}").run([1]) == [1]
    assert "kept [1]" in caplog.messages
    assert not FilterTask().skip_on_upstream_skip
    assert states_of(flow)["kept"].is_failed()  # the list that gathers them is not made without all of them
