"""Runs that do not come."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given, settings, strategies as st
from pydantic import TypeAdapter

from tocsin.routing.occurrences import COUNTED_AT_MOST, last_until, missed, next_after
from tocsin.routing.watches import (
    Checked,
    Expectation,
    RunSeen,
    WatchMemory,
    WatchVerdict,
    begin,
    check,
    expectation,
    satisfied,
)
from tocsin.settings.alerts import Watch, WatchKind

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
DAILY = Watch("daily", WatchKind.MISSED, flow="ledger", cron="30 5 * * *", grace=HOUR)
HOURLY = Watch("hourly", WatchKind.MISSED, flow="ledger", every=HOUR, grace=timedelta(minutes=10))
ADAPTER = TypeAdapter(WatchMemory)


def stored(memory: WatchMemory) -> WatchMemory:
    return ADAPTER.validate_json(ADAPTER.dump_json(memory))


def look(memory: WatchMemory, hour: float, watch: Watch = DAILY) -> Checked:
    return check(stored(memory), watch, MIDNIGHT + hour * HOUR)


def ran(memory: WatchMemory, hour: float, watch: Watch = DAILY) -> RunSeen:
    return satisfied(stored(memory), watch, MIDNIGHT + hour * HOUR)


def berlin(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, fold=fold, tzinfo=ZoneInfo("Europe/Berlin"))


BEGUN = begin(DAILY, since=MIDNIGHT)


def test_a_run_in_time_keeps_quiet_until_the_next_deadline() -> None:
    seen = ran(BEGUN, 5.6)
    assert (seen.ends_alarm, seen.ask_again_at) == (False, MIDNIGHT + 30.5 * HOUR)
    found = look(seen.memory, 6.5)
    assert (found.verdict, found.ask_again_at) == (WatchVerdict.OK, MIDNIGHT + 30.5 * HOUR)
    assert found.reason == "the next run of 'ledger' is expected by 2026-01-06 06:30:00 UTC"


def test_a_run_that_did_not_come_is_told_of_when_the_grace_is_over_and_not_before() -> None:
    early = look(BEGUN, 6.49)
    assert (early.verdict, early.ask_again_at) == (WatchVerdict.OK, MIDNIGHT + 6.5 * HOUR)
    found = look(BEGUN, 6.5)
    assert (found.verdict, found.memory.missed, found.memory.alarmed_since) == ("missed", 1, MIDNIGHT + 6.5 * HOUR)
    assert found.ask_again_at == MIDNIGHT + 30.5 * HOUR
    assert found.reason == (
        "1 run missed: one of 'ledger' was expected at 05:30:00 UTC and 1h have passed; none was seen"
    )


def test_an_alarm_is_given_once_and_further_missed_runs_are_counted() -> None:
    first = look(BEGUN, 6.5)
    between = look(first.memory, 12)
    assert (between.verdict, between.memory) == (WatchVerdict.OK, stored(first.memory))
    assert between.reason.endswith(", 1 run missed")
    second = look(between.memory, 30.5)
    third = look(second.memory, 54.5)
    assert [second.verdict, third.verdict, third.memory.missed] == ["again", "again", 3]
    assert third.memory.alarmed_since == MIDNIGHT + 6.5 * HOUR
    assert third.reason.startswith("3 runs missed: ")


def test_the_next_run_ends_the_alarm_and_the_next_deadline_is_that_of_the_next_occurrence() -> None:
    alarmed = look(look(BEGUN, 6.5).memory, 30.5).memory
    seen = ran(alarmed, 36)
    assert seen.ends_alarm
    assert seen.reason == "a run began at 12:00:00 UTC, after 2 runs missed"
    assert (seen.memory.alarmed_since, seen.memory.missed) == (None, 0)
    assert seen.ask_again_at == MIDNIGHT + 54.5 * HOUR
    assert not ran(seen.memory, 37).ends_alarm
    assert look(seen.memory, 54.5).verdict == "missed"


def test_a_run_at_the_very_deadline_is_in_time() -> None:
    assert look(ran(BEGUN, 6.5).memory, 6.5).verdict == "ok"


def test_a_run_a_little_early_is_the_one_expected() -> None:
    assert look(ran(BEGUN, 5.25).memory, 6.5).verdict == "ok"
    strict = replace(DAILY, grace=timedelta(0))
    assert look(ran(BEGUN, 5.49, strict).memory, 5.5, strict).verdict == "ok"


@pytest.mark.parametrize("extra", [6, 12, 20, 28])
def test_a_repetition_of_the_last_run_does_not_stand_for_the_next(extra: float) -> None:
    seen = ran(ran(BEGUN, 5.5).memory, extra)
    assert seen.memory.last_run_at == MIDNIGHT + extra * HOUR
    assert look(seen.memory, 30.5).verdict == "missed"


def test_a_late_run_stands_for_its_own_time_though_the_next_is_near() -> None:
    dense = Watch("dense", WatchKind.MISSED, flow="f", cron="*/5 * * * *", grace=timedelta(minutes=4))
    memory = begin(dense, since=MIDNIGHT - HOUR / 60)
    seen = satisfied(memory, dense, MIDNIGHT + 3 * HOUR / 60)
    assert check(seen.memory, dense, MIDNIGHT + 9 * HOUR / 60).verdict == "missed"


def test_a_run_long_after_its_deadline_and_just_before_the_next_time_is_the_next_one() -> None:
    assert look(ran(BEGUN, 29.4).memory, 30.5).verdict == "ok"


def test_an_old_run_told_of_late_does_not_end_the_alarm() -> None:
    alarmed = look(BEGUN, 6.5).memory
    late = ran(alarmed, -12)
    assert (late.ends_alarm, late.memory.missed) == (False, 1)
    assert ran(alarmed, 5.6).ends_alarm


def test_after_an_outage_all_that_was_missed_is_one_alarm_of_the_last_one() -> None:
    found = look(BEGUN, 24 * 3 + 12)
    assert (found.verdict, found.memory.missed) == ("missed", 4)
    assert "expected at 05:30:00 UTC" in found.reason
    assert found.ask_again_at == MIDNIGHT + (24 * 4 + 6.5) * HOUR
    assert look(found.memory, 24 * 3 + 13).verdict == "ok"


def test_very_many_missed_runs_are_counted_to_a_bound_and_the_last_is_found_all_the_same() -> None:
    minutely = Watch("m", WatchKind.MISSED, flow="f", cron="* * * * *")
    found = check(begin(minutely, since=MIDNIGHT), minutely, MIDNIGHT + 3 * DAY)
    assert (found.memory.missed, found.memory.after) == (COUNTED_AT_MOST, MIDNIGHT + 3 * DAY)
    assert found.ask_again_at == MIDNIGHT + 3 * DAY + HOUR / 60


def test_what_was_expected_before_the_watch_began_is_no_concern_of_it() -> None:
    begun = begin(DAILY, since=MIDNIGHT + 6 * HOUR)
    assert look(begun, 30.49).verdict == "ok"
    assert check(None, DAILY, MIDNIGHT + 6 * HOUR).ask_again_at == MIDNIGHT + 30.5 * HOUR


def test_the_expectation_follows_the_last_run_and_the_beginning() -> None:
    next_day = Expectation(MIDNIGHT + 29.5 * HOUR, MIDNIGHT + 30.5 * HOUR)
    assert expectation(DAILY, last_run_at=MIDNIGHT + 5 * HOUR, since=MIDNIGHT) == next_day
    assert expectation(DAILY, last_run_at=MIDNIGHT - 24 * HOUR, since=MIDNIGHT + 6 * HOUR) == next_day
    ten_past = timedelta(minutes=10)
    assert expectation(HOURLY, last_run_at=None, since=MIDNIGHT) == Expectation(
        MIDNIGHT + HOUR, MIDNIGHT + HOUR + ten_past
    )
    assert expectation(HOURLY, last_run_at=MIDNIGHT - HOUR / 2, since=MIDNIGHT) == Expectation(
        MIDNIGHT + HOUR / 2, MIDNIGHT + HOUR / 2 + ten_past
    )


def test_a_cron_that_never_comes_is_never_missed() -> None:
    never = replace(DAILY, cron="0 0 30 2 *")
    assert expectation(never, last_run_at=MIDNIGHT, since=MIDNIGHT) is None
    found = look(BEGUN, 9000, never)
    assert (found.verdict, found.ask_again_at) == ("ok", None)
    assert found.reason == "no run of 'ledger' is ever expected"


def test_an_interval_is_counted_from_the_last_run() -> None:
    memory = begin(HOURLY, since=MIDNIGHT)
    seen = ran(memory, 0.5, HOURLY)
    assert seen.ask_again_at == MIDNIGHT + timedelta(minutes=100)
    assert look(seen.memory, 99.9 / 60, HOURLY).verdict == "ok"
    found = check(seen.memory, HOURLY, MIDNIGHT + timedelta(minutes=100))
    assert (found.verdict, found.ask_again_at) == ("missed", MIDNIGHT + timedelta(minutes=160))
    again = look(found.memory, 5, HOURLY)
    assert (again.verdict, again.memory.missed) == ("again", 4)


def test_an_interval_that_was_missed_counts_anew_from_the_run_that_came() -> None:
    alarmed = look(begin(HOURLY, since=MIDNIGHT), 5, HOURLY).memory
    assert alarmed.missed == 4
    seen = ran(alarmed, 5.25, HOURLY)
    assert (seen.ends_alarm, seen.ask_again_at) == (True, MIDNIGHT + timedelta(minutes=385))
    older = ran(alarmed, 1, HOURLY)
    assert older.ends_alarm
    known = look(seen.memory, 12, HOURLY).memory
    stale = ran(known, 3, HOURLY)
    assert (stale.ends_alarm, stale.memory) == (False, stored(known))


def test_a_time_that_the_clocks_leave_out_is_expected_as_much_later() -> None:
    night = replace(DAILY, cron="30 2 * * *", timezone="Europe/Berlin")
    begun = begin(night, since=berlin(2026, 3, 28, 12))
    due = expectation(night, last_run_at=None, since=begun.after)
    assert due == Expectation(berlin(2026, 3, 29, 3, 30), berlin(2026, 3, 29, 4, 30))
    found = check(begun, night, berlin(2026, 3, 29, 4, 30))
    assert found.verdict == "missed"
    assert "expected at 03:30:00 Europe/Berlin" in found.reason
    assert found.ask_again_at == berlin(2026, 3, 30, 3, 30)


def test_a_time_that_comes_twice_is_expected_once() -> None:
    night = replace(DAILY, cron="30 2 * * *", timezone="Europe/Berlin", grace=timedelta(minutes=20))
    begun = begin(night, since=berlin(2026, 10, 24, 12))
    due = expectation(night, last_run_at=None, since=begun.after)
    assert due is not None
    assert due.expected_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    first = check(begun, night, datetime(2026, 10, 25, 0, 50, tzinfo=UTC))
    second = check(first.memory, night, datetime(2026, 10, 25, 1, 50, tzinfo=UTC))
    assert [first.verdict, second.verdict] == ["missed", "ok"]
    assert second.ask_again_at == berlin(2026, 10, 26, 2, 50)


def test_a_daily_time_stays_on_the_wall_clock_of_its_zone() -> None:
    local = replace(DAILY, timezone="America/New_York")
    summer = expectation(local, last_run_at=None, since=pendulum.datetime(2026, 7, 1))
    winter = expectation(local, last_run_at=None, since=pendulum.datetime(2026, 12, 1))
    assert summer is not None
    assert winter is not None
    assert (summer.expected_at.hour, winter.expected_at.hour) == (9, 10)


def test_the_last_occurrence_is_found_however_rare() -> None:
    leap = datetime(2024, 2, 29, tzinfo=UTC)
    assert last_until("0 0 29 2 *", "UTC", datetime(2028, 2, 28, tzinfo=UTC)) == leap
    assert last_until("0 0 29 2 *", "UTC", leap) == leap
    assert last_until("0 0 30 2 *", "UTC", leap) is None


@given(
    cron=st.sampled_from(["*/20 * * * *", "30 1,2,3 * * *", "0 0 * * 1", "59 23 31 * *"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001  (given its zone below)
    hours=st.integers(0, 120),
)
@settings(deadline=None, max_examples=60)
def test_the_next_the_last_and_the_number_of_occurrences_agree(
    cron: str, zone: str, start: datetime, hours: int
) -> None:
    after = start.replace(tzinfo=UTC)
    until, found, moment = after + hours * HOUR, [], after
    while (moment := next_after(cron, zone, moment)) is not None and moment <= until:
        found.append(moment)
    assert missed(cron, zone, after, until) == (found[-1] if found else None, len(found))
    last = last_until(cron, zone, until)
    assert last is not None
    assert last == found[-1] if found else last <= after


@given(st.lists(st.tuples(st.integers(1, 40), st.booleans()), max_size=40), st.sampled_from([DAILY, HOURLY]))
@settings(deadline=None, max_examples=60)
def test_between_two_alarms_there_is_always_a_run_and_every_run_after_an_alarm_ends_it(
    moves: list[tuple[int, bool]], watch: Watch
) -> None:
    memory, now, alarmed = begin(watch, since=MIDNIGHT), MIDNIGHT, False
    for hours, runs in moves:
        now += hours * HOUR
        found = check(memory, watch, now)
        assert (found.verdict == "missed") <= (not alarmed)
        assert (found.verdict == "again") <= alarmed
        alarmed = alarmed or found.verdict == "missed"
        memory = found.memory
        assert found.ask_again_at is not None
        assert found.ask_again_at > now
        if runs:
            seen = satisfied(memory, watch, now)
            assert seen.ends_alarm is alarmed
            memory, alarmed = seen.memory, False
        assert (memory.alarmed_since is not None) is alarmed
        assert (memory.missed > 0) is alarmed
