"""What alerting promises where its options meet: who is told what, once, and what is kept of the rest."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.simulate import Simulation

CHANNELS = """
[channels]
ops = { type = "inbox" }
mail = { type = "inbox" }
page = { type = "inbox" }
[windows.noon]
times = [["12:10", "12:40"]]
[escalations.up]
steps = [{ after = "5m", send = ["page"] }]
"""
FAILURES = 'when = "is_failed"\nsend = ["ops"]\n'
RETRIES = 'when = "is_retrying"\nsend = ["mail"]\n'
TOGETHER = 'group = { by = ["flow"], wait = "30s", interval = "5m" }\n'


def simulation(*routes: str) -> Simulation:
    named = [f'[[routes]]\nname = "r{number}"\n{route}' for number, route in enumerate(routes, 1)]
    return Simulation(CHANNELS + "\n".join(named))


def happen(sim: Simulation, *states: str, task: str = "load", run: str = "run1", flow: str = "etl") -> None:
    for state in states:
        sim.publish(state=state, flow=flow, task=task, run_id=run, id=f"{state} {task} {sim.now:%H:%M}")


def told(sim: Simulation, channel: str | None = None) -> list[tuple[str, str, str]]:
    """To whom, as what and why each message left, in order."""
    return [(s.channel, s.action, s.reason) for s in sim.sent if channel is None or s.channel == channel]


def rows(sim: Simulation, stage: str) -> list[tuple[str, str]]:
    return [(row.event, row.channel) for row in sim.suppressed if row.stage == stage]


def events(sim: Simulation, channel: str) -> list[Sequence[str]]:
    return [sent.events for sent in sim.sent if sent.channel == channel]


def test_an_event_reaches_only_the_channels_that_its_routes_name() -> None:
    sim = simulation(FAILURES, RETRIES)
    happen(sim, "Failed")
    happen(sim, "Retrying", run="run2")
    assert told(sim) == [("ops", "open", "first"), ("mail", "open", "first")], "ops asked for no retries"
    sim.advance("1m")
    happen(sim, "Failed", run="run2")
    assert told(sim, "ops") == [("ops", "open", "first"), ("ops", "update", "changed")]
    assert told(sim, "mail") == [("mail", "open", "first")]
    happen(sim, "Success", run="run3")
    assert [sent.channel for sent in sim.sent if sent.action == "recover"] == ["ops", "mail"]


def test_a_channel_whose_route_is_muted_hears_nothing_because_another_does() -> None:
    sim = simulation(FAILURES, f'{FAILURES.replace("ops", "mail")}mute = {{ windows = ["noon"] }}\n')
    happen(sim, "Failed")
    sim.advance("20m")
    happen(sim, "TimedOut", run="run2")
    assert told(sim, "mail") == [("mail", "open", "first")]
    assert rows(sim, "window") == [("TimedOut load 12:20", "mail")]
    assert told(sim, "ops") == [("ops", "open", "first"), ("ops", "update", "changed")]


def test_flapping_on_one_route_keeps_no_other_route_quiet() -> None:
    flap = 'flap = { changes = 3, within = "30m", calm = "10m" }\n'
    sim = simulation(FAILURES + flap, FAILURES.replace("ops", "mail"))
    for state in ("Failed", "Success", "TimedOut"):
        happen(sim, state)
        sim.advance("1m")
    assert told(sim, "ops")[-1] == ("ops", "open", "flapping")
    assert told(sim, "mail") == [
        ("mail", "open", "first"),
        ("mail", "recover", "all recovered"),
        ("mail", "open", "first"),
    ]
    happen(sim, "Success", run="run2")
    assert told(sim, "mail")[-1] == ("mail", "recover", "all recovered")
    assert told(sim, "ops")[-1] == ("ops", "open", "flapping")
    sim.advance("1h")
    assert told(sim, "ops")[-1] == ("ops", "recover", "all recovered")


def test_two_digests_that_end_with_the_same_event_are_both_sent() -> None:
    every = 'digest = { every = "30m" }\n'
    sim = simulation(FAILURES + every, 'when = "is_finished"\nmode = "event"\nsend = ["ops", "mail"]\n' + every)
    happen(sim, "Failed")
    happen(sim, "Failed", task="other")
    happen(sim, "Success", task="third")
    sim.advance("1h")
    assert sorted((s.channel, s.route) for s in sim.sent) == [("mail", "r2"), ("ops", "r1"), ("ops", "r2")]
    assert len({sent.id for sent in sim.sent}) == 3


def test_a_recovery_is_in_a_digest_once() -> None:
    sim = simulation('when = "flow=etl"\nsend = ["ops"]\ndigest = { every = "30m" }\n')
    happen(sim, "Failed", "Success")
    sim.advance("1h")
    [digest] = sim.sent
    assert digest.events == ("Success load 12:00",)
    assert digest.message.count == 1


def test_a_channel_that_asks_for_successes_gets_them_where_recoveries_are_off() -> None:
    sim = simulation(FAILURES + "recover = { notice = false }\n", 'when = "state=Success"\nsend = ["ops"]\n')
    happen(sim, "Failed", "Success")
    assert told(sim) == [("ops", "open", "first"), ("ops", "event", "event")]
    assert rows(sim, "recover") == [("Success load 12:00", "ops")]


def test_what_was_told_by_a_message_and_by_a_digest_recovers_once() -> None:
    sim = simulation(f'{FAILURES}mute = {{ windows = ["noon"], then = "digest" }}\n')
    happen(sim, "Failed")
    sim.advance("15m")
    happen(sim, "TimedOut", run="run2")
    sim.advance("30m")
    happen(sim, "Success", run="run3")
    assert told(sim) == [("ops", "open", "first"), ("ops", "event", "digest"), ("ops", "recover", "all recovered")]
    sim.advance("8h")
    assert len(sim.sent) == 3


def test_what_was_over_before_it_was_told_is_kept_with_the_event_that_was_not_told() -> None:
    sim = simulation(FAILURES + TOGETHER, RETRIES)
    happen(sim, "Failed")
    happen(sim, "Retrying", run="run2")
    happen(sim, "Success", run="run2")
    sim.advance("1h")
    assert told(sim, "ops") == []
    assert rows(sim, "dedup") == [("Failed load 12:00", "ops")]


def test_a_problem_that_was_over_and_came_back_before_its_group_spoke_is_told_as_the_new_one() -> None:
    sim = simulation(FAILURES + TOGETHER)
    happen(sim, "Failed", task="other")
    happen(sim, "Failed", "Success")
    sim.advance("10s")
    happen(sim, "TimedOut", run="run2")
    sim.advance("1m")
    assert events(sim, "ops") == [("TimedOut load 12:00", "Failed other 12:00")]
    assert rows(sim, "dedup") == [("Failed load 12:00", "ops")]


def test_a_recovery_in_a_group_is_not_lost_behind_a_silent_change() -> None:
    quiet = '[[routes]]\nname = "quiet"\nunder = "r1"\nwhen = "task=load and state=TimedOut"\nsilent = true\n'
    sim = simulation(FAILURES + TOGETHER + quiet)
    happen(sim, "Failed")
    happen(sim, "Failed", task="other")
    sim.advance("1m")
    happen(sim, "TimedOut", run="run2")
    happen(sim, "Success", task="other", run="run2")
    sim.advance("10m")
    assert [(s.action, s.reason, s.events) for s in sim.sent] == [
        ("open", "first", ("Failed other 12:00", "Failed load 12:00")),
        ("update", "recovered", ("Success other 12:01", "TimedOut load 12:01")),
    ]
    assert rows(sim, "silent") == [("TimedOut load 12:01", "ops")]


def test_what_a_silent_route_never_told_does_not_recover() -> None:
    quiet = '[[routes]]\nname = "quiet"\nunder = "r1"\nwhen = "task=load"\nsilent = true\n'
    sim = simulation(FAILURES + TOGETHER + quiet)
    happen(sim, "Failed", task="other")
    sim.advance("1m")
    happen(sim, "Failed")
    sim.advance("10m")
    happen(sim, "Success", run="run2")
    happen(sim, "Success", task="other", run="run2")
    sim.advance("1h")
    assert [(s.action, s.events) for s in sim.sent] == [
        ("open", ("Failed other 12:00",)),
        ("recover", ("Success other 12:11",)),
    ]


def test_a_new_problem_speaks_even_if_it_was_acknowledged_before_it_was_told() -> None:
    sim = simulation(FAILURES + TOGETHER)
    happen(sim, "Failed", task="other")
    sim.end_run()
    happen(sim, "Failed")
    happen(sim, "Failed", run="run2")
    sim.acknowledge("task=load")
    sim.advance("6m")
    assert told(sim)[:2] == [("ops", "open", "first"), ("ops", "update", "new")]


def test_a_channel_that_an_escalation_told_first_hears_of_what_its_own_route_sends_later() -> None:
    sim = simulation(FAILURES + 'escalate = "up"\n', 'when = "state=TimedOut"\nsend = ["page"]\n')
    happen(sim, "Failed")
    sim.advance("6m")
    happen(sim, "TimedOut", run="run2")
    assert told(sim, "page") == [("page", "open", "escalation"), ("page", "update", "changed")]
    happen(sim, "Success", run="run3")
    assert told(sim, "page")[-1] == ("page", "recover", "all recovered")


def test_what_was_cut_is_not_cut_again_by_an_acknowledgement() -> None:
    sim = simulation(FAILURES + 'throttle = { limit = "1/20m", over = "summary" }\n')
    happen(sim, "Failed")
    sim.advance("6m")
    happen(sim, "Failed", task="other")
    sim.advance("17m")
    sim.acknowledge("flow=etl")
    sim.advance("1h")
    assert [(f"{s.time:%H:%M}", s.reason) for s in sim.sent] == [
        ("12:00", "first"),
        ("12:20", "summary"),
    ]


def test_groups_may_be_named_by_text_that_no_database_takes() -> None:
    sim = simulation(FAILURES + TOGETHER)
    happen(sim, "Failed", flow="caf\udce9")
    happen(sim, "Failed", flow="caf?", task="other")
    sim.advance("1m")
    happen(sim, "Success", flow="caf\udce9", run="run2")
    assert [(s.action, s.group["flow"]) for s in sim.sent] == [
        ("open", "caf?"),
        ("open", "caf?"),
        ("recover", "caf?"),
    ]
