"""The flows in examples/ that are written for Prefect 1 run with only their imports changed."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest

from tocsin import states
from tocsin.clock import ManualClock
from tocsin.options import set_temporary_config
from tocsin_hooks.states import State, run_context

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, away from any config."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def example(name: str) -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(EXAMPLES / f"prefect1/{name}.py")))


# -------------------------------------------------------------------- ETL


def test_the_etl_retries_a_page_and_loads_every_row(clock: ManualClock) -> None:
    etl = example("etl")
    seen: list[tuple[str, Any]] = []

    def watch(task: Any, old: State, new: State) -> None:
        if task.name == "extract":
            seen.append((type(new).__name__, run_context.get().get("map_index")))

    next(task for task in etl.flow.tasks if task.name == "extract").state_handlers.append(watch)
    final = etl.flow.run(clock=clock)
    assert final.is_successful(), final
    assert final.result[etl.total].result == sum(2 * (100 * page + n) / 100 for page in (1, 2, 3) for n in (0, 1))
    assert [len(state.result) for state in final.result[etl.rows].map_states] == [2, 2, 2]
    assert len(final.result[etl.amounts].map_states) == 6
    assert [pair for pair in seen if pair[0] == "Retrying"] == [("Retrying", 1)]
    assert sum(clock.slept) == pytest.approx(1)


def test_the_etl_takes_parameters(clock: ManualClock) -> None:
    etl = example("etl")
    final = etl.flow.run(parameters={"pages": 1}, rate=1, clock=clock)
    assert final.result[etl.total].result == 2.01
    assert clock.slept == []


def test_the_etl_of_no_pages_loads_nothing(clock: ManualClock) -> None:
    etl = example("etl")
    final = etl.flow.run(pages=0, clock=clock)
    assert final.is_successful(), final
    assert final.result[etl.total].result == 0


# -------------------------------------------------------------------- control flow


@pytest.mark.parametrize(("size", "text", "taken"), [(5, "xxxxx", "whole"), (500, "xxxxxxxxxx...", "start")])
def test_one_case_runs_the_other_is_skipped_and_merge_takes_what_ran(
    clock: ManualClock, size: int, text: str, taken: str
) -> None:
    flow = example("control_flow")
    final = flow.flow.run(size=size, clock=clock)
    assert final.is_successful(), final
    assert final.result[flow.text].result == text
    left = {"whole": "start", "start": "whole"}[taken]
    assert isinstance(final.result[getattr(flow, left)], states.Skipped)
    assert type(final.result[getattr(flow, taken)]) is states.Success
    description = final.result[flow.description].result
    assert description.startswith(f"{text} (in prefect1-")


def folder_of(final: State, flow: SimpleNamespace) -> Path:
    found = final.result[flow.folder].result
    assert isinstance(found, Path)
    return found


def test_the_resource_is_cleaned_up_after_success_and_after_failure(clock: ManualClock) -> None:
    flow = example("control_flow")
    succeeded, failed = flow.flow.run(clock=clock), flow.flow.run(size=-1, clock=clock)
    assert succeeded.is_successful(), succeeded
    assert failed.is_failed(), failed
    assert "cannot be written" in str(failed.result[flow.path].result)
    assert isinstance(failed.result[flow.description], states.TriggerFailed)
    for final in (succeeded, failed):
        assert not folder_of(final, flow).exists()


# -------------------------------------------------------------------- schedule, results, caches


def test_the_report_is_kept_and_read_back_the_same_day(clock: ManualClock, folder: Path) -> None:
    flow = example("scheduled")
    with set_temporary_config({"flows.checkpointing": True}):
        first, second = (flow.flow.run(run_on_schedule=False, clock=clock) for _ in range(2))
    assert first.is_successful(), first
    assert type(first.result[flow.daily]) is states.Success
    stored = folder / "reports" / "eu" / "2024-01-01.json"
    assert json.loads(stored.read_text()) == {"region": "eu", "count": 2, "total": 30.0}
    assert (folder / "reports" / "eu" / "sales.pickle").exists()
    assert isinstance(second.result[flow.daily], states.Cached)
    assert second.result[flow.daily].result == {"region": "eu", "count": 2, "total": 30.0}


def test_nothing_is_kept_without_checkpointing(clock: ManualClock, folder: Path) -> None:
    flow = example("scheduled")
    assert flow.flow.run(run_on_schedule=False, clock=clock).is_successful()
    assert not (folder / "reports").exists()


def test_the_rate_is_cached_for_twelve_hours_and_per_currency(clock: ManualClock) -> None:
    flow = example("scheduled")
    ran: list[str] = []

    def watch(task: Any, old: State, new: State) -> None:
        if new.is_running():
            ran.append(run_context.get()["parameters"]["region"])

    next(task for task in flow.flow.tasks if task.name == "fetch_rate").state_handlers.append(watch)

    caches: dict[str, Any] = {}  # those of the process hold what other tests left

    def run(region: str) -> State:
        final = flow.flow.run(run_on_schedule=False, region=region, clock=clock, context={"caches": caches})
        found = final.result[flow.rate]
        assert isinstance(found, State)
        return found

    assert [run(region).result for region in ("eu", "eu", "us")] == [1.0, 1.0, 0.5]
    assert ran == ["eu", "us"]
    clock.advance(12 * 3600)
    assert run("eu").result == 1.0
    assert ran == ["eu", "us", "eu"]


def test_the_schedule_names_the_regions_on_weekday_mornings() -> None:
    events = example("scheduled").schedule.next(3, after=pendulum.datetime(2024, 3, 8, 12), return_events=True)
    assert [(str(event.start_time), event.parameter_defaults) for event in events] == [
        ("2024-03-11 07:00:00+01:00", {"region": "eu"}),
        ("2024-03-11 07:00:00-04:00", {"region": "us"}),
        ("2024-03-12 07:00:00+01:00", {"region": "eu"}),
    ]


def test_the_flow_runs_on_its_schedule_until_that_ends(clock: ManualClock) -> None:
    flow = example("scheduled")
    for each in flow.schedule.clocks:
        each.end_date = pendulum.datetime(2024, 1, 2, 23)
    runs: list[tuple[str, str]] = []

    def watch(_: Any, old: State, new: State) -> None:
        if new.is_finished():
            assert new.is_successful(), new
            runs.append((run_context.get()["parameters"]["region"], str(clock.now())[:16]))

    flow.flow.state_handlers.append(watch)
    flow.flow.run(clock=clock)  # from noon of Monday, 1 January
    assert runs == [("eu", "2024-01-02 06:00"), ("us", "2024-01-02 12:00")]
