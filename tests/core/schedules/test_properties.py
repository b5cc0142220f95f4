"""What holds for every clock, in every zone, whenever it is asked."""

# ruff: noqa: DTZ001  (moments without zone are drawn, and zones beside them)

import datetime as dt
from itertools import islice, pairwise

import pendulum
from dateutil.rrule import HOURLY, rrule
from hypothesis import given, settings, strategies as st

from tocsin.schedules.clocks import Clock, CronClock, IntervalClock, RRuleClock

ZONES = ["UTC", "America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"]
FEW = settings(max_examples=60, deadline=None)

zones = st.sampled_from(ZONES)
# near the nights on which some zone changes its clocks, and anywhere
moments = st.one_of(
    st.datetimes(dt.datetime(2008, 1, 1), dt.datetime(2030, 1, 1)),
    st.builds(
        lambda night, minutes: night + dt.timedelta(minutes=minutes),
        st.sampled_from(
            [dt.datetime(2021, 3, 14), dt.datetime(2021, 11, 7), dt.datetime(2021, 10, 2), dt.datetime(2011, 12, 30)]
        ),
        st.integers(-2880, 2880),
    ),
)
crons = st.sampled_from(["*/7 * * * *", "15,30 * * * *", "0 * * * *", "30 1,2 * * *", "0 0 * * *", "59 23 * * 0"])


def stamps(clock: Clock, after: dt.datetime, count: int = 30) -> list[float]:
    return [event.start_time.timestamp() for event in islice(clock.events(after), count)]


def rising(times: list[float]) -> bool:
    return all(early < late for early, late in pairwise(times))


@FEW
@given(cron=crons, zone=zones, after=moments)
def test_cron_rises_and_is_later_than_asked(cron: str, zone: str, after: dt.datetime) -> None:
    asked = pendulum.instance(after)
    times = stamps(CronClock(cron, pendulum.datetime(2000, 1, 1, tz=zone)), asked)
    assert len(times) == 30
    assert rising([asked.timestamp(), *times])


@FEW
@given(cron=crons, zone=zones, after=moments)
def test_cron_misses_nothing_whenever_it_is_asked(cron: str, zone: str, after: dt.datetime) -> None:
    clock = CronClock(cron, pendulum.datetime(2000, 1, 1, tz=zone))
    asked = pendulum.instance(after)
    later = asked.add(hours=1, minutes=10)
    from_before = [time for time in stamps(clock, asked, 60) if time > later.timestamp()]
    assert stamps(clock, later, 60)[: len(from_before)] == from_before


@FEW
@given(seconds=st.integers(1, 400_000), zone=zones, start=moments, after=moments)
def test_intervals_rise_and_lie_between_what_was_asked_and_the_end(
    seconds: int, zone: str, start: dt.datetime, after: dt.datetime
) -> None:
    begin, asked = pendulum.instance(start).in_timezone(zone), pendulum.instance(after)
    clock = IntervalClock(dt.timedelta(seconds=seconds), begin, asked.add(seconds=20 * seconds))
    times = stamps(clock, asked)
    assert rising([asked.timestamp(), *times])
    assert all(begin.timestamp() <= time <= asked.timestamp() + 20 * seconds for time in times)


@FEW
@given(seconds=st.integers(1, 86_399), zone=zones, start=moments, after=moments)
def test_short_intervals_are_whole_intervals_from_the_start(
    seconds: int, zone: str, start: dt.datetime, after: dt.datetime
) -> None:
    begin = pendulum.instance(start).replace(microsecond=0).in_timezone(zone)
    times = stamps(IntervalClock(dt.timedelta(seconds=seconds), begin), pendulum.instance(after), 5)
    assert all((time - begin.timestamp()) % seconds == 0 for time in times)
    assert all(late - early == seconds for early, late in pairwise(times))


@FEW
@given(days=st.integers(1, 9), hour=st.integers(4, 23), zone=zones, after=moments)
def test_intervals_of_days_keep_their_hour(days: int, hour: int, zone: str, after: dt.datetime) -> None:
    clock = IntervalClock(dt.timedelta(days=days), pendulum.datetime(2005, 6, 1, hour, tz=zone))
    shown = [event.start_time for event in islice(clock.events(pendulum.instance(after)), 20)]
    assert {(moment.hour, moment.minute, moment.timezone_name) for moment in shown} == {(hour, 0, zone)}


@settings(max_examples=25, deadline=None)
@given(zone=zones, minute=st.integers(0, 59), ahead=st.integers(-100, 3000))
def test_rules_rise_and_are_later_than_asked(zone: str, minute: int, ahead: int) -> None:
    start = pendulum.datetime(2021, 9, 20, 0, minute, tz=zone)
    asked = start.add(hours=ahead)
    times = stamps(RRuleClock(rrule(HOURLY, dtstart=start)), asked)
    assert len(times) == 30
    assert rising([asked.timestamp(), *times])
