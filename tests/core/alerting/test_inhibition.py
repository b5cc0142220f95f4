"""What is not told because a problem further up explains it."""

from __future__ import annotations

import pytest

from support.timelines import ROUTE, SLACK, fail, simulate, succeed, told, why
from tocsin.simulate import Simulation

PING = """
[[inhibit]]
name = "warehouse down"
source = "flow=ping"
target = "tags=warehouse and not flow=ping"
"""
EQUAL = """
[[inhibit]]
name = "same"
source = "severity=critical"
target = "severity=warning"
equal = ["cluster"]
"""


def incidents(sim: Simulation) -> list[str]:
    return [f"{sent.action} {sent.incident.strip('/')}" for sent in sim.sent]


def test_a_target_is_not_told_while_its_source_is_open() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "ping")
    sim.advance("1m")
    fail(sim, "etl/a", tags=["warehouse"])
    assert incidents(sim) == ["open ping"]
    [hidden] = sim.suppressed
    assert (hidden.stage, hidden.rule, hidden.route, hidden.channel) == ("inhibit", "warehouse down", "r", "ops")
    assert "ping" in hidden.reason


def test_a_target_is_told_when_it_comes_before_its_source() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "etl/a", tags=["warehouse"])
    fail(sim, "ping")
    assert incidents(sim) == ["open etl/a", "open ping"]


def test_what_is_no_target_is_told() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "ping")
    fail(sim, "etl/a")
    assert incidents(sim) == ["open ping", "open etl/a"]


def test_a_target_still_wrong_is_told_at_once_when_its_source_recovers() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "ping")
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("1h")
    succeed(sim, "ping")
    assert told(sim) == [
        "12:00:00 ops open first",
        "13:00:00 ops recover all recovered",
        "13:00:00 ops open first",
    ]


def test_in_a_group_a_target_still_wrong_waits_for_no_interval_when_its_source_recovers() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "30s", interval = "10m" }\n' + PING)
    fail(sim, "ping")
    sim.advance("1m")
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("1h")
    succeed(sim, "ping")
    assert incidents(sim) == ["open ping", "recover ping", "open etl/a"]
    assert sim.sent[-1].time == sim.now


def test_a_target_that_recovers_under_its_source_is_never_told() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "ping")
    fail(sim, "etl/a", tags=["warehouse"])
    succeed(sim, "etl/a", tags=["warehouse"])
    succeed(sim, "ping")
    assert incidents(sim) == ["open ping", "recover ping"]


def test_a_target_that_was_told_before_its_source_came_still_recovers() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "etl/a", tags=["warehouse"])
    fail(sim, "ping")
    succeed(sim, "etl/a", tags=["warehouse"])
    assert incidents(sim) == ["open etl/a", "open ping", "recover etl/a"]


def test_two_sources_hide_until_both_have_recovered() -> None:
    sim = simulate(ROUTE + PING.replace("flow=ping", "flow=~ping.*", 1).replace("not flow=ping", "not flow=~ping.*"))
    fail(sim, "ping1", "ping2")
    fail(sim, "etl/a", tags=["warehouse"])
    succeed(sim, "ping1")
    assert incidents(sim) == ["open ping1", "open ping2", "recover ping1"]
    succeed(sim, "ping2")
    assert incidents(sim)[3:] == ["recover ping2", "open etl/a"]


def test_equal_labels_must_have_equal_values() -> None:
    sim = simulate(ROUTE + EQUAL)
    fail(sim, "a", severity="critical", cluster="x")
    fail(sim, "b", severity="warning", cluster="x")
    fail(sim, "c", severity="warning", cluster="y")
    fail(sim, "d", severity="warning")
    assert incidents(sim) == ["open a", "open c", "open d"]


@pytest.mark.parametrize("absent", [{}, {"cluster": ""}, {"cluster": None}])
def test_a_label_that_is_absent_on_both_sides_is_equal(absent: dict[str, str]) -> None:
    sim = simulate(ROUTE + EQUAL)
    fail(sim, "a", severity="critical")
    fail(sim, "b", severity="warning", **absent)
    assert incidents(sim) == ["open a"]


