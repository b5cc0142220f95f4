"""The context: what code in a run can ask about it."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import logging
import pickle
import threading
from collections.abc import Iterator
from typing import Any

import pendulum
import pytest

from tocsin.clock import ManualClock
from tocsin.flows.context import Context, context, dates
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.options import config, set_temporary_config
from tocsin.runs import run_flow
from tocsin_hooks.states import run_context


@pytest.fixture(autouse=True)
def _nothing_is_left_of_other_runs() -> Iterator[None]:
    token = run_context.set({})
    yield
    run_context.reset(token)


def own() -> dict[str, Any]:
    """What was put into the context, without the options that lie beneath."""
    return dict(run_context.get())


def test_the_context_is_restored_after_the_block() -> None:
    with context(colour="red"):
        with context({"colour": "blue"}, size=3):
            assert (context.colour, context["size"]) == ("blue", 3)
            context.colour = "green"
        assert own() == {"colour": "red"}
    assert own() == {}


def test_the_context_is_restored_after_an_error() -> None:
    with pytest.raises(RuntimeError), context(colour="red"):
        raise RuntimeError
    assert "colour" not in context


def test_values_can_be_set_updated_and_deleted_within_a_block() -> None:
    with context():
        context.colour = "red"
        context["size"] = 3
        context.update(x=1, y=2)
        context.setdefault("x", 5)
        del context.colour
        del context["y"]
        assert own() == {"size": 3, "x": 1}
        with pytest.raises(AttributeError, match="has no 'colour'"):
            del context.colour
    assert own() == {}


def test_a_missing_value_is_said_by_name() -> None:
    with context(task_name="a"), pytest.raises(AttributeError, match="no 'task_nam'; did you mean 'task_name'"):
        context.task_nam  # noqa: B018
    with pytest.raises(AttributeError, match="it is empty outside a run"):
        context.task_name  # noqa: B018
    with pytest.raises(KeyError):
        context["task_name"]
    assert context.get("task_name") is None
    assert context.get("task_name", "none") == "none"


def test_the_context_cannot_be_pickled_or_copied_deeply() -> None:
    with pytest.raises(TypeError, match="the context cannot be pickled"):
        pickle.dumps(context)
    with pytest.raises(TypeError, match="the context cannot be pickled"):
        copy.deepcopy(context)


def test_a_thread_sees_nothing_of_another() -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.append(context.get("colour"))
        context.colour = "blue"
        seen.append(context.colour)

    with context(colour="red"):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert context.colour == "red"
    assert seen == [None, "blue"]


def test_asynchronous_tasks_do_not_see_what_others_set() -> None:
    async def work(name: str, turn: asyncio.Barrier) -> str:
        context.name = name
        await turn.wait()  # all have set theirs
        return str(context.name)

    async def main() -> list[str]:
        turn = asyncio.Barrier(3)
        context.name = "main"
        return await asyncio.gather(*(work(name, turn) for name in "abc"))

    with context(colour="red"):
        assert asyncio.run(main()) == ["a", "b", "c"]
        assert own() == {"colour": "red"}


# ---------------------------------------------------------------- options beneath it


def test_outside_a_run_it_shows_the_options() -> None:
    with set_temporary_config({"context.secrets": {"TOKEN": "xoxb-1"}, "context.region": "eu"}):
        assert context.config is config
        assert context.secrets == {"TOKEN": "xoxb-1"}
        assert (context.region, context["region"], context.get("region")) == ("eu", "eu", "eu")
        assert {"config", "secrets", "region"} <= set(context)
        assert "region" in context
        assert len(context) == len(dict(context))
        with context(region="us"):
            assert context.region == "us"
    assert "region" not in context


def test_a_config_is_merged_not_replaced() -> None:
    with context(config={"flows": {"checkpointing": True}}):
        assert context.config.flows.checkpointing is True
        assert context.config.logging.level == "INFO"
        with context({"config": {"logging": {"level": "DEBUG"}, "context": {"region": "eu"}}}):
            assert (context.config.flows.checkpointing, context.config.logging.level) == (True, "DEBUG")
            assert context.region == "eu"
        assert context.config.logging.level == "INFO"
    assert config.flows.checkpointing is False


def test_no_value_is_shown() -> None:
    with context(secrets={"TOKEN": "xoxb-1"}, password="pw"):
        assert repr(context) == "<Context: password, secrets>"


def test_a_context_of_ones_own_shares_nothing_with_the_runs() -> None:
    mine = Context({"a": 1}, b=2)
    with mine(c=3):
        mine.a = 5
        assert (mine.a, mine.b, mine.c) == (5, 2, 3)
    assert (mine.a, "c" in mine, "a" in context) == (1, False, False)
    assert mine.config is config


# ---------------------------------------------------------------- in a run


def run(work: Task, **options: Any) -> Any:
    flow = Flow("etl")
    flow.add_task(work)
    state = run_flow(flow, clock=ManualClock(), **options)
    assert state.is_successful(), state
    return state.result[work].result


@task
def everything() -> dict[str, Any]:
    return {key: value for key, value in context.items() if key != "config"}


def test_a_task_finds_what_the_run_is_and_when() -> None:
    found = run(
        everything.copy(name="load", tags={"prod"}), run_name="monday", context={"flow_id": "f1", "task_id": "t1"}
    )
    assert found["date"] == found["scheduled_start_time"] == pendulum.datetime(2024, 1, 1, 12)
    assert [found[key] for key in ("yesterday", "today", "tomorrow")] == ["2023-12-31", "2024-01-01", "2024-01-02"]
    assert found["today_nodash"] == "20240101"
    assert (found["flow_name"], found["flow_run_name"], found["flow_id"]) == ("etl", "monday", "f1")
    assert (found["task_name"], found["task_full_name"], found["task_id"]) == ("load", "load", "t1")
    assert (found["task_run_count"], found["map_index"], found["parameters"]) == (1, None, {})
    assert found["task_tags"] == {"prod"}
    assert found["checkpointing"] is False
    assert found["flow_run_id"]
    assert found["task_run_id"]
    assert found["task_slug"] == "load-prod-1"


def test_the_logger_is_that_of_what_runs() -> None:
    seen: dict[str, logging.Logger] = {}

    @task(name="load")
    def load() -> None:
        seen["task"] = context.logger

    def handler(flow: Flow, old: Any, new: Any) -> None:
        seen["flow"] = context.logger

    flow = Flow("etl", tasks=[load], state_handlers=[handler])
    run_flow(flow, clock=ManualClock())
    assert seen == {"task": load.logger, "flow": flow.logger}
    assert context.get("logger") is None


def test_what_the_user_puts_in_wins() -> None:
    found = run(everything.copy(), context={"today": "never", "colour": "red", "flow_run_name": "x"})
    assert (found["today"], found["colour"], found["flow_run_name"]) == ("never", "red", "x")
    with context(colour="blue", date="2020-03-01"):
        found = run(everything.copy())
    assert (found["colour"], found["yesterday"]) == ("blue", "2020-02-29")


def test_the_days_follow_the_date_that_the_user_sets() -> None:
    for date in ("2020-03-01", dt.date(2020, 3, 1), pendulum.datetime(2020, 3, 1)):
        found = run(everything.copy(), context={"date": date})
        assert found["date"] == date
        assert (found["yesterday_nodash"], found["tomorrow"]) == ("20200229", "2020-03-02")


@pytest.mark.parametrize("date", ["not a day", 7])
def test_a_date_that_is_none_is_warned_of_and_the_days_follow_the_clock(
    date: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "tocsin"):
        found = dates(pendulum.datetime(2024, 1, 1), date)
    assert (found["date"], found["today"]) == (date, "2024-01-01")
    assert f"the context's date is {date!r}, which is no date" in caplog.text


def test_what_a_task_sets_is_gone_with_it() -> None:
    @task
    def first() -> None:
        context.colour = "red"

    @task
    def second() -> Any:
        return context.get("colour")

    with Flow("etl") as flow:
        before = first()
        after = second(upstream_tasks=[before])
    state = run_flow(flow, clock=ManualClock())
    assert state.result[after].result is None
    assert state.is_successful()
