"""Whom an escalation tells, and what ends it."""

from __future__ import annotations

import pytest

from support.timelines import ROUTE, START, fail, simulate, subjects, succeed, told, why
from tocsin.simulate import Simulation
from tocsin_hooks.errors import TocsinError

STEPS = """
[escalations.oncall]
steps = [
  { after = "0m",  send = ["pager"] },
  { after = "15m", send = ["phone"], if = "not acked" },
  { after = "45m", send = ["pager", "phone"], if = "not acked", say = "still nobody" },
]
"""


def oncall(more: str = "", *, route: str = "", steps: str = STEPS, head: str = "", start: str = START) -> Simulation:
    return simulate(head + ROUTE + 'escalate = "oncall"\n' + route + steps + more, start=start)


def test_steps_are_counted_from_the_first_message() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "30s" }\n')
    fail(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == [
        "12:00:30 ops open first",
        "12:00:30 pager open escalation",
        "12:15:30 phone open escalation",
        "12:45:30 pager repeat escalation",
        "12:45:30 phone repeat escalation",
    ]


def test_a_step_says_its_words() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("2h")
    message = sim.sent[-1].message
    assert "still nobody" in f"{message.title} {message.text} {message.fields}"
    assert "still nobody" not in f"{sim.sent[1].message}"


def test_an_acknowledgement_stops_the_steps_for_what_nobody_took_on() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("10m")
    assert sim.acknowledge("/etl/a", by="kim") == 1
    sim.advance("1d")
    assert [line for line in told(sim) if "phone" in line] == []
    assert {stage for stage, _ in why(sim)} <= {"escalation"}


def test_an_incident_can_be_acknowledged_by_a_filter() -> None:
    sim = oncall()
    fail(sim, "etl/a", "ml/b")
    assert sim.acknowledge("flow=etl") == 1
    sim.advance("20m")
    assert [subjects(sent) for sent in sim.sent if sent.channel == "phone"] == [["ml/b"]]


def test_what_is_not_open_cannot_be_acknowledged() -> None:
    sim = oncall()
    with pytest.raises(TocsinError, match="none is open"):
        sim.acknowledge("/etl/a")


def test_a_recovery_ends_the_escalation_and_is_told_to_all_that_it_told() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("20m")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert told(sim) == [
        "12:00:00 ops open first",
        "12:00:00 pager open escalation",
        "12:15:00 phone open escalation",
        "12:20:00 ops recover all recovered",
        "12:20:00 pager recover all recovered",
        "12:20:00 phone recover all recovered",
    ]


def test_a_recovery_before_the_second_step_keeps_it_from_being_told() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("14m59s")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert "phone" not in {sent.channel for sent in sim.sent}


def test_after_a_recovery_the_next_failure_begins_with_the_first_step() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("20m")
    succeed(sim, "etl/a")
    sim.advance("1h")
    fail(sim, "etl/a")
    sim.advance("16m")
    assert told(sim)[6:] == [
        "13:20:00 ops open first",
        "13:20:00 pager open escalation",
        "13:35:00 phone open escalation",
    ]


def test_what_recovers_before_the_first_message_is_not_escalated() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "30s" }\n')
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []


def test_a_failure_again_does_not_begin_the_steps_anew() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/a")
    sim.advance("6m")
    assert told(sim, channel="pager") == ["12:00:00 pager open escalation"]
    assert told(sim, channel="phone") == ["12:15:00 phone open escalation"]


def test_a_step_for_the_acknowledged_is_taken_after_an_acknowledgement_only() -> None:
    steps = '[escalations.oncall]\nsteps = [{ after = "10m", send = ["mail"], if = "acked" }]\n'
    for acknowledged in (True, False):
        sim = oncall(steps=steps)
        fail(sim, "etl/a")
        if acknowledged:
            sim.acknowledge("/etl/a")
        sim.advance("1h")
        assert ("mail" in {sent.channel for sent in sim.sent}) is acknowledged


def test_rounds_are_repeated_as_often_as_asked() -> None:
    steps = '[escalations.oncall]\nsteps = [{ after = "5m", send = ["pager"] }]\nrepeat = { every = "1h", times = 3 }\n'
    sim = oncall(steps=steps)
    fail(sim, "etl/a")
    sim.advance("1d")
    assert [f"{sent.time:%H:%M}" for sent in sim.sent if sent.channel == "pager"] == [
        "12:05",
        "13:05",
        "14:05",
        "15:05",
    ]


