"""That the end of a problem is told to whoever was told of it, and to nobody else."""

from __future__ import annotations

import pytest

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told, why

ALL = ROUTE.replace("is_failed", "is_failed or is_retrying")
BOTH = ROUTE.replace('["ops"]', '["ops", "mail"]')


def test_a_success_on_the_next_run_closes_the_incident() -> None:
    sim = simulate()
    fail(sim, "etl/a", run_id="1")
    sim.advance("1d")
    succeed(sim, "etl/a", run_id="2")
    assert [(sent.action, sent.reason) for sent in sim.sent] == [("open", "first"), ("recover", "all recovered")]
    assert sim.incidents == []


def test_a_recovery_tells_for_how_long_it_was_wrong() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    sim.advance("2h")
    succeed(sim, "etl/a")
    message = sim.sent[-1].message
    assert "2h" in f"{message.title} {message.text} {message.fields}".replace(" ", "") or "2 h" in message.text


def test_a_success_without_an_incident_is_no_recovery() -> None:
    sim = simulate()
    succeed(sim, "etl/a")
    assert sim.sent == []


def test_a_second_success_is_no_second_recovery() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    succeed(sim, "etl/a")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_the_success_of_another_task_closes_nothing() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    succeed(sim, "etl/b")
    succeed(sim, "ml/a")
    succeed(sim, "etl")
    assert [sent.action for sent in sim.sent] == ["open"]
    assert [incident.key for incident in sim.incidents] == ["/etl/a"]


@pytest.mark.parametrize("state", ["Running", "Skipped", "Mapped", "Pending", "Scheduled", "Cancelled"])
def test_what_proves_nothing_closes_nothing(state: str) -> None:
    sim = simulate()
    fail(sim, "etl/a")
    fail(sim, "etl/a", state=state)
    assert [sent.action for sent in sim.sent] == ["open"]
    assert len(sim.incidents) == 1


@pytest.mark.parametrize("state", ["Success", "Cached"])
def test_every_sort_of_success_closes(state: str) -> None:
    sim = simulate()
    fail(sim, "etl/a")
    fail(sim, "etl/a", state=state)
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_recover_false_tells_no_recovery() -> None:
    sim = simulate(ROUTE + "recover = false\n")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert [sent.action for sent in sim.sent] == ["open"]
    assert why(sim) == [("recover", "r")]
    assert sim.incidents == []


def test_after_a_recovery_that_was_not_told_the_next_failure_is_a_first() -> None:
    sim = simulate(ROUTE + "recover = false\n")
    for _ in range(3):
        fail(sim, "etl/a")
        sim.advance("1m")
        succeed(sim, "etl/a")
        sim.advance("1m")
    assert [(sent.action, sent.reason) for sent in sim.sent] == [("open", "first")] * 3


def test_one_route_tells_recoveries_and_another_does_not() -> None:
    sim = simulate(ROUTE + ROUTE.replace('"r"', '"s"').replace("ops", "mail") + "recover = { notice = false }\n")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert [(sent.channel, sent.action) for sent in sim.sent] == [("ops", "open"), ("mail", "open"), ("ops", "recover")]


@pytest.mark.parametrize(("on", "same_run", "next_run"), [('["retry"]', True, False), ('["next_run"]', False, True)])
def test_recoveries_can_be_told_after_one_sort_of_success_only(on: str, *, same_run: bool, next_run: bool) -> None:
    for run, is_told in (("1", same_run), ("2", next_run)):
        sim = simulate(ROUTE + f"recover = {{ on = {on} }}\n")
        fail(sim, "etl/a", run_id="1")
        succeed(sim, "etl/a", run_id=run)
        assert ("recover" in [sent.action for sent in sim.sent]) is is_told, run


def test_a_retry_that_succeeds_is_told_to_whoever_heard_of_the_retry() -> None:
    sim = simulate(ALL)
    fail(sim, "etl/a", state="Retrying", run_id="1")
    succeed(sim, "etl/a", run_id="1")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_a_retry_that_nobody_heard_of_recovers_unheard() -> None:
    sim = simulate()
    fail(sim, "etl/a", state="Retrying", run_id="1")
    succeed(sim, "etl/a", run_id="1")
    assert sim.sent == []


