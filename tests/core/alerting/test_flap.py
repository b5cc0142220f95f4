"""What comes and goes is told once, and then not until it is calm."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, succeed, told, why
from tocsin.simulate import Simulation

FLAP = ROUTE + 'flap = { changes = 4, within = "1h", calm = "30m" }\n'


def change(sim: Simulation, times: int, every: str = "5m", task: str = "etl/a") -> None:
    for i in range(times):
        (fail, succeed)[i % 2](sim, task)
        sim.advance(every)


def test_the_change_that_makes_it_flapping_is_told_as_that() -> None:
    sim = simulate(FLAP)
    change(sim, 4)
    assert [(sent.action, sent.reason) for sent in sim.sent] == [
        ("open", "first"),
        ("recover", "all recovered"),
        ("open", "first"),
        ("update", "flapping"),
    ]


def test_while_it_flaps_nothing_is_told() -> None:
    sim = simulate(FLAP)
    change(sim, 20)
    assert len(sim.sent) == 4
    assert {stage for stage, _ in why(sim)} == {"flap"}


def test_when_it_is_calm_and_still_wrong_that_is_told() -> None:
    sim = simulate(FLAP)
    change(sim, 7)  # the last one fails, at 12:30
    sim.advance("1h")
    assert told(sim)[4:] == ["13:00:00 ops update calm"]


def test_when_it_is_calm_and_over_the_recovery_is_told() -> None:
    sim = simulate(FLAP)
    change(sim, 8)  # the last one succeeds, at 12:35
    sim.advance("1h")
    assert told(sim)[4:] == ["13:05:00 ops recover all recovered"]


def test_after_the_calm_the_next_failure_is_a_first() -> None:
    sim = simulate(FLAP)
    change(sim, 4)
    sim.advance("2h")
    fail(sim, "etl/a")
    assert [(sent.action, sent.reason) for sent in sim.sent][4:] == [("recover", "all recovered"), ("open", "first")]


def test_slow_changes_are_no_flapping() -> None:
    sim = simulate(FLAP)
    change(sim, 8, every="20m")
    assert [sent.action for sent in sim.sent] == ["open", "recover"] * 4


def test_failing_again_without_a_recovery_is_no_change() -> None:
    sim = simulate(FLAP)
    for _ in range(6):
        fail(sim, "etl/a")
        sim.advance("1m")
    assert "flapping" not in [sent.reason for sent in sim.sent]


def test_each_incident_flaps_by_itself() -> None:
    sim = simulate(FLAP)
    change(sim, 3, task="etl/a")
    change(sim, 3, task="etl/b")
    assert "flapping" not in [sent.reason for sent in sim.sent]


def test_each_change_puts_the_calm_off() -> None:
    sim = simulate(FLAP)
    change(sim, 5)
    sim.advance("20m")  # 12:45
    succeed(sim, "etl/a")
    sim.advance("29m")
    assert len(sim.sent) == 4
    sim.advance("1m")
    assert told(sim)[4:] == ["13:15:00 ops recover all recovered"]


def test_another_route_is_told_of_every_change() -> None:
    sim = simulate(FLAP + ROUTE.replace('"r"', '"s"').replace("ops", "mail"))
    change(sim, 8)
    assert [sent.action for sent in sim.sent if sent.channel == "mail"] == ["open", "recover"] * 4
    assert [sent.reason for sent in sim.sent if sent.channel == "ops"][-1] == "flapping"


def test_a_failure_can_be_the_change_that_makes_it_flapping() -> None:
    sim = simulate(FLAP.replace("changes = 4", "changes = 3"))
    change(sim, 3)
    assert [(sent.action, sent.reason) for sent in sim.sent] == [
        ("open", "first"),
        ("recover", "all recovered"),
        ("open", "flapping"),
    ]
    sim.advance("2h")
    assert [(sent.action, sent.reason) for sent in sim.sent][3:] == [("update", "calm")]


def test_in_a_group_what_flaps_leaves_the_others_alone() -> None:
    sim = simulate(FLAP + 'group = { by = ["flow"], wait = "0s", interval = "1m", repeat = false }\n')
    fail(sim, "etl/b")
    sim.advance("5m")
    change(sim, 6)
    sim.advance("2h")
    succeed(sim, "etl/b")
    assert [sent.reason for sent in sim.sent].count("flapping") == 1
    assert sim.sent[-1].action == "recover"
