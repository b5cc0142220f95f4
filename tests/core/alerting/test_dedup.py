"""That nothing is told twice, and each message says why it was sent."""

from __future__ import annotations

from support.timelines import ROUTE, fail, simulate, subjects, succeed, told, why

ALL = ROUTE.replace("is_failed", "is_failed or is_retrying")
GROUP = ALL + 'group = { by = ["flow"], wait = "10s", interval = "2m", repeat = "4h" }\n'


def test_an_incident_by_itself_is_told_at_once() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first"]
    assert sim.sent[0].incident == "/etl/a"


def test_incidents_by_themselves_are_told_apart() -> None:
    sim = simulate()
    fail(sim, "etl/a", "etl/b")
    assert told(sim) == ["12:00:00 ops open first"] * 2
    assert [sent.incident for sent in sim.sent] == ["/etl/a", "/etl/b"]


def test_an_event_that_is_published_twice_is_one_event() -> None:
    sim = simulate()
    for _ in range(3):
        sim.publish(state="Failed", flow="etl", task="a", id="e1")
        sim.advance("1m")
    assert told(sim) == ["12:00:00 ops open first"]
    assert sim.sent[0].events == ("e1",)


def test_a_recovery_that_is_published_twice_is_told_once() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    for _ in range(2):
        sim.publish(state="Success", flow="etl", task="a", id="e2")
    assert told(sim) == ["12:00:00 ops open first", "12:00:00 ops recover all recovered"]


def test_retrying_failed_and_success_are_one_story() -> None:
    sim = simulate(ALL)
    fail(sim, "etl/a", state="Retrying", run_id="1")
    sim.advance("1m")
    fail(sim, "etl/a", run_id="1")
    sim.advance("1h")
    succeed(sim, "etl/a", run_id="2")
    assert told(sim) == [
        "12:00:00 ops open first",
        "12:01:00 ops update changed",
        "13:01:00 ops recover all recovered",
    ]
    assert len({sent.message.incident for sent in sim.sent}) == 1
    assert {sent.incident for sent in sim.sent} == {"/etl/a"}


def test_an_incident_by_itself_that_fails_again_is_told_as_that() -> None:
    sim = simulate()
    fail(sim, "etl/a", run_id="1")
    sim.advance("1d")
    fail(sim, "etl/a", run_id="2")
    assert [(sent.action, sent.reason) for sent in sim.sent] == [("open", "first"), ("update", "again")]


def test_in_a_group_a_change_of_state_is_told_with_the_interval() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", state="Retrying")
    sim.advance("1m")
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["12:00:10 ops open first", "12:02:10 ops update changed"]


def test_in_a_group_a_change_before_the_first_message_is_no_message_of_its_own() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a", state="Retrying")
    sim.advance("5s")
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["12:00:10 ops open first"]
    assert sim.sent[0].message.title.startswith("Failed")


