"""When a task is spared its run, and what its run leaves for later ones: caches, targets, checkpoints."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin import cache_validators
from tocsin.clock import ManualClock
from tocsin.flows import signals
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, task
from tocsin.results import LocalResult
from tocsin.runs import TaskRunner, run_flow
from tocsin.runs.settling import Surroundings
from tocsin_hooks.results import Result
from tocsin_hooks.states import Cached, Failed, Pending, Retrying, Skipped, Success, TriggerFailed

HOUR = timedelta(hours=1)


@pytest.fixture
def ran() -> list[Any]:
    return []


@pytest.fixture
def count(ran: list[Any]) -> Any:
    """Makes tasks that count their runs and return the number."""

    def make(**options: Any) -> Task:
        def work() -> int:
            ran.append(None)
            return len(ran)

        return task(work, **{"name": "count", **options})

    return make


# ---------------------------------------------------------------- caches


def test_a_success_is_seen_and_then_cached(seen: Any, count: Any, clock: ManualClock) -> None:
    runner = TaskRunner(count(cache_for=HOUR, state_handlers=[seen]), surroundings=Surroundings(clock=clock))
    state = runner.run(context={"parameters": {"day": "mon"}})
    assert seen == ["Pending>Running", "Running>Success", "Success>Cached"]
    assert type(state) is Cached
    assert (state.result, state.cached_parameters) == (1, {"day": "mon"})
    assert state.cached_result_expiration == clock.now() + HOUR


def test_a_cached_state_knows_its_inputs_by_their_hashes() -> None:
    double = task(lambda x: 2 * x, name="double", cache_for=HOUR)
    state = TaskRunner(double).run(upstream_states={Edge(Task(), double, "x"): Success(result=4)})
    assert state.result == 8
    assert cache_validators.all_inputs(state, {"x": 4}, {})
    assert not cache_validators.all_inputs(state, {"x": 5}, {})


def test_a_valid_cache_spares_the_run(seen: Any, ran: list[Any], count: Any) -> None:
    work = count(cache_for=HOUR, state_handlers=[seen])
    kept = Cached(result="old")
    with context(caches={"count": [kept]}):
        assert TaskRunner(work).run() is kept
    assert (seen, ran) == (["Pending>Cached"], [])


def test_caches_are_found_by_key(count: Any) -> None:
    kept = Cached(result="old")
    with context(caches={"shared": [kept], "count": [Cached(result="other")]}):
        assert TaskRunner(count(cache_for=HOUR, cache_key="shared")).run() is kept
        assert TaskRunner(count()).run().result == 1, "without cache_for nothing is looked up"


def test_the_first_cache_that_the_validator_takes_is_used(count: Any) -> None:
    caches = [
        Cached(result="mon", cached_parameters={"day": "mon"}),
        Cached("", "tue", cached_parameters={"day": "tue"}),
    ]
    work = count(cache_for=HOUR, cache_validator=cache_validators.all_parameters)
    with context(caches={"count": caches}):
        assert TaskRunner(work).run(context={"parameters": {"day": "tue"}}).result == "tue"
        assert TaskRunner(work).run(context={"parameters": {"day": "wed"}}).result == 1


def test_a_trigger_is_asked_even_when_there_is_a_cache(count: Any) -> None:
    work = count(cache_for=HOUR)
    with context(caches={"count": [Cached(result="old")]}):
        state = TaskRunner(work).run(upstream_states={Edge(Task(), work): Failed()})
    assert type(state) is TriggerFailed


def test_a_cached_value_that_is_kept_elsewhere_is_read_back(count: Any, tmp_path: Path) -> None:
    folder = LocalResult(dir=str(tmp_path))
    kept = Cached(result=Result(location=folder.write("old").location))
    with context(caches={"count": [kept]}):
        assert TaskRunner(count(cache_for=HOUR, result=folder)).run().result == "old"


@pytest.mark.parametrize("signal", [signals.SKIP, signals.FAIL, signals.PAUSE])
def test_what_is_no_plain_success_is_not_cached(signal: Any) -> None:
    def work() -> None:
        raise signal

    assert not TaskRunner(task(work, cache_for=HOUR)).run().is_cached()


def test_a_cache_lasts_over_runs_until_it_expires(ran: list[Any], count: Any, clock: ManualClock) -> None:
    work = count(name="lasting", cache_for=HOUR)
    flow = Flow("etl", tasks=[work])
    found = []
    for _ in range(4):
        found.append(run_flow(flow, clock=clock).result[work].result)
        clock.advance(timedelta(minutes=25))
    assert found == [1, 1, 1, 2]


def test_runs_with_caches_of_their_own_share_nothing_else(count: Any, clock: ManualClock) -> None:
    work = count(name="apart", cache_for=HOUR)
    flow = Flow("etl", tasks=[work])
    mine: dict[str, list[Cached]] = {}
    found = [run_flow(flow, clock=clock, context={"caches": caches}).result[work].result for caches in (mine, {}, mine)]
    assert found == [1, 2, 1]
    assert [state.result for state in mine["apart"]] == [1]


def test_parameters_decide_which_cache_is_used(count: Any, clock: ManualClock) -> None:
    work = count(name="daily", cache_for=HOUR, cache_validator=cache_validators.all_parameters)
    flow = Flow("etl", tasks=[Parameter("day"), work])
    found = [run_flow(flow, {"day": day}, clock=clock).result[work].result for day in ("mon", "tue", "mon", "tue")]
    assert found == [1, 2, 1, 2]


def test_each_child_of_a_mapped_task_finds_its_own_cache(ran: list[Any], clock: ManualClock) -> None:
    @task(name="child", cache_for=HOUR)
    def work(x: int) -> int:
        ran.append(x)
        return 10 * x

    with Flow("etl") as flow:
        children = work.map([1, 2, 3])
    caches: dict[str, list[Cached]] = {}
    for _ in range(2):
        state = run_flow(flow, clock=clock, context={"caches": caches})
        assert state.result[children].result == [10, 20, 30]
    assert sorted(ran) == [1, 2, 3]


# ---------------------------------------------------------------- targets


def test_what_is_at_the_target_spares_the_run(seen: Any, ran: list[Any], count: Any, tmp_path: Path) -> None:
    options = {"target": "{day}/{task_name}.out", "result": LocalResult(dir=str(tmp_path))}
    values = {"parameters": {"day": "mon"}, "checkpointing": True}
    first = TaskRunner(count(**options)).run(context=values)
    assert (type(first), first.result) == (Success, 1)
    assert (tmp_path / "mon" / "count.out").exists()
    again = TaskRunner(count(**options, state_handlers=[seen])).run(context=values)
    assert (type(again), again.result, len(ran)) == (Cached, 1, 1)
    assert seen == ["Pending>Cached"]
    tuesday = TaskRunner(count(**options)).run(context={**values, "parameters": {"day": "tue"}})
    assert tuesday.result == 2


def test_a_target_may_be_a_function(count: Any, tmp_path: Path) -> None:
    options = {"target": lambda **values: f"{values['task_name']}.bin", "result": LocalResult(dir=str(tmp_path))}
    with context(checkpointing=True):
        TaskRunner(count(**options)).run()
        assert TaskRunner(count(**options)).run().result == 1
    assert [path.name for path in tmp_path.iterdir()] == ["count.bin"]


def test_inputs_count_more_than_the_context_in_a_target(tmp_path: Path) -> None:
    @task(target="{x}-{today}", result=LocalResult(dir=str(tmp_path)))
    def work(x: str) -> str:
        return x

    upstream = {Edge(Task(), work, "x"): Success(result="input")}
    values = {"x": "context", "today": "now", "parameters": {"x": "parameter"}, "checkpointing": True}
    TaskRunner(work).run(upstream_states=upstream, context=values)
    assert [path.name for path in tmp_path.iterdir()] == ["input-now"]


def test_the_target_counts_more_than_the_location_of_the_flows_result(count: Any, tmp_path: Path) -> None:
    flow_result = LocalResult(dir=str(tmp_path), location="by the flow")
    with context(checkpointing=True):
        TaskRunner(count(target="by the task"), None, flow_result).run()
    assert [path.name for path in tmp_path.iterdir()] == ["by the task"]
    assert flow_result.location == "by the flow"


def test_a_target_without_a_result_that_stores_changes_nothing(count: Any) -> None:
    for result in (None, Result()):
        assert type(TaskRunner(count(target="x", result=result)).run()) is Success


def test_a_target_that_cannot_be_filled_fails_the_task(count: Any, tmp_path: Path) -> None:
    state = TaskRunner(count(target="{nothing}", result=LocalResult(dir=str(tmp_path)))).run()
    assert isinstance(state.result, KeyError)


# ---------------------------------------------------------------- checkpoints


def test_a_result_is_written_only_where_checkpointing_is_on(count: Any, tmp_path: Path) -> None:
    def files(**options: Any) -> int:
        before = len(list(tmp_path.iterdir()))
        TaskRunner(count(result=LocalResult(dir=str(tmp_path)), **options)).run()
        return len(list(tmp_path.iterdir())) - before

    assert files() == 0
    with context(checkpointing=True):
        assert files() == 1
        assert files(checkpoint=True) == 1
        assert files(checkpoint=False) == 0
    with context(config={"flows": {"checkpointing": True}}):
        assert files() == 1


@pytest.mark.parametrize("ends", [signals.SKIP, signals.FAIL, ValueError, None])
def test_nothing_is_written_of_failures_skips_and_none(tmp_path: Path, ends: Any) -> None:
    def work() -> None:
        if ends is not None:
            raise ends("because")

    with context(checkpointing=True):
        TaskRunner(task(work, result=LocalResult(dir=str(tmp_path)))).run()
    assert list(tmp_path.iterdir()) == []


def test_the_result_of_a_success_signal_is_written(tmp_path: Path) -> None:
    def work() -> None:
        raise signals.SUCCESS("early", result=5)

    with context(checkpointing=True):
        state = TaskRunner(task(work, result=LocalResult(dir=str(tmp_path)))).run()
    assert (state.message, state.result) == ("early", 5)
    assert LocalResult(dir=str(tmp_path)).read(str(state._result.location)).value == 5


def test_the_tasks_result_counts_more_than_the_flows(count: Any, tmp_path: Path) -> None:
    own, flows = LocalResult(dir=str(tmp_path / "own")), LocalResult(dir=str(tmp_path / "flow"))
    with context(checkpointing=True):
        TaskRunner(count(result=own), None, flows).run()
        TaskRunner(count(), None, flows).run()
    assert [len(list((tmp_path / name).iterdir())) for name in ("own", "flow")] == [1, 1]


class Broken(Result):
    def write(self, value_: Any, /, **kwargs: Any) -> Any:
        raise OSError("disk full")


def test_a_write_that_fails_fails_the_task_and_is_retried(seen: Any, count: Any) -> None:
    work = count(result=Broken(), max_retries=1, retry_delay=HOUR, state_handlers=[seen])
    with context(checkpointing=True):
        state = TaskRunner(work).run()
    assert type(state) is Retrying
    assert isinstance(state.result, OSError)
    assert seen == ["Pending>Running", "Running>Failed", "Failed>Retrying"]


def test_without_checkpointing_a_result_carries_the_value_and_no_location(count: Any, tmp_path: Path) -> None:
    state = TaskRunner(count(result=LocalResult(dir=str(tmp_path), location="x"))).run()
    assert isinstance(state._result, LocalResult)
    assert (state.result, state._result.location) == (1, None)


def test_a_skipped_or_pending_state_is_no_cache() -> None:
    assert not isinstance(Skipped(), Cached)
    assert TaskRunner(Task(cache_for=HOUR)).run(Pending()).is_cached()
