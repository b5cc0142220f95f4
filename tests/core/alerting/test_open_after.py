"""What is told from the second failure on."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, succeed, told, why

TWICE = ROUTE + 'open_after = { failures = 2, within = "6h" }\n'
ALL = TWICE.replace("is_failed", "is_failed or is_retrying")


def test_the_first_failure_is_no_alert_and_leaves_a_trace() -> None:
    sim = simulate(TWICE)
    fail(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []
    assert why(sim) == [("open_after", "r")]
    assert sim.suppressed[0].reason == "failure 1 of 2 within 6h"


def test_the_second_failure_is_told_as_the_first_message() -> None:
    sim = simulate(TWICE)
    fail(sim, "etl/a", run_id="1")
    sim.advance("1h")
    fail(sim, "etl/a", run_id="2")
    assert told(sim) == ["13:00:00 ops open first"]


def test_a_failure_that_recovers_before_the_second_is_told_to_nobody() -> None:
    sim = simulate(TWICE)
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    sim.advance("1d")
    assert sim.sent == []


def test_a_recovery_begins_the_count_anew() -> None:
    sim = simulate(TWICE)
    for _ in range(4):
        fail(sim, "etl/a")
        succeed(sim, "etl/a")
    assert sim.sent == []


def test_failures_too_far_apart_do_not_count_together() -> None:
    sim = simulate(TWICE)
    for _ in range(3):
        fail(sim, "etl/a")
        sim.advance("7h")
    assert sim.sent == []
    fail(sim, "etl/a")
    sim.advance("5h59m")
    fail(sim, "etl/a")
    assert len(sim.sent) == 1


def test_without_within_failures_count_however_far_apart() -> None:
    sim = simulate(ROUTE + "open_after = { failures = 3 }\n")
    for _ in range(3):
        assert sim.sent == []
        fail(sim, "etl/a")
        sim.advance("20d")
    assert len(sim.sent) == 1


def test_once_told_every_further_failure_is_told() -> None:
    sim = simulate(TWICE)
    for _ in range(3):
        fail(sim, "etl/a")
        sim.advance("1h")
    assert [(sent.action, sent.reason) for sent in sim.sent] == [("open", "first"), ("update", "again")]


def test_each_incident_is_counted_by_itself() -> None:
    sim = simulate(TWICE)
    fail(sim, "etl/a", "etl/b", "etl/c")
    assert sim.sent == []


def test_a_retry_is_no_failure_yet() -> None:
    sim = simulate(ALL)
    fail(sim, "etl/a", state="Retrying")
    fail(sim, "etl/a", state="Retrying")
    fail(sim, "etl/a")
    assert sim.sent == []


def test_what_was_told_after_its_second_failure_recovers() -> None:
    sim = simulate(TWICE)
    fail(sim, "etl/a")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_one_route_waits_for_the_second_failure_and_another_does_not() -> None:
    sim = simulate(TWICE + ROUTE.replace('"r"', '"s"').replace("ops", "mail"))
    fail(sim, "etl/a")
    assert [sent.channel for sent in sim.sent] == ["mail"]
    fail(sim, "etl/a")
    assert sorted(sent.channel for sent in sim.sent[1:]) == ["mail", "ops"]


def test_two_channels_of_one_route_count_each_failure_once() -> None:
    sim = simulate(TWICE.replace('["ops"]', '["ops", "mail"]'))
    fail(sim, "etl/a")
    assert sim.sent == []
    fail(sim, "etl/a")
    assert [sent.channel for sent in sim.sent] == ["ops", "mail"]


def test_a_failure_in_a_silence_counts_no_less() -> None:
    sim = simulate(TWICE)
    silence = sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.expire(silence)
    fail(sim, "etl/a")
    assert len(sim.sent) == 1


def test_two_failures_in_a_silence_are_told_when_it_ends() -> None:
    sim = simulate(TWICE)
    sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops open first"]


def test_one_failure_in_a_silence_is_not_counted_again_when_it_ends() -> None:
    sim = simulate(TWICE)
    sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    sim.advance("2h")
    assert sim.sent == []
