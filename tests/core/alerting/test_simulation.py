"""What the simulation itself promises: to take whatever is given, and to do the same every time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.timelines import CHANNELS, ROUTE, fail, simulate, succeed, told
from tocsin.settings import ConfigError
from tocsin.simulate import Simulation, event_of
from tocsin_hooks.errors import TocsinError
from tocsin_hooks.testing import sample_event

GROUP = ROUTE + 'group = { by = ["flow"], wait = "30s", interval = "5m", repeat = "1h" }\n'


def test_a_config_is_given_as_text_as_path_or_as_config(tmp_path: Path) -> None:
    path = tmp_path / "tocsin.toml"
    path.write_text(CHANNELS + ROUTE)
    text = Simulation(CHANNELS + ROUTE)
    for sim in (text, Simulation(path), Simulation(str(path)), Simulation(text.config)):
        fail(sim, "etl/a")
        assert [sent.channel for sent in sim.sent] == ["ops"]


def test_a_config_that_is_wrong_is_refused_with_all_that_is_wrong() -> None:
    with pytest.raises(ConfigError) as refused:
        Simulation(CHANNELS + '[[routes]]\nname = "r"\nwhen = "state="\nsend = ["opps"]\ngroup = { wait = 10 }\n')
    text = str(refused.value)
    assert len(refused.value.problems) == 3
    assert "did you mean 'ops'?" in text
    assert "tocsin.toml:" in text


def test_the_start_is_a_text_or_a_time() -> None:
    at = datetime(2026, 3, 2, 12, tzinfo=UTC)
    for start in (at, "2026-03-02T12:00:00Z", "2026-03-02 13:00+01:00", "2026-03-02 12:00"):
        assert Simulation(CHANNELS, start=start).now == at


@pytest.mark.parametrize("span", ["10m", "600s", timedelta(minutes=10), 600, 600.0])
def test_time_is_moved_by_a_text_a_span_or_seconds(span: timedelta | str | float) -> None:
    sim = simulate()
    sim.advance(span)
    assert sim.now == datetime(2026, 3, 2, 12, 10, tzinfo=UTC)


@pytest.mark.parametrize("span", ["-1s", timedelta(seconds=-1), -1, -0.001])
def test_time_does_not_go_back(span: timedelta | str | float) -> None:
    sim = simulate()
    with pytest.raises(ValueError, match=r"-|back"):
        sim.advance(span)
    assert sim.now == datetime(2026, 3, 2, 12, tzinfo=UTC)


def test_time_is_not_moved_to_what_is_past() -> None:
    sim = simulate()
    with pytest.raises(ValueError, match="back"):
        sim.advance_to("2026-03-02 11:00")


@pytest.mark.parametrize("span", ["soon", "10 parsecs", ""])
def test_what_is_no_time_is_refused(span: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        simulate().advance(span)


def test_to_advance_by_nothing_does_what_is_due() -> None:
    sim = simulate()
    fail(sim, "etl/a")
    sim.advance(0)
    assert len(sim.sent) == 1


def test_an_event_that_is_published_in_full_keeps_its_id() -> None:
    sim = simulate()
    event = sample_event(state="Failed", time=sim.now)
    sim.publish(event)
    sim.publish(event)
    assert [sent.events for sent in sim.sent] == [(event.id,)]


def test_an_old_event_is_told_now() -> None:
    sim = simulate(GROUP)
    sim.publish(sample_event(state="Failed", time=sim.now.subtract(days=3)))
    assert [sent.time for sent in sim.sent] == [sim.now]


def test_events_out_of_order_are_taken_as_they_come() -> None:
    sim = simulate()
    sim.publish(state="Failed", flow="etl", task="a", time="2026-03-02 11:30")
    sim.publish(state="Failed", flow="etl", task="b", time="2026-03-02 11:00")
    assert [sent.incident for sent in sim.sent] == ["/etl/a", "/etl/b"]


def test_each_message_can_be_read() -> None:
    sim = simulate()
    fail(sim, "etl/a", message="disk full")
    succeed(sim, "etl/a")
    opened, over = (sent.message for sent in sim.sent)
    assert opened.title == "Failed: etl/a"
    assert "disk full" in opened.text
    assert over.title != opened.title


def test_a_message_uses_the_template_of_its_route() -> None:
    sim = simulate(ROUTE + 'template = "short"\n[templates.short]\ntitle = "{{ flow }}/{{ task }} {{ state|upper }}"\n')
    fail(sim, "etl/a")
    assert sim.sent[0].message.title == "etl/a FAILED"


def test_the_same_course_of_events_gives_the_same_messages() -> None:
    def course() -> Simulation:
        sim = simulate(GROUP)
        for i in range(5):
            fail(sim, f"etl/t{i}", f"ml/t{i}")
            sim.advance("70s")
        sim.silence("flow=ml", "1h")
        succeed(sim, "etl/t1", "ml/t2")
        sim.advance("3h")
        return sim

    one, other = course(), course()
    assert [(s.id, s.time, s.events, s.incidents) for s in one.sent] == [
        (s.id, s.time, s.events, s.incidents) for s in other.sent
    ]
    assert one.suppressed == other.suppressed
    assert len(one.sent) > 4


def test_simulations_share_nothing() -> None:
    one, other = simulate(), simulate()
    fail(one, "etl/a")
    assert (other.sent, other.incidents) == ([], [])
    fail(other, "etl/a")
    assert told(one) == told(other)


def test_nothing_is_written_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sim = simulate(GROUP)
    fail(sim, "etl/a")
    sim.advance("1d")
    assert list(tmp_path.iterdir()) == []


def test_every_item_says_all_about_itself() -> None:
    sim = simulate(GROUP)
    sim.publish(state="Failed", flow="etl", task="a", id="e1")
    sim.publish(state="Failed", flow="etl", task="b", id="e2")
    sim.advance("1m")
    [sent] = sim.sent
    assert (sent.channel, sent.route, sent.action, sent.reason) == ("ops", "r", "open", "first")
    assert sent.time == datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC)
    assert dict(sent.group) == {"flow": "etl"}
    assert set(sent.events) == {"e1", "e2"}
    assert sent.incident in ("/etl/a", "/etl/b")
    assert set(sent.incidents) == {"/etl/a", "/etl/b"}


def test_every_suppressed_item_has_a_stage_a_rule_and_a_reason() -> None:
    sim = simulate(ROUTE + '[[routes]]\nname = "none"\nwhen = "flow=ml"\nsend = []\n')
    silence = sim.silence("flow=etl", "1h")
    sim.publish(state="Failed", flow="etl", id="e1")
    sim.publish(state="Failed", flow="ml", id="e2")
    assert [(each.stage, each.rule, each.event) for each in sim.suppressed] == [
        ("silence", silence, "e1"),
        ("route", "none", "e2"),
    ]
    assert all(each.reason and each.at == sim.now for each in sim.suppressed)


def test_labels_may_be_numbers_and_lists_and_nothing() -> None:
    sim = simulate('[[routes]]\nname = "r"\nwhen = "size>3 and is_failed"\nsend = ["ops"]\n')
    fail(sim, "etl/a", size=10, owner=None)
    fail(sim, "etl/b", size=2)
    fail(sim, "etl/c")
    assert [sent.incident for sent in sim.sent] == ["/etl/a"]


def test_a_value_that_a_field_cannot_hold_is_refused() -> None:
    sim = simulate()
    with pytest.raises(TocsinError, match="'attempt'"):
        sim.publish(state="Failed", flow="etl", attempt="often")


def test_bare_labels_make_a_whole_event() -> None:
    event = event_of(
        {"state": "TimedOut", "flow": "etl", "tags": "prod", "params.n": 3, "team": "data", "duration": "2m"},
        simulate().clock,
    )
    assert (event.state_family[:2], event.tags) == (("TimedOut", "Failed"), frozenset({"prod"}))
    assert (event.parameters["n"], event.labels["team"], event.duration) == (3, "data", 120.0)


@pytest.mark.parametrize("name", ["größe", "δ/ε", "a b", "a%2Fb", "\u202eabc", "🔥", "a\x1fb", "a\\b", "", "x" * 1000])
def test_any_name_can_fail_and_recover(name: str) -> None:
    sim = simulate(GROUP)
    sim.publish(state="Failed", flow=name, task="t")
    sim.advance("1m")
    sim.publish(state="Success", flow=name, task="t")
    assert [sent.action for sent in sim.sent] == ["open", "recover"]


def test_a_year_without_events_is_quiet() -> None:
    sim = simulate(GROUP)
    sim.advance("366d")
    assert (sim.sent, sim.suppressed) == ([], [])


def test_an_hour_that_comes_twice_lasts_two_hours() -> None:
    sim = simulate('[defaults]\ntimezone = "Europe/Berlin"\n' + GROUP, start="2026-10-25 00:15")
    fail(sim, "etl/a")
    sim.advance("3h")
    assert [f"{sent.time:%H:%M:%S}" for sent in sim.sent] == ["00:15:30", "01:15:30", "02:15:30"]


def test_a_config_without_routes_tells_nobody() -> None:
    sim = simulate("")
    fail(sim, "etl/a")
    assert sim.sent == []


def test_a_config_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(ConfigError, match=r"'nope\.toml' does not exist"):
        Simulation("nope.toml")


def test_an_event_without_labels_is_an_event() -> None:
    sim = simulate('[[routes]]\nname = "r"\nsend = ["ops"]\nmode = "event"\n')
    sim.publish()
    sim.publish({})
    assert [sent.action for sent in sim.sent] == ["event", "event"]
