"""Timelines drawn from what is promised of alerting, line by line: what is sent, and when."""

from __future__ import annotations

from support.timelines import CHANNELS, ROUTE, fail, simulate, subjects, succeed, told, why
from tocsin.simulate import Simulation

GROUPED = ROUTE + 'group = { by = ["flow"], wait = "10s", interval = "2m", repeat = "1h" }\n'


def test_an_event_older_than_the_wait_is_told_at_once() -> None:
    sim = simulate(GROUPED)
    sim.publish(state="Failed", flow="etl", task="a", time="2026-03-02T11:59:00+00:00")
    assert told(sim) == ["12:00:00 ops open first"]


def test_the_first_message_waits_and_news_leave_at_whole_intervals_after_it() -> None:
    sim = simulate(GROUPED)
    fail(sim, "etl/a")
    sim.advance("11s")
    fail(sim, "etl/b")
    sim.advance("2m")
    fail(sim, "etl/c")
    sim.advance("3m")
    assert told(sim) == ["12:00:10 ops open first", "12:02:10 ops update new", "12:04:10 ops update new"]


def test_a_repeat_is_exact_and_counts_from_the_last_message_of_any_sort() -> None:
    sim = simulate(GROUPED)
    fail(sim, "etl/a")
    sim.advance("31m")
    fail(sim, "etl/b")  # told at 12:32:10
    sim.advance("61m")
    fail(sim, "etl/a")  # the same again is no news
    sim.advance("2h")
    assert told(sim) == [
        "12:00:10 ops open first",
        "12:32:10 ops update new",
        "13:32:10 ops repeat repeat",
        "14:32:10 ops repeat repeat",
    ]


def test_a_recovery_leaves_at_once_and_a_new_failure_begins_with_the_wait() -> None:
    sim = simulate(GROUPED)
    fail(sim, "etl/a")
    sim.advance("1m3s")
    succeed(sim, "etl/a")
    sim.advance("5s")
    fail(sim, "etl/a")
    sim.advance("1m")
    assert told(sim) == ["12:00:10 ops open first", "12:01:03 ops recover all recovered", "12:01:18 ops open first"]


def test_a_recovery_that_is_not_told_is_no_reason_to_tell_the_next_failure_as_known() -> None:
    sim = simulate(ROUTE + "recover = { notice = false }\n")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    sim.advance("1m")
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first", "12:01:00 ops open first"]


def test_the_first_failure_of_a_channel_that_joins_later_is_told_to_it_alone() -> None:
    second = ROUTE.replace('"r"', '"s"').replace("is_failed", "state=TimedOut").replace("ops", "mail")
    sim = simulate(ROUTE + second)
    fail(sim, "etl/a")
    sim.advance("1m")
    fail(sim, "etl/a", state="TimedOut")
    succeed(sim, "etl/a")
    assert told(sim) == [
        "12:00:00 ops open first",
        "12:01:00 ops update changed",
        "12:01:00 mail open first",
        "12:01:00 ops recover all recovered",
        "12:01:00 mail recover all recovered",
    ]


INHIBIT = """
[[inhibit]]
name = "ping"
source = "flow=ping"
target = "tags=warehouse"
equal = ["params.region"]
hold = "15s"
"""


def test_a_late_source_within_the_hold_hides_its_target_and_the_source_recovering_lets_it_speak() -> None:
    sim = simulate(ROUTE + INHIBIT)
    fail(sim, "etl/load", tags=["warehouse"], params={"region": "eu"})
    sim.advance("10s")
    fail(sim, "ping", params={"region": "eu"})
    sim.advance("10m")
    assert [subjects(sent) for sent in sim.sent] == [["ping"]]
    succeed(sim, "ping", params={"region": "eu"})
    sim.advance("1m")
    assert told(sim)[1:] == ["12:10:10 ops recover all recovered", "12:10:10 ops open first"]


def test_without_a_source_in_time_or_of_the_same_region_the_target_is_told_after_the_hold() -> None:
    sim = simulate(ROUTE + INHIBIT)
    fail(sim, "ping", params={"region": "us"})
    fail(sim, "etl/load", tags=["warehouse"], params={"region": "eu"})
    sim.advance("1m")
    assert told(sim) == ["12:00:00 ops open first", "12:00:15 ops open first"]


def test_labels_absent_on_both_sides_are_equal_and_what_matches_both_sides_mutes_itself_never() -> None:
    sim = simulate(ROUTE + INHIBIT.replace('hold = "15s"', ""))
    fail(sim, "ping", tags=["warehouse"])  # source and target
    fail(sim, "etl/load", tags=["warehouse"])
    sim.advance("1m")
    assert [subjects(sent) for sent in sim.sent] == [["ping"]]
    assert why(sim) == [("inhibit", "ping")]


def test_what_was_told_before_a_silence_recovers_in_spite_of_it() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    sim.silence("flow=etl", "2h")
    sim.advance("1h")
    succeed(sim, "etl/a")
    fail(sim, "etl/b")
    assert told(sim) == ["12:00:00 ops open first", "13:00:00 ops recover all recovered"]


def test_a_silence_until_recovered_ends_with_what_it_silences_and_not_before() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    sim.silence("flow=etl", until_recovered=True)
    for _ in range(3):
        sim.advance("1h")
        fail(sim, "etl/a")
    succeed(sim, "etl/a")
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first", "15:00:00 ops recover all recovered", "15:00:00 ops open first"]


