"""Resources: set up before a block of tasks, cleaned up after it, whatever the tasks did."""

from __future__ import annotations

from typing import Any

import pytest

from tocsin.flows.control_flow import case
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant
from tocsin.flows.resource_manager import ResourceManager, resource_manager
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow
from tocsin_hooks.states import State

LOG: list[str] = []


@pytest.fixture(autouse=True)
def log() -> list[str]:
    LOG.clear()
    return LOG


class Nodes:
    def __init__(self, size: int, fails: str = "") -> None:
        LOG.append("init")
        self.size = size
        self.fails = fails
        if fails == "init":
            raise ValueError("no cluster")

    def setup(self) -> str:
        LOG.append("setup")
        if self.fails == "setup":
            raise ValueError("no nodes")
        return f"cluster of {self.size}"

    def cleanup(self, resource: str) -> None:
        LOG.append(f"cleanup {resource}")
        if self.fails == "cleanup":
            raise ValueError("stuck")


Cluster: Any = resource_manager(Nodes, name="Cluster")  # as a decorator does, which type checkers do not follow


@task
def use(cluster: str) -> str:
    LOG.append(f"use {cluster}")
    return cluster


@task
def fail() -> None:
    raise ValueError("no")


def run(flow: Flow) -> tuple[State, dict[str, str]]:
    state = run_flow(flow)
    return state, {each.name: type(found).__name__ for each, found in state.result.items()}


def test_a_block_runs_between_setting_up_and_cleaning_up(log: list[str]) -> None:
    with Flow("f") as flow, Cluster(3) as cluster:
        use(cluster)
    assert run(flow)[0].is_successful()
    assert log == ["init", "setup", "use cluster of 3", "cleanup cluster of 3"]


def test_tasks_of_the_block_wait_for_it_and_it_for_them() -> None:
    with Flow("f") as flow:
        size = Constant(3)()
        with Cluster(size) as cluster:
            first = Task("first")()
            last = Task("last")(upstream_tasks=[first])
    init, cleanup = flow.get_tasks(name="Cluster")[0], flow.get_tasks(name="Cluster.cleanup")[0]
    assert cluster.name == "Cluster.setup"
    assert flow.edges_to(init) == {Edge(size, init, "size")}
    assert flow.upstream_tasks(first) == {cluster}
    assert flow.upstream_tasks(last) == {first}
    assert flow.edges_to(cleanup) == {
        Edge(init, cleanup, "mgr"),
        Edge(cluster, cleanup, "resource"),
        Edge(last, cleanup),
    }


def test_it_is_cleaned_up_after_tasks_that_fail(log: list[str]) -> None:
    with Flow("f") as flow, Cluster(1):
        fail()
    state, kinds = run(flow)
    assert log[-1] == "cleanup cluster of 1"
    assert kinds["Cluster.cleanup"] == "Success"
    assert state.is_failed()


@pytest.mark.parametrize("step", ["init", "setup"])
def test_what_was_not_set_up_is_not_cleaned_up(step: str, log: list[str]) -> None:
    with Flow("f") as flow, Cluster(1, fails=step) as cluster:
        use(cluster)
    state, kinds = run(flow)
    assert log[-1] == step
    assert kinds["use"] == kinds["Cluster.cleanup"] == "TriggerFailed"
    assert state.is_failed()


def test_cleaning_up_does_not_decide_how_the_flow_ends() -> None:
    with Flow("f") as flow, Cluster(1, fails="cleanup") as cluster:
        used = use(cluster)
    assert flow.terminal_tasks() == set(flow.get_tasks(name="Cluster.cleanup"))
    assert flow.reference_tasks() == {used}
    state, kinds = run(flow)
    assert kinds["Cluster.cleanup"] == "Failed"
    assert state.is_successful()


def test_a_resource_that_is_skipped_is_not_cleaned_up(log: list[str]) -> None:
    with Flow("f") as flow, case(Constant(1)(), 2), Cluster(1) as cluster:
        use(cluster)
    _, kinds = run(flow)
    assert log == []
    assert {kinds[name] for name in ("Cluster", "Cluster.setup", "use", "Cluster.cleanup")} == {"Skipped"}


def test_resources_nest(log: list[str]) -> None:
    with Flow("f") as flow, Cluster(1), Cluster(2) as inner:
        use(inner)
    assert run(flow)[0].is_successful()
    assert log.index("cleanup cluster of 2") < log.index("cleanup cluster of 1")
    assert log.index("use cluster of 2") < log.index("cleanup cluster of 2")


def test_an_empty_block_sets_up_and_cleans_up(log: list[str]) -> None:
    with Flow("f") as flow, Cluster(1):
        pass
    assert run(flow)[0].is_successful()
    assert log == ["init", "setup", "cleanup cluster of 1"]


def test_the_three_tasks_take_options_of_their_own() -> None:
    made: Any = resource_manager(
        name="db",
        init_task_kwargs={"tags": {"x"}},
        setup_task_kwargs={"name": "open"},
        cleanup_task_kwargs={"name": "shut"},
    )(Nodes)
    assert isinstance(made, ResourceManager)
    flow = Flow("f")
    with made(1, flow=flow) as resource:
        assert resource.name == "open"
    [init] = flow.get_tasks(name="db")
    [shut] = flow.get_tasks(name="shut")
    assert init.tags == {"x"}
    assert not shut.skip_on_upstream_skip
    assert {each.checkpoint for each in flow.tasks} == {False}


def test_a_resource_needs_a_flow_and_its_arguments() -> None:
    with pytest.raises(ValueError, match="resource 'Cluster' is used outside a flow"):
        Cluster(1)
    with pytest.raises(TypeError, match="missing a required argument: 'size'"):
        Cluster(flow=Flow("f"))


def block_that_fails() -> None:
    with Cluster(1):
        Task("a")()
        raise KeyError


def test_a_block_that_fails_ties_nothing() -> None:
    with Flow("f") as flow:
        with pytest.raises(KeyError):
            block_that_fails()
        after = Task("b")()
    assert not flow.has_edges(flow.get_tasks(name="a")[0])
    assert not flow.has_edges(after)


def test_a_class_is_decorated_with_or_without_options() -> None:
    assert resource_manager(Nodes).name == "Nodes"
    assert resource_manager(name="other")(Nodes).name == "other"
