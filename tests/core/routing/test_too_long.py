"""Runs that do not end."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import TypeAdapter

from tocsin.routing.too_long import RunMemory, limit, overdue
from tocsin.settings.alerts import Watch, WatchKind

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FIXED = Watch("slow", WatchKind.TOO_LONG, fixed=120 * MINUTE)
MEDIAN = Watch("slow", WatchKind.TOO_LONG, times_median=3.0, min_runs=3)
BOTH = Watch("slow", WatchKind.TOO_LONG, fixed=120 * MINUTE, times_median=3.0, min_runs=3)
ADAPTER = TypeAdapter(RunMemory)


def test_a_fixed_limit_is_the_limit_whatever_the_history() -> None:
    assert limit(FIXED, [1.0] * 50) == (120 * MINUTE, "2h")


def test_the_shorter_of_both_limits_holds() -> None:
    assert limit(BOTH, [600, 600, 600])[0] == 30 * MINUTE
    assert limit(BOTH, [60_000, 60_000, 60_000]) == (120 * MINUTE, "2h")


def test_the_median_counts_once_there_are_enough_runs() -> None:
    assert limit(MEDIAN, [600, 600]) == (None, "no limit before 3 runs have ended, 2 so far")
    assert limit(BOTH, [600, 600])[0] == 120 * MINUTE
    assert limit(MEDIAN, [10, 600, 100_000]) == (30 * MINUTE, "30m, 3 times the median of 3 runs, 10m")
    assert limit(MEDIAN, [60, 120, 240, 600])[0] == 9 * MINUTE


@pytest.mark.parametrize("durations", [[0.0] * 3, [1e300] * 3])
def test_a_median_that_says_nothing_sets_no_limit(durations: list[float]) -> None:
    assert limit(MEDIAN, durations)[0] is None
    assert limit(BOTH, durations)[0] == 120 * MINUTE


def test_durations_that_are_no_spans_of_time_are_passed_over() -> None:
    odd = [float("nan"), float("inf"), -5.0]
    assert limit(MEDIAN, [600, 600, *odd])[0] is None
    assert limit(MEDIAN, [600, 600, 600, *odd])[0] == 30 * MINUTE
    assert limit(Watch("w", WatchKind.TOO_LONG, times_median=2.0, min_runs=0), [])[0] is None


def test_without_any_limit_a_run_is_never_too_long() -> None:
    found = overdue(RunMemory(NOON, "etl"), Watch("w", WatchKind.TOO_LONG), [600] * 20, NOON + 9999 * MINUTE)
    assert (found.tells, found.reason, found.ask_again_at) == (False, "no limit is set", None)


def test_a_run_is_told_of_at_its_limit_and_only_once() -> None:
    memory = RunMemory(NOON, "etl")
    before = overdue(memory, FIXED, [], NOON + 119 * MINUTE)
    assert (before.tells, before.ask_again_at) == (False, NOON + 120 * MINUTE)
    assert before.reason == "allowed until 14:00:00 UTC: 2h"
    found = overdue(ADAPTER.validate_json(ADAPTER.dump_json(memory)), FIXED, [], NOON + 120 * MINUTE)
    assert found.tells
    assert found.reason == "running for 2h since 12:00:00 UTC; allowed: 2h"
    assert found.memory.told_at == NOON + 120 * MINUTE
    again = overdue(ADAPTER.validate_json(ADAPTER.dump_json(found.memory)), FIXED, [], NOON + 500 * MINUTE)
    assert (again.tells, again.reason) == (False, "too long, told of at 14:00:00 UTC")
