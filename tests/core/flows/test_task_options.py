"""The options of a task: what they become, and what is warned of."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

import pytest

from tocsin.cache_validators import all_inputs, duration_only, never_use
from tocsin.flows.flow import Flow
from tocsin.flows.helpers import tags
from tocsin.flows.task import Task, task
from tocsin.options import set_temporary_config
from tocsin.results import LocalResult

MINUTE = timedelta(minutes=1)


def test_options_stand_in_the_order_of_prefect_1() -> None:
    assert list(inspect.signature(Task).parameters) == [
        "name",
        "slug",
        "tags",
        "max_retries",
        "retry_delay",
        "retry_on",
        "timeout",
        "trigger",
        "skip_on_upstream_skip",
        "cache_for",
        "cache_validator",
        "cache_key",
        "checkpoint",
        "state_handlers",
        "on_failure",
        "log_stdout",
        "result",
        "target",
        "task_run_name",
        "nout",
    ]


def test_an_option_that_is_not_given_has_its_default() -> None:
    plain = vars(Task())
    wanted: dict[str, Any] = {
        "name": "Task",
        "slug": None,
        "tags": set(),
        "max_retries": 0,
        "retry_delay": None,
        "retry_on": None,
        "timeout": None,
        "skip_on_upstream_skip": True,
        "cache_for": None,
        "cache_validator": never_use,
        "cache_key": None,
        "checkpoint": None,
        "log_stdout": False,
        "result": None,
        "target": None,
        "task_run_name": None,
        "nout": None,
    }
    assert {name: plain[name] for name in wanted} == wanted


def test_the_config_has_defaults_for_retries_and_timeout() -> None:
    with set_temporary_config({"tasks.defaults.max_retries": 3, "tasks.defaults.retry_delay": MINUTE}):
        assert (Task().max_retries, Task().retry_delay) == (3, MINUTE)
        assert Task(max_retries=1).retry_delay == MINUTE
        assert (Task(max_retries=0).max_retries, Task(max_retries=0).retry_delay) == (0, None)
    with set_temporary_config({"tasks.defaults.retry_delay": MINUTE, "tasks.defaults.timeout": 60}):
        assert (Task().retry_delay, Task().timeout) == (None, 60)
        assert Task(timeout=5).timeout == 5


def test_a_timeout_is_in_whole_seconds() -> None:
    assert Task(timeout=MINUTE).timeout == 60
    with pytest.warns(UserWarning, match="timeout is 0:00:01.500000; only its whole seconds count"):
        assert Task(timeout=timedelta(seconds=1.5)).timeout == 1


def test_a_validator_of_caches_needs_a_time() -> None:
    assert Task(cache_for=MINUTE).cache_validator is duration_only
    assert Task(cache_for=MINUTE, cache_validator=all_inputs).cache_validator is all_inputs
    with pytest.warns(UserWarning, match="task 'a' has a cache_validator but no cache_for: nothing is cached"):
        Task("a", cache_validator=all_inputs)


def test_a_target_takes_the_place_of_the_location() -> None:
    given = LocalResult(location="there.json")
    with pytest.warns(UserWarning, match="the target counts"):
        made = Task(target="here.json", result=given)
    assert (made.result.location, given.location) == ("here.json", "there.json")
    assert Task(result=given).copy(target="there.json").result.location == "there.json"


def test_exceptions_to_retry_on_may_be_one_or_many() -> None:
    assert Task(max_retries=1, retry_delay=MINUTE, retry_on=OSError).retry_on == (OSError,)
    assert Task(max_retries=1, retry_delay=MINUTE, retry_on=[OSError, ValueError]).retry_on == (OSError, ValueError)


# ---------------------------------------------------------------- signatures


def test_a_run_whose_arguments_cannot_be_named_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match=r"task 'Bad' takes '\*rows'"):

        class Bad(Task):
            def run(self, *rows: int) -> None: ...


@pytest.mark.parametrize("name", ["upstream_tasks", "mapped", "task_args", "flow"])
def test_arguments_cannot_have_the_names_that_calling_a_task_uses(name: str) -> None:
    with pytest.raises(ValueError, match=f"has an argument '{name}'; rename it"):
        type("Bad", (Task,), {"run": eval(f"lambda self, {name}: None")})
    with pytest.raises(ValueError, match=f"has an argument '{name}'; rename it"):
        task(eval(f"lambda {name}: None"))


def test_run_may_be_a_static_method() -> None:
    class Double(Task):
        @staticmethod
        def run(x: int) -> int:
            return 2 * x

    assert Double().inputs() == {"x": {"type": int, "required": True}}
    assert Double().run(4) == 8


def test_arguments_and_result_are_described() -> None:
    @task
    def load(rows: list[int], limit: int = 3, *, day, **more: str) -> float:  # type: ignore[no-untyped-def]
        return 0.5

    assert load.inputs() == {
        "rows": {"type": list[int], "required": True},
        "limit": {"type": int, "required": False},
        "day": {"type": Any, "required": True},
        "more": {"type": str, "required": False},
    }
    assert load.outputs() is float
    assert (Task().inputs(), task(lambda: 1).outputs()) == ({}, Any)


def test_a_tuple_annotation_says_how_many_results_there_are() -> None:
    @task
    def both() -> tuple[int, str]:
        return 1, "a"

    @task
    def many() -> tuple[int, ...]:
        return (1,)

    assert (both.nout, many.nout, task(lambda: (1, 2), nout=2).nout) == (2, None, 2)
    assert task(lambda: None, nout=0).nout == 0


# ---------------------------------------------------------------- copies


def test_the_slug_of_a_copy_says_that_it_is_one() -> None:
    assert Task(slug="mine").copy().slug == "mine-copy"
    assert Task(slug="mine").copy(slug="yours").slug == "yours"
    assert Task().copy().slug is None


def test_a_copy_of_a_task_that_is_tied_is_warned_of() -> None:
    with Flow("etl") as flow:
        a = Task("a")()
        flow.chain(a, Task("b"))
        with pytest.warns(UserWarning, match="the copy of task 'a' is not tied"):
            a.copy().bind()


def test_tags_for_a_block_reach_new_tasks_copies_and_those_put_into_a_flow() -> None:
    old, bound = Task("old", tags={"x"}), Task("bound")
    with Flow("etl"), tags("nightly"):
        new = Task("new", tags={"y"})()
        called = old()
        bound.bind()
    assert (new.tags, called.tags, bound.tags) == ({"nightly", "y"}, {"nightly", "x"}, {"nightly"})
    assert old.tags == {"x"}
