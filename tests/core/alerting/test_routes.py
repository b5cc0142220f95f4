"""Who is told: the tree of routes, seen from what is sent."""

from __future__ import annotations

from support.timelines import SLACK, fail, simulate, subjects, succeed, told, why


def sends(config: str, *, channels: bool = True, **labels: object) -> list[str]:
    """The routes and channels by which one failed event is told, once whatever waits has left."""
    sim = simulate(config)
    sim.publish({"state": "Failed", "flow": "etl", "task": "load", **labels})
    sim.advance("1h")
    return [f"{sent.route} {sent.channel}" if channels else sent.route for sent in sim.sent]


SIBLINGS = """
[[routes]]
name = "a"
when = "flow=etl"
send = ["ops"]
[[routes]]
name = "b"
when = "task=load"
send = ["mail"]
[[routes]]
name = "c"
when = "task=other"
send = ["pager"]
"""


def test_all_matching_siblings_act() -> None:
    assert sends(SIBLINGS) == ["a ops", "b mail"]


def test_stop_ends_the_list() -> None:
    assert sends(SIBLINGS.replace('name = "a"', 'name = "a"\nstop = true')) == ["a ops"]


def test_a_stop_that_does_not_match_ends_nothing() -> None:
    assert sends(SIBLINGS.replace('name = "a"', 'name = "a"\nstop = true'), flow="ml") == ["b mail"]


def test_send_nowhere_is_explicit_and_leaves_a_trace() -> None:
    sim = simulate('[defaults]\nsend = ["ops"]\n[[routes]]\nname = "noise"\nwhen = "flow=~smoke_.*"\nsend = []\n')
    fail(sim, "smoke_a/x", "etl/x")
    assert [(sent.route, sent.incident) for sent in sim.sent] == [("defaults", "/etl/x")]
    assert [(each.stage, each.rule, each.route) for each in sim.suppressed] == [("route", "noise", "noise")]
    assert "on purpose" in sim.suppressed[0].reason


def test_send_nowhere_without_stop_keeps_nobody_else_from_being_told() -> None:
    assert sends(SIBLINGS.replace('["ops"]', "[]")) == ["b mail"]


def test_what_no_route_claims_goes_to_the_default() -> None:
    assert sends('[defaults]\nsend = ["ops"]\n[[routes]]\nname = "r"\nwhen = "flow=other"\nsend = ["mail"]\n') == [
        "defaults ops"
    ]


def test_what_a_route_claims_does_not_go_to_the_default_too() -> None:
    assert sends('[defaults]\nsend = ["ops"]\n[[routes]]\nname = "r"\nwhen = "flow=etl"\nsend = ["mail"]\n') == [
        "r mail"
    ]


def test_a_success_without_an_incident_does_not_go_to_the_default() -> None:
    sim = simulate('[defaults]\nsend = ["ops"]\n')
    succeed(sim, "etl/a")
    assert (sim.sent, sim.suppressed) == ([], [])


def test_what_reaches_nobody_by_accident_leaves_a_trace() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = "flow=other"\nsend = ["ops"]\n')
    fail(sim, "etl/a")
    assert sim.sent == []
    assert why(sim) == [("route", "defaults")]


def test_a_route_without_send_inherits_that_of_the_defaults() -> None:
    assert sends('[defaults]\nsend = ["mail"]\n[[routes]]\nname = "r"\nwhen = "flow=etl"\n') == ["r mail"]


TREE = """
[defaults]
send = ["mail"]
[[routes]]
name = "parent"
when = "flow=etl"
send = ["ops"]
group = { by = ["flow"], wait = "0s" }
[[routes]]
name = "child"
under = "parent"
when = "task=load"
[[routes]]
name = "other"
under = "parent"
when = "task=~l.*"
send = ["pager"]
[[routes]]
name = "grandchild"
under = "child"
when = "severity=critical"
send = ["phone"]
"""


def test_a_child_that_matches_acts_in_place_of_its_parent() -> None:
    assert sends(TREE) == ["child ops", "other pager"]


def test_a_parent_without_a_matching_child_acts_itself() -> None:
    assert sends(TREE, task="x") == ["parent ops"]


def test_a_grandchild_acts_in_place_of_both() -> None:
    assert sends(TREE, severity="critical") == ["grandchild phone", "other pager"]


