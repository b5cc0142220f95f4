"""What runs do with results: when they are written and where, and when a task is spared because one is there."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin import Flow, Parameter, Task, context, signals, task, unmapped
from tocsin.cache_validators import all_inputs, partial_inputs_only
from tocsin.executors import ThreadExecutor
from tocsin.flows.secrets import EnvVarSecret
from tocsin.results import LocalResult, PrefectResult, Result
from tocsin.serializers import JSONSerializer
from tocsin_hooks.states import Cached, Failed, Mapped, Retrying, Skipped, State, Success

MANY = timedelta(hours=1)


@pytest.fixture
def checkpointing() -> Iterator[None]:
    with context(checkpointing=True):
        yield


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    return tmp_path / "stored"


def as_json(folder: Path, **options: Any) -> LocalResult:
    return LocalResult(dir=folder, serializer=JSONSerializer(), **options)


def files(folder: Path) -> dict[str, Any]:
    return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*") if path.is_file()}


class Counted(Task):
    """Counts its runs and returns `base` plus that number."""

    def __init__(self, base: int = 0, **options: Any) -> None:
        self.base = base
        self.runs: list[int] = []
        super().__init__(**options)

    def run(self) -> int:
        self.runs.append(1)
        return self.base + len(self.runs)


class Full(Result):
    """A store without room."""

    def write(self, value_: Any, /, **kwargs: Any) -> Any:
        raise OSError("no room left")


# ---------------------------------------------------------------- whether a result is written


def test_nothing_is_written_unless_asked_for(stored: Path) -> None:
    with Flow("etl", result=as_json(stored, location="x")) as flow:
        Counted()()
    assert flow.run().is_successful()
    assert files(stored) == {}


@pytest.mark.usefixtures("checkpointing")
def test_the_flows_result_says_where_values_go(stored: Path) -> None:
    with Flow("etl", result=as_json(stored, location="{flow_name}/{task_name}.json")) as flow:
        one = Counted(name="one")()
        two = Counted(10, name="two")(upstream_tasks=[one])
    state = flow.run()
    assert files(stored) == {"etl/one.json": 1, "etl/two.json": 11}
    result = state.result[two]._result
    assert isinstance(result, LocalResult)
    assert (result.value, result.location) == (11, str(stored / "etl" / "two.json"))
    assert state.result[two].result == 11


@pytest.mark.usefixtures("checkpointing")
def test_the_result_of_a_task_counts_more_than_the_flows(stored: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    with Flow("etl", result=as_json(stored, location="{task_name}")) as flow:
        Counted(name="one", result=as_json(own, location="here"))()
        Counted(name="two")()
    flow.run()
    assert (files(own), files(stored)) == ({"here": 1}, {"two": 1})


@pytest.mark.usefixtures("checkpointing")
def test_checkpoint_false_is_not_written(stored: Path) -> None:
    with Flow("etl", result=as_json(stored, location="{task_name}")) as flow:
        Counted(name="kept")()
        Counted(name="fleeting", checkpoint=False)()
    flow.run()
    assert files(stored) == {"kept": 1}


@pytest.mark.usefixtures("checkpointing")
def test_none_failures_and_skips_are_not_written(stored: Path) -> None:
    @task
    def nothing() -> None: ...

    @task
    def fails() -> int:
        raise ValueError("no rows")

    @task
    def skips() -> int:
        raise signals.SKIP("not today", result=3)

    with Flow("etl", result=as_json(stored, location="{task_name}")) as flow:
        tasks = [nothing(), fails(), skips()]
    state = flow.run()
    assert [type(state.result[each]) for each in tasks] == [Success, Failed, Skipped]
    assert files(stored) == {}


@pytest.mark.usefixtures("checkpointing")
def test_a_task_without_any_result_is_as_it_was() -> None:
    with Flow("etl") as flow:
        one = Counted()()
    state = flow.run()
    assert state.result[one].result == 1
    assert state.result[one]._result.location is None


@pytest.mark.usefixtures("checkpointing")
def test_plain_data_goes_into_the_location_itself() -> None:
    with Flow("etl", result=PrefectResult()) as flow:
        one = Counted()()
    assert flow.run().result[one]._result.location == "1"


@pytest.mark.usefixtures("checkpointing")
def test_a_parameter_is_its_own_location(stored: Path) -> None:
    with Flow("etl", result=as_json(stored, location="{task_name}")) as flow:
        day = Parameter("day", default={"y": 2024})
        flow.add_task(day)
    assert flow.run().result[day]._result.location == '{"y": 2024}'
    assert files(stored) == {}


@pytest.mark.usefixtures("checkpointing")
def test_a_secret_reaches_tasks_but_no_store(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "xyzzy")

    @task
    def length(secret: str) -> int:
        return len(secret)

    with Flow("etl", result=as_json(stored, location="{task_name}")) as flow:
        secret = EnvVarSecret("DATABASE_PASSWORD")()
        found = length(secret)
    state = flow.run()
    assert state.result[found].result == 5
    assert files(stored) == {"length": 5}
    assert "xyzzy" not in repr(state.result[secret]._result)


# ---------------------------------------------------------------- where it is written


@pytest.mark.usefixtures("checkpointing")
def test_locations_may_use_dates_parameters_and_inputs(stored: Path) -> None:
    @task(result=as_json(stored, location="{date:%Y}/{today}/{flow_name}/{task_name}/{region}/{rows}.json"))
    def load(rows: int) -> int:
        return rows + 1

    with Flow("etl") as flow:
        region = Parameter("region", default="eu")
        flow.add_task(region)
        load(rows=4)
    with context(date=_day(), today="2024-02-29"):
        assert flow.run(parameters={"region": "us"}).is_successful()
    assert files(stored) == {"2024/2024-02-29/etl/load/us/4.json": 5}


def _day() -> Any:
    import pendulum

    return pendulum.datetime(2024, 2, 29)


@pytest.mark.usefixtures("checkpointing")
def test_an_input_wins_over_a_parameter_of_its_name(stored: Path) -> None:
    @task(result=as_json(stored, location="{x}.json"))
    def keep(x: str) -> str:
        return x

    with Flow("etl") as flow:
        flow.add_task(Parameter("x", default="parameter"))
        keep(x="input")
    flow.run()
    assert files(stored) == {"input.json": "input"}


@pytest.mark.usefixtures("checkpointing")
def test_inputs_may_have_any_name(stored: Path) -> None:
    @task(result=as_json(stored, location="{value}-{location}-{value_}"))
    def keep(value: int, location: int, value_: int) -> int:
        return value + location + value_

    with Flow("etl") as flow:
        keep(value=1, location=2, value_=3)
    assert flow.run().is_successful()
    assert files(stored) == {"1-2-3": 6}


@pytest.mark.usefixtures("checkpointing")
def test_a_function_may_say_where(stored: Path) -> None:
    def place(task_name: str, **values: Any) -> str:
        return f"{task_name}-{values['x']}"

    @task(result=as_json(stored, location=place))
    def keep(x: int) -> int:
        return x

    with Flow("etl") as flow:
        keep(x=5)
    flow.run()
    assert files(stored) == {"keep-5": 5}


# ---------------------------------------------------------------- a write that fails


@pytest.mark.usefixtures("checkpointing")
def test_a_write_that_fails_fails_the_task() -> None:
    with Flow("etl") as flow:
        one = Counted(result=Full())()
        after = Counted()(upstream_tasks=[one])
    state = flow.run()
    assert isinstance(state, Failed)
    assert isinstance(state.result[one].result, OSError)
    assert not state.result[after].is_successful()


@pytest.mark.usefixtures("checkpointing")
def test_a_value_that_cannot_be_written_fails_the_task(stored: Path) -> None:
    @task(result=LocalResult(dir=stored, location="lock"))
    def lock() -> Any:
        return threading.Lock()

    with Flow("etl") as flow:
        one = lock()
    state = flow.run()
    assert isinstance(state.result[one], Failed)
    assert isinstance(state.result[one].result, TypeError)
    assert list(stored.iterdir()) == []


@pytest.mark.usefixtures("checkpointing")
def test_a_template_that_lacks_a_value_fails_the_task(stored: Path) -> None:
    with Flow("etl") as flow:
        one = Counted(result=as_json(stored, location="{nothing_of_that_name}"))()
    found = flow.run().result[one]
    assert isinstance(found, Failed)
    assert "nothing_of_that_name" in str(found.result)


@pytest.mark.usefixtures("checkpointing")
def test_a_write_that_fails_is_retried_with_the_task(stored: Path) -> None:
    class FullOnce(LocalResult):
        def write(self, value_: Any, /, **kwargs: Any) -> Any:
            if value_ == 1:
                raise OSError("no room left")
            return super().write(value_, **kwargs)

    seen: list[str] = []

    def watch(subject: Any, old: State, new: State) -> State:
        seen.append(type(new).__name__)
        return new

    result = FullOnce(dir=stored, location="x", serializer=JSONSerializer())
    with Flow("etl") as flow:
        one = Counted(result=result, max_retries=1, retry_delay=timedelta(0), state_handlers=[watch])()
    state = flow.run()
    assert state.result[one].result == 2
    assert seen == ["Running", "Failed", "Retrying", "Running", "Success"]
    assert files(stored) == {"x": 2}


# ---------------------------------------------------------------- targets


@pytest.mark.usefixtures("checkpointing")
def test_a_task_whose_target_is_there_does_not_run(stored: Path) -> None:
    seen: list[str] = []

    def watch(subject: Any, old: State, new: State) -> State:
        seen.append(type(new).__name__)
        return new

    one = Counted(name="one", target="{task_name}.json", result=as_json(stored), state_handlers=[watch])
    with Flow("etl") as flow:
        flow.add_task(one)
    first, second = flow.run(), flow.run()
    assert (first.result[one].result, second.result[one].result) == (1, 1)
    assert len(one.runs) == 1
    assert files(stored) == {"one.json": 1}
    assert isinstance(second.result[one], Cached)
    assert seen == ["Running", "Success", "Cached"]


@pytest.mark.usefixtures("checkpointing")
def test_a_target_serves_another_process(stored: Path) -> None:
    stored.mkdir()
    (stored / "one.json").write_text("41")

    @task
    def add(x: int) -> int:
        return x + 1

    one = Counted(name="one", target="{task_name}.json", result=as_json(stored))
    with Flow("etl") as flow:
        total = add(one)
    state = flow.run()
    assert (state.result[total].result, one.runs) == (42, [])


@pytest.mark.usefixtures("checkpointing")
def test_a_target_may_use_dates_parameters_and_inputs(stored: Path) -> None:
    ran: list[int] = []

    @task(target="{today}/{task_name}/{day}/{rows}", result=as_json(stored))
    def load(rows: int) -> int:
        ran.append(rows)
        return rows

    with Flow("etl") as flow:
        flow.add_task(Parameter("day"))
        load(rows=4)
    for day in (1, 1, 2):
        flow.run(parameters={"day": day}, context={"today": "2024-02-29"})
    assert files(stored) == {"2024-02-29/load/1/4": 4, "2024-02-29/load/2/4": 4}
    assert ran == [4, 4]


@pytest.mark.usefixtures("checkpointing")
def test_a_target_may_use_inputs_of_any_name(stored: Path) -> None:
    ran: list[int] = []

    @task(target="{location}-{value_}-{value}", result=as_json(stored))
    def load(location: str, value: int, value_: int) -> str:
        ran.append(value + value_)
        return location

    with Flow("etl") as flow:
        loaded = load(location="Graz", value=1, value_=2)
    flow.run()
    assert flow.run().result[loaded].result == "Graz"
    assert (files(stored), len(ran)) == ({"Graz-2-1": "Graz"}, 1)


@pytest.mark.usefixtures("checkpointing")
def test_a_target_may_be_a_function(stored: Path) -> None:
    one = Counted(name="one", target=lambda task_name, **_: f"made-by-{task_name}", result=as_json(stored))
    with Flow("etl") as flow:
        flow.add_task(one)
    flow.run()
    assert flow.run().result[one].result == 1
    assert files(stored) == {"made-by-one": 1}
    assert len(one.runs) == 1


@pytest.mark.usefixtures("checkpointing")
def test_a_target_takes_the_place_of_the_location(stored: Path) -> None:
    with pytest.warns(UserWarning, match="target"):
        one = Counted(target="target", result=as_json(stored, location="location"))
    with Flow("etl") as flow:
        flow.add_task(one)
    flow.run()
    assert files(stored) == {"target": 1}


@pytest.mark.usefixtures("checkpointing")
def test_a_target_works_with_the_flows_result(stored: Path) -> None:
    one = Counted(target="here")
    with Flow("etl", result=as_json(stored, location="never used")) as flow:
        flow.add_task(one)
    flow.run()
    assert isinstance(flow.run().result[one], Cached)
    assert (files(stored), len(one.runs)) == ({"here": 1}, 1)


def test_a_target_is_used_but_not_written_without_checkpointing(stored: Path) -> None:
    one = Counted(target="here", result=as_json(stored))
    with Flow("etl") as flow:
        flow.add_task(one)
    flow.run()
    assert files(stored) == {}
    (stored / "here").write_text("5")
    assert (flow.run().result[one].result, len(one.runs)) == (5, 1)


@pytest.mark.usefixtures("checkpointing")
def test_each_mapped_child_has_its_own_target(stored: Path) -> None:
    ran: list[int] = []

    @task(target="{task_name}-{map_index}-{x}", result=as_json(stored))
    def double(x: int, times: int) -> int:
        ran.append(x)
        return x * times

    @task
    def total(values: list[int]) -> int:
        return sum(values)

    with Flow("etl") as flow:
        doubled = double.map([1, 2, 3], unmapped(2))
        result = total(doubled)
    assert flow.run().result[result].result == 12
    assert files(stored) == {"double-0-1": 2, "double-1-2": 4, "double-2-3": 6}
    (stored / "double-1-2").write_text("40")
    ran.clear()
    state = flow.run()
    assert (state.result[result].result, ran) == (48, [])
    assert isinstance(state.result[doubled], Mapped)
    assert {type(child) for child in state.result[doubled].map_states} == {Cached}


@pytest.mark.usefixtures("checkpointing")
def test_threads_write_each_its_own(stored: Path) -> None:
    @task(result=as_json(stored, location="{map_index}"))
    def same(x: int) -> int:
        return x

    with Flow("etl", executor=ThreadExecutor(4)) as flow:
        same.map(list(range(20)))
    assert flow.run().is_successful()
    assert files(stored) == {str(number): number for number in range(20)}


@pytest.mark.usefixtures("checkpointing")
def test_a_target_that_cannot_be_read_fails_the_task(stored: Path) -> None:
    stored.mkdir()
    (stored / "broken").write_text("{")
    one = Counted(target="broken", result=as_json(stored))
    with Flow("etl") as flow:
        flow.add_task(one)
    assert isinstance(flow.run().result[one], Failed)
    assert one.runs == []


# ---------------------------------------------------------------- going on elsewhere


ELSEWHERE = """
    import json, sys
    from tocsin import Flow, context, task
    from tocsin.results import LocalResult
    from tocsin_hooks.states import Success

    @task
    def rows():
        assert not sys.argv[2:], "this one has run"
        return {"rows": [1, 2]}

    @task
    def load(rows):
        if not sys.argv[2:]:
            raise OSError("database down")
        return len(rows["rows"])

    with Flow("etl", result=LocalResult(dir=sys.argv[1], location="{task_name}")) as flow:
        loaded = load(rows)
    upstream = flow.get_tasks(name="rows")[0]
    known = {}
    if sys.argv[2:]:
        known = {upstream: Success(result=LocalResult(dir=sys.argv[1], location=sys.argv[2]))}
    with context(checkpointing=True):
        state = flow.run(task_states=known)
    found = state.result[loaded]
    print(json.dumps([type(found).__name__, repr(found.result), state.result[upstream]._result.location]))
