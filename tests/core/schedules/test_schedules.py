"""How schedules merge clocks, filter and adjust; what each filter and adjustment does."""

import datetime as dt
import pickle
from collections.abc import Callable
from itertools import pairwise

import pendulum
import pytest
from dateutil.rrule import DAILY, rrule

from tocsin.schedules import (
    CronSchedule,
    DatesSchedule,
    IntervalSchedule,
    RRuleSchedule,
    Schedule,
    adjustments,
    clocks,
    filters,
)

DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
JANUARY = pendulum.datetime(2021, 1, 1)  # a Friday


def test_the_next_moments_follow_the_one_asked_about() -> None:
    schedule = IntervalSchedule(interval=DAY)
    assert schedule.next(2, after=JANUARY) == [JANUARY.add(days=1), JANUARY.add(days=2)]
    assert schedule.next(0, after=JANUARY) == []
    assert schedule.next(1)[0] > pendulum.now("UTC")


def test_events_come_with_parameters_and_labels_on_demand() -> None:
    schedule = Schedule([clocks.IntervalClock(DAY, parameter_defaults={"x": 1}, labels=["a"])])
    assert schedule.next(1, after=JANUARY, return_events=True) == [
        clocks.ClockEvent(JANUARY.add(days=1), {"x": 1}, ["a"]),
    ]


def test_clocks_are_merged_in_order_and_equal_events_come_once() -> None:
    schedule = Schedule(
        [
            clocks.IntervalClock(DAY),
            clocks.IntervalClock(DAY, parameter_defaults={"x": 1}),
            clocks.CronClock("0 0,12 * * *"),
            clocks.IntervalClock(DAY, labels=["a"]),
        ]
    )
    events = schedule.next(4, after=JANUARY, return_events=True)
    assert [(event.start_time.hour, event.parameter_defaults, event.labels) for event in events] == [
        (12, {}, None),
        (0, {}, None),
        (0, {"x": 1}, None),
        (0, {}, ["a"]),
    ]


def test_a_schedule_starts_and_ends_with_its_clocks() -> None:
    assert (Schedule([]).start_date, Schedule([]).end_date) == (None, None)
    later = clocks.CronClock("@daily", JANUARY + DAY, JANUARY + 2 * DAY)
    schedule = Schedule([later, clocks.IntervalClock(DAY), clocks.DatesClock([JANUARY])])
    assert (schedule.start_date, schedule.end_date) == (JANUARY, JANUARY + 2 * DAY)


def test_a_schedule_without_clocks_or_that_has_ended_has_no_next() -> None:
    assert Schedule([]).next(3, after=JANUARY) == []
    assert DatesSchedule([JANUARY]).next(3, after=JANUARY) == []
    assert DatesSchedule([JANUARY, JANUARY + DAY]).next(3, after=JANUARY) == [JANUARY + DAY]


def test_all_filters_one_of_the_or_filters_and_none_of_the_not_filters_must_accept() -> None:
    schedule = Schedule(
        [clocks.IntervalClock(HOUR)],
        filters=[filters.is_weekday],
        or_filters=[filters.at_time(dt.time(9)), filters.at_time(dt.time(15))],
        not_filters=[filters.between_dates(1, 1, 1, 3), filters.on_date(1, 5)],
    )
    assert [str(moment)[:13] for moment in schedule.next(4, after=JANUARY)] == [
        "2021-01-04 09",
        "2021-01-04 15",
        "2021-01-06 09",
        "2021-01-06 15",
    ]


def test_adjustments_move_what_passed_one_after_another() -> None:
    schedule = Schedule(
        [clocks.IntervalClock(DAY, parameter_defaults={"x": 1})],
        filters=[filters.is_month_end],
        adjustments=[adjustments.next_weekday, adjustments.add(dt.timedelta(hours=3))],
    )
    events = schedule.next(2, after=JANUARY, return_events=True)
    assert [str(event.start_time)[:13] for event in events] == ["2021-02-01 03", "2021-03-01 03"]  # Sundays
    assert events[0].parameter_defaults == {"x": 1}


def test_a_schedule_that_nothing_passes_gives_up_after_10_000_candidates() -> None:
    seen: list[dt.datetime] = []

    def refuse(moment: dt.datetime) -> bool:
        seen.append(moment)
        return False

    assert Schedule([clocks.IntervalClock(HOUR)], filters=[refuse]).next(1, after=JANUARY) == []
    assert len(seen) == 10_000


def test_filters_see_moments_in_the_time_zone_of_the_clock() -> None:
    start = pendulum.datetime(2021, 3, 1, tz="Asia/Tokyo")
    schedule = Schedule([clocks.IntervalClock(HOUR, start)], filters=[filters.at_time(dt.time(9))])
    assert [str(moment) for moment in schedule.next(1, after=JANUARY)] == ["2021-03-01 09:00:00+09:00"]


