"""Flows that are copied, changed, put together, pickled and kept in files."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from tocsin.errors import CycleError, FlowError
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant
from tocsin.flows.parameter import DateTimeParameter, Parameter
from tocsin.flows.task import Task, task
from tocsin.options import set_temporary_config
from tocsin.runs import run_flow


@task
def inc(x: int, by: int = 1) -> int:
    return x + by


def line() -> tuple[Flow, Task, Task, Task]:
    a, b, c = Task("a"), inc.copy(name="b"), Task("c")
    flow = Flow("line", tasks=[a])
    flow.add_edge(a, b, "x")
    flow.add_edge(b, c)
    flow.set_dependencies(b, keyword_tasks={"by": 5})
    return flow, a, b, c


# ---------------------------------------------------------------- copies and equality


def test_a_copy_can_be_changed_by_itself() -> None:
    flow, a, b, c = line()
    flow.set_reference_tasks([b])
    copy = flow.copy()
    assert copy == flow
    assert (copy.slugs, copy.constants, copy.reference_tasks()) == (flow.slugs, flow.constants, {b})
    copy.add_edge(c, Task("d"))
    copy.constants[b]["by"] = 6
    copy.state_handlers.append(print)
    assert copy != flow
    assert (len(flow.tasks), flow.edges_from(c), flow.constants[b], flow.state_handlers) == (3, set(), {"by": 5}, [])
    assert flow.sorted_tasks() == (a, b, c)


def test_flows_are_equal_when_name_tasks_edges_and_reference_tasks_are() -> None:
    flow, a, *_ = line()
    assert flow == flow.copy()
    assert flow != "line"
    other = flow.copy()
    other.set_reference_tasks([a])
    assert other != flow
    assert repr(flow) == '<Flow: name="line">'


# ---------------------------------------------------------------- replace


def test_a_task_can_be_replaced_and_its_edges_stay() -> None:
    flow, a, b, c = line()
    flow.set_reference_tasks([b])
    new = inc.copy(name="new")
    flow.replace(b, new)
    assert flow.tasks == {a, new, c}
    assert flow.edges == {Edge(a, new, "x"), Edge(new, c)}
    assert flow.constants == {new: {"by": 5}}
    assert flow.reference_tasks() == {new}
    assert flow.slugs[new] == "new-1"
    assert flow.sorted_tasks() == (a, new, c)


def test_a_parameter_can_be_replaced_by_a_value() -> None:
    with Flow("f") as flow:
        given = Parameter("given")()
        done = inc(given)
    flow.replace(given, 41)
    assert flow.parameters() == set()
    assert run_flow(flow).result[done].result == 42


def test_what_is_not_there_cannot_be_replaced() -> None:
    flow, *_ = line()
    with pytest.raises(FlowError, match="task 'x' is not in flow 'line'"):
        flow.replace(Task("x"), Task("y"))


def test_a_replacement_is_checked_unless_told_otherwise() -> None:
    flow, _, b, _ = line()
    with pytest.raises(TypeError, match="task 'plain' takes no argument 'x'"):
        flow.copy().replace(b, Task("plain"))
    flow.replace(b, Task("plain"), validate=False)
    flow, a, _, c = line()
    with pytest.raises(CycleError):
        flow.replace(a, c)


# ---------------------------------------------------------------- update


def test_a_flow_takes_in_another() -> None:
    flow, *_ = line()
    other, d, e, _ = line()
    flow.update(other)
    assert len(flow.tasks) == 6
    assert flow.edges_to(e) == {Edge(d, e, "x")}
    assert flow.constants[e] == {"by": 5}
    assert flow.slugs[d] == "a-2"
    flow.update(other)
    assert len(flow.tasks) == 6


def test_parameters_of_one_name_become_one_if_wanted() -> None:
    first, second = Flow("first"), Flow("second")
    mine, yours = Parameter("p"), Parameter("p")
    one, two = inc(mine, flow=first), inc(yours, flow=second)
    with pytest.raises(ValueError, match="already has a task with the slug 'p'"):
        first.copy().update(second)
    first.update(second, merge_parameters=True)
    assert first.parameters() == {mine}
    assert first.edges == {Edge(mine, one, "x"), Edge(mine, two, "x")}


def test_reference_tasks_are_merged_if_wanted() -> None:
    flow, a, _, c = line()
    other, d, *_ = line()
    other.set_reference_tasks([d])
    kept = flow.copy()
    kept.set_reference_tasks([a])
    kept.update(other)
    assert kept.reference_tasks() == {a}
    flow.update(other, merge_reference_tasks=True)
    assert flow.reference_tasks() == {c, d}


# ---------------------------------------------------------------- parameters


def test_a_copy_of_a_parameter_has_another_name() -> None:
    copy = Parameter("x", default=3).copy("y")
    assert (copy.name, copy.slug, copy.run()) == ("y", "y", 3)


def test_the_value_of_a_parameter_is_kept() -> None:
    assert Parameter("x").checkpoint is True
    assert type(Parameter("x").result).__name__ == "PrefectResult"


def test_text_given_for_a_time_is_read() -> None:
    with Flow("f") as flow:
        when, never = DateTimeParameter("when")(), DateTimeParameter("never", required=False)()
    state = run_flow(flow, {"when": "2024-02-29T12:00:00+01:00"})
    assert state.result[when].result.isoformat() == "2024-02-29T12:00:00+01:00"
    assert state.result[never].result is None


# ---------------------------------------------------------------- pickles and files


def built() -> tuple[Flow, Task]:
    with Flow("My Flow") as flow:
        done = inc(Parameter("x")(), by=2) * 10
    return flow, done


def test_a_flow_can_be_pickled_and_runs_then() -> None:
    flow, done = built()
    again: Flow = pickle.loads(cloudpickle.dumps(flow))
    [found] = again.get_tasks(name=done.name)
    assert run_flow(again, {"x": 1}).result[found].result == 30
    assert again.slugs.keys() == again.tasks


def test_a_flow_can_be_pickled_in_its_own_block() -> None:
    with Flow("f") as flow:
        Constant(1)()
        assert len(pickle.loads(cloudpickle.dumps(flow)).tasks) == 1


def test_a_flow_is_kept_in_a_file_and_read_again(tmp_path: Path) -> None:
    flow, _ = built()
    file = flow.save(tmp_path / "deep" / "a.flow")
    assert Path(file).parent == tmp_path / "deep"
    again: Any = Flow.load(file)
    assert [each.name for each in again.sorted_tasks()] == [each.name for each in flow.sorted_tasks()]
    with set_temporary_config({"home_dir": str(tmp_path)}):
        assert flow.save() == str(tmp_path / "flows" / "my-flow.flow")
        assert Flow.load("My Flow").name == "My Flow"
        with pytest.raises(FlowError, match="no flow is saved at"):
            Flow.load("other")


def test_a_file_without_a_flow_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pickle.dumps(5))
    with pytest.raises(FlowError, match="holds a int, which is no flow"):
        Flow.load(tmp_path / "x")