"""


def test_a_run_goes_on_in_another_process_from_what_is_stored(stored: Path, tmp_path: Path) -> None:
    script = tmp_path / "etl.py"
    script.write_text(textwrap.dedent(ELSEWHERE))

    def process(*arguments: str) -> list[Any]:
        done = subprocess.run([sys.executable, str(script), str(stored), *arguments], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return list(json.loads(done.stdout.splitlines()[-1]))

    name, text, location = process()
    assert (name, text) == ("Failed", "OSError('database down')")
    assert pickle.loads(Path(location).read_bytes()) == {"rows": [1, 2]}
    assert process(location)[:2] == ["Success", "2"]


# ---------------------------------------------------------------- caches in memory


def test_a_cache_is_used_by_later_runs_until_the_inputs_change() -> None:
    ran: list[tuple[int, int]] = []

    @task(cache_for=MANY, cache_validator=all_inputs)
    def add(x: int, y: int) -> int:
        ran.append((x, y))
        return x + y

    with Flow("sums") as flow:
        x, y = Parameter("x"), Parameter("y", default=1)
        total = add(x, y)
    with context(caches={}):
        states = [flow.run(parameters={"x": number}).result[total] for number in (1, 1, 2)]
    assert [state.result for state in states] == [2, 2, 3]
    assert [type(state) for state in states] == [Cached, Cached, Cached]
    assert ran == [(1, 1), (2, 1)]


def test_a_cache_may_heed_some_inputs_only() -> None:
    ran: list[int] = []

    @task(cache_for=MANY, cache_validator=partial_inputs_only(validate_on=["x"]))
    def add(x: int, y: int) -> int:
        ran.append(y)
        return x + y

    with Flow("sums") as flow:
        total = add(Parameter("x", default=1), Parameter("y"))
    with context(caches={}):
        found = [flow.run(parameters={"y": number}).result[total].result for number in (1, 2)]
    assert (found, ran) == ([2, 2], [1])


@pytest.mark.usefixtures("checkpointing")
def test_a_cached_value_knows_where_it_is_stored(stored: Path) -> None:
    one = Counted(cache_for=MANY, result=as_json(stored, location="x"))
    with Flow("etl") as flow:
        flow.add_task(one)
    with context(caches={}):
        flow.run()
        again = flow.run().result[one]
    assert isinstance(again, Cached)
    assert (again.result, again._result.location, len(one.runs)) == (1, str(stored / "x"), 1)


# ---------------------------------------------------------------- retries


@pytest.mark.usefixtures("checkpointing")
def test_the_attempt_that_succeeds_is_the_one_written(stored: Path) -> None:
    class Second(Task):
        def run(self) -> int:
            count: int = context.task_run_count
            if count == 1:
                raise OSError("once")
            return count

    states: list[State] = []
    with Flow("etl", result=as_json(stored, location="{task_run_count}")) as flow:
        one = Second(max_retries=2, retry_delay=timedelta(0), state_handlers=[lambda t, o, n: states.append(n)])()
    assert flow.run().result[one].result == 2
    assert files(stored) == {"2": 2}
    assert any(isinstance(state, Retrying) for state in states)