def test_an_acknowledgement_ends_the_rounds() -> None:
    steps = '[escalations.oncall]\nsteps = [{ after = "5m", send = ["pager"] }]\nrepeat = { every = "1h", times = 3 }\n'
    sim = oncall(steps=steps)
    fail(sim, "etl/a")
    sim.advance("70m")
    sim.acknowledge("/etl/a")
    sim.advance("1d")
    assert len(told(sim, channel="pager")) == 2


def test_an_acknowledged_incident_that_is_still_open_speaks_again() -> None:
    sim = oncall('ack_lasts = "8h"\n')
    fail(sim, "etl/a")
    sim.advance("5m")
    sim.acknowledge("/etl/a")
    sim.advance("8h")
    assert told(sim, channel="pager") == ["12:00:00 pager open escalation", "20:05:00 pager repeat escalation"]
    sim.advance("15m")
    assert told(sim, channel="phone") == ["20:20:00 phone open escalation"]


def test_an_acknowledged_incident_that_recovered_does_not_speak_again() -> None:
    sim = oncall('ack_lasts = "8h"\n')
    fail(sim, "etl/a")
    sim.acknowledge("/etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert [sent.action for sent in sim.sent if sent.channel == "pager"] == ["open", "recover"]


def test_a_new_incident_is_not_acknowledged_by_what_was_said_of_the_last_one() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.acknowledge("/etl/a")
    succeed(sim, "etl/a")
    fail(sim, "etl/a")
    sim.advance("16m")
    assert len(told(sim, channel="phone")) == 1


def test_a_member_that_joins_after_the_acknowledgement_goes_on_with_the_steps() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "0s", interval = "1m" }\n')
    fail(sim, "etl/a")
    sim.advance("5m")
    sim.acknowledge("/etl/a")
    sim.advance("2m")
    fail(sim, "etl/b")
    sim.advance("20m")
    assert "12:15:00 phone open escalation" in told(sim)


def test_an_acknowledged_incident_is_not_reminded_of() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "0s", repeat = "1h" }\n')
    fail(sim, "etl/a")
    sim.advance("30m")
    sim.acknowledge("/etl/a")
    sim.advance("1d")
    assert told(sim) == ["12:00:00 ops open first"]
    succeed(sim, "etl/a")
    assert sim.sent[-1].action == "recover"


def test_what_nobody_acknowledged_in_a_group_is_reminded_of() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "0s", repeat = "1h" }\n')
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    sim.acknowledge("/etl/a")
    sim.advance("1h")
    assert sim.sent[-1].action == "repeat"


OFFICE = '[windows.office]\nweekdays = ["mon:fri"]\ntimes = [["08:00", "18:00"]]\n'
OUTSIDE = 'outside = { window = "office", send = ["mail"] }\n'


def test_outside_its_window_an_escalation_tells_others() -> None:
    sim = oncall(OUTSIDE, head=OFFICE, start="2026-03-02 17:50")
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == [
        "17:50:00 ops open first",
        "17:50:00 pager open escalation",
        "18:05:00 mail open escalation",
        "18:35:00 mail repeat escalation",
    ]


def test_whether_it_is_outside_is_asked_at_each_step() -> None:
    sim = oncall(OUTSIDE, head=OFFICE, start="2026-03-02 07:50")
    fail(sim, "etl/a")
    sim.advance("20m")
    assert told(sim) == [
        "07:50:00 ops open first",
        "07:50:00 mail open escalation",
        "08:05:00 phone open escalation",
    ]


def test_a_channel_of_the_route_that_a_step_names_is_told_again() -> None:
    steps = '[escalations.oncall]\nsteps = [{ after = "10m", send = ["ops"] }]\n'
    sim = oncall(steps=steps)
    fail(sim, "etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    assert told(sim) == [
        "12:00:00 ops open first",
        "12:10:00 ops repeat escalation",
        "13:00:00 ops recover all recovered",
    ]


