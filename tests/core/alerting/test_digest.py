"""What is collected and leaves in one message."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told

DIGEST = ROUTE + 'digest = { every = "1h", max = 5, urgent = "severity=critical" }\n'


def test_a_digest_leaves_an_hour_after_its_first_event() -> None:
    sim = simulate(DIGEST)
    sim.advance("25m")
    fail(sim, "etl/a")
    sim.advance("30m")
    fail(sim, "ml/b")
    sim.advance("3h")
    assert told(sim) == ["13:25:00 ops event digest"]
    assert subjects(sim.sent[0]) == ["etl/a", "ml/b"]


def test_the_next_digest_begins_with_the_next_event() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a")
    sim.advance("90m")
    fail(sim, "etl/b")
    sim.advance("3h")
    assert told(sim) == ["13:00:00 ops event digest", "14:30:00 ops event digest"]
    assert subjects(sim.sent[1]) == ["etl/b"]


def test_nothing_to_tell_is_no_digest() -> None:
    sim = simulate(DIGEST)
    sim.advance("3d")
    assert sim.sent == []


def test_what_is_urgent_leaves_at_once() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a")
    fail(sim, "etl/b", severity="critical")
    assert told(sim) == ["12:00:00 ops open first"]
    assert sim.sent[0].incident == "/etl/b"
    sim.advance("2h")
    assert told(sim)[1:] == ["13:00:00 ops event digest"]
    assert subjects(sim.sent[1]) == ["etl/a"]


def test_a_full_digest_leaves_early() -> None:
    sim = simulate(DIGEST)
    for i in range(5):
        fail(sim, f"etl/t{i}")
        sim.advance("1m")
    assert told(sim) == ["12:04:00 ops event digest"]
    assert len(sim.sent[0].events) == 5


def test_after_a_full_one_the_next_digest_has_an_hour_again() -> None:
    sim = simulate(DIGEST)
    fail(sim, *(f"etl/t{i}" for i in range(5)))
    sim.advance("10m")
    fail(sim, "etl/x")
    sim.advance("2h")
    assert told(sim) == ["12:00:00 ops event digest", "13:10:00 ops event digest"]


def test_the_same_incident_fills_one_place_of_a_digest() -> None:
    sim = simulate(DIGEST)
    for _ in range(10):
        fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["13:00:00 ops event digest"]
    assert len(sim.sent[0].events) == 1


def test_a_digest_shows_what_recovered_before_it_left() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/a")
    sim.advance("2h")
    assert {item.subject: item.recovered for item in sim.sent[0].message.items} == {"etl/a": True, "etl/b": False}
    assert len(sim.sent) == 1


def test_a_recovery_after_the_digest_is_told_with_the_next_one() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a")
    sim.advance("90m")
    succeed(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops event digest", "14:30:00 ops event digest"]
    assert [item.recovered for item in sim.sent[1].message.items] == [True]


def test_the_end_of_a_run_leaves_a_digest_alone() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a")
    sim.end_run()
    assert sim.sent == []
    sim.advance("1h")
    assert len(sim.sent) == 1


def test_plain_events_are_collected_each() -> None:
    sim = simulate(
        '[[routes]]\nname = "r"\nwhen = "state=Success"\nsend = ["ops"]\nmode = "event"\ndigest = { every = "1h" }\n'
    )
    succeed(sim, "etl/a", "etl/a", "etl/b")
    sim.advance("1h")
    assert told(sim) == ["13:00:00 ops event digest"]
    assert len(sim.sent[0].events) == 3


def test_each_channel_gets_the_digest() -> None:
    sim = simulate(DIGEST.replace('["ops"]', '["ops", "mail"]'))
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["13:00:00 ops event digest", "13:00:00 mail event digest"]


def test_two_routes_have_digests_of_their_own() -> None:
    sim = simulate(DIGEST + DIGEST.replace('"r"', '"s"').replace("ops", "mail").replace('"1h"', '"30m"'))
    fail(sim, "etl/a")
    sim.advance("1h")
    assert [(sent.route, sent.channel, f"{sent.time:%H:%M}") for sent in sim.sent] == [
        ("s", "mail", "12:30"),
        ("r", "ops", "13:00"),
    ]


def test_an_urgent_failure_of_what_a_digest_holds_leaves_at_once() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a", severity="low")
    sim.advance("1m")
    fail(sim, "etl/a", severity="critical")
    assert told(sim) == ["12:01:00 ops open first"]


def test_what_a_digest_and_an_urgent_message_told_of_recovers_once_on_its_channel() -> None:
    sim = simulate(DIGEST)
    fail(sim, "etl/a", severity="low")
    sim.advance("2h")
    fail(sim, "etl/a", severity="critical")
    succeed(sim, "etl/a")
    sim.advance("3h")
    assert [sent.action for sent in sim.sent].count("recover") == 1


def test_a_digest_without_an_incident_that_ends_is_told_though_recoveries_are_off() -> None:
    sim = simulate(DIGEST + "recover = false\n")
    fail(sim, "etl/a")
    sim.advance("2h")
    succeed(sim, "etl/a")
    sim.advance("2h")
    assert told(sim) == ["13:00:00 ops event digest"]