def test_a_state_that_changes_there_and_back_within_the_interval_is_no_news() -> None:
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("30s")
    fail(sim, "etl/a", state="TimedOut")
    sim.advance("30s")
    fail(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["12:00:10 ops open first"]


def test_one_channel_is_told_of_an_event_once_though_two_routes_name_it() -> None:
    sim = simulate(ROUTE + ROUTE.replace('"r"', '"s"').replace('["ops"]', '["ops", "mail"]'))
    fail(sim, "etl/a")
    assert [(sent.route, sent.channel) for sent in sim.sent] == [("r", "ops"), ("s", "mail")]


def test_mapped_children_are_incidents_of_their_own() -> None:
    sim = simulate()
    fail(sim, "etl/a", map_index=0)
    fail(sim, "etl/a", map_index=1)
    succeed(sim, "etl/a", map_index=1)
    assert [(sent.action, sent.incident) for sent in sim.sent] == [
        ("open", "/etl/a/[0]"),
        ("open", "/etl/a/[1]"),
        ("recover", "/etl/a/[1]"),
    ]


def test_the_key_of_an_incident_is_made_of_the_labels_of_defaults() -> None:
    sim = simulate('[defaults]\nkey = ["flow", "params.country"]\n' + ROUTE)
    fail(sim, "etl/a", params={"country": "it"})
    fail(sim, "etl/b", params={"country": "it"})
    fail(sim, "etl/a", params={"country": "de"})
    assert [(sent.incident, sent.reason) for sent in sim.sent] == [
        ("etl/it", "first"),
        ("etl/it", "again"),
        ("etl/de", "first"),
    ]


def test_values_with_slashes_do_not_mix_up_incidents() -> None:
    sim = simulate()
    sim.publish(state="Failed", flow="a/b", task="c")
    sim.publish(state="Failed", flow="a", task="b/c")
    assert [sent.reason for sent in sim.sent] == ["first", "first"]


def test_the_project_tells_incidents_apart() -> None:
    sim = simulate()
    fail(sim, "etl/a", project="prod")
    fail(sim, "etl/a", project="test")
    succeed(sim, "etl/a", project="test")
    assert [(sent.action, sent.incident) for sent in sim.sent] == [
        ("open", "prod/etl/a"),
        ("open", "test/etl/a"),
        ("recover", "test/etl/a"),
    ]


def test_a_failure_that_will_be_retried_is_not_seen() -> None:
    sim = simulate()
    fail(sim, "etl/a", will_retry=True)
    assert (sim.sent, sim.suppressed, sim.incidents) == ([], [], [])


def test_many_events_at_one_instant_are_all_told() -> None:
    sim = simulate()
    fail(sim, *(f"etl/t{i}" for i in range(100)))
    assert len({sent.incident for sent in sim.sent}) == 100
    assert len({sent.id for sent in sim.sent}) == 100


def test_a_recovery_published_before_its_failure_does_not_close_it() -> None:
    sim = simulate()
    succeed(sim, "etl/a")
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first"]
    assert [incident.key for incident in sim.incidents] == ["/etl/a"]


def test_a_plain_event_is_told_by_itself() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = "state=Success"\nsend = ["ops"]\nmode = "event"\n')
    succeed(sim, "etl/a")
    succeed(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops event event"] * 2


def test_a_failure_is_a_plain_event_where_the_mode_says_so() -> None:
    sim = simulate(ROUTE + 'mode = "event"\n')
    fail(sim, "etl/a")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops event event"] * 2


def test_a_success_that_closes_an_incident_and_is_wanted_as_an_event_reaches_the_channel_once() -> None:
    sim = simulate(
        ROUTE + '[[routes]]\nname = "done"\nwhen = "state=Success"\nsend = ["ops", "mail"]\nmode = "event"\n'
    )
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert sorted(told(sim)[1:]) == ["12:00:00 mail event event", "12:00:00 ops recover all recovered"]


def test_plain_events_of_a_group_leave_in_one_message() -> None:
    sim = simulate(
        '[[routes]]\nname = "r"\nwhen = "state=Success"\nsend = ["ops"]\nmode = "event"\n'
        'group = { by = ["flow"], wait = "30s", interval = "5m" }\n'
    )
    succeed(sim, "etl/a", "etl/b")
    sim.advance("1m")
    succeed(sim, "etl/a")
    sim.advance("1h")
    assert told(sim) == ["12:00:30 ops event event", "12:05:30 ops event event"]
    assert [len(sent.events) for sent in sim.sent] == [2, 1]


def test_a_group_that_was_told_nothing_because_recoveries_are_off_begins_as_first() -> None:
    sim = simulate(GROUP + "recover = false\n")
    fail(sim, "etl/a")
    sim.advance("10m")
    succeed(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/a")
    sim.advance("10m")
    assert [(sent.action, sent.reason) for sent in sim.sent] == [("open", "first"), ("open", "first")]
    assert [stage for stage, _ in why(sim)] == ["recover"]


def test_a_member_whose_recovery_is_not_told_is_new_when_it_fails_again() -> None:
    sim = simulate(GROUP + "recover = false\n")
    fail(sim, "etl/a", "etl/b")
    sim.advance("10m")
    succeed(sim, "etl/a")
    sim.advance("10m")
    fail(sim, "etl/a")
    sim.advance("10m")
    assert [(sent.action, sent.reason) for sent in sim.sent] == [("open", "first"), ("update", "new")]
    assert subjects(sim.sent[1]) == ["etl/a", "etl/b"]


def test_what_has_no_flow_is_known_by_all_its_labels() -> None:
    sim = simulate()
    for name in ("A", "B", "A"):
        sim.publish(state="Failed", alertname=name, severity="critical")
    sim.publish(state="Success", alertname="A", severity="critical")
    assert [(sent.reason, sent.incident) for sent in sim.sent] == [
        ("first", "alertname=A/severity=critical"),
        ("first", "alertname=B/severity=critical"),
        ("again", "alertname=A/severity=critical"),
        ("all recovered", "alertname=A/severity=critical"),
    ]