def test_news_of_the_group_are_not_told_to_whom_only_a_step_told() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "0s", interval = "1m" }\n')
    fail(sim, "etl/a")
    sim.advance("5m")
    fail(sim, "etl/b")
    sim.advance("5m")
    assert told(sim, channel="pager") == ["12:00:00 pager open escalation"]


def test_a_group_is_escalated_once_for_all_its_members() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "10s" }\n')
    fail(sim, "etl/a", "etl/b", "etl/c")
    sim.advance("20m")
    assert [subjects(sent) for sent in sim.sent if sent.channel == "phone"] == [["etl/a", "etl/b", "etl/c"]]


def test_a_silent_first_message_that_is_not_sent_begins_no_escalation() -> None:
    sim = oncall(route='throttle = { limit = "1/1h" }\n')
    fail(sim, "etl/a", "etl/b")
    sim.advance("20m")
    assert [subjects(sent) for sent in sim.sent if sent.channel == "phone"] == [["etl/a"]]


def test_a_clock_that_jumps_over_several_steps_tells_each_channel_once() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.clock.advance(3600)
    sim.advance("0s")
    assert sorted(told(sim)[2:]) == ["13:00:00 pager repeat escalation", "13:00:00 phone open escalation"]


def test_two_routes_may_escalate_one_incident_each_in_its_way() -> None:
    sim = simulate(
        ROUTE
        + 'escalate = "e"\n'
        + ROUTE.replace('"r"', '"s"').replace("ops", "mail")
        + 'escalate = "f"\n[escalations.e]\nsteps = [{ after = "5m", send = ["pager"] }]\n'
        + '[escalations.f]\nsteps = [{ after = "6m", send = ["phone"] }]\n'
    )
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim)[2:] == ["12:05:00 pager open escalation", "12:06:00 phone open escalation"]
    succeed(sim, "etl/a")
    assert [sent.channel for sent in sim.sent if sent.action == "recover"] == ["ops", "mail", "pager", "phone"]


def test_neither_reminders_nor_a_failure_again_begin_an_escalation_that_has_ended() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "0s", repeat = "2h" }\n')
    fail(sim, "etl/a")
    sim.advance("5h")
    fail(sim, "etl/a", state="TimedOut")
    sim.advance("5h")
    assert [line for line in told(sim) if "escalation" in line and not line.startswith("12:")] == []


def test_a_new_member_begins_an_escalation_that_has_ended() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "0s", interval = "1m", repeat = false }\n')
    fail(sim, "etl/a")
    sim.advance("5h")
    fail(sim, "etl/b")
    sim.advance("17m")
    assert told(sim)[-3:] == [
        "17:01:00 ops update new",
        "17:01:00 pager repeat escalation",
        "17:16:00 phone repeat escalation",
    ]


def test_an_escalation_that_a_silence_held_up_goes_on_when_the_silence_is_ended() -> None:
    sim = oncall()
    fail(sim, "etl/a")
    sim.advance("10m")
    silence = sim.silence("flow=etl", "8h")
    sim.advance("10m")
    assert "phone" not in {sent.channel for sent in sim.sent}
    sim.expire(silence)
    assert told(sim)[-1] == "12:20:00 phone open escalation"
    assert [(each.stage, each.rule) for each in sim.suppressed] == [("silence", silence)]


def test_a_silence_of_one_member_does_not_hold_up_the_escalation_of_its_group() -> None:
    sim = oncall(route='group = { by = ["flow"], wait = "0s", interval = "1m" }\n')
    fail(sim, "etl/a", "etl/b")
    sim.advance("2m")
    sim.silence("task=a", "8h")
    sim.advance("20m")
    assert "12:15:00 phone open escalation" in told(sim)


def test_the_same_failure_of_an_acknowledged_incident_is_no_news() -> None:
    sim = simulate()
    fail(sim, "etl/a", run_id="1")
    sim.acknowledge("/etl/a", by="kim")
    fail(sim, "etl/a", run_id="2")
    assert [sent.reason for sent in sim.sent] == ["first"]
    assert [(each.stage, each.reason) for each in sim.suppressed] == [
        ("dedup", "it was told already, and acknowledged by kim")
    ]
    fail(sim, "etl/a", state="TimedOut", run_id="3")
    assert [sent.reason for sent in sim.sent] == ["first", "changed"]
