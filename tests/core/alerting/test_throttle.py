"""What is cut because it is too much for people."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told, why
from tocsin.simulate import Simulation


def throttled(options: str) -> Simulation:
    return simulate(ROUTE + f"throttle = {{ {options} }}\n")


def test_what_is_over_the_limit_is_cut() -> None:
    sim = throttled('limit = "3/30m"')
    fail(sim, *(f"etl/t{i}" for i in range(5)))
    assert told(sim) == ["12:00:00 ops open first"] * 3
    assert why(sim) == [("throttle", "r")] * 2


def test_a_slot_is_free_again_when_the_time_is_up() -> None:
    sim = throttled('limit = "2/30m"')
    fail(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/b")
    sim.advance("19m59s")
    fail(sim, "etl/c")
    sim.advance("1s")
    fail(sim, "etl/d")
    fail(sim, "etl/e")
    assert [(sent.incident, f"{sent.time:%H:%M}") for sent in sim.sent] == [
        ("/etl/a", "12:00"),
        ("/etl/b", "12:10"),
        ("/etl/d", "12:30"),
    ]


def test_each_value_of_per_is_counted_apart() -> None:
    sim = throttled('limit = "1/30m", per = ["flow"]')
    fail(sim, "etl/a", "etl/b", "ml/a", "ml/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/a", "/ml/a"]


def test_an_absent_label_of_per_is_a_value_like_any() -> None:
    sim = throttled('limit = "1/30m", per = ["team"]')
    fail(sim, "etl/a")
    fail(sim, "etl/b", team="")
    fail(sim, "etl/c", team="web")
    assert [sent.incident for sent in sim.sent] == ["/etl/a", "/etl/c"]


def test_each_channel_is_counted_apart() -> None:
    sim = simulate(ROUTE.replace('["ops"]', '["ops", "mail"]') + 'throttle = { limit = "1/30m" }\n')
    fail(sim, "etl/a", "etl/b")
    assert [(sent.channel, sent.incident) for sent in sim.sent] == [("ops", "/etl/a"), ("mail", "/etl/a")]


def test_a_summary_says_how_many_were_cut_once_there_is_a_slot() -> None:
    sim = throttled('limit = "1/30m", over = "summary"')
    fail(sim, *(f"etl/t{i}" for i in range(13)))
    sim.advance("2h")
    assert told(sim) == ["12:00:00 ops open first", "12:30:00 ops event summary"]
    assert sim.sent[1].message.title.startswith("12 more messages")


def test_without_summary_nothing_tells_of_what_was_cut() -> None:
    sim = throttled('limit = "1/30m"')
    fail(sim, *(f"etl/t{i}" for i in range(13)))
    sim.advance("2h")
    assert told(sim) == ["12:00:00 ops open first"]


def test_where_nothing_was_cut_there_is_no_summary() -> None:
    sim = throttled('limit = "3/30m", over = "summary"')
    fail(sim, "etl/a", "etl/b", "etl/c")
    sim.advance("2h")
    assert told(sim) == ["12:00:00 ops open first"] * 3


def test_each_value_of_per_has_its_summary() -> None:
    sim = throttled('limit = "1/30m", per = ["flow"], over = "summary"')
    fail(sim, "etl/a", "etl/b", "etl/c", "ml/a", "ml/b")
    sim.advance("2h")
    assert sorted(sent.message.title[:7] for sent in sim.sent if sent.reason == "summary") == ["1 more ", "2 more "]


def test_recoveries_are_never_cut() -> None:
    sim = throttled('limit = "2/30m"')
    fail(sim, "etl/a", "etl/b")
    succeed(sim, "etl/a", "etl/b")
    assert [sent.action for sent in sim.sent] == ["open", "open", "recover", "recover"]


def test_recoveries_take_no_slot() -> None:
    sim = throttled('limit = "2/30m"')
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    fail(sim, "etl/b", "etl/c")
    assert [(sent.action, sent.incident) for sent in sim.sent] == [
        ("open", "/etl/a"),
        ("recover", "/etl/a"),
        ("open", "/etl/b"),
    ]


def test_what_was_cut_recovers_unheard() -> None:
    sim = throttled('limit = "1/30m"')
    fail(sim, "etl/a", "etl/b")
    succeed(sim, "etl/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/a"]


def test_plain_events_are_cut_too() -> None:
    sim = simulate(ROUTE + 'mode = "event"\nthrottle = { limit = "1/30m" }\n')
    fail(sim, "etl/a", "etl/a")
    assert [sent.action for sent in sim.sent] == ["event"]
    assert why(sim) == [("throttle", "r")]


def test_a_message_of_a_group_takes_one_slot() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "10s" }\nthrottle = { limit = "1/30m" }\n')
    fail(sim, *(f"etl/t{i}" for i in range(10)))
    fail(sim, "ml/a")
    sim.advance("1m")
    assert [len(sent.events) for sent in sim.sent] == [10]


def test_what_is_silenced_takes_no_slot() -> None:
    sim = throttled('limit = "1/30m"')
    sim.silence("task=a", "1h")
    fail(sim, "etl/a", "etl/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/b"]


def test_another_route_is_not_counted() -> None:
    sim = simulate(
        ROUTE.replace("is_failed", "is_failed and flow=etl")
        + 'throttle = { limit = "1/30m" }\n'
        + ROUTE.replace('"r"', '"s"').replace("is_failed", "is_failed and flow=ml")
    )
    fail(sim, "etl/a", "etl/b", "ml/a", "ml/b")
    assert [sent.incident for sent in sim.sent] == ["/etl/a", "/ml/a", "/ml/b"]


def test_what_was_cut_in_a_group_is_not_told_when_another_member_recovers() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "10s", repeat = false }\nthrottle = { limit = "1/1h" }\n')
    fail(sim, "etl/a")
    sim.advance("1m")
    fail(sim, "ml/a", "ml/b")
    sim.advance("5h")
    succeed(sim, "ml/a")
    succeed(sim, "ml/b", "etl/a")
    assert [(sent.action, subjects(sent)) for sent in sim.sent] == [("open", ["etl/a"]), ("recover", ["etl/a"])]


def test_what_was_cut_is_told_when_it_fails_again_and_there_is_a_slot() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "10s" }\nthrottle = { limit = "1/1h" }\n')
    fail(sim, "etl/a", "ml/a")
    sim.advance("2h")
    fail(sim, "ml/a")
    sim.advance("10m")
    assert [subjects(sent) for sent in sim.sent] == [["etl/a"], ["ml/a"]]


def test_each_message_that_is_cut_leaves_one_trace() -> None:
    sim = simulate(ROUTE + 'group = { by = ["flow"], wait = "10s" }\nthrottle = { limit = "1/1h" }\n')
    fail(sim, "etl/a", "ml/a")
    sim.advance("5m")
    fail(sim, "ml/b")
    sim.advance("3h")
    assert [(each.stage, each.event) for each in sim.suppressed] == [
        ("throttle", "00000000-0000-4000-8000-000000000002"),
        ("throttle", "00000000-0000-4000-8000-000000000003"),
    ]
