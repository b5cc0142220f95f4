"""From which failure on an incident is told of."""

from datetime import UTC, datetime, timedelta

from pydantic import TypeAdapter

from tocsin.routing.open_after import Counted, OpenAfterMemory, count
from tocsin.settings.alerts import OpenAfter

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ADAPTER = TypeAdapter(OpenAfterMemory)


def counted(option: OpenAfter, *hours: float) -> list[Counted]:
    memory, found = None, []
    for hour in hours:
        found.append(count(memory, option, NOON + hour * HOUR))
        memory = ADAPTER.validate_json(ADAPTER.dump_json(found[-1].memory))
    return found


def test_the_failure_that_makes_up_the_number_reaches_it() -> None:
    steps = counted(OpenAfter(3, 6 * HOUR), 0, 1, 2)
    assert [step.reached for step in steps] == [False, False, True]
    assert [step.reason for step in steps] == [f"failure {n} of 3 within 6h" for n in (1, 2, 3)]


def test_failures_too_far_apart_do_not_add_up() -> None:
    steps = counted(OpenAfter(2, 6 * HOUR), 0, 6, 12, 17.5)
    assert [step.reached for step in steps] == [False, False, False, True]


def test_without_a_span_failures_add_up_for_ever() -> None:
    steps = counted(OpenAfter(2), 0, 100_000)
    assert [step.reached for step in steps] == [False, True]
    assert steps[0].reason == "failure 1 of 2"


def test_once_reached_it_stays_reached_however_late_the_next_failure() -> None:
    last = counted(OpenAfter(2, HOUR), 0, 0.5, 30)[-1]
    assert last.reached
    assert last.reason == "failure 3, told of since 2026-03-01 12:30:00 UTC"
    assert last.memory.reached_at == NOON + 0.5 * HOUR


def test_a_forgotten_memory_counts_from_the_beginning() -> None:
    counted(OpenAfter(2), 0, 1)
    assert not count(None, OpenAfter(2), NOON + 2 * HOUR).reached


def test_the_first_failure_is_enough_where_one_is_asked_for() -> None:
    assert count(None, OpenAfter(1, HOUR), NOON).reached


def test_failures_of_one_moment_count_each() -> None:
    assert [step.reached for step in counted(OpenAfter(2, HOUR), 0, 0)] == [False, True]


def test_a_memory_holds_no_more_failures_than_it_needs() -> None:
    last = counted(OpenAfter(2), *range(50))[-1]
    assert (len(last.memory.failures), last.memory.total) == (2, 50)
