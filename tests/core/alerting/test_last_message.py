"""The last message of a group tells of all that the channel was told of."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told
from tocsin.routing.past import MOST_PAST
from tocsin.simulate import Simulation

GROUPED = ROUTE + 'group = { by = ["flow"], wait = "0s", interval = "1m" }\n'


def one_by_one(*tasks: str) -> Simulation:
    sim = simulate(GROUPED)
    fail(sim, *tasks)
    sim.advance("10m")
    for task in tasks:
        succeed(sim, task)
        sim.advance("10m")
    return sim


def test_the_last_message_of_a_group_names_all_that_recovered_one_by_one() -> None:
    sim = one_by_one("etl/a", "etl/b", "etl/c")
    last = sim.sent[-1]
    assert (last.action, last.reason) == ("recover", "all recovered")
    assert "Recovered: 3 problems in etl" in last.message.title
    assert [item.subject for item in last.message.items] == ["etl/c", "etl/b", "etl/a"]
    assert all(item.recovered for item in last.message.items)
    assert subjects(last) == ["etl/a", "etl/b", "etl/c"]


def test_the_last_message_of_a_group_counts_from_the_first_of_its_problems() -> None:
    sim = one_by_one("etl/a", "etl/b")
    assert "after 20 min" in sim.sent[-1].message.title


def test_what_recovered_and_failed_again_is_counted_once() -> None:
    sim = simulate(GROUPED)
    fail(sim, "etl/a", "etl/b")
    sim.advance("5m")
    succeed(sim, "etl/a")
    sim.advance("5m")
    fail(sim, "etl/a")
    sim.advance("5m")
    succeed(sim, "etl/b")
    sim.advance("5m")
    succeed(sim, "etl/a")
    assert sim.sent[-1].action == "recover"
    assert [item.subject for item in sim.sent[-1].message.items] == ["etl/a", "etl/b"]


def test_the_last_message_leaves_out_what_the_channel_was_never_told_of() -> None:
    mail = ROUTE.replace('"r"', '"m"').replace('"ops"', '"mail"')
    sim = simulate(GROUPED + 'throttle = { limit = "1/1h", per = ["flow"], over = "drop" }\n' + mail)
    fail(sim, "etl/a")
    sim.advance("2m")
    fail(sim, "etl/b")
    sim.advance("2m")
    succeed(sim, "etl/b")
    sim.advance("2m")
    succeed(sim, "etl/a")
    last = [sent for sent in sim.sent if sent.channel == "ops"][-1]
    assert last.action == "recover"
    assert subjects(last) == ["etl/a"]


def test_a_group_that_begins_anew_names_nothing_of_the_one_before() -> None:
    sim = one_by_one("etl/a", "etl/b")
    fail(sim, "etl/c")
    sim.advance("5m")
    succeed(sim, "etl/c")
    assert subjects(sim.sent[-1]) == ["etl/c"]
    assert sim.sent[-1].message.items == ()


def test_of_very_many_the_last_message_names_some_and_counts_all() -> None:
    sim = simulate(GROUPED)
    names = [f"etl/t{number}" for number in range(MOST_PAST + 20)]
    fail(sim, "etl/first", *names)
    sim.advance("2m")
    succeed(sim, *names)
    sim.advance("2m")
    succeed(sim, "etl/first")
    last = sim.sent[-1]
    assert f"Recovered: {len(names) + 1} problems" in last.message.title
    assert (len(last.message.items), last.message.items[0].subject) == (50, "etl/first")


def test_intermediate_messages_tell_only_of_what_is_new_or_open() -> None:
    sim = one_by_one("etl/a", "etl/b", "etl/c")
    assert [line.split(maxsplit=2)[2] for line in told(sim)] == [
        "open first",
        "update new",
        "update recovered",
        "update recovered",
        "recover all recovered",
    ]
    assert subjects(sim.sent[3]) == ["etl/b", "etl/c"]