NIGHT = ROUTE + (
    'mute = {{ windows = ["night"], then = "{then}" }}\n'
    '[windows.night]\ntimes = [["22:00", "06:00"]]\ntimezone = "Europe/Berlin"\n'
)


def test_a_window_over_midnight_is_half_open_at_both_ends() -> None:
    sim = simulate(NIGHT.format(then="drop"), start="2026-01-10 20:59")
    for minutes in ("1m", "8h", "0m"):
        fail(sim, "etl/a")
        succeed(sim, "etl/a")
        sim.advance(minutes)
    # 21:59 before, 22:00 in, 06:00 after, by the clocks of Berlin
    assert [line.split()[0] for line in told(sim) if "open" in line] == ["20:59:00", "05:00:00"]


def test_a_night_in_which_the_clocks_go_forward_ends_at_six_all_the_same() -> None:
    sim = simulate(NIGHT.format(then="hold"), start="2026-03-28 23:30")
    fail(sim, "etl/a")
    sim.advance("12h")
    assert told(sim) == ["04:00:00 ops open first"]  # 06:00 of summer time


def test_a_night_in_which_the_clocks_go_back_ends_at_six_all_the_same() -> None:
    sim = simulate(NIGHT.format(then="hold"), start="2026-10-24 23:30")
    fail(sim, "etl/a")
    sim.advance("12h")
    assert told(sim) == ["05:00:00 ops open first"]  # 06:00 of winter time


def test_what_was_muted_and_recovers_in_the_window_is_never_told() -> None:
    sim = simulate(NIGHT.format(then="hold"), start="2026-01-10 22:00")
    fail(sim, "etl/a", "etl/b")
    sim.advance("1h")
    succeed(sim, "etl/a")
    sim.advance("12h")
    assert told(sim) == ["05:00:00 ops open first"]
    assert subjects(sim.sent[0]) == ["etl/b"]


def test_a_digest_at_the_end_of_a_window_tells_what_happened_in_it_once() -> None:
    sim = simulate(NIGHT.format(then="digest"), start="2026-01-10 22:00")
    fail(sim, "etl/a")
    sim.advance("1h")
    fail(sim, "etl/b")
    sim.advance("1d")
    assert told(sim) == ["05:00:00 ops event digest"]
    assert subjects(sim.sent[0]) == ["etl/a", "etl/b"]


def test_what_flaps_is_told_as_that_once_and_again_when_it_is_calm() -> None:
    sim = simulate(ROUTE + 'flap = { changes = 4, within = "1h", calm = "30m" }\n')
    for _ in range(6):
        fail(sim, "etl/a")
        sim.advance("1m")
        succeed(sim, "etl/a")
        sim.advance("1m")
    sim.advance("2h")
    lines = told(sim)
    assert [line.split(maxsplit=2)[2] for line in lines].count("update flapping") == 1
    assert lines[:2] == ["12:00:00 ops open first", "12:01:00 ops recover all recovered"]
    assert lines[-1].endswith("recover calm") or lines[-1].endswith("recover all recovered")
    assert len(lines) <= 6


def test_a_throttle_cuts_what_people_bear_and_sums_up_the_rest_once() -> None:
    sim = simulate(ROUTE + 'throttle = { limit = "2/30m", per = ["flow"], over = "summary" }\n')
    for number in range(5):
        fail(sim, f"etl/t{number}")
        sim.advance("1m")
    sim.advance("1h")
    assert told(sim)[:2] == ["12:00:00 ops open first", "12:01:00 ops open first"]
    assert [(f"{s.time:%H:%M}", s.reason, s.message.count) for s in sim.sent[2:]] == [("12:30", "summary", 3)]


def test_two_failures_within_the_span_open_and_a_success_between_them_begins_anew() -> None:
    sim = simulate(ROUTE + 'open_after = { failures = 2, within = "6h" }\n')
    fail(sim, "etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    fail(sim, "etl/a")
    sim.advance("7h")
    fail(sim, "etl/a")
    sim.advance("1h")
    fail(sim, "etl/a")
    assert told(sim) == ["21:00:00 ops open first"]


def test_all_matching_siblings_act_a_child_beats_its_parent_and_a_channel_hears_once() -> None:
    sim = Simulation(
        CHANNELS
        + """
[[routes]]
name = "all"
when = "is_failed"
send = ["ops"]
[[routes]]
name = "night"
under = "all"
when = "tags=night"
send = ["phone"]
[[routes]]
name = "also"
when = "flow=etl"
send = ["phone", "mail"]
"""
    )
    fail(sim, "etl/a", tags=["night"])
    assert [(sent.channel, sent.route) for sent in sim.sent] == [("phone", "night"), ("mail", "also")]


def test_a_missed_run_is_told_at_the_end_of_its_grace_by_the_clock_of_its_zone() -> None:
    watch = (
        '[[watch]]\nname = "ledger"\nflow = "ledger"\nkind = "missed"\ncron = "30 5 * * *"\ngrace = "1h"\n'
        'send = ["ops"]\ntimezone = "Europe/Berlin"\n'
    )
    sim = simulate(watch, start="2026-03-28 05:00")
    sim.publish(state="Success", flow="ledger")  # 06:00 in Berlin: the run of that day
    sim.advance("2d")
    # on the 29th the clocks have gone forward: 06:30 of summer time
    assert [f"{sent.time:%d %H:%M}" for sent in sim.sent][:1] == ["29 04:30"]
    succeed(sim, "ledger")
    assert told(sim)[-1].endswith("recover all recovered")
