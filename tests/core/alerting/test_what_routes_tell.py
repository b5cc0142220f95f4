"""Which events a route tells: problems and their recoveries, and others where somebody asked for them."""

from __future__ import annotations

import pytest

from support.timelines import CHANNELS, ROUTE, SLACK, fail, simulate, succeed, told, why
from tocsin.routing.compile import router_of
from tocsin.simulate import Simulation, event_of
from tocsin_hooks.events import Event

ANY_STATE = '[[routes]]\nname = "r"\nwhen = "flow=etl"\nsend = ["ops"]\n'
OWN = '[defaults]\nsend = ["ops"]\nopens = "status=firing"\nkey = ["alertname"]\n'
WINDOW = '[windows.noon]\ntimes = ["11:00-13:00"]\n'


@pytest.mark.parametrize("state", ["Success", "Running", "Pending", "Skipped", "Cached", "Cancelled"])
def test_a_route_that_says_nothing_of_states_tells_nothing_but_problems(state: str) -> None:
    sim = simulate(ANY_STATE)
    fail(sim, "etl/a", state=state)
    assert (sim.sent, sim.suppressed, sim.incidents) == ([], [], [])
    fail(sim, "etl/a")
    assert told(sim) == ["12:00:00 ops open first"]


def test_a_run_in_all_its_states_is_one_problem_and_one_recovery() -> None:
    sim = simulate(ANY_STATE)
    for state in ("Running", "Retrying", "Running", "Failed", "Running", "Success", "Running", "Success"):
        fail(sim, "etl/a", state=state)
    assert [(sent.action, sent.reason) for sent in sim.sent] == [
        ("open", "first"),
        ("update", "changed"),
        ("recover", "all recovered"),
    ]


@pytest.mark.parametrize(
    "options",
    [
        "open_after = { failures = 2 }\n",
        'throttle = { limit = "1/1h" }\n',
        'group = { by = ["task"], wait = "10m" }\n',
        f'mute = {{ windows = ["noon"], then = "drop" }}\n{WINDOW}',
        f'mute = {{ windows = ["noon"], then = "hold" }}\n{WINDOW}',
    ],
)
def test_a_problem_that_was_never_told_has_no_end_that_is_told(options: str) -> None:
    sim = simulate(ANY_STATE + options)
    fail(sim, "etl/other")
    before = len(sim.sent)
    fail(sim, "etl/a")
    sim.advance("1m")
    succeed(sim, "etl/a")
    sim.advance("5m")
    assert [sent.incident for sent in sim.sent[before:]] == []
    sim.advance("1d")
    assert "/etl/a" not in {key for sent in sim.sent for key in sent.incidents}


@pytest.mark.parametrize(
    "asks",
    [
        'when = "flow=etl and state=Success"',
        'when = "flow=etl and not is_running"',
        'when = "flow=etl and old_state=Running"',
        'when = "@done"',
        'when = "@python"',
        'when = "flow=etl"\nmode = "event"',
        "",
    ],
)
def test_who_asks_for_states_for_events_or_for_everything_gets_them(asks: str) -> None:
    filters = '[filters]\ndone = "@over and flow=etl"\nover = "is_finished"\npython = { python = "operator:truth" }\n'
    sim = simulate(f'{filters}[[routes]]\nname = "r"\n{asks}\nsend = ["ops"]\n')
    succeed(sim, "etl/a", old_state="Running")
    assert told(sim) == ["12:00:00 ops event event"]


def test_a_child_asks_for_what_its_parent_asks_for() -> None:
    child = '[[routes]]\nname = "child"\nunder = "r"\nwhen = "task=a"\nsend = ["mail"]\n'
    sim = simulate(ROUTE.replace("is_failed", "is_finished") + child)
    succeed(sim, "etl/a", "etl/b")
    assert [(sent.route, sent.action) for sent in sim.sent] == [("child", "event"), ("r", "event")]