def test_a_label_that_the_source_lacks_is_not_equal_to_one_that_the_target_has() -> None:
    sim = simulate(ROUTE + EQUAL)
    fail(sim, "a", severity="critical")
    fail(sim, "b", severity="warning", cluster="x")
    assert incidents(sim) == ["open a", "open b"]


def test_all_equal_labels_count() -> None:
    sim = simulate(ROUTE + EQUAL.replace('["cluster"]', '["cluster", "zone"]'))
    fail(sim, "a", severity="critical", cluster="x", zone="1")
    fail(sim, "b", severity="warning", cluster="x", zone="1")
    fail(sim, "c", severity="warning", cluster="x", zone="2")
    assert incidents(sim) == ["open a", "open c"]


BOTH = """
[[inhibit]]
name = "two-sided"
source = "severity=critical"
target = "team=data"
equal = ["cluster"]
"""


def test_what_matches_both_sides_does_not_hide_itself() -> None:
    sim = simulate(ROUTE + BOTH)
    fail(sim, "a", severity="critical", team="data")
    fail(sim, "a", severity="critical", team="data")
    assert [sent.reason for sent in sim.sent] == ["first", "again"]


def test_what_matches_both_sides_is_not_hidden_by_what_does_so_too() -> None:
    sim = simulate(ROUTE + BOTH)
    fail(sim, "a", "b", severity="critical", team="data")
    assert incidents(sim) == ["open a", "open b"]


def test_what_matches_both_sides_is_hidden_by_a_source_that_matches_one() -> None:
    sim = simulate(ROUTE + BOTH)
    fail(sim, "a", severity="critical")
    fail(sim, "b", severity="critical", team="data")
    assert incidents(sim) == ["open a"]


def test_what_matches_both_sides_hides_what_is_only_a_target() -> None:
    sim = simulate(ROUTE + BOTH)
    fail(sim, "a", severity="critical", team="data")
    fail(sim, "b", team="data")
    assert incidents(sim) == ["open a"]


def test_a_source_hides_on_all_routes() -> None:
    sim = simulate(ROUTE + ROUTE.replace('"r"', '"s"').replace("ops", "mail") + PING)
    fail(sim, "ping")
    fail(sim, "etl/a", tags=["warehouse"])
    assert incidents(sim) == ["open ping"] * 2
    assert [each.channel for each in sim.suppressed] == ["ops", "mail"]


def test_a_source_that_is_itself_told_to_nobody_hides_all_the_same() -> None:
    sim = simulate(ROUTE + '[[routes]]\nname = "none"\nwhen = "flow=ping"\nsend = []\n' + PING, start="2026-03-02")
    sim.silence("flow=ping", "1h")
    fail(sim, "ping")
    fail(sim, "etl/a", tags=["warehouse"])
    assert sim.sent == []
    assert ("inhibit", "warehouse down") in why(sim)


def test_a_source_that_is_hidden_itself_hides_others() -> None:
    sim = simulate(
        ROUTE
        + '[[inhibit]]\nname = "1"\nsource = "flow=a"\ntarget = "flow=b"\n'
        + '[[inhibit]]\nname = "2"\nsource = "flow=b"\ntarget = "flow=c"\n'
    )
    fail(sim, "a", "b", "c")
    assert incidents(sim) == ["open a"]
    assert why(sim) == [("inhibit", "1"), ("inhibit", "2")]


HOLD = PING + 'hold = "15s"\n'


def test_a_target_waits_for_a_source_that_comes_a_little_later() -> None:
    sim = simulate(ROUTE + HOLD)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("10s")
    fail(sim, "ping")
    sim.advance("1h")
    assert incidents(sim) == ["open ping"]


def test_a_target_whose_source_does_not_come_is_told_after_hold() -> None:
    sim = simulate(ROUTE + HOLD)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("14s")
    assert sim.sent == []
    sim.advance("1s")
    assert told(sim) == ["12:00:15 ops open first"]


def test_what_is_no_target_waits_for_no_hold() -> None:
    sim = simulate(ROUTE + HOLD)
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first"]


def test_a_target_that_recovers_within_hold_is_never_told() -> None:
    sim = simulate(ROUTE + HOLD)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("5s")
    succeed(sim, "etl/a", tags=["warehouse"])
    sim.advance("1h")
    assert sim.sent == []