def test_the_short_forms_make_a_schedule_of_one_clock() -> None:
    end = JANUARY.add(days=9)
    rule = rrule(DAILY, dtstart=JANUARY)
    assert IntervalSchedule(JANUARY, DAY, end) == Schedule([clocks.IntervalClock(DAY, JANUARY, end)])
    assert CronSchedule("@daily", JANUARY, end) == Schedule([clocks.CronClock("@daily", JANUARY, end)])
    assert CronSchedule("0 0 1 * 1", day_or=False) == Schedule([clocks.CronClock("0 0 1 * 1", day_or=False)])
    assert DatesSchedule([JANUARY]) == Schedule([clocks.DatesClock([JANUARY])])
    assert RRuleSchedule(rule, JANUARY, end) == Schedule([clocks.RRuleClock(rule, JANUARY, end)])
    with pytest.raises(TypeError, match="give IntervalSchedule an 'interval'"):
        IntervalSchedule(JANUARY)


def test_a_schedule_survives_pickling_as_its_equal() -> None:
    schedule = Schedule(
        [clocks.CronClock("0 9 * * *", labels=["a"])],
        filters=[filters.is_weekday, filters.between_times(dt.time(8), dt.time(17))],
        not_filters=[filters.is_day_of_week(2)],
        adjustments=[adjustments.add(HOUR)],
    )
    copy = pickle.loads(pickle.dumps(schedule))
    assert copy == schedule
    assert hash(copy) == hash(schedule)
    assert copy.next(5, after=JANUARY) == schedule.next(5, after=JANUARY)
    assert schedule != Schedule(schedule.clocks, filters=schedule.filters)


# -------------------------------------------------------------------- filters and adjustments


def at(text: str) -> pendulum.DateTime:
    moment = pendulum.parse(text)
    assert isinstance(moment, pendulum.DateTime)
    return moment


@pytest.mark.parametrize(
    ("accepts", "yes", "no"),
    [
        (
            filters.on_datetime(at("2021-05-01T09:00")),
            ["2021-05-01T09:00", "2021-05-01T11:00+02:00"],
            ["2021-05-01T10:00"],
        ),
        (filters.on_date(3, 15), ["2021-03-15", "2020-03-15T23:59"], ["2021-03-16", "2021-04-15"]),
        (filters.at_time(dt.time(15, 30)), ["2021-05-01T15:30"], ["2021-05-01T15:31"]),
        (
            filters.between_datetimes(at("2021-05-01"), at("2021-05-03")),
            ["2021-05-01", "2021-05-02T12:00", "2021-05-03"],
            ["2021-04-30T23:59:59", "2021-05-03T00:00:01"],
        ),
        (filters.between_dates(3, 1, 3, 31), ["2021-03-01", "2020-03-31T23:00"], ["2021-02-28", "2021-04-01"]),
        (
            filters.between_dates(11, 15, 2, 10),
            ["2021-11-15", "2021-12-31", "2021-02-10"],
            ["2021-02-11", "2021-11-14"],
        ),
        (
            filters.between_times(dt.time(9), dt.time(17)),
            ["2021-05-01T09:00", "2021-05-01T17:00"],
            ["2021-05-01T17:01"],
        ),
        (
            filters.between_times(dt.time(22), dt.time(6)),
            ["2021-05-01T22:00", "2021-05-01T05:00"],
            ["2021-05-01T06:01"],
        ),
        (filters.is_weekday, ["2021-05-03", "2021-05-07"], ["2021-05-01", "2021-05-02"]),
        (filters.is_weekend, ["2021-05-01", "2021-05-02"], ["2021-05-03", "2021-05-07"]),
        (filters.is_month_start, ["2021-05-01T23:00"], ["2021-05-02", "2021-05-31"]),
        (filters.is_month_end, ["2021-05-31T23:00", "2020-02-29", "2021-12-31"], ["2020-02-28", "2021-05-01"]),
        (filters.is_day_of_week(0), ["2021-05-03"], ["2021-05-02"]),
        (filters.is_day_of_week(6), ["2021-05-02"], ["2021-05-03"]),
    ],
)
def test_a_filter_accepts_its_range_with_both_limits(
    accepts: Callable[[dt.datetime], bool], yes: list[str], no: list[str]
) -> None:
    assert [accepts(at(text)) for text in yes] == [True] * len(yes)
    assert [accepts(at(text)) for text in no] == [False] * len(no)


def test_filters_made_alike_are_equal() -> None:
    assert filters.at_time(dt.time(9)) == filters.at_time(dt.time(9))
    assert filters.at_time(dt.time(9)) != filters.at_time(dt.time(10))
    assert filters.on_date(3, 1) != filters.is_day_of_week(3)


def test_the_next_weekday_is_monday_for_a_weekend_and_today_else() -> None:
    days = [adjustments.next_weekday(at("2021-05-01T09:00").add(days=n)) for n in range(3)]
    assert [str(day)[:16] for day in days] == ["2021-05-03 09:00"] * 3
    assert str(adjustments.next_weekday(at("2021-05-07T09:00")))[:16] == "2021-05-07 09:00"


def test_a_schedule_may_be_asked_again_and_again() -> None:
    schedule = CronSchedule("*/15 9-10 * * *")
    moments, asked = [], JANUARY
    for _ in range(12):
        (asked,) = schedule.next(1, after=asked)
        moments.append(asked)
    assert moments == schedule.next(12, after=JANUARY)
    assert all(early < late for early, late in pairwise(moments))
