"""Runs that did not come, and runs that do not end."""

from __future__ import annotations

import pytest

from support.timelines import fail, simulate, succeed
from tocsin.simulate import Simulation

DAILY = """
[[watch]]
name = "daily"
flow = "ledger"
kind = "missed"
cron = "30 5 * * *"
grace = "1h"
send = ["ops"]
"""
HOURLY = '[[watch]]\nname = "hourly"\nflow = "ledger"\nkind = "missed"\nevery = "1h"\ngrace = "10m"\nsend = ["ops"]\n'
ANY_SLOW = '[[watch]]\nname = "slow"\nkind = "too_long"\nsend = ["ops"]\n'
SLOW = ANY_SLOW + 'flow = "ledger"\n'


def times(sim: Simulation) -> list[str]:
    return [f"{sent.time:%d %H:%M} {sent.action}" for sent in sim.sent]


def run(sim: Simulation, run_id: str, flow: str = "ledger", state: str = "Running", **labels: object) -> None:
    sim.publish({"state": state, "flow": flow, "run_id": run_id, **labels})


def test_a_run_that_does_not_come_is_told_once_grace_has_passed() -> None:
    sim = simulate(DAILY)
    sim.advance("18h29m59s")
    assert sim.sent == []
    sim.advance("1s")
    assert times(sim) == ["03 06:30 open"]
    assert sim.sent[0].route == "watch:daily"
    assert sim.sent[0].message.title == "Missed: ledger"


def test_a_run_in_time_is_all_that_is_asked() -> None:
    sim = simulate(DAILY)
    for day in range(3):
        sim.advance_to(f"2026-03-{3 + day:02} 05:31")
        run(sim, f"r{day}")
    sim.advance("6h")
    assert sim.sent == []


def test_a_run_within_grace_is_in_time() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 06:29")
    run(sim, "r1")
    sim.advance("10h")
    assert sim.sent == []


def test_a_run_that_comes_late_ends_the_alarm() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 09:00")
    run(sim, "r1")
    assert times(sim) == ["03 06:30 open", "03 09:00 recover"]


def test_a_watch_that_goes_on_missing_tells_once() -> None:
    sim = simulate(DAILY)
    sim.advance("10d")
    assert times(sim) == ["03 06:30 open"]


def test_after_the_alarm_has_ended_the_next_miss_is_told_again() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 09:00")
    run(sim, "r1")
    sim.advance("3d")
    assert times(sim) == ["03 06:30 open", "03 09:00 recover", "04 06:30 open"]


def test_a_success_counts_as_a_run() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 05:40")
    run(sim, "r1", state="Success")
    sim.advance("6h")
    assert sim.sent == []


def test_a_run_that_fails_has_come_all_the_same() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 05:40")
    run(sim, "r1", state="Failed")
    sim.advance("6h")
    assert sim.sent == []


def test_the_run_of_another_flow_is_no_run() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 05:40")
    run(sim, "r1", flow="other")
    sim.advance("6h")
    assert times(sim) == ["03 06:30 open"]


def test_a_task_of_the_flow_is_no_run() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-03 05:40")
    sim.publish(state="Running", flow="ledger", task="post", run_id="r1")
    sim.advance("6h")
    assert times(sim) == ["03 06:30 open"]


def test_yesterdays_run_done_again_does_not_stand_for_todays() -> None:
    sim = simulate(DAILY)
    sim.advance_to("2026-03-02 20:00")
    run(sim, "r1")
    sim.advance_to("2026-03-03 07:00")
    assert times(sim) == ["03 06:30 open"]


@pytest.mark.parametrize(
    ("start", "alarm"),
    [
        ("2026-03-28 12:00", "29 04:30"),  # summer time has begun: 06:30 in Berlin is 04:30 UTC
        ("2026-03-27 12:00", "28 05:30"),
        ("2026-10-24 12:00", "25 05:30"),  # and has ended
    ],
)
def test_an_expected_time_follows_the_clock_on_the_wall(start: str, alarm: str) -> None:
    sim = simulate(DAILY + 'timezone = "Europe/Berlin"\n', start=start)
    sim.advance("1d")
    assert times(sim) == [f"{alarm} open"]


def test_an_expected_time_that_the_clock_leaves_out_is_missed_all_the_same_on_that_day() -> None:
    sim = simulate(DAILY.replace("30 5", "30 2") + 'timezone = "Europe/Berlin"\n', start="2026-03-28 12:00")
    sim.advance("20h")
    assert len(sim.sent) <= 1
    sim.advance("1d")
    assert [sent.action for sent in sim.sent] == ["open"]