def test_a_target_that_was_held_and_hidden_is_told_once_its_source_recovers() -> None:
    sim = simulate(ROUTE + HOLD)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("10s")
    fail(sim, "ping")
    sim.advance("1m")
    succeed(sim, "ping")
    assert incidents(sim) == ["open ping", "recover ping", "open etl/a"]
    assert told(sim)[-1] == "12:01:10 ops open first"


def test_hold_is_counted_before_the_wait_of_a_group_and_not_after_it() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "10s" }\n' + HOLD)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("1m")
    assert len(sim.sent) == 1
    assert (sim.sent[0].time - sim.sent[0].time.replace(hour=12, minute=0, second=0)).total_seconds() == 15


def test_the_end_of_a_run_ends_the_hold() -> None:
    sim = simulate(ROUTE + HOLD)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.end_run()
    assert told(sim) == ["12:00:00 ops open first"]


def test_a_source_that_comes_while_a_group_waits_hides_the_target() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "30s" }\n' + PING)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("10s")
    fail(sim, "ping")
    sim.advance("10m")
    assert incidents(sim) == ["open ping"]
    succeed(sim, "ping")
    assert incidents(sim) == ["open ping", "recover ping", "open etl/a"]


def test_no_reminder_of_what_is_hidden() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "0s", repeat = "1h" }\n' + PING)
    fail(sim, "etl/a", tags=["warehouse"])
    sim.advance("10m")
    fail(sim, "ping")
    sim.advance("55m")
    assert [sent.incident for sent in sim.sent if sent.action == "repeat"] == []


def test_a_plain_event_that_is_hidden_is_dropped() -> None:
    sim = simulate(ROUTE + 'mode = "event"\n' + PING)
    fail(sim, "ping")
    fail(sim, "etl/a", tags=["warehouse"])
    succeed(sim, "ping")
    sim.advance("1d")
    assert [sent.action for sent in sim.sent] == ["event"]


# ---------------------------------------------------------------- drawn from the task graph


def test_one_failed_task_hides_all_that_hangs_on_it_and_its_flow() -> None:
    sim = simulate()
    fail(sim, "etl/extract", run_id="1", blocks=500)
    for i in range(500):
        fail(sim, f"etl/t{i}", state="TriggerFailed", run_id="1")
    fail(sim, "etl", run_id="1")
    assert incidents(sim) == ["open etl/extract"]
    assert len(sim.suppressed) == 501
    assert {stage for stage, _ in why(sim)} == {"inhibit"}
    assert "500" in sim.sent[0].message.text


def test_what_failed_in_another_run_explains_nothing() -> None:
    sim = simulate()
    fail(sim, "etl/extract", run_id="1")
    fail(sim, "etl/load", state="TriggerFailed", run_id="2")
    assert incidents(sim) == ["open etl/extract", "open etl/load"]


def test_a_task_that_was_hidden_is_not_told_when_the_cause_recovers_in_the_next_run() -> None:
    sim = simulate()
    fail(sim, "etl/extract", run_id="1")
    fail(sim, "etl/load", state="TriggerFailed", run_id="1")
    sim.advance("1h")
    succeed(sim, "etl/extract", run_id="2")
    succeed(sim, "etl/load", run_id="2")
    assert incidents(sim) == ["open etl/extract", "recover etl/extract"]


def test_what_fails_by_itself_in_the_same_run_is_told() -> None:
    sim = simulate()
    fail(sim, "etl/extract", "etl/other", run_id="1")
    assert incidents(sim) == ["open etl/extract", "open etl/other"]


def test_the_built_in_inhibition_can_be_switched_off() -> None:
    sim = simulate(ROUTE + '[[inhibit]]\nname = "upstream"\nenabled = false\n')
    fail(sim, "etl/extract", run_id="1")
    fail(sim, "etl/load", state="TriggerFailed", run_id="1")
    assert incidents(sim) == ["open etl/extract", "open etl/load"]


def test_the_built_in_inhibition_can_be_given_a_hold() -> None:
    sim = simulate(ROUTE + '[[inhibit]]\nname = "upstream"\nhold = "15s"\n')
    fail(sim, "etl/load", state="TriggerFailed", run_id="1")
    sim.advance("1s")
    fail(sim, "etl/extract", run_id="1")
    sim.advance("1m")
    assert incidents(sim) == ["open etl/extract"]


