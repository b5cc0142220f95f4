"""What each clock emits, and when: steps, daylight saving, starts and ends, rules."""

import datetime as dt
import pickle
from itertools import islice

import pendulum
import pytest
from dateutil import tz as dateutil_tz
from dateutil.rrule import DAILY, HOURLY, MONTHLY, rrule, rruleset

from tocsin.schedules.clocks import Clock, ClockEvent, CronClock, DatesClock, IntervalClock, RRuleClock

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
NEW_YORK = "America/New_York"
JANUARY = pendulum.datetime(2021, 1, 1)


def emitted(clock: Clock, count: int, after: dt.datetime) -> list[str]:
    return [str(event.start_time) for event in islice(clock.events(after), count)]


# -------------------------------------------------------------------- events


def test_events_are_equal_if_moment_parameters_and_labels_are() -> None:
    assert ClockEvent(JANUARY, {"x": 1}, ["a"]) == ClockEvent(JANUARY, {"x": 1}, ["a"])
    assert ClockEvent(JANUARY) != ClockEvent(JANUARY, {"x": 1})
    assert ClockEvent(JANUARY) != ClockEvent(JANUARY, labels=["a"])
    assert ClockEvent(JANUARY) != ClockEvent(JANUARY + HOUR)
    assert ClockEvent(JANUARY) != "2021-01-01"


def test_an_event_compares_with_a_datetime_by_its_moment() -> None:
    event = ClockEvent(JANUARY, {"x": 1})
    assert event == JANUARY == event
    assert event == dt.datetime(2021, 1, 1)  # noqa: DTZ001  (one without zone is in UTC)
    assert event < JANUARY + HOUR
    assert event >= JANUARY
    assert hash(event) == hash(ClockEvent(JANUARY))


def test_events_are_ordered_by_their_moment_alone() -> None:
    early, late = ClockEvent(JANUARY, {"x": 2}), ClockEvent(JANUARY + DAY, {"x": 1})
    assert sorted([late, early]) == [early, late]
    assert not ClockEvent(JANUARY, {"x": 1}) < early
    assert not ClockEvent(JANUARY, {"x": 1}) > early
    assert early <= ClockEvent(JANUARY)
    with pytest.raises(TypeError, match="cannot be compared with 'int'"):
        assert early < 3  # type: ignore[operator]


def test_the_two_half_past_ones_of_an_autumn_night_are_two_events() -> None:
    first = pendulum.datetime(2021, 11, 7, 1, 30, tz=NEW_YORK, fold=0)
    second = first.add(hours=1)
    assert first == second  # as the wall shows them
    assert ClockEvent(first) != ClockEvent(second)
    assert ClockEvent(first) < ClockEvent(second)
    assert ClockEvent(first) == first.in_timezone("UTC")


# -------------------------------------------------------------------- clocks in general


def test_a_clock_without_events_of_its_own_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Clock().events()


def test_each_event_carries_parameters_and_labels_of_its_clock() -> None:
    clock = IntervalClock(HOUR, parameter_defaults={"x": 1}, labels=["gpu"])
    event = next(clock.events(JANUARY))
    assert (event.parameter_defaults, event.labels) == ({"x": 1}, ["gpu"])
    event.parameter_defaults["x"] = 2
    assert next(clock.events(JANUARY)).parameter_defaults == {"x": 1}


def test_without_a_moment_to_start_from_clocks_start_now() -> None:
    before = pendulum.now("UTC")
    clocks = [IntervalClock(HOUR), CronClock("* * * * *"), RRuleClock(rrule(HOURLY, dtstart=before.naive()))]
    for clock in clocks:
        assert before.timestamp() - 1 <= next(clock.events()).start_time.timestamp() <= before.timestamp() + 3700


CLOCKS = [
    IntervalClock(DAY, JANUARY),
    CronClock("0 9 * * *", JANUARY, labels=["a"]),
    DatesClock([JANUARY]),
    RRuleClock(rrule(DAILY, dtstart=JANUARY)),
]


@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: type(clock).__name__)
def test_a_clock_survives_pickling_as_its_equal(clock: Clock) -> None:
    copy = pickle.loads(pickle.dumps(clock))
    assert copy == clock
    assert hash(copy) == hash(clock)
    assert emitted(copy, 3, JANUARY) == emitted(clock, 3, JANUARY)


