"""What is quiet at certain times: dropped, held, or told in one message when the window closes."""

from __future__ import annotations

import pytest

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told, why
from tocsin.simulate import Simulation

NOON = '[windows.noon]\ntimes = [["12:00", "13:00"]]\n'
ALL = ROUTE.replace("is_failed", "is_failed or is_retrying")


def muted(
    then: str, *, windows: str = NOON, names: str = '"noon"', more: str = "", start: str = "2026-03-02 12:10"
) -> Simulation:
    return simulate(windows + ALL + f'mute = {{ windows = [{names}], then = "{then}"{more} }}\n', start=start)


def test_drop_tells_nothing_when_the_window_closes() -> None:
    sim = muted("drop")
    fail(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []
    [dropped] = sim.suppressed
    assert (dropped.stage, dropped.rule, dropped.route, dropped.channel) == ("window", "noon", "r", "ops")
    assert "13:00" in dropped.reason


def test_mute_without_then_drops() -> None:
    sim = simulate(NOON + ROUTE + 'mute = { windows = ["noon"] }\n')
    fail(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []


def test_a_dropped_problem_that_fails_again_after_the_window_is_a_first() -> None:
    sim = muted("drop")
    fail(sim, "etl/a")
    sim.advance("1h")
    fail(sim, "etl/a")
    assert told(sim) == ["13:10:00 ops open first"]


def test_a_dropped_problem_recovers_unheard() -> None:
    sim = muted("drop")
    fail(sim, "etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    assert sim.sent == []


def test_a_window_holds_its_start_and_not_its_end() -> None:
    sim = simulate(NOON + ROUTE + 'mute = { windows = ["noon"] }\n', start="2026-03-02 11:59:59")
    fail(sim, "etl/a")
    sim.advance("1s")
    fail(sim, "etl/b")
    sim.advance("59m59s")
    fail(sim, "etl/c")
    sim.advance("1s")
    fail(sim, "etl/d")
    assert [sent.incident for sent in sim.sent] == ["/etl/a", "/etl/d"]


def test_hold_tells_at_the_end_what_is_still_wrong() -> None:
    sim = muted("hold")
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/b")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops open first"]
    assert sim.sent[0].incident == "/etl/a"


def test_hold_tells_the_newest_event_of_an_incident() -> None:
    sim = muted("hold")
    fail(sim, "etl/a", state="Retrying", id="1")
    sim.advance("10m")
    fail(sim, "etl/a", id="2")
    sim.advance("2h")
    assert [sent.events for sent in sim.sent] == [("2",)]


def test_hold_tells_plain_events_as_well() -> None:
    sim = simulate(
        NOON
        + '[[routes]]\nname = "r"\nwhen = "state=Success"\nsend = ["ops"]\nmode = "event"\n'
        + 'mute = { windows = ["noon"], then = "hold" }\n'
    )
    succeed(sim, "etl/a")
    sim.advance("1m")
    succeed(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops event event"] * 2


def test_what_was_held_is_told_in_one_message_of_its_group() -> None:
    sim = simulate(
        NOON + ROUTE + 'group = { by = ["flow"], wait = "30s" }\nmute = { windows = ["noon"], then = "hold" }\n'
    )
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    fail(sim, "etl/c")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b", "etl/c"]


def test_a_recovery_is_told_in_a_window_to_whom_the_problem_was_told() -> None:
    sim = muted("hold", start="2026-03-02 11:30")
    fail(sim, "etl/a")
    sim.advance("45m")
    succeed(sim, "etl/a")
    assert told(sim) == ["11:30:00 ops open first", "12:15:00 ops recover all recovered"]


def test_digest_tells_all_of_the_window_in_one_message() -> None:
    sim = muted("digest")
    fail(sim, "etl/a", "ml/b")
    sim.advance("10m")
    fail(sim, "crm/c")
    sim.advance("5h")
    assert told(sim) == ["13:00:00 ops event digest"]
    assert subjects(sim.sent[0]) == ["crm/c", "etl/a", "ml/b"]


def test_a_digest_of_a_window_shows_what_has_recovered_meanwhile() -> None:
    sim = muted("digest")
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/b")
    sim.advance("1h")
    assert [sent.reason for sent in sim.sent] == ["digest"]
    assert {item.subject: item.recovered for item in sim.sent[0].message.items} == {"etl/a": False, "etl/b": True}


def test_what_a_digest_of_a_window_told_of_recovers_later() -> None:
    sim = muted("digest")
    fail(sim, "etl/a")
    sim.advance("2h")
    succeed(sim, "etl/a")
    assert [sent.action for sent in sim.sent] == ["event", "recover"]


def test_a_window_in_which_nothing_happened_has_no_digest() -> None:
    sim = muted("digest")
    sim.advance("3d")
    assert sim.sent == []


def test_urgent_passes_a_mute() -> None:
    sim = muted("hold", more=', urgent = "severity=critical"')
    fail(sim, "etl/a")
    fail(sim, "etl/b", severity="critical")
    assert [sent.incident for sent in sim.sent] == ["/etl/b"]


def test_windows_that_touch_or_overlap_are_one_quiet_time() -> None:
    sim = muted(
        "hold",
        windows='[windows.a]\ntimes = [["12:00", "13:00"]]\n[windows.b]\ntimes = [["12:30", "14:00"]]\n'
        '[windows.c]\ntimes = [["14:00", "15:00"]]\n',
        names='"a", "b", "c"',
    )
    fail(sim, "etl/a")
    sim.advance("1d")
    assert told(sim) == ["15:00:00 ops open first"]


def test_windows_with_a_gap_are_two_quiet_times() -> None:
    sim = muted("hold", windows='[windows.a]\ntimes = [["12:00", "13:00"], ["13:30", "14:00"]]\n', names='"a"')
    fail(sim, "etl/a")
    sim.advance("1d")
    assert told(sim) == ["13:00:00 ops open first"]


def test_a_window_may_cross_midnight() -> None:
    sim = muted("hold", windows='[windows.n]\ntimes = [["22:00", "07:00"]]\n', names='"n"', start="2026-03-02 23:00")
    fail(sim, "etl/a")
    sim.advance("7h59m")
    assert sim.sent == []
    sim.advance("1m")
    assert told(sim) == ["07:00:00 ops open first"]


def test_a_night_belongs_to_the_day_on_which_it_began() -> None:
    windows = '[windows.n]\nweekdays = ["fri"]\ntimes = [["22:00", "07:00"]]\n'
    saturday = muted("drop", windows=windows, names='"n"', start="2026-03-07 06:59")
    fail(saturday, "etl/a")
    friday = muted("drop", windows=windows, names='"n"', start="2026-03-06 06:59")
    fail(friday, "etl/a")
    assert (len(saturday.sent), len(friday.sent)) == (0, 1)


def test_the_weekend_ends_at_midnight() -> None:
    sim = muted("hold", windows='[windows.w]\nweekdays = ["sat:sun"]\n', names='"w"', start="2026-03-07 15:00")
    fail(sim, "etl/a")
    sim.advance("3d")
    assert f"{sim.sent[0].time:%a %H:%M}" == "Mon 00:00"


def test_weekdays_may_wrap() -> None:
    windows = '[windows.w]\nweekdays = ["fri:mon"]\n'
    for day, is_quiet in ((5, False), (6, True), (7, True), (8, True), (9, True), (10, False)):
        sim = muted("drop", windows=windows, names='"w"', start=f"2026-03-{day:02} 12:00")
        fail(sim, "etl/a")
        assert (sim.sent == []) is is_quiet, day


@pytest.mark.parametrize(
    ("start", "is_quiet"),
    [
        ("2026-02-26 12:00", False),
        ("2026-02-27 12:00", True),
        ("2026-02-28 12:00", True),
        ("2026-03-01 12:00", True),
        ("2026-03-02 12:00", False),
        ("2028-02-28 12:00", True),
        ("2028-02-29 12:00", True),
        ("2028-02-27 12:00", False),
        ("2026-12-31 12:00", True),
        ("2027-01-01 12:00", True),
    ],
)
def test_the_end_of_a_month_is_counted_from_its_end(start: str, *, is_quiet: bool) -> None:
    sim = muted("drop", windows='[windows.m]\ndays = ["-2:1"]\n', names='"m"', start=start)
    fail(sim, "etl/a")
    assert (sim.sent == []) is is_quiet


def test_a_day_that_a_month_does_not_have_is_not_in_it() -> None:
    windows = '[windows.m]\ndays = ["31"]\n'
    for start, is_quiet in (("2026-01-31 12:00", True), ("2026-02-28 12:00", False), ("2026-04-30 12:00", False)):
        sim = muted("drop", windows=windows, names='"m"', start=start)
        fail(sim, "etl/a")
        assert (sim.sent == []) is is_quiet, start


def test_a_range_of_negative_days_is_clamped_to_the_month() -> None:
    windows = '[windows.m]\ndays = ["-31:-27"]\n'  # of February: its first two days
    for day, is_quiet in ((1, True), (2, True), (3, False)):
        sim = muted("drop", windows=windows, names='"m"', start=f"2026-02-{day:02} 12:00")
        fail(sim, "etl/a")
        assert (sim.sent == []) is is_quiet, day


def test_months_and_years_count_too() -> None:
    windows = '[windows.m]\nmonths = ["november:january"]\nyears = ["2026"]\n'
    for start, is_quiet in (
        ("2026-12-24 12:00", True),
        ("2026-01-01 12:00", True),
        ("2026-06-01 12:00", False),
        ("2027-01-01 12:00", False),
    ):
        sim = muted("drop", windows=windows, names='"m"', start=start)
        fail(sim, "etl/a")
        assert (sim.sent == []) is is_quiet, start


BERLIN = '[defaults]\ntimezone = "Europe/Berlin"\n[windows.n]\ntimes = [["22:00", "06:00"]]\n'


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-27 22:00+01:00", "05:00"),  # an ordinary night in winter
        ("2026-03-28 22:00+01:00", "04:00"),  # clocks go forward: the night is short
        ("2026-10-24 22:00+02:00", "05:00"),  # clocks go back: the night is long
        ("2026-07-01 22:00+02:00", "04:00"),
    ],
)
def test_a_window_follows_the_clock_on_the_wall(start: str, end: str) -> None:
    sim = muted("hold", windows=BERLIN, names='"n"', start=start)
    fail(sim, "etl/a")
    sim.advance("1d")
    assert f"{sim.sent[0].time:%H:%M}" == end


def test_a_window_may_have_a_zone_of_its_own() -> None:
    windows = NOON + 'timezone = "Asia/Kolkata"\n'
    sim = muted("drop", windows=windows, start="2026-03-02 06:30")
    fail(sim, "etl/a")
    sim.advance("1h")
    fail(sim, "etl/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/b"]


def test_a_window_that_opens_while_a_group_waits_mutes_its_first_message() -> None:
    sim = simulate(
        NOON + ROUTE + 'group = { by = ["flow"], wait = "10m" }\nmute = { windows = ["noon"], then = "hold" }\n',
        start="2026-03-02 11:55",
    )
    fail(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops open first"]


def test_a_window_mutes_reminders() -> None:
    sim = simulate(
        NOON
        + ROUTE
        + 'group = { by = ["flow"], wait = "0s", repeat = "1h" }\nmute = { windows = ["noon"], then = "hold" }\n',
        start="2026-03-02 11:30",
    )
    fail(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["11:30:00 ops open first", "13:00:00 ops repeat repeat"]


def test_one_route_is_muted_and_another_is_not() -> None:
    sim = simulate(
        NOON + ROUTE + 'mute = { windows = ["noon"] }\n' + ROUTE.replace('"r"', '"s"').replace("ops", "mail")
    )
    fail(sim, "etl/a")
    assert [sent.channel for sent in sim.sent] == ["mail"]


def test_the_first_route_that_names_a_channel_is_the_one_that_counts() -> None:
    sim = simulate(NOON + ROUTE + 'mute = { windows = ["noon"] }\n' + ROUTE.replace('"r"', '"s"'))
    fail(sim, "etl/a")
    assert sim.sent == []
    assert why(sim) == [("window", "noon")]


def test_a_window_that_opens_while_a_digest_waits_puts_it_off() -> None:
    for then in ("hold", "digest"):
        sim = simulate(
            NOON + ROUTE + f'digest = {{ every = "1h" }}\nmute = {{ windows = ["noon"], then = "{then}" }}\n',
            start="2026-03-02 11:30",
        )
        fail(sim, "etl/a")
        sim.advance("3h")
        assert told(sim) == ["13:00:00 ops event digest"], then
        assert why(sim) == [("window", "noon")]


def test_a_window_that_opens_while_a_digest_waits_drops_it() -> None:
    sim = simulate(
        NOON + ROUTE + 'digest = { every = "1h" }\nmute = { windows = ["noon"] }\n', start="2026-03-02 11:30"
    )
    fail(sim, "etl/a")
    sim.advance("3h")
    assert sim.sent == []
    assert why(sim) == [("window", "noon")]


def test_what_waits_for_its_group_when_the_window_opens_is_in_the_digest_of_the_window() -> None:
    sim = simulate(
        NOON + ROUTE + 'group = { by = ["flow"], wait = "10m" }\nmute = { windows = ["noon"], then = "digest" }\n',
        start="2026-03-02 11:55",
    )
    fail(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/b")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops event digest"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b"]


def test_a_reminder_that_a_window_mutes_is_not_in_its_digest() -> None:
    sim = simulate(
        NOON
        + ROUTE
        + 'group = { by = ["flow"], wait = "0s", repeat = "1h" }\nmute = { windows = ["noon"], then = "digest" }\n',
        start="2026-03-02 11:30",
    )
    fail(sim, "etl/a")
    sim.advance("100m")
    assert [sent.reason for sent in sim.sent if sent.reason == "digest"] == []
