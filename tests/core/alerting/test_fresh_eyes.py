"""What somebody would try who knows other alerting tools: alerts without states, and every reasonable spelling."""

from __future__ import annotations

import datetime as dt

import pytest

from support.timelines import CHANNELS, ROUTE, fail, simulate
from tocsin.bare_labels import moment
from tocsin.simulate import Simulation
from tocsin_hooks.errors import TocsinError
from tocsin_hooks.messages import Action
from tocsin_hooks.testing import sample_event

FIRING = """
[defaults]
send = ["ops"]
opens = "status=firing"
key = ["alertname", "instance"]
"""
DEFAULT = '[defaults]\nsend = ["ops"]\n'


def test_an_alert_without_a_state_that_no_route_claims_goes_to_the_defaults() -> None:
    sim = simulate(DEFAULT + '[[routes]]\nname = "db"\nwhen = "service=db"\nsend = ["pager"]\n')
    sim.publish({"service": "db"})
    sim.publish({"service": "web"})
    sim.publish({"service": "web", "state": "Success"})
    assert [(sent.route, sent.channel) for sent in sim.sent] == [("db", "pager"), ("defaults", "ops")]


def test_an_alert_that_fires_no_longer_is_over() -> None:
    sim = simulate(FIRING)
    alert = {"alertname": "DiskFull", "instance": "a"}
    sim.publish(alert, status="firing")
    sim.publish(alert, instance="b", status="resolved")
    assert [incident.key for incident in sim.incidents] == ["DiskFull/a"]
    sim.publish(alert, status="resolved")
    assert [sent.action for sent in sim.sent if sent.incident == "DiskFull/a"] == ["open", "recover"]
    assert sim.incidents == []


def test_an_event_without_a_state_does_not_end_the_failure_of_a_task() -> None:
    sim = simulate(ROUTE)
    fail(sim, "etl/a")
    sim.publish({"flow": "etl", "task": "a"})
    assert len(sim.incidents) == 1


def test_what_was_sent_answers_to_every_reasonable_name() -> None:
    sim = simulate(ROUTE)
    fail(sim, "etl/a")
    (sent,) = sim.sent
    assert sent.incident_key == sent.incident == "/etl/a"
    assert sent.event_ids == sent.events
    assert sent.group_labels == sent.group
    assert sent.at == sent.time
    assert sent.action == "open"
    assert sent.action == Action.OPEN


def test_what_was_suppressed_answers_to_every_reasonable_name() -> None:
    sim = simulate(ROUTE)
    sim.silence("flow=etl", "1h")
    fail(sim, "etl/a")
    (kept,) = sim.suppressed
    assert (kept.time, kept.event_id) == (kept.at, kept.event)


def test_an_event_that_was_written_down_can_be_published_again() -> None:
    event = sample_event()
    sim = simulate('[[routes]]\nname = "all"\nsend = ["ops"]\n')
    sim.publish(event.to_dict())
    assert sim.sent[0].message.event.replace(sequence=None) == event.replace(sequence=None)


@pytest.mark.parametrize(
    "exception", [ValueError("no rows"), "ValueError: no rows", {"type": "ValueError", "message": "no rows"}]
)
def test_an_exception_is_given_as_itself_as_text_or_as_a_mapping(exception: object) -> None:
    sim = simulate(
        '[[routes]]\nname = "r"\nwhen = "exception=ValueError and exception.message=~no.+"\nsend = ["ops"]\n'
    )
    sim.publish(state="Failed", exception=exception)
    assert len(sim.sent) == 1


def test_a_flag_without_a_state_is_the_state_it_stands_for() -> None:
    sim = simulate(ROUTE)
    sim.publish(flow="etl", is_failed=True)
    assert [sent.action for sent in sim.sent] == ["open"]


def test_a_flag_that_the_state_contradicts_is_refused() -> None:
    sim = simulate(ROUTE)
    with pytest.raises(TocsinError, match="'is_failed' of the event cannot be false in the state 'Failed'"):
        sim.publish(state="Failed", is_failed=False)


def test_true_is_written_as_filters_write_it() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = "paged=true"\nsend = ["ops"]\n')
    sim.publish(paged=True)
    sim.publish(paged=False)
    assert len(sim.sent) == 1


def test_a_label_of_nothing_is_absent() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = \'team=""\'\nsend = ["ops"]\n')
    sim.publish(team=None, tags=None, labels={"team": None})
    assert len(sim.sent) == 1


def test_a_simulation_can_start_on_a_day() -> None:
    assert Simulation(CHANNELS, start=dt.date(2026, 3, 1)).now == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def test_a_start_that_is_no_time_is_refused_with_what_would_do() -> None:
    with pytest.raises(ValueError, match=r"17 is no moment; give a datetime, or a text such as '2026-03-01T12:00:00Z'"):
        moment(17)  # type: ignore[arg-type]