def test_clocks_made_otherwise_are_not_equal() -> None:
    assert IntervalClock(DAY) != IntervalClock(HOUR)
    assert IntervalClock(DAY, JANUARY) != IntervalClock(DAY, JANUARY.in_timezone(NEW_YORK))
    assert CronClock("0 9 * * *") != CronClock("0 9 * * *", day_or=False)
    assert CronClock("0 9 * * *", parameter_defaults={"x": 1}) != CronClock("0 9 * * *")
    assert RRuleClock(rrule(DAILY, dtstart=JANUARY)) != RRuleClock(rrule(HOURLY, dtstart=JANUARY))
    assert IntervalClock(DAY) != CronClock("0 0 * * *")


# -------------------------------------------------------------------- intervals


def test_intervals_are_counted_from_2019_unless_told() -> None:
    assert emitted(IntervalClock(dt.timedelta(hours=7)), 2, pendulum.datetime(2019, 1, 1)) == [
        "2019-01-01 07:00:00+00:00",
        "2019-01-01 14:00:00+00:00",
    ]


def test_an_event_comes_later_than_the_moment_asked_about() -> None:
    clock = IntervalClock(DAY, JANUARY)
    assert emitted(clock, 1, JANUARY) == ["2021-01-02 00:00:00+00:00"]
    assert emitted(clock, 1, JANUARY.subtract(microseconds=1)) == ["2021-01-01 00:00:00+00:00"]


def test_intervals_begin_at_the_start_and_stop_at_the_end() -> None:
    clock = IntervalClock(DAY, pendulum.datetime(2021, 1, 1, 9), pendulum.datetime(2021, 1, 2, 9))
    assert emitted(clock, 9, pendulum.datetime(2020, 1, 1)) == [
        "2021-01-01 09:00:00+00:00",
        "2021-01-02 09:00:00+00:00",
    ]
    assert emitted(clock, 9, pendulum.datetime(2021, 1, 2, 9)) == []


def test_a_daily_interval_keeps_its_hour_when_clocks_change() -> None:
    clock = IntervalClock(DAY, pendulum.datetime(2021, 1, 1, 9, tz=NEW_YORK))
    assert emitted(clock, 2, pendulum.datetime(2021, 3, 13, 12, tz=NEW_YORK)) == [
        "2021-03-14 09:00:00-04:00",
        "2021-03-15 09:00:00-04:00",
    ]
    assert emitted(clock, 2, pendulum.datetime(2021, 11, 6, 8, tz=NEW_YORK)) == [
        "2021-11-06 09:00:00-04:00",
        "2021-11-07 09:00:00-05:00",
    ]


def test_an_hourly_interval_is_an_hour_of_time_when_clocks_change() -> None:
    clock = IntervalClock(HOUR, pendulum.datetime(2021, 1, 1, tz=NEW_YORK))
    assert emitted(clock, 3, pendulum.datetime(2021, 11, 7, 0, 30, tz=NEW_YORK)) == [
        "2021-11-07 01:00:00-04:00",
        "2021-11-07 01:00:00-05:00",
        "2021-11-07 02:00:00-05:00",
    ]
    assert emitted(clock, 2, pendulum.datetime(2021, 3, 14, 1, tz=NEW_YORK)) == [
        "2021-03-14 03:00:00-04:00",
        "2021-03-14 04:00:00-04:00",
    ]


def test_a_daily_interval_at_a_time_left_out_runs_later_that_day_only() -> None:
    clock = IntervalClock(DAY, pendulum.datetime(2021, 3, 13, 2, 30, tz=NEW_YORK))
    assert emitted(clock, 3, pendulum.datetime(2021, 3, 1)) == [
        "2021-03-13 02:30:00-05:00",
        "2021-03-14 03:30:00-04:00",
        "2021-03-15 02:30:00-04:00",
    ]


def test_intervals_may_be_shorter_than_a_minute() -> None:
    assert emitted(IntervalClock(dt.timedelta(seconds=0.5), JANUARY), 1, JANUARY) == [
        "2021-01-01 00:00:00.500000+00:00"
    ]


@pytest.mark.parametrize("interval", [dt.timedelta(0), dt.timedelta(seconds=-1)])
def test_an_interval_must_be_positive(interval: dt.timedelta) -> None:
    with pytest.raises(ValueError, match="Interval must be greater than 0"):
        IntervalClock(interval)


def test_an_interval_must_be_a_timedelta() -> None:
    with pytest.raises(TypeError, match="Interval must be a timedelta, not 'int'"):
        IntervalClock(60)  # type: ignore[arg-type]