def test_a_child_is_not_reached_where_its_parent_does_not_match() -> None:
    assert sends(TREE, flow="ml") == ["defaults mail"]


def test_stop_in_a_child_ends_the_siblings_of_its_parent_too() -> None:
    config = TREE.replace('name = "child"', 'name = "child"\nstop = true') + (
        '[[routes]]\nname = "last"\nwhen = "is_failed"\nsend = ["mail"]\n'
    )
    assert sends(config) == ["child ops"]
    assert sends(config, task="x") == ["parent ops", "last mail"]


def test_order_in_the_file_does_not_matter_to_under() -> None:
    config = (
        '[[routes]]\nname = "child"\nunder = "parent"\nwhen = "task=load"\nsend = ["mail"]\n'
        '[[routes]]\nname = "parent"\nwhen = "flow=etl"\nsend = ["ops"]\n'
    )
    assert sends(config) == ["child mail"]


def test_a_child_inherits_the_options_of_its_parent_key_by_key() -> None:
    sim = simulate("""
[defaults]
group = { by = ["flow"], wait = "1m", interval = "5m", repeat = "1h" }
[[routes]]
name = "parent"
when = "is_failed"
send = ["ops"]
group = { wait = "2m" }
[[routes]]
name = "child"
under = "parent"
when = "severity=critical"
group = { by = ["severity"], interval = "10m" }
""")
    fail(sim, "etl/a", "ml/b", severity="critical")
    sim.advance("3m")
    fail(sim, "crm/c", severity="critical")
    sim.advance("2h")
    assert told(sim) == [
        "12:02:00 ops open first",
        "12:12:00 ops update new",
        "13:12:00 ops repeat repeat",
    ]
    assert [len(sent.events) for sent in sim.sent] == [2, 3, 3]
    assert dict(sim.sent[0].group) == {"severity": "critical"}


def test_an_explicit_list_in_a_child_switches_off_all_labels_of_its_parent() -> None:
    sim = simulate("""
[[routes]]
name = "parent"
when = "is_failed"
send = ["ops"]
group = { by = ["*"], wait = "10s" }
[[routes]]
name = "child"
under = "parent"
when = "flow=etl"
group = { by = ["flow"] }
""")
    fail(sim, "etl/a", "etl/b", "ml/a", "ml/b")
    sim.advance("1m")
    assert sorted(subjects(sent) for sent in sim.sent) == [["etl/a", "etl/b"], ["ml/a"], ["ml/b"]]


def test_a_route_can_switch_grouping_off() -> None:
    sim = simulate("""
[defaults]
group = { by = ["flow"], wait = "1m" }
[[routes]]
name = "r"
when = "is_failed"
send = ["ops"]
group = false
""")
    fail(sim, "etl/a", "etl/b")
    assert told(sim) == ["12:00:00 ops open first"] * 2


def test_mute_is_not_inherited() -> None:
    sim = simulate("""
[windows.noon]
times = [["11:00", "13:00"]]
[[routes]]
name = "parent"
when = "is_failed"
send = ["ops"]
mute = { windows = ["noon"] }
[[routes]]
name = "child"
under = "parent"
when = "severity=critical"
""")
    fail(sim, "etl/a", severity="critical")
    fail(sim, "etl/b")
    assert [(sent.route, sent.incident) for sent in sim.sent] == [("child", "/etl/a")]
    assert why(sim) == [("window", "noon")]


def test_stop_is_not_inherited() -> None:
    config = """
[[routes]]
name = "parent"
when = "flow=etl"
send = ["ops"]
stop = true
[[routes]]
name = "child"
under = "parent"
when = "task=load"
[[routes]]
name = "after"
when = "is_failed"
send = ["mail"]
"""
    assert sends(config) == ["child ops"]  # the parent matched, and it says stop


def test_an_absent_label_is_the_empty_text() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "team!=web and team=~\\"(data)?\\" and is_failed"\nsend = ["ops"]\n'
    assert sends(config) == ["r ops"]
    assert sends(config, team="data") == ["r ops"]
    assert sends(config, team="web") == []


def test_patterns_match_the_whole_value() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "flow=~et"\nsend = ["ops"]\n'
    assert sends(config) == []
    assert sends(config.replace("=~et", '=~\\"et.\\"')) == ["r ops"]


def test_a_list_of_matchers_with_commas_means_and() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "flow=etl, task=load"\nsend = ["ops"]\n'
    assert sends(config) == ["r ops"]
    assert sends(config, task="x") == []


