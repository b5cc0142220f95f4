"""A window is open when the clock on the wall of its zone says so; its next opening and closing are exact."""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given, settings, strategies as st

from tocsin.routing.windows import all_closed_at, closes_at, covering, describe, is_open, opens_at
from tocsin.settings.alerts import Window

MINUTE = timedelta(minutes=1)


def window(name="w", **lists) -> Window:
    return Window(name, **{key: value if isinstance(value, str) else tuple(value) for key, value in lists.items()})


def hm(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def span(start: str, end: str) -> tuple[int, int]:
    return hm(start), hm(end)


def moment(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def open_days(window: Window, year: int, month: int) -> list[int]:
    days = range(1, monthrange(year, month)[1] + 1)
    return [day for day in days if is_open(window, datetime(year, month, day, 12, tzinfo=UTC))]


# ---------------------------------------------------------------- what a window holds


def test_an_empty_window_holds_every_moment() -> None:
    assert is_open(window(), moment("2026-02-28T23:59:59"))
    assert closes_at(window(), moment("2026-02-28T23:59:59")) is None


def test_times_are_open_from_the_start_to_just_before_the_end() -> None:
    office = window(times=[span("09:00", "17:00")])
    seen = [is_open(office, moment(f"2026-03-04T{time}")) for time in ("08:59:59", "09:00", "16:59:59.999999", "17:00")]
    assert seen == [False, True, True, False]


def test_a_day_can_end_at_24_00() -> None:
    evening = window(times=[span("18:00", "24:00")], weekdays=[(5, 5)])
    assert is_open(evening, moment("2026-01-02T23:59:59"))
    assert closes_at(evening, moment("2026-01-02T20:00")) == moment("2026-01-03T00:00")


def test_lists_are_alternatives_and_kinds_are_conditions() -> None:
    both = window(times=[span("08:00", "09:00"), span("20:00", "21:00")], weekdays=[(1, 1), (3, 3)])
    assert [day for day in range(5, 12) if is_open(both, moment(f"2026-01-{day:02}T08:30"))] == [5, 7]
    assert is_open(both, moment("2026-01-05T20:59"))
    assert not is_open(both, moment("2026-01-05T12:00"))


def test_weekdays_and_months_are_inclusive_and_may_wrap() -> None:
    assert open_days(window(weekdays=[(6, 1)]), 2026, 1)[:6] == [3, 4, 5, 10, 11, 12]
    winter = window(months=[(11, 2)])
    assert [month for month in range(1, 13) if is_open(winter, datetime(2026, month, 15, tzinfo=UTC))] == [1, 2, 11, 12]


def test_years_are_inclusive() -> None:
    years = window(years=[(2024, 2025)])
    assert [year for year in range(2022, 2028) if is_open(years, datetime(year, 6, 1, tzinfo=UTC))] == [2024, 2025]


@pytest.mark.parametrize(
    ("days", "year", "month", "expected"),
    [
        ((1, 31), 2023, 2, list(range(1, 29))),
        ((28, 31), 2026, 4, [28, 29, 30]),
        ((29, 31), 2023, 2, []),
        ((29, 29), 2024, 2, [29]),
        ((-1, -1), 2024, 2, [29]),
        ((-3, -1), 2026, 1, [29, 30, 31]),
        ((-31, -29), 2026, 4, [1, 2]),
        ((-31, -29), 2026, 2, []),
        ((-31, -1), 2026, 2, list(range(1, 29))),
        ((5, -25), 2026, 1, [5, 6, 7]),
        ((20, -10), 2026, 1, [20, 21, 22]),
        ((20, -10), 2026, 2, []),
        ((-2, 1), 2026, 4, [1, 29, 30]),
        ((-2, 1), 2026, 2, [1, 27, 28]),
        ((29, 2), 2026, 2, [1, 2]),
        ((31, 31), 2026, 4, []),
        ((-5, 28), 2026, 1, [27, 28]),
        ((-5, 28), 2026, 2, [24, 25, 26, 27, 28]),
    ],
)
def test_days_of_the_month_count_from_both_ends_and_stay_inside_the_month(days, year, month, expected) -> None:
    assert open_days(window(days=[days]), year, month) == expected


def test_a_time_that_crosses_midnight_belongs_to_the_day_on_which_it_began() -> None:
    friday_night = window(times=[span("22:00", "06:00")], weekdays=[(5, 5)])
    at = moment("2026-01-02T00:00")  # a Friday
    seen = [hours for hours in range(48) if is_open(friday_night, at + timedelta(hours=hours))]
    assert seen == list(range(22, 30))
    new_year = window(times=[span("23:00", "02:00")], days=[(-1, -1)], months=[(12, 12)], years=[(2025, 2025)])
    assert is_open(new_year, moment("2026-01-01T01:59"))
    assert not is_open(new_year, moment("2026-01-01T02:00"))
    assert not is_open(new_year, moment("2025-01-01T01:00"))


def test_a_time_that_ends_as_it_starts_lasts_a_day() -> None:
    monday = window(times=[span("10:00", "10:00")], weekdays=[(1, 1)])
    assert opens_at(monday, moment("2026-01-04T00:00")) == moment("2026-01-05T10:00")
    assert closes_at(monday, moment("2026-01-05T10:00")) == moment("2026-01-06T10:00")
    assert closes_at(window(times=[span("00:00", "00:00")]), moment("2026-01-05T10:00")) is None


def test_a_window_goes_by_the_clock_of_its_own_zone() -> None:
    sydney = window(times=[span("09:00", "17:00")], weekdays=[(1, 5)], timezone="Australia/Sydney")
    assert is_open(sydney, moment("2026-01-04T23:00"))  # Monday 10:00 there
    assert not is_open(sydney, moment("2026-01-05T10:00"))


def test_a_moment_without_zone_is_refused() -> None:
    for ask in (is_open, closes_at, opens_at):
        with pytest.raises(ValueError, match="a moment needs a time zone, found '2026-01-01 00:00:00'"):
            ask(window(), datetime(2026, 1, 1, tzinfo=None))  # noqa: DTZ001  (that is what is refused)


def test_the_class_of_a_moment_makes_no_difference() -> None:
    office = window(times=[span("09:00", "17:00")], timezone="Europe/Berlin")
    there = pendulum.datetime(2026, 7, 1, 14, 59, 59, 999999, tz="UTC")
    assert is_open(office, there)
    assert not is_open(office, there.add(microseconds=1))
    assert closes_at(office, there) == moment("2026-07-01T15:00")


# ---------------------------------------------------------------- clocks that are set


def test_what_is_left_out_when_clocks_go_forward_is_not_open_and_the_rest_is() -> None:
    across = window(times=[span("02:30", "03:30")], timezone="Europe/Berlin")
    shift = moment("2026-03-29T01:00")
    assert opens_at(across, moment("2026-03-29T00:30")) == shift
    assert closes_at(across, shift) == moment("2026-03-29T01:30")
    inside = window(times=[span("02:10", "02:50")], timezone="Europe/Berlin")
    assert opens_at(inside, moment("2026-03-29T00:00")) == moment("2026-03-30T02:10", "Europe/Berlin")


def test_an_hour_that_comes_twice_is_open_twice() -> None:
    twice = window(times=[span("02:10", "02:50")], timezone="Europe/Berlin")
    first = moment("2026-10-25T02:10", "Europe/Berlin").astimezone(UTC)
    assert opens_at(twice, moment("2026-10-25T00:00")) == first
    assert closes_at(twice, first) == first + 40 * MINUTE
    assert opens_at(twice, first + 40 * MINUTE) == first + 60 * MINUTE
    assert closes_at(twice, first + 60 * MINUTE) == first + 100 * MINUTE


def test_a_window_that_clocks_go_back_out_of_closes_at_that_moment() -> None:
    late = window(times=[span("02:30", "04:00")], timezone="Europe/Berlin")
    shift = moment("2026-10-25T01:00")
    assert closes_at(late, shift - 10 * MINUTE) == shift
    assert opens_at(late, shift) == shift + 30 * MINUTE
    assert closes_at(late, shift + 30 * MINUTE) == moment("2026-10-25T04:00", "Europe/Berlin")


def test_nights_are_as_long_as_the_clock_makes_them() -> None:
    night = window(times=[span("22:00", "06:00")], timezone="Europe/Berlin")
    for evening, hours in (("2026-03-28T21:00", 7), ("2026-10-24T20:00", 9), ("2026-01-10T21:00", 8)):
        assert closes_at(night, moment(evening)) == moment(evening) + timedelta(hours=hours)


def test_a_midnight_that_does_not_come_and_a_day_that_does_not_come() -> None:
    sunday = window(weekdays=[(7, 7)], timezone="America/Sao_Paulo")
    assert opens_at(sunday, moment("2017-10-14T12:00")) == moment("2017-10-15T01:00", "America/Sao_Paulo")
    friday = window(days=[(30, 30)], timezone="Pacific/Apia")
    assert opens_at(friday, moment("2011-12-29T12:00")) == moment("2012-01-30T00:00", "Pacific/Apia")


# ---------------------------------------------------------------- openings and closings


def test_openings_that_touch_are_one_opening() -> None:
    parts = window(times=[span("08:00", "12:00"), span("12:00", "24:00"), span("00:00", "01:00")], weekdays=[(1, 2)])
    assert closes_at(parts, moment("2026-01-05T09:00")) == moment("2026-01-06T01:00")
    week = window(weekdays=[(1, 5)])
    assert closes_at(week, moment("2026-01-05T09:00")) == moment("2026-01-10T00:00")


def test_a_moment_outside_is_its_own_closing_and_one_inside_its_own_opening() -> None:
    office = window(times=[span("09:00", "17:00")])
    inside, outside = moment("2026-01-05T09:00:01"), moment("2026-01-05T17:00:00")
    assert (closes_at(office, outside), opens_at(office, inside)) == (outside, inside)


def test_a_window_in_the_past_never_opens_and_one_far_off_does() -> None:
    at = moment("2026-01-05T09:00")
    assert opens_at(window(years=[(2020, 2025)]), at) is None
    assert opens_at(window(years=[(2029, 2040)], months=[(2, 2)], days=[(-1, -1)]), at) == moment("2029-02-28T00:00")
    assert opens_at(window(months=[(2, 2)], days=[(30, 31)]), at) is None


def test_a_long_opening_has_its_end_and_a_longer_one_counts_as_endless() -> None:
    at = moment("2026-01-05T09:00")
    assert closes_at(window(years=[(2026, 2026)]), at) == moment("2027-01-01T00:00")
    assert closes_at(window(years=[(2026, 2040)]), at) is None


def test_the_first_window_named_that_is_open_covers_a_moment() -> None:
    windows = {
        "night": window("night", times=[span("22:00", "06:00")]),
        "weekend": window("weekend", weekdays=[(6, 7)]),
    }
    assert covering(windows, ["night", "weekend"], moment("2026-01-03T23:00")) == "night"
    assert covering(windows, ["weekend", "night"], moment("2026-01-03T23:00")) == "weekend"
    assert covering(windows, ["night"], moment("2026-01-03T12:00")) is None
    assert covering(windows, [], moment("2026-01-03T23:00")) is None


def test_quiet_ends_when_the_last_of_several_windows_closes() -> None:
    windows = {
        "night": window("night", times=[span("22:00", "06:00")]),
        "weekend": window("weekend", weekdays=[(6, 7)]),
        "day": window("day", times=[span("06:00", "22:00")]),
    }
    friday_night = moment("2026-01-02T23:00")
    assert all_closed_at(windows, ["night", "weekend"], friday_night) == moment("2026-01-05T06:00")
    assert all_closed_at(windows, ["weekend"], friday_night) == friday_night
    assert all_closed_at(windows, ["night", "day"], friday_night) is None
    assert all_closed_at(windows, [], friday_night) == friday_night


def test_a_window_is_described_in_one_line() -> None:
    full = window(
        times=[span("08:00", "12:00"), span("22:00", "06:00")], weekdays=[(1, 5), (7, 7)], days=[(-2, 1)],
        months=[(12, 2)], years=[(2026, 2026)], timezone="Europe/Berlin",
    )  # fmt: skip
    assert describe(full) == (
        "2026, Dec to Feb, day -2 to 1 of the month, Mon to Fri or Sun, "
        "08:00 to 12:00 or 22:00 to 06:00 the next day (Europe/Berlin)"
    )
    assert describe(window()) == "always (UTC)"


# ---------------------------------------------------------------- the same, worked out the long way


def around(first: int, last: int, size: int) -> set[int]:
    """The members of a ring of 1 to `size` that one passes from `first` to `last`."""
    passed = [first]
    while passed[-1] != last:
        passed.append(passed[-1] % size + 1)
    return set(passed)


def month_days(first: int, last: int, year: int, month: int) -> set[int]:
    days = list(range(1, monthrange(year, month)[1] + 1))

    def absolute(number: int, length: int) -> int:
        return number if number > 0 else length + number + 1

    low, high = absolute(first, len(days)), absolute(last, len(days))
    if absolute(first, 31) > absolute(last, 31):
        return {day for day in days if day >= low} | {day for day in days if day <= high}
    return set(range(low, high + 1)).intersection(days)


def chosen(window: Window, day: date) -> bool:
    lists = [
        (day.year, window.years, lambda a, b: set(range(a, b + 1))),
        (day.month, window.months, lambda a, b: around(a, b, 12)),
        (day.isoweekday(), window.weekdays, lambda a, b: around(a, b, 7)),
        (day.day, window.days, lambda a, b: month_days(a, b, day.year, day.month)),
    ]
    return all(not ranges or value in set().union(*(expand(*r) for r in ranges)) for value, ranges, expand in lists)


def open_by_the_wall(window: Window, at: datetime) -> bool:
    wall = at.astimezone(ZoneInfo(window.timezone)).replace(tzinfo=None)
    for start, end in window.times or ((0, 1440),):
        for back in (0, 1):
            midnight = datetime.combine(wall.date() - timedelta(days=back), datetime.min.time())
            opens, closes = (midnight + minutes * MINUTE for minutes in (start, end if end > start else end + 1440))
            if opens <= wall < closes and chosen(window, midnight.date()):
                return True
    return False


DAY_NUMBERS = st.integers(-31, 31).filter(bool)
MINUTES = st.one_of(st.sampled_from([0, 60, 120, 150, 180, 1320, 1439]), st.integers(0, 1439))


def ranges(numbers: st.SearchStrategy[int], end: st.SearchStrategy[int] | None = None) -> st.SearchStrategy:
    return st.lists(st.tuples(numbers, numbers if end is None else end), max_size=2).map(tuple)


YEARS = st.tuples(st.integers(2010, 2027), st.integers(0, 3)).map(lambda pair: (pair[0], pair[0] + pair[1]))
WINDOWS = st.builds(
    Window,
    st.just("w"),
    times=ranges(MINUTES, st.one_of(MINUTES, st.just(1440))),
    weekdays=ranges(st.integers(1, 7)),
    days=ranges(DAY_NUMBERS),
    months=ranges(st.integers(1, 12)),
    years=st.one_of(st.just(()), st.tuples(YEARS)),
    timezone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia",
         "Asia/Kathmandu", "America/Havana", "Africa/Casablanca"]
    ),
)  # fmt: skip
SHIFTS = [
    "2026-03-29T01:00", "2026-10-25T01:00", "2026-11-01T06:00", "2017-10-15T03:00", "2018-02-18T02:00",
    "2011-12-30T10:00", "2026-04-04T15:00", "2026-03-08T05:00", "2024-02-28T22:00", "2025-12-31T23:00",
]  # fmt: skip
"""Clocks that are set, somewhere; ends of months and years."""
MOMENTS = st.one_of(
    st.builds(
        lambda text, seconds: datetime.fromisoformat(text).replace(tzinfo=UTC) + timedelta(seconds=seconds),
        st.sampled_from(SHIFTS),
        st.integers(-90_000, 90_000),
    ),
    st.integers(1_262_304_000, 1_893_456_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)


@settings(max_examples=300, deadline=None)
@given(WINDOWS, MOMENTS)
def test_a_window_is_open_exactly_when_one_of_its_openings_holds_the_wall_clock(window, at) -> None:
    assert is_open(window, at) == open_by_the_wall(window, at)


@settings(max_examples=60, deadline=None)
@given(WINDOWS, MOMENTS)
def test_closing_and_opening_are_the_first_minutes_at_which_the_window_has_changed(window, at) -> None:
    minutes = [at, *(at.replace(second=0, microsecond=0) + number * MINUTE for number in range(1, 2 * 1440))]
    states = [open_by_the_wall(window, minute) for minute in minutes]
    for found, wanted in ((closes_at(window, at), False), (opens_at(window, at), True)):
        if wanted in states:
            assert found == minutes[states.index(wanted)]
        else:
            assert found is None or found > minutes[-1]
            assert found is None or open_by_the_wall(window, found) is wanted