def test_intervals_end_with_the_calendar() -> None:
    century = IntervalClock(dt.timedelta(days=36524), JANUARY)
    assert len(list(century.events(JANUARY))) == 79


# -------------------------------------------------------------------- cron


def test_cron_follows_the_wall_clock_of_its_start() -> None:
    clock = CronClock("0 9 * * 1-5", pendulum.datetime(2021, 3, 1, tz=NEW_YORK))
    assert emitted(clock, 3, pendulum.datetime(2021, 3, 11, 9, tz=NEW_YORK)) == [
        "2021-03-12 09:00:00-05:00",
        "2021-03-15 09:00:00-04:00",
        "2021-03-16 09:00:00-04:00",
    ]


def test_cron_is_in_utc_without_a_start() -> None:
    asked = pendulum.datetime(2021, 1, 1, 5, tz=NEW_YORK)
    assert emitted(CronClock("0 9 * * *"), 1, asked) == ["2021-01-02 09:00:00+00:00"]


def test_the_start_itself_counts_for_cron_but_not_the_moment_asked_about() -> None:
    clock = CronClock("0 0 * * *", JANUARY, pendulum.datetime(2021, 1, 3))
    assert emitted(clock, 9, pendulum.datetime(2020, 12, 1))[0] == "2021-01-01 00:00:00+00:00"
    assert emitted(clock, 9, JANUARY) == ["2021-01-02 00:00:00+00:00", "2021-01-03 00:00:00+00:00"]
    assert emitted(clock, 9, JANUARY.add(microseconds=1)) == ["2021-01-02 00:00:00+00:00", "2021-01-03 00:00:00+00:00"]


def test_an_hour_that_comes_twice_is_emitted_the_first_time() -> None:
    clock = CronClock("0 * * * *", pendulum.datetime(2021, 1, 1, tz=NEW_YORK))
    assert emitted(clock, 3, pendulum.datetime(2021, 11, 7, 0, 30, tz=NEW_YORK)) == [
        "2021-11-07 01:00:00-04:00",
        "2021-11-07 02:00:00-05:00",
        "2021-11-07 03:00:00-05:00",
    ]


def test_an_hour_left_out_is_emitted_once() -> None:
    clock = CronClock("0 * * * *", pendulum.datetime(2021, 1, 1, tz=NEW_YORK))
    assert emitted(clock, 3, pendulum.datetime(2021, 3, 14, 0, 30, tz=NEW_YORK)) == [
        "2021-03-14 01:00:00-05:00",
        "2021-03-14 03:00:00-04:00",
        "2021-03-14 04:00:00-04:00",
    ]


def test_a_time_left_out_comes_later_that_day_also_when_asked_about_in_between() -> None:
    clock = CronClock("30 2 * * *", pendulum.datetime(2021, 1, 1, tz=NEW_YORK))
    assert emitted(clock, 2, pendulum.datetime(2021, 3, 14, 3, 10, tz=NEW_YORK)) == [
        "2021-03-14 03:30:00-04:00",
        "2021-03-15 02:30:00-04:00",
    ]


def test_times_put_off_by_half_an_hour_stay_in_order() -> None:
    clock = CronClock("15,30 * * * *", pendulum.datetime(2021, 1, 1, tz="Australia/Lord_Howe"))
    assert emitted(clock, 4, pendulum.datetime(2021, 10, 3, 1, 20, tz="Australia/Lord_Howe")) == [
        "2021-10-03 01:30:00+10:30",
        "2021-10-03 02:30:00+11:00",
        "2021-10-03 02:45:00+11:00",
        "2021-10-03 03:15:00+11:00",
    ]


def test_day_of_month_or_of_week_must_match_or_both() -> None:
    either, both = CronClock("0 0 13 * 5"), CronClock("0 0 13 * 5", day_or=False)
    assert emitted(either, 2, JANUARY) == ["2021-01-08 00:00:00+00:00", "2021-01-13 00:00:00+00:00"]
    assert emitted(both, 1, JANUARY) == ["2021-08-13 00:00:00+00:00"]
    assert CronClock("0 0 13 * 5", day_or=None) == either


def test_a_day_that_never_comes_emits_nothing() -> None:
    assert emitted(CronClock("0 0 30 2 *"), 1, JANUARY) == []


@pytest.mark.parametrize("cron", ["every day", "60 * * * *", "* * * *", ""])
def test_a_cron_expression_must_be_valid(cron: str) -> None:
    with pytest.raises(ValueError, match=f"Invalid cron string: '{cron}'".replace("*", r"\*")):
        CronClock(cron)


