"""How many messages people get."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pendulum
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from tocsin.routing.throttle import Asked, ThrottleMemory, ask, is_spent, summarise, throttle_key
from tocsin.settings.alerts import Over, Throttle
from tocsin_hooks.testing import sample_event

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DROP = Throttle(limit=3, within=30 * MINUTE)
SUM = Throttle(limit=3, within=30 * MINUTE, over=Over.SUMMARY)
ADAPTER = TypeAdapter(ThrottleMemory)


def asked(throttle: Throttle, *minutes: float) -> list[Asked]:
    memory, found = None, []
    for minute in minutes:
        found.append(ask(memory, throttle, NOON + minute * MINUTE))
        memory = ADAPTER.validate_json(ADAPTER.dump_json(found[-1].memory))  # as the store gives it back
    return found


def test_as_many_messages_as_the_limit_says_pass_and_the_next_is_cut() -> None:
    assert [step.allowed for step in asked(DROP, 0, 1, 2, 3, 29)] == [True, True, True, False, False]


def test_a_slot_is_free_again_exactly_after_the_span() -> None:
    almost = 30 - 1e-6
    assert [step.allowed for step in asked(DROP, 0, 1, 2, almost, 30, 30.5, 31)] == [True] * 3 + [
        False,
        True,
        False,
        True,
    ]


def test_messages_of_the_same_moment_count_each() -> None:
    assert [step.allowed for step in asked(DROP, 0, 0, 0, 0, 30, 30, 30, 30)] == [True, True, True, False] * 2


def test_the_reason_says_numbers_and_when_the_next_slot_is_free() -> None:
    steps = asked(DROP, 0, 1, 2, 3, 31)
    assert steps[1].reason == "message 2 of 3 in the last 30m"
    assert steps[3].reason == "3 messages in the last 30m, the limit; the next slot is free at 12:30:00 UTC"
    assert steps[4].reason == "message 2 of 3 in the last 30m, after 1 cut"


def test_what_is_dropped_is_counted_and_nothing_is_asked_again() -> None:
    steps = asked(DROP, 0, 1, 2, 3, 4, 31)
    assert [step.memory.cut for step in steps] == [0, 0, 0, 1, 2, 0]
    assert steps[4].memory.first_cut_at == NOON + 3 * MINUTE
    assert {step.ask_again_at for step in steps} == {None}


def test_a_summary_is_due_when_the_first_slot_is_free_and_uses_it() -> None:
    step = asked(SUM, 0, 1, 2, 5, 6)[-1]
    assert step.ask_again_at == NOON + 30 * MINUTE
    summary = summarise(step.memory, SUM, step.ask_again_at)
    assert (summary.count, summary.reason) == (2, "2 messages cut since 12:05:00 UTC")
    assert summary.memory == ThrottleMemory((NOON + MINUTE, NOON + 2 * MINUTE, NOON + 30 * MINUTE))
    assert not ask(summary.memory, SUM, NOON + 30 * MINUTE).allowed


def test_a_summary_asked_for_too_early_takes_nothing_and_says_when_to_come_back() -> None:
    step = asked(SUM, 0, 1, 2, 5)[-1]
    early = summarise(step.memory, SUM, NOON + 29 * MINUTE)
    assert (early.count, early.memory.cut, early.ask_again_at) == (0, 1, NOON + 30 * MINUTE)


def test_nothing_cut_is_nothing_to_sum_up() -> None:
    first = asked(SUM, 0)[-1]
    summary = summarise(first.memory, SUM, NOON + MINUTE)
    assert (summary.count, summary.memory, summary.ask_again_at) == (0, first.memory, None)
    assert summarise(None, SUM, NOON).count == 0


def test_a_late_summary_keeps_its_slot_from_a_new_message() -> None:
    one = Throttle(limit=1, within=30 * MINUTE, over=Over.SUMMARY)
    step = asked(one, 0, 5, 45)[-1]
    assert not step.allowed
    assert step.ask_again_at == NOON + 45 * MINUTE
    assert step.reason == ("0 messages of 1 in the last 30m; the last slot is kept for a summary of the 1 cut before")
    assert summarise(step.memory, one, NOON + 45 * MINUTE).count == 2


def test_a_new_message_passes_beside_a_late_summary_where_there_is_room_for_both() -> None:
    step = asked(SUM, 0, 1, 2, 5, 45)[-1]
    assert step.allowed
    assert step.ask_again_at == NOON + 45 * MINUTE
    assert summarise(step.memory, SUM, NOON + 45 * MINUTE).count == 1


def test_a_limit_made_smaller_counts_what_left_before() -> None:
    memory = asked(DROP, 0, 1, 2)[-1].memory
    smaller = Throttle(limit=1, within=30 * MINUTE)
    assert not ask(memory, smaller, NOON + 31 * MINUTE).allowed
    assert ask(memory, smaller, NOON + 32 * MINUTE).allowed


def test_a_clock_set_back_blocks_no_longer_than_the_span() -> None:
    memory = asked(DROP, 100_000, 100_000, 100_000)[-1].memory
    blocked = ask(memory, DROP, NOON)
    assert not blocked.allowed
    assert ask(blocked.memory, DROP, NOON + 30 * MINUTE).allowed


def test_a_limit_of_nothing_lets_nothing_pass_and_never_asks_again() -> None:
    step = ask(None, Throttle(limit=0, within=MINUTE, over=Over.SUMMARY), NOON)
    assert (step.allowed, step.ask_again_at) == (False, None)
    assert "no slot is ever free" in step.reason


def test_a_span_beyond_the_calendar_is_kept_to_its_end() -> None:
    ever = Throttle(limit=1, within=timedelta.max, over=Over.SUMMARY)
    assert asked(ever, 0, 1)[-1].ask_again_at == datetime.max.replace(tzinfo=UTC)


def test_moments_of_any_zone_are_counted_as_time_that_passes() -> None:
    day = Throttle(limit=1, within=timedelta(days=1))
    before = pendulum.datetime(2026, 3, 28, 12, tz="Europe/Berlin")  # the next day has 23 hours
    memory = ask(None, day, before).memory
    assert type(memory.sent[0]) is datetime
    assert not ask(memory, day, before.add(days=1)).allowed
    assert ask(memory, day, before.add(hours=24)).allowed


def test_a_moment_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a time zone, found '2026-03-01 12:00:00'"):
        ask(None, DROP, NOON.replace(tzinfo=None))


def test_a_memory_is_spent_when_all_slots_are_free_and_no_summary_is_owed() -> None:
    memory = asked(SUM, 0)[-1].memory
    assert not is_spent(memory, SUM, NOON + 29 * MINUTE)
    assert is_spent(memory, SUM, NOON + 30 * MINUTE)
    assert not is_spent(asked(SUM, 0, 1, 2, 3)[-1].memory, SUM, NOON + 90 * MINUTE)


def test_a_key_holds_the_values_of_its_labels_and_absent_is_empty() -> None:
    event = sample_event(task="", tags=frozenset({"b", "a"}))
    assert throttle_key("r", ["tags", "task", "squad", "attempt"], event) == (
        '["r",{"attempt":"2","squad":"","tags":"a,b","task":""}]'
    )
    assert throttle_key("r", [], event) == '["r",{}]'


def test_keys_differ_by_route_and_value_not_by_the_order_of_labels() -> None:
    event = sample_event()
    assert throttle_key("r", ["flow", "task", "flow"], event) == throttle_key("r", ["task", "flow"], event)
    assert throttle_key("r", ["flow"], event) != throttle_key("q", ["flow"], event)
    tricky = sample_event(flow='a","task":"b', task="")
    assert throttle_key("r", ["flow", "task"], tricky) != throttle_key("r", ["flow", "task"], sample_event(flow="a"))
    sample_key = throttle_key("r", ["flow"], sample_event(flow="naïve-流\udc80"))
    assert sample_key.encode() == '["r",{"flow":"naïve-流\ufffd"}]'.encode()


steps = st.lists(st.integers(0, 700).map(lambda seconds: timedelta(seconds=seconds)), max_size=60)


@given(steps=steps, limit=st.integers(1, 5), over=st.sampled_from(Over))
@settings(deadline=None, max_examples=150)
def test_no_span_ever_holds_more_than_the_limit_and_no_cut_message_is_forgotten(
    steps: list[timedelta], limit: int, over: Over
) -> None:
    throttle = Throttle(limit, timedelta(minutes=10), over=over)
    memory, now, left, cut, told, due = None, NOON, [], 0, 0, None
    for step in steps:
        now += step
        if due is not None and due <= now:
            summary = summarise(memory, throttle, due)
            assert summary.count > 0
            left, told, memory = [*left, due], told + summary.count, summary.memory
        asked_now = ask(memory, throttle, now)
        memory, due = asked_now.memory, asked_now.ask_again_at
        left, cut = ([*left, now], cut) if asked_now.allowed else (left, cut + 1)
        assert len(memory.sent) <= limit
        assert asked_now.reason
    for first, last in zip(left, left[limit:], strict=False):
        assert last - first >= throttle.within
    assert all(a <= b for a, b in pairwise(left))
    if over is Over.SUMMARY:
        assert told + (memory.cut if memory else 0) == cut
