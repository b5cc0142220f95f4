"""A publisher is asked about a change by flow, task and map index, before there is an event."""

from collections.abc import Mapping
from typing import Any

from tocsin import Flow, task
from tocsin.flows.task import Task
from tocsin.runs import run_flow
from tocsin.runs.relay import Change, Home
from tocsin_hooks.states import Failed, State, Success
from tocsin_hooks.testing import sample_event


@task
def rows() -> list[int]:
    return [1, 2]


@task
def load(row: int) -> int:
    return row


def test_each_task_and_each_child_is_named(told: Any) -> None:
    asked: list[tuple[str, str | None, int | None]] = []

    def wants(state: State, task: Task | None, context: Mapping[str, Any]) -> bool:
        if isinstance(state, Success):
            asked.append((context["flow_name"], None if task is None else task.name, context.get("map_index")))
        return False

    publisher = told()
    publisher.wants = wants
    with Flow("etl") as flow:
        load.map(rows)
    run_flow(flow, publisher=publisher)
    named = [("etl", "rows", None), ("etl", "load", None), ("etl", "load", 0), ("etl", "load", 1), ("etl", None, None)]
    assert sorted(asked, key=str) == sorted(named, key=str)
    assert publisher.events == []


def test_what_happened_in_another_process_is_named_as_its_event_says(told: Any) -> None:
    asked: list[tuple[Any, Any]] = []

    def wants(state: State, task: Task | None, context: Mapping[str, Any]) -> bool:
        asked.append((context["flow_name"], context["map_index"]))
        return False

    publisher = told()
    publisher.wants = wants
    event = sample_event(flow="etl", task="load", map_index=3)
    home = Home(load, publisher)
    home._tell(Change(Success(), Failed(), event))
    assert asked == [("etl", 3)]
    assert publisher.events == []


def test_what_nobody_wants_changes_nothing_of_a_run(told: Any) -> None:
    with Flow("etl") as flow:
        loaded = load.map(rows)
    state = run_flow(flow, publisher=told(wanted=False))
    assert state.is_successful()
    assert state.result[loaded].result == [1, 2]
