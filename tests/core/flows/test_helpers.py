"""Small helps for writing flows, and where their names stand."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

import tocsin
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant, Dict, List, Set, Tuple, as_task
from tocsin.flows.helpers import defaults_from_attrs, pause_task
from tocsin.flows.marks import unmapped
from tocsin.flows.signals import PAUSE
from tocsin.flows.task import Task
from tocsin.runs import run_flow


class Greet(Task):
    def __init__(self, name: str | None = None, greeting: str = "hello", **kwargs: Any) -> None:
        self.greeting = greeting
        self.person = "you"
        super().__init__(name=name, **kwargs)

    @defaults_from_attrs("person", "greeting")
    def run(self, person: str | None = None, greeting: str | None = None) -> str:
        return f"{greeting} {person}"


def test_arguments_that_are_not_given_come_from_the_task() -> None:
    greet = Greet(greeting="hi")
    assert greet.run() == "hi you"
    assert greet.run("me") == "hi me"
    assert greet.run(person="me", greeting="bye") == "bye me"
    with Flow("f") as flow:
        done = greet(person="all")
    assert run_flow(flow).result[done].result == "hi all"


def test_a_task_can_pause_itself_until_it_is_resumed() -> None:
    with pytest.raises(PAUSE) as caught:
        pause_task("look at this")
    assert caught.value.state.message == "look at this"
    with context(resume=True):
        pause_task()


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (lambda a, b: [a, [b, 3]], [1, [2, 3]]),
        (lambda a, b: (a, b), (1, 2)),
        (lambda a, b: {a, b}, {1, 2}),
        (lambda a, b: {"a": a, "b": {"c": b}}, {"a": 1, "b": {"c": 2}}),
        (lambda a, b: [unmapped(a), 5], [1, 5]),
    ],
)
def test_a_collection_with_tasks_has_their_results(build: Any, value: Any) -> None:
    with Flow("f") as flow:
        made = as_task(build(Constant(1)(), Constant(2)()))
    assert made.auto_generated
    assert run_flow(flow).result[made].result == value


def test_collections_take_their_items_by_position() -> None:
    with Flow("f") as flow:
        made = [kind()(Constant(1)(), 2) for kind in (List, Tuple, Set)]
    state = run_flow(flow)
    assert [state.result[each].result for each in made] == [[1, 2], (1, 2), {1, 2}]
    with pytest.raises(ValueError, match="zip"):
        Dict().run(keys=[1], values=[])


def test_plain_values_become_constants_only_if_wanted() -> None:
    assert as_task([1, 2]).value == [1, 2]
    assert as_task([1, 2], convert_constants=False) == [1, 2]
    task = Task("a")
    assert as_task(unmapped(task)) is task


# ---------------------------------------------------------------- where names stand


def test_every_name_that_tocsin_offers_is_there() -> None:
    assert {name for name in tocsin.__all__ if getattr(tocsin, name, None) is None} == set()
    assert set(tocsin.__all__) <= set(dir(tocsin))
    with pytest.raises(AttributeError, match="module 'tocsin' has no attribute 'flow'"):
        tocsin.flow  # noqa: B018


@pytest.mark.parametrize("name", ["core", "utilities", "tasks.core", "tasks.control_flow"])
def test_names_stand_where_prefect_1_had_them(name: str) -> None:
    module = import_module(f"tocsin.{name}")
    assert {each for each in module.__all__ if not hasattr(module, each)} == set()


def test_importing_tocsin_loads_neither_flows_nor_times() -> None:
    code = "import sys, tocsin; print(*sorted({'pendulum', 'cloudpickle', 'tocsin.flows.flow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