# -------------------------------------------------------------------- dates


def test_dates_come_in_order_each_once_and_after_the_moment_asked_about() -> None:
    second = JANUARY + DAY
    clock = DatesClock([second + DAY, JANUARY, second, second])
    assert [event.start_time for event in clock.events(JANUARY)] == [second, second + DAY]
    assert (clock.start_date, clock.end_date) == (JANUARY, second + DAY)


def test_a_clock_of_dates_needs_one() -> None:
    with pytest.raises(ValueError, match="at least one date"):
        DatesClock([])


# -------------------------------------------------------------------- rules


def test_a_rule_without_zone_is_in_that_of_the_start() -> None:
    rule = rrule(DAILY, dtstart=dt.datetime(2021, 3, 1, 9))  # noqa: DTZ001
    assert emitted(RRuleClock(rule), 1, pendulum.datetime(2021, 3, 13, 12)) == ["2021-03-14 09:00:00+00:00"]
    there = RRuleClock(rule, pendulum.datetime(2021, 3, 1, tz=NEW_YORK))
    assert emitted(there, 2, pendulum.datetime(2021, 3, 13, tz=NEW_YORK)) == [
        "2021-03-13 09:00:00-05:00",
        "2021-03-14 09:00:00-04:00",
    ]


@pytest.mark.parametrize(
    "zone", [pendulum.timezone(NEW_YORK), dateutil_tz.gettz(NEW_YORK)], ids=["pendulum", "dateutil"]
)
def test_a_rule_keeps_its_own_zone(zone: dt.tzinfo) -> None:
    clock = RRuleClock(rrule(DAILY, dtstart=dt.datetime(2021, 3, 13, 2, 30, tzinfo=zone)))
    assert emitted(clock, 3, pendulum.datetime(2021, 3, 1)) == [
        "2021-03-13 02:30:00-05:00",
        "2021-03-14 03:30:00-04:00",
        "2021-03-15 02:30:00-04:00",
    ]


def test_a_rule_excludes_the_moment_asked_about_and_includes_its_start() -> None:
    clock = RRuleClock(rrule(DAILY, dtstart=JANUARY), JANUARY.add(days=3), JANUARY.add(days=4))
    assert emitted(clock, 9, JANUARY) == ["2021-01-04 00:00:00+00:00", "2021-01-05 00:00:00+00:00"]
    assert emitted(clock, 9, JANUARY.add(days=3)) == ["2021-01-05 00:00:00+00:00"]


def test_a_set_of_rules_leaves_out_its_exceptions() -> None:
    rules = rruleset()
    rules.rrule(rrule(MONTHLY, dtstart=JANUARY, bymonthday=-1))
    rules.exdate(pendulum.datetime(2021, 2, 28))
    rules.rdate(pendulum.datetime(2021, 2, 14))
    assert [text[:10] for text in emitted(RRuleClock(rules), 3, JANUARY)] == ["2021-01-31", "2021-02-14", "2021-03-31"]
    copy = pickle.loads(pickle.dumps(rules))
    assert RRuleClock(copy) == RRuleClock(rules)
    copy.exdate(JANUARY)
    assert RRuleClock(copy) != RRuleClock(rules)


def test_rules_of_two_zones_are_told_in_that_of_the_first() -> None:
    rules = rruleset()
    rules.rrule(rrule(DAILY, dtstart=pendulum.datetime(2021, 1, 1, 9, tz=NEW_YORK), count=1))
    rules.rrule(rrule(DAILY, dtstart=pendulum.datetime(2021, 1, 2, 9), count=1))
    clock = RRuleClock(rules)
    assert emitted(clock, 9, JANUARY) == ["2021-01-01 09:00:00-05:00", "2021-01-02 04:00:00-05:00"]


def test_a_rule_that_has_ended_emits_nothing() -> None:
    assert emitted(RRuleClock(rrule(DAILY, dtstart=JANUARY, count=2)), 9, JANUARY.add(days=5)) == []
    assert emitted(RRuleClock(rrule(DAILY, dtstart=JANUARY, count=0)), 9, JANUARY) == []


def test_a_rule_must_be_one_of_dateutil() -> None:
    with pytest.raises(TypeError, match="takes a dateutil rrule or rruleset, not 'str'"):
        RRuleClock("FREQ=DAILY")  # type: ignore[arg-type]