def test_a_child_of_a_route_for_everything_asks_for_itself() -> None:
    child = '[[routes]]\nname = "child"\nunder = "all"\nwhen = "task=a"\nsend = ["mail"]\n'
    sim = simulate('[[routes]]\nname = "all"\nsend = ["ops"]\n' + child)
    succeed(sim, "etl/a", "etl/b")
    fail(sim, "etl/a")
    assert [(sent.route, sent.action) for sent in sim.sent] == [("all", "event"), ("child", "open")]


def test_a_route_that_does_not_tell_an_event_stops_it_all_the_same() -> None:
    audit = '[[routes]]\nname = "audit"\nwhen = "is_finished"\nmode = "event"\nsend = ["mail"]\n'
    sim = simulate(ANY_STATE + "stop = true\n" + audit)
    succeed(sim, "etl/a", "ml/a")
    assert [sent.incident for sent in sim.sent] == ["/ml/a"]


def test_an_explicit_nowhere_is_kept_for_every_event() -> None:
    sim = simulate(ANY_STATE.replace('["ops"]', "[]"))
    succeed(sim, "etl/a")
    assert why(sim) == [("route", "r")]


@pytest.mark.parametrize("route", ["", '[[routes]]\nname = "r"\nwhen = "cluster=x"\nsend = ["ops"]\n'])
def test_what_ended_without_ever_having_been_told_of_is_no_message(route: str) -> None:
    sim = simulate(OWN + route)
    sim.publish(alertname="DiskFull", cluster="x", status="resolved")
    assert (sim.sent, sim.suppressed) == ([], [])
    sim.publish(alertname="DiskFull", cluster="x", status="firing")
    sim.publish(alertname="DiskFull", cluster="x", status="resolved")
    sim.publish(alertname="DiskFull", cluster="x", status="resolved")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_what_recovers_while_it_is_held_for_a_source_is_no_message() -> None:
    sim = simulate(OWN + '[[inhibit]]\nname = "i"\nsource = "level=a"\ntarget = "level=b"\nhold = "15s"\n')
    sim.publish(alertname="B", level="b", status="firing")
    sim.advance("5s")
    sim.publish(alertname="B", level="b", status="resolved")
    sim.advance("1h")
    assert sim.sent == []


def test_who_asks_for_what_is_over_gets_it() -> None:
    sim = simulate(OWN + '[[routes]]\nname = "r"\nwhen = "status=resolved"\nsend = ["mail"]\n')
    sim.publish(alertname="DiskFull", status="resolved")
    assert [(sent.channel, sent.action) for sent in sim.sent] == [("mail", "event")]


def test_explain_says_why_a_route_that_matches_does_not_tell() -> None:
    sim = simulate(ANY_STATE)
    event: Event = event_of({"state": "Success", "flow": "etl"}, sim.clock)
    verdict = router_of(sim.config).explain(event)[0]
    assert (verdict.route, verdict.verdict, verdict.channels) == ("r", "no match", ())
    assert "opens no incident" in verdict.reason
    failed = router_of(sim.config).explain(event_of({"state": "Failed", "flow": "etl"}, sim.clock))[0]
    assert (failed.verdict, failed.channels) == ("acts", ("ops",))


# ---------------------------------------------------------------- silent routes, and what goes on

NARROW = """
[defaults]
send = ["slack"]
opens = "state=Failed or state=TimedOut or state=Crashed"
[[routes]]
name = "first tries"
when = "state=Retrying"
silent = true
"""


def test_a_silent_route_starts_no_message_for_what_opens_nothing() -> None:
    sim = Simulation(SLACK + NARROW)
    fail(sim, "etl/a", state="Retrying")
    assert sim.sent == []
    assert why(sim) == [("silent", "first tries")]


def test_a_retry_of_an_open_incident_updates_it_whatever_opens_one() -> None:
    sim = Simulation(SLACK + NARROW)
    fail(sim, "etl/a", run_id="1")
    fail(sim, "etl/a", run_id="2", state="Retrying")
    fail(sim, "etl/a", run_id="2")
    succeed(sim, "etl/a", run_id="3")
    assert [(sent.action, sent.reason, sent.silent) for sent in sim.sent] == [
        ("open", "first", False),
        ("update", "changed", True),
        ("update", "changed", False),
        ("recover", "all recovered", False),
    ]
    assert len({sent.message.incident for sent in sim.sent}) == 1