def test_an_interval_is_counted_from_the_last_run() -> None:
    sim = simulate(HOURLY)
    sim.advance("30m")
    run(sim, "r1")
    sim.advance("69m")
    assert sim.sent == []
    sim.advance("1m")
    assert times(sim) == ["02 13:40 open"]


def test_a_watch_without_send_tells_the_default_channels() -> None:
    sim = simulate('[defaults]\nsend = ["mail"]\n' + DAILY.replace('send = ["ops"]\n', ""))
    sim.advance("1d")
    assert [sent.channel for sent in sim.sent] == ["mail"]


def test_a_missed_run_can_be_silenced() -> None:
    sim = simulate(DAILY)
    sim.silence("flow=ledger", "2d")
    sim.advance("1d")
    assert sim.sent == []
    assert [each.stage for each in sim.suppressed] == ["silence"]


def test_a_run_that_takes_too_long_is_told_while_it_runs() -> None:
    sim = simulate(SLOW + 'after = { fixed = "2h" }\n')
    run(sim, "r1")
    sim.advance("1h59m59s")
    assert sim.sent == []
    sim.advance("1s")
    assert times(sim) == ["02 14:00 open"]
    assert sim.sent[0].message.title == "TooLong: ledger"
    sim.advance("1d")
    assert len(sim.sent) == 1


def test_a_run_that_ends_in_time_is_not_told() -> None:
    sim = simulate(SLOW + 'after = { fixed = "2h" }\n')
    run(sim, "r1")
    sim.advance("1h")
    run(sim, "r1", state="Success")
    sim.advance("1d")
    assert sim.sent == []


@pytest.mark.parametrize("state", ["Success", "Failed", "Cancelled"])
def test_the_end_of_a_run_that_took_too_long_is_told(state: str) -> None:
    sim = simulate(SLOW + 'after = { fixed = "2h" }\n')
    run(sim, "r1")
    sim.advance("3h")
    run(sim, "r1", state=state)
    assert [sent.action for sent in sim.sent if sent.route == "watch:slow"] == ["open", "recover"]


def test_each_run_is_watched_by_itself() -> None:
    sim = simulate(SLOW + 'after = { fixed = "2h" }\n')
    run(sim, "r1")
    sim.advance("1h")
    run(sim, "r2")
    sim.advance("90m")
    run(sim, "r1", state="Success")
    sim.advance("2h")
    assert times(sim) == ["02 14:00 open", "02 14:30 recover", "02 15:00 open"]


def test_a_run_is_too_long_by_what_its_last_runs_took() -> None:
    sim = simulate(SLOW + "after = { or_times_median = 3.0, min_runs = 3 }\n")
    for i, minutes in enumerate((9, 10, 50)):
        run(sim, f"r{i}")
        sim.advance(f"{minutes}m")
        run(sim, f"r{i}", state="Success", duration=minutes * 60)
    before = sim.now
    run(sim, "r9")
    sim.advance("1h")
    assert [(sent.time - before).total_seconds() for sent in sim.sent] == [1800]


def test_before_enough_runs_only_the_fixed_limit_counts() -> None:
    sim = simulate(SLOW + 'after = { fixed = "2h", or_times_median = 3.0, min_runs = 3 }\n')
    for i in range(2):
        run(sim, f"r{i}")
        run(sim, f"r{i}", state="Success", duration=60)
    run(sim, "r9")
    sim.advance("3h")
    assert times(sim) == ["02 14:00 open"]


def test_a_watch_is_for_the_runs_that_match() -> None:
    sim = simulate(ANY_SLOW + 'when = "tags=prod"\nafter = { fixed = "2h" }\n')
    run(sim, "r1", tags=["prod"])
    run(sim, "r2", flow="other")
    sim.advance("3h")
    assert [sent.message.title for sent in sim.sent] == ["TooLong: ledger"]


def test_a_watch_and_a_failing_task_are_different_incidents() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = "is_failed"\nsend = ["ops"]\n' + DAILY)
    fail(sim, "ledger/post")
    sim.advance("1d")
    succeed(sim, "ledger/post")
    assert [sent.action for sent in sim.sent] == ["open", "open", "recover"]
    assert len(sim.incidents) == 1