def test_only_the_channels_that_were_told_hear_of_the_recovery() -> None:
    sim = simulate(
        ROUTE.replace('send = ["ops"]', 'send = ["ops"]\nthrottle = { limit = "1/1h" }')
        + ROUTE.replace('"r"', '"s"').replace("ops", "mail")
    )
    fail(sim, "etl/a", "etl/b")
    succeed(sim, "etl/b")
    assert [(sent.channel, sent.incident) for sent in sim.sent if sent.action == "recover"] == [("mail", "/etl/b")]


def test_the_recovery_goes_to_whom_earlier_events_of_the_incident_went() -> None:
    sim = simulate("""
[[routes]]
name = "tries"
when = "is_retrying"
send = ["mail"]
[[routes]]
name = "final"
when = "is_failed"
send = ["ops"]
""")
    fail(sim, "etl/a", state="Retrying")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert sorted(sent.channel for sent in sim.sent if sent.action == "recover") == ["mail", "ops"]


def test_a_channel_told_by_two_routes_at_different_times_hears_of_one_recovery() -> None:
    sim = simulate("""
[[routes]]
name = "tries"
when = "is_retrying"
send = ["ops"]
group = { by = ["flow"], wait = "1m" }
[[routes]]
name = "final"
when = "is_failed"
send = ["ops"]
""")
    fail(sim, "etl/a", state="Retrying")
    sim.advance("5m")
    fail(sim, "etl/a")
    sim.advance("5m")
    succeed(sim, "etl/a")
    sim.advance("1h")
    assert [sent.action for sent in sim.sent].count("recover") == 1
    assert [sent.action for sent in sim.sent].count("open") == 1


def test_a_recovery_names_the_event_that_ended_it() -> None:
    sim = simulate()
    fail(sim, "etl/a", id="bad")
    succeed(sim, "etl/a", id="good")
    assert sim.sent[1].events == ("good",)
    assert sim.sent[1].incident == "/etl/a"


def test_a_recovery_of_a_group_tells_of_all_that_recovered_since_it_was_last_told() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "10s" }\n')
    fail(sim, "etl/a", "etl/b", "etl/c")
    sim.advance("1m")
    succeed(sim, "etl/a")
    sim.advance("1m")
    succeed(sim, "etl/b", "etl/c")
    assert sim.sent[-1].action == "recover"
    assert "etl/c" in subjects(sim.sent[-1])


def test_each_channel_of_a_route_hears_of_the_recovery() -> None:
    sim = simulate(BOTH)
    fail(sim, "etl/a")
    sim.advance("1h")
    succeed(sim, "etl/a")
    assert told(sim) == [
        "12:00:00 ops open first",
        "12:00:00 mail open first",
        "13:00:00 ops recover all recovered",
        "13:00:00 mail recover all recovered",
    ]


def test_an_incident_that_lasted_for_months_recovers() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], repeat = false }\n')
    fail(sim, "etl/a")
    sim.advance("400d")
    succeed(sim, "etl/a")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_a_success_from_before_the_failure_that_comes_late_ends_nothing() -> None:
    sim = simulate()
    fail(sim, "etl/a", run_id="2")
    sim.advance("10m")
    succeed(sim, "etl/a", run_id="1", time="2026-03-02 11:30")
    assert [sent.action for sent in sim.sent] == ["open"]
    succeed(sim, "etl/a", run_id="3")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_a_success_of_a_host_whose_clock_is_a_little_slow_ends_the_incident() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    succeed(sim, "etl/a", time="2026-03-02 11:59:58")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_a_retry_that_never_ended_and_a_success_in_the_next_run_are_of_two_runs() -> None:
    config = ALL + 'recover = { on = ["next_run"] }\n'
    for run, is_told in (("1", False), ("2", True)):
        sim = simulate(config)
        fail(sim, "etl/a", state="Retrying", run_id="1")
        succeed(sim, "etl/a", run_id=run)
        assert ("recover" in [sent.action for sent in sim.sent]) is is_told, run
