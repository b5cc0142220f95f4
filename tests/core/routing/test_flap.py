"""When a problem that comes and goes is told of once, and when it is calm again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from tocsin.routing.flap import CalmVerdict, FlapMemory, FlapStep, FlapVerdict, calm, change, is_spent
from tocsin.settings.alerts import Flap

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FLAP = Flap(changes=4, within=timedelta(hours=1), calm=30 * MINUTE)
ADAPTER = TypeAdapter(FlapMemory)


def changed(*minutes: float, flap: Flap = FLAP) -> list[FlapStep]:
    """Changes at these minutes: it opens, recovers, opens..."""
    memory, found = None, []
    for number, minute in enumerate(minutes):
        found.append(change(memory, flap, opens=number % 2 == 0, now=NOON + minute * MINUTE))
        memory = ADAPTER.validate_json(ADAPTER.dump_json(found[-1].memory))
    return found


def verdicts(steps: list[FlapStep]) -> list[str]:
    return [str(step.verdict) for step in steps]


def test_the_change_that_reaches_the_number_is_told_as_flapping_and_further_ones_are_quiet() -> None:
    steps = changed(0, 10, 20, 30, 40, 50)
    assert verdicts(steps) == ["pass", "pass", "pass", "starts", "quiet", "quiet"]
    assert steps[1].reason == "change 2 of 4 within 1h"
    assert steps[3].reason == "4 changes within 1h: flapping, quiet until 30m pass without one"
    assert steps[5].reason == (
        "flapping since 12:30:00 UTC, 6 changes so far; quiet until 13:20:00 UTC unless it changes again"
    )


def test_changes_too_far_apart_are_no_flapping() -> None:
    assert verdicts(changed(0, 20, 40, 60, 80, 100)) == ["pass"] * 6
    assert verdicts(changed(0, 20, 40, 60 - 1e-6)) == ["pass", "pass", "pass", "starts"]


def test_every_change_puts_the_calm_off() -> None:
    steps = changed(0, 1, 2, 3, 30)
    assert [step.calm_at for step in steps] == [None, None, None, NOON + 33 * MINUTE, NOON + 60 * MINUTE]
    waits = calm(steps[-1].memory, FLAP, NOON + 33 * MINUTE)
    assert (waits.verdict, waits.calm_at, waits.memory) == (CalmVerdict.WAITS, NOON + 60 * MINUTE, steps[-1].memory)


def test_calm_clears_the_memory_and_says_whether_it_is_still_open() -> None:
    still_open = calm(changed(0, 1, 2, 3, 4)[-1].memory, FLAP, NOON + 34 * MINUTE)
    assert (still_open.verdict, still_open.memory, still_open.is_open) == (CalmVerdict.CALM, None, True)
    assert still_open.reason == (
        "no change for 30m: the flapping since 12:03:00 UTC is over after 5 changes, still open"
    )
    closed = calm(changed(0, 1, 2, 3)[-1].memory, FLAP, NOON + 33 * MINUTE)
    assert (closed.is_open, closed.reason[-9:]) == (False, "recovered")


def test_calm_asked_of_what_does_not_flap_changes_nothing() -> None:
    assert calm(None, FLAP, NOON).verdict is CalmVerdict.IDLE
    memory = changed(0)[-1].memory
    assert (calm(memory, FLAP, NOON).memory, calm(memory, FLAP, NOON).is_open) == (memory, True)


def test_a_change_after_a_calm_nobody_asked_for_begins_anew() -> None:
    steps = changed(0, 1, 2, 3, 33)
    assert steps[-1].verdict is FlapVerdict.PASS
    assert steps[-1].reason == "change 1 of 4 within 1h; the flapping since 12:03:00 UTC is over"
    assert steps[-1].memory.changes == (NOON + 33 * MINUTE,)


def test_a_second_flapping_is_told_again() -> None:
    assert verdicts(changed(0, 1, 2, 3, 100, 101, 102, 103, 104)).count("starts") == 2


def test_a_memory_is_spent_when_its_changes_are_long_gone_and_it_does_not_flap() -> None:
    memory = changed(0, 1)[-1].memory
    assert not is_spent(memory, FLAP, NOON + 60 * MINUTE)
    assert is_spent(memory, FLAP, NOON + 61 * MINUTE)
    assert not is_spent(changed(0, 1, 2, 3)[-1].memory, FLAP, NOON + timedelta(days=9))


@given(st.lists(st.integers(0, 45), max_size=60), st.integers(2, 5))
@settings(deadline=None, max_examples=150)
def test_each_flapping_is_told_exactly_once_and_ends_with_a_calm(minutes: list[int], changes: int) -> None:
    flap = Flap(changes, timedelta(hours=1), 30 * MINUTE)
    memory, now, calm_at, flapping, opens = None, NOON, None, False, False
    for wait in minutes:
        now += wait * MINUTE
        if calm_at is not None and calm_at <= now:
            ended = calm(memory, flap, calm_at)
            assert ended.verdict is CalmVerdict.CALM
            assert ended.is_open is opens
            memory, calm_at, flapping = ended.memory, None, False
        opens = not opens
        step = change(memory, flap, opens=opens, now=now)
        assert (step.verdict is FlapVerdict.QUIET) is flapping
        assert (step.calm_at is not None) is (step.verdict is not FlapVerdict.PASS)
        flapping = step.verdict is not FlapVerdict.PASS
        memory, calm_at = step.memory, step.calm_at
        assert len(memory.changes) <= changes