def test_a_retry_that_no_route_claims_is_none_of_the_incident() -> None:
    sim = Simulation(SLACK + NARROW.partition("[[routes]]")[0])
    fail(sim, "etl/a", run_id="1")
    fail(sim, "etl/a", run_id="2", state="Retrying")
    assert [sent.action for sent in sim.sent] == ["open"]
    assert sim.suppressed == []
    assert [incident.state for incident in sim.incidents] == ["Failed"]


# ---------------------------------------------------------------- digests


def test_a_digest_that_is_dropped_leaves_a_trace_of_each_time_that_something_failed() -> None:
    noon = 'mute = { windows = ["noon"], then = "drop" }\n[windows.noon]\ntimes = ["12:10-12:40"]\n'
    sim = simulate(ROUTE + 'digest = { every = "30m" }\n' + noon)
    fail(sim, "etl/a", id="e1")
    succeed(sim, "etl/a", id="e2")
    fail(sim, "etl/a", id="e3")
    succeed(sim, "etl/a", id="e4")
    sim.advance("1h")
    assert sim.sent == []
    assert {each.event for each in sim.suppressed} == {"e1", "e2", "e3", "e4"}


# ---------------------------------------------------------------- the simulation


def test_a_config_can_be_given_as_dictionaries() -> None:
    sim = Simulation(
        {
            "channels": {"ops": {"type": "inbox"}, "data ü": {"type": "inbox"}},
            "filters": {"a b": 'flow=~"x[0-9]"'},
            "defaults": {"send": ["ops"]},
            "routes": [{"name": "r", "when": '@"a b"', "send": ("data ü",), "stop": True, "template": None}],
        },
        "2026-03-02 12:00",
    )
    fail(sim, "x1/a", "y/b")
    assert told(sim) == ["12:00:00 data ü open first", "12:00:00 ops open first"]
    assert [sent.key for sent in sim.sent] == ["/x1/a", "/y/b"]
    assert sim.ack("flow=y", by="kim") == 1


def test_a_config_of_dictionaries_holds_nothing_that_no_file_could() -> None:
    with pytest.raises(TypeError, match=r"found <object"):
        Simulation({"defaults": {"send": [object()]}})
    with pytest.raises(TypeError, match="a key of a config is text, found 1"):
        Simulation({"defaults": {1: 2}})


def test_a_config_of_text_and_the_same_as_dictionaries_send_the_same() -> None:
    text = simulate('[defaults]\nsend = ["ops"]\ngroup = { by = ["flow"], wait = "10s" }\n')
    channels = {name: {"type": "inbox"} for name in ("ops", "mail", "pager", "phone")}
    group = {"by": ["flow"], "wait": "10s"}
    data = Simulation({"channels": channels, "defaults": {"send": ["ops"], "group": group}}, start="2026-03-02 12:00")
    for sim in (text, data):
        fail(sim, "etl/a", "etl/b")
        sim.advance("1m")
    assert CHANNELS.count("inbox") == len(channels)
    assert told(text) == told(data) == ["12:00:10 ops open first"]


def test_an_alert_that_knows_no_flows_is_called_by_its_labels() -> None:
    sim = simulate(OWN + 'group = { by = ["cluster"], wait = "0s", repeat = "1h" }\n')
    sim.publish(alertname="DiskFull", cluster="x", status="firing", severity="critical")
    sim.publish(alertname="Down", cluster="x", status="firing")
    sim.advance("2m")
    sim.advance("1h")
    for name in ("DiskFull", "Down"):
        sim.publish(alertname=name, cluster="x", status="resolved")
    titles = [sent.message.title for sent in sim.sent]
    assert titles[0] == "alertname=DiskFull, cluster=x, status=firing"
    assert "alertname=DiskFull, cluster=x, status=firing" in sim.sent[1].message.text
    assert all("alertname=Down" in sent.message.text + sent.message.title for sent in sim.sent[1:])
    assert not any(": :" in title or title.startswith(":") for title in titles)