def test_tags_are_a_set() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "tags=prod and tags!=flaky and is_failed"\nsend = ["ops"]\n'
    assert sends(config, tags=["a", "prod"]) == ["r ops"]
    assert sends(config, tags=["prod", "flaky"]) == []
    assert sends(config, tags="prod") == ["r ops"]
    assert sends(config) == []


def test_a_family_of_states_is_a_label() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "is_failed and not state=TriggerFailed"\nsend = ["ops"]\n'
    assert sends(config, state="TimedOut") == ["r ops"]
    assert sends(config, state="Crashed") == ["r ops"]
    assert sends(config, state="TriggerFailed") == []
    assert sends(config, state="Success") == []


def test_numbers_compare_with_numbers() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "attempt>=max_attempts and is_failed"\nsend = ["ops"]\n'
    assert sends(config, attempt=10, max_attempts=9) == ["r ops"]
    assert sends(config, attempt=2, max_attempts=10) == []


def test_bare_labels_without_a_state_can_be_routed() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = "service=~(foo|bar)"\nsend = ["ops"]\nmode = "event"\n')
    sim.publish({"service": "foo"})
    sim.publish({"service": "baz"})
    assert [(sent.route, sent.action) for sent in sim.sent] == [("r", "event")]


def test_labels_as_keywords_and_as_a_mapping_are_the_same() -> None:
    config = '[[routes]]\nname = "r"\nwhen = "team=data and is_failed"\nsend = ["ops"]\n'
    sim = simulate(config)
    sim.publish({"state": "Failed", "flow": "etl"}, team="data")
    sim.publish({"state": "Failed", "flow": "ml", "labels": {"team": "data"}})
    assert [sent.incident.strip("/") for sent in sim.sent] == ["etl", "ml"]


SILENT = """
[[routes]]
name = "pages"
when = "is_failed or is_retrying"
send = ["ops"]
[[routes]]
name = "tries"
under = "pages"
when = "state=Retrying"
silent = true
"""


def test_a_silent_route_never_starts_a_message() -> None:
    sim = simulate(SILENT)
    fail(sim, "etl/a", state="Retrying")
    sim.advance("10m")
    assert sim.sent == []
    assert why(sim) == [("silent", "tries")]
    succeed(sim, "etl/a")
    assert sim.sent == []


def test_a_failure_after_silent_retries_is_the_first_message() -> None:
    sim = simulate(SILENT)
    fail(sim, "etl/a", state="Retrying")
    sim.advance("1m")
    fail(sim, "etl/a")
    assert told(sim) == ["12:01:00 ops open first"]
    assert not sim.sent[0].silent


def test_a_channel_that_cannot_edit_is_not_pinged_by_a_silent_update() -> None:
    sim = simulate(SILENT)
    fail(sim, "etl/a")
    fail(sim, "etl/a", state="Retrying")
    assert [sent.action for sent in sim.sent if not sent.silent] == ["open"]


def test_a_route_under_another_tells_of_one_incident_in_the_same_thread() -> None:
    sim = simulate("""
[[routes]]
name = "all"
when = "is_failed or is_retrying"
send = ["ops"]
group = { by = ["flow"], wait = "10s" }
[[routes]]
name = "final"
under = "all"
when = "is_failed"
""")
    fail(sim, "etl/a", state="Retrying")
    sim.advance("1m")
    fail(sim, "etl/a")
    sim.advance("10m")
    succeed(sim, "etl/a")
    assert [(sent.route, sent.action, sent.reason) for sent in sim.sent] == [
        ("all", "open", "first"),
        ("final", "update", "changed"),
        ("final", "recover", "all recovered"),
    ]
    assert len({sent.message.incident for sent in sim.sent}) == 1


def test_a_channel_that_can_edit_is_updated_in_silence() -> None:
    sim = simulate(SLACK + SILENT.replace('["ops"]', '["slack"]'))
    fail(sim, "etl/a")
    fail(sim, "etl/a", state="Retrying")
    fail(sim, "etl/a")
    succeed(sim, "etl/a")
    assert [(sent.route, sent.action, sent.silent) for sent in sim.sent] == [
        ("pages", "open", False),
        ("tries", "update", True),
        ("pages", "update", False),
        ("pages", "recover", False),
    ]