def test_the_inhibition_of_the_notes_replaces_the_built_in_one() -> None:
    sim = simulate(
        ROUTE
        + '[[inhibit]]\nname = "upstream"\nsource = "state=Failed"\ntarget = "state=TriggerFailed"\n'
        + 'equal = ["run_id"]\nhold = "15s"\n'
    )
    fail(sim, "etl/load", state="TriggerFailed", run_id="1")
    sim.advance("10s")
    fail(sim, "etl/extract", run_id="1")
    fail(sim, "etl/x", state="TriggerFailed", run_id="2")
    sim.advance("1m")
    assert incidents(sim) == ["open etl/extract", "open etl/x"]


def test_a_channel_that_is_not_told_of_the_cause_is_told_of_what_hangs_on_it() -> None:
    sim = simulate("""
[[routes]]
name = "causes"
when = "task=extract and is_failed"
send = ["ops"]
[[routes]]
name = "loads"
when = "task=load and is_failed"
send = ["mail"]
""")
    fail(sim, "etl/extract", run_id="1")
    fail(sim, "etl/load", state="TriggerFailed", run_id="1")
    assert [(sent.channel, sent.incident) for sent in sim.sent] == [("ops", "/etl/extract"), ("mail", "/etl/load")]


def test_a_source_with_mark_says_how_many_it_hides_when_it_is_told_again() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "0s", repeat = "1h" }\n' + PING + "mark = true\n")
    fail(sim, "ping")
    sim.advance("1m")
    for i in range(14):
        fail(sim, f"etl/t{i}", tags=["warehouse"])
    sim.advance("1h")
    assert sim.sent[-1].action == "repeat"
    assert ("Hides", "14 more") in sim.sent[-1].message.fields


def test_what_would_be_told_to_two_channels_is_hidden_once() -> None:
    sim = simulate(ROUTE.replace('["ops"]', '["ops", "mail"]') + 'group = { wait = "0s", repeat = "1h" }\n' + PING)
    fail(sim, "ping")
    for _ in range(3):
        sim.advance("1m")
        fail(sim, "etl/a", "etl/b", tags=["warehouse"])
    sim.advance("1h")
    assert ("Hides", "2 more") in sim.sent[-1].message.fields


def test_a_source_with_mark_shows_what_it_hides_where_the_channel_can_edit() -> None:
    sim = simulate(SLACK + ROUTE.replace('["ops"]', '["slack", "ops"]') + PING + "mark = true\n")
    fail(sim, "ping")
    fail(sim, *(f"etl/t{i}" for i in range(5)), tags=["warehouse"])
    sim.advance("1m")
    assert [(sent.channel, sent.reason, sent.silent) for sent in sim.sent] == [
        ("slack", "first", False),
        ("ops", "first", False),
        ("slack", "hides", True),
    ]
    assert ("Hides", "5 more") in sim.sent[-1].message.fields


def test_alerts_that_know_no_flows_hide_each_other() -> None:
    sim = simulate(ROUTE + EQUAL)
    sim.publish(state="Failed", alertname="Down", severity="critical", cluster="x")
    sim.publish(state="Failed", alertname="Slow", severity="warning", cluster="x")
    sim.publish(state="Failed", alertname="Slow", severity="warning", cluster="y")
    assert [sent.message.event.labels["alertname"] for sent in sim.sent if sent.message.event] == ["Down", "Slow"]
    sim.publish(state="Success", alertname="Down", severity="critical", cluster="x")
    assert [sent.action for sent in sim.sent] == ["open", "open", "recover", "open"]


def test_an_incident_that_is_no_source_any_more_lets_what_it_hid_be_told() -> None:
    sim = simulate(ROUTE + '[[inhibit]]\nname = "i"\nsource = "severity=critical"\ntarget = "flow=etl"\n')
    fail(sim, "ping", severity="critical")
    fail(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "ping", severity="low")
    assert sorted(incidents(sim)) == ["open etl/a", "open ping", "update ping"]


def test_a_source_that_fails_again_goes_on_hiding() -> None:
    sim = simulate(ROUTE + PING)
    fail(sim, "ping")
    fail(sim, "etl/a", tags=["warehouse"])
    fail(sim, "ping")
    assert incidents(sim) == ["open ping", "update ping"]
    assert len(sim.suppressed) == 1
