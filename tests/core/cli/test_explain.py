"""What `explain` promises: the engine's own answer for any event at any time, with nothing stored or sent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.past import Past
from support.shell import Shell

NOON = "2026-03-02T12:00:00Z"  # a Monday
BASE = """\
[channels.ops]
type = "inbox"
[channels.mail]
type = "inbox"
"""
GROUPED = (
    BASE
    + """
[[routes]]
name = "all"
when = "is_failed"
send = ["ops"]
group = { by = ["flow"], wait = "10s", interval = "2m", repeat = "4h" }
"""
)
PLAIN = BASE + '[[routes]]\nname = "all"\nwhen = "is_failed"\nsend = ["ops"]\n'

Begin = Callable[..., Past]


@pytest.fixture
def begin(empty: Shell) -> Iterator[Begin]:
    """Writes a config and begins a history with it."""
    begun: list[Past] = []

    def begin(config: str, start: str = NOON) -> Past:
        empty.write(config)
        begun.append(Past(empty.folder, start))
        return begun[-1]

    yield begin
    for past in begun:
        past.close()


def explain(shell: Shell, *args: str, state: str = "Failed", flow: str = "etl", task: str = "load") -> Any:
    return shell.json("explain", "--state", state, "--flow", flow, "--task", task, *args)


def stages(found: Any, channel: str, at: str | None = None) -> list[tuple[str, str]]:
    of_channel = [each for each in found["stages"] if each["channel"] == channel]
    return [(each["stage"], each["verdict"]) for each in of_channel if at is None or each["at"] == at]


def reason(found: Any, stage: str, channel: str = "ops") -> str:
    return next(str(e["reason"]) for e in found["stages"] if (e["stage"], e["channel"]) == (stage, channel))


def at(time: str) -> str:
    return f"2026-03-02T{time}+00:00"


# ---------------------------------------------------------------- when it is told


def test_an_event_that_waits_with_its_group_is_shown_as_sent_when_the_group_is_told(empty: Shell) -> None:
    empty.write(GROUPED)
    found = explain(empty, "--at", NOON)
    assert [(m["at"], m["channel"], m["action"], m["reason"]) for m in found["messages"]] == [
        (at("12:00:10"), "ops", "open", "first")
    ]
    assert [(w["kind"], w["channels"], w["until"]) for w in found["waits"]] == [("group", ["ops"], at("12:00:10"))]
    told = empty("explain", "--state", "Failed", "--flow", "etl", "--task", "load", "--at", NOON).stdout
    assert "'all {flow=etl}' is told at 2026-03-02 12:00:10 UTC" in told
    assert "to open the incident, at 2026-03-02 12:00:10 UTC, in 10 s (first)" in told
    assert not (empty.folder / "tocsin.db").exists()


def test_what_follows_is_looked_at_as_far_ahead_as_asked(empty: Shell) -> None:
    empty.write(GROUPED)
    assert [m["action"] for m in explain(empty, "--at", NOON, "--ahead", "9h")["messages"]] == [
        "open", "repeat", "repeat",
    ]  # fmt: skip
    assert explain(empty, "--at", NOON, "--ahead", "5s")["messages"] == []
    assert explain(empty, "--at", NOON, "--ahead", "0")["messages"] == []


def test_every_stage_says_why_it_lets_an_event_pass(empty: Shell) -> None:
    empty.write(PLAIN)
    found = explain(empty)
    assert stages(found, "ops") == [
        ("inhibit", "passes"),
        ("silence", "passes"),
        ("window", "passes"),
        ("flap", "passes"),
        ("open_after", "passes"),
        ("group", "passes"),
        ("dedup", "passes"),
        ("plan", "sent"),
    ]
    assert all(each["reason"] for each in found["stages"])


def test_only_what_the_event_causes_is_shown(empty: Shell, begin: Begin) -> None:
    past = begin(GROUPED)
    past.publish(state="Failed", flow="other", task="load")
    found = explain(empty, "--at", "2026-03-02T12:00:02Z")
    assert [(m["at"], m["incident"]) for m in found["messages"]] == [(at("12:00:12"), "all {flow=etl}")]
    assert found["prevented"] == []


def test_an_event_that_joins_a_waiting_message_is_shown_with_what_it_replaces(empty: Shell, begin: Begin) -> None:
    past = begin(GROUPED)
    past.publish(state="Failed", flow="etl", task="extract")
    found = explain(empty, "--at", "2026-03-02T12:00:04Z")
    assert [(m["at"], m["count"]) for m in found["messages"]] == [(at("12:00:10"), 2)]
    assert [(m["at"], m["count"]) for m in found["prevented"]] == [(at("12:00:10"), 1)]


def test_a_recovery_shows_the_message_that_is_not_sent_because_of_it(empty: Shell, begin: Begin) -> None:
    past = begin(GROUPED)
    past.publish(state="Failed", flow="etl", task="load")
    found = explain(empty, "--at", "2026-03-02T12:00:04Z", state="Success")
    assert found["incident"]["step"] == "close"
    assert found["messages"] == []
    assert [(m["at"], m["action"]) for m in found["prevented"]] == [(at("12:00:10"), "open")]
    assert "it was over before it was told" in json.dumps(found["stages"])


def test_what_is_due_before_the_time_asked_about_is_done_first(empty: Shell, begin: Begin) -> None:
    past = begin(GROUPED)
    past.publish(state="Failed", flow="etl", task="extract")
    found = explain(empty, "--at", "2026-03-02T12:01:00Z")
    assert [(m["action"], m["reason"], m["count"]) for m in found["messages"]] == [("update", "new", 2)]


def test_an_escalation_is_shown_step_by_step(empty: Shell) -> None:
    empty.write(
        PLAIN.replace('send = ["ops"]', 'send = ["ops"]\nescalate = "call"')
        + '[escalations.call]\nsteps = [{ after = "20m", send = ["mail"], say = "wake up" }]\n'
    )
    found = explain(empty, "--at", NOON)
    assert [(m["at"], m["channel"], m["reason"]) for m in found["messages"]] == [
        (at("12:00:00"), "ops", "first"),
        (at("12:20:00"), "mail", "escalation"),
    ]
    assert found["messages"][1]["text"].startswith("wake up")
    assert [(w["kind"], w["until"]) for w in found["waits"]] == [("escalation", at("12:20:00"))]


OPTIONS = {
    "alone": "",
    "a group": 'group = { by = ["flow"], wait = "20s", interval = "3m", repeat = "25m" }',
    "a group for each": 'group = { by = ["*"], wait = "0s" }',
    "events": 'mode = "event"',
    "collected events": 'mode = "event"\ngroup = { by = ["flow"], wait = "1m" }',
    "a digest": 'digest = { every = "30m" }',
    "a throttle": 'throttle = { limit = "2/30m", over = "summary" }',
    "flapping": 'flap = { changes = 3, within = "1h", calm = "20m" }',
    "a window": 'mute = { windows = ["half"], then = "hold" }',
    "a window with a digest": 'mute = { windows = ["half"], then = "digest" }',
    "open after": "open_after = { failures = 3 }",
    "an escalation": 'escalate = "call"',
    "no recovery": "recover = false",
}
REST = """
[windows.half]
times = ["12:05-12:30"]
[escalations.call]
steps = [{ after = "10m", send = ["mail"] }, { after = "15m", send = ["ops"], say = "still" }]
"""


@pytest.mark.parametrize("state", ["Failed", "Success"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_what_is_explained_is_what_is_then_sent(empty: Shell, begin: Begin, options: str, state: str) -> None:
    past = begin(f"{PLAIN}{options}\n{REST}")
    for happened in ("Failed", "Success", "Failed"):
        past.publish(state=happened, flow="etl", task="load")
        past.advance("2m")
    told = explain(empty, "--at", past.now.isoformat(), state=state)
    without = past.twin(empty.folder / "twin")
    past.publish(state=state, flow="etl", task="load", run_id="another")
    sent, otherwise = (Counter(each.advanced("1h")) for each in (past, without))
    without.close()
    assert shown(told["messages"]) == sorted(time_and_place for *time_and_place, _ in sent - otherwise)
    assert shown(told["prevented"]) == sorted(time_and_place for *time_and_place, _ in otherwise - sent)


def shown(messages: Any) -> list[list[str]]:
    return sorted([each["at"], each["channel"], each["action"]] for each in messages)


# ---------------------------------------------------------------- what keeps it from being told


def test_a_silence_is_named_with_its_end_and_only_while_it_is_in_force(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN)
    silence = past.silence("flow=etl", "2h")
    muted = explain(empty, "--at", "2026-03-02T13:00:00Z", "--ahead", "10m")
    assert muted["messages"] == []
    assert stages(muted, "ops") == [("inhibit", "passes"), ("silence", "waits")]
    assert reason(muted, "silence") == "silenced until 2026-03-02 14:00:00 UTC by ann: known"
    assert [(s["id"], s["in_force"]) for s in muted["silences"]] == [(silence, True)]
    after = explain(empty, "--at", "2026-03-02T14:00:00Z")
    assert [m["channel"] for m in after["messages"]] == ["ops"]
    assert explain(empty, "--at", "2026-03-02T13:00:00Z", flow="other")["silences"] == []
    told = empty("explain", "--state", "Failed", "--flow", "etl", "--at", "2026-03-02T13:00:00Z").stdout
    assert f"{silence[:8]} flow=etl   in force, until 2026-03-02 14:00:00 UTC, by ann: known" in told


def test_what_a_window_holds_is_shown_with_the_time_at_which_it_is_sent(empty: Shell) -> None:
    empty.write(
        '[defaults]\ntimezone = "Europe/Berlin"\n'
        + PLAIN
        + 'mute = { windows = ["night"], then = "hold", urgent = "severity=critical" }\n'
        + '[windows.night]\ntimes = ["22:00-06:00"]\n'
    )
    night = "2026-03-02 23:00"  # on the clock of the config's zone
    found = explain(empty, "--at", night, "--ahead", "12h")
    assert found["at"] == at("22:00:00")
    [window] = found["windows"]
    assert (window["name"], window["open"], window["until"]) == ("night", True, "2026-03-03T05:00:00+00:00")
    assert stages(found, "ops", at("22:00:00"))[2] == ("window", "waits")
    assert [(m["at"], m["action"]) for m in found["messages"]] == [("2026-03-03T05:00:00+00:00", "open")]
    by_day = explain(empty, "--at", NOON)
    assert reason(by_day, "window") == "none of its windows is open: 'night'"
    assert by_day["windows"][0]["until"] == at("21:00:00")
    assert (
        "open    night, closes 2026-03-03 05:00:00 UTC" in empty("explain", "--state", "Failed", "--at", night).stdout
    )


def test_an_open_incident_that_inhibits_is_named(empty: Shell, begin: Begin) -> None:
    past = begin(
        PLAIN + '[[inhibit]]\nname = "db"\nsource = "task=db"\ntarget = "not task=db"\nequal = ["flow"]\n',
    )
    assert reason(explain(empty, "--at", NOON), "inhibit") == "no open incident hides it"
    past.publish(state="Failed", flow="etl", task="db")
    found = explain(empty, "--at", "2026-03-02T12:01:00Z")
    assert stages(found, "ops")[0][0] == "inhibit"
    assert "'/etl/db'" in reason(found, "inhibit")
    assert found["messages"] == []
    assert [m["channel"] for m in explain(empty, "--at", "2026-03-02T12:01:00Z", flow="other")["messages"]] == ["ops"]


def test_a_throttle_counts_what_was_sent_before(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN + 'throttle = { limit = "2/1h" }\n')
    for task in ("a", "b"):
        past.publish(state="Failed", flow="etl", task=task)
    found = explain(empty, "--at", "2026-03-02T12:10:00Z", "--ahead", "1m")
    assert stages(found, "ops")[-1] == ("throttle", "suppressed")
    assert "the limit" in reason(found, "throttle")
    assert found["messages"] == []
    assert ("throttle", "passes") in stages(explain(empty, "--at", "2026-03-02T13:10:00Z"), "ops")


def test_failures_that_are_too_few_are_counted(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN + "open_after = { failures = 3 }\n")
    past.publish(state="Failed", flow="etl", task="load")
    found = explain(empty, "--at", "2026-03-02T12:01:00Z")
    assert stages(found, "ops")[-1] == ("open_after", "suppressed")
    assert "2 of 3" in reason(found, "open_after")
    past.publish(state="Failed", flow="etl", task="load")
    assert [m["action"] for m in explain(empty, "--at", "2026-03-02T12:02:00Z")["messages"]] == ["open"]


def test_a_route_that_sends_nowhere_says_so(empty: Shell) -> None:
    empty.write(BASE + '[[routes]]\nname = "noise"\nwhen = "is_failed"\nsend = []\n')
    found = explain(empty)
    assert [(s["stage"], s["verdict"], s["rule"]) for s in found["stages"]] == [("route", "suppressed", "noise")]
    assert found["messages"] == []


def test_an_event_that_nobody_asks_for_is_said_not_to_be_kept(empty: Shell) -> None:
    empty.write(PLAIN)
    found = explain(empty, state="Success")
    assert (found["kept"], found["stages"], found["messages"]) == (False, [], [])
    assert "nothing asks for this event: it would not be kept" in empty("explain", "--state", "Success").stdout


def test_a_failure_that_will_be_retried_reaches_no_route(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN)
    event = past.publish(state="Failed", flow="etl", task="load")
    empty.write(json.dumps(event.replace(will_retry=True).to_dict()), "event.json")
    found = empty.json("explain", "--event", "event.json")
    assert (found["messages"], found["stages"], found["incident"]["step"]) == ([], [], "none")
    assert found["incident"]["open_since"] == at("12:00:00")
    assert "it will be retried" in empty("explain", "--event", "event.json").stdout


# ---------------------------------------------------------------- events in history


def test_an_event_in_history_is_explained_as_if_it_were_new_beside_what_came_of_it(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN + 'throttle = { limit = "1/1h" }\n')
    first = past.publish(state="Failed", flow="etl", task="load")
    second = past.publish(state="Failed", flow="etl", task="other")
    found = empty.json("explain", "--event-id", first.id, "--at", "2026-03-03T12:00:00Z", "--ahead", "1m")
    assert found["event"]["id"] == first.id
    assert found["event"]["time"] == at("12:00:00")
    assert [(s["channel"], s["route"], s["action"]) for s in found["history"]["sent"]] == [("ops", "all", "open")]
    assert found["history"]["suppressed"] == []
    assert [(m["at"], m["reason"]) for m in found["messages"]] == [("2026-03-03T12:00:00+00:00", "again")]
    cut = empty.json("explain", "--event-id", second.id)["history"]
    assert cut["sent"] == []
    assert [(s["stage"], s["channel"]) for s in cut["suppressed"]] == [("throttle", "ops")]
    told = empty("explain", "--event-id", second.id).stdout
    assert "In history\n  since 2026-03-02 12:00:00 UTC, as number 2" in told
    assert "not sent 2026-03-02 12:00:00 to ops: throttle: " in told


def test_at_event_means_the_time_at_which_it_happened(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN)
    event = past.publish(state="Failed", flow="etl", task="load")
    assert empty.json("explain", "--event-id", event.id, "--at", "event")["at"] == at("12:00:00")
    assert empty.json("explain", "--event-id", event.id)["at"] > "2026-03-03"


def test_the_newest_event_is_found(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN)
    nothing = empty("explain", "--last")
    assert (nothing.exit_code, "there is no event in history yet" in nothing.stderr) == (2, True)
    for task in ("a", "b", "c"):
        past.publish(state="Failed", flow="etl", task=task)
        past.advance("10m")
    assert empty.json("explain", "--last")["event"]["task"] == "c"


def test_an_event_is_found_by_the_beginning_of_its_id(empty: Shell, begin: Begin) -> None:
    past = begin(PLAIN)
    for identity in ("abc1", "abc2", "abd"):
        past.publish(state="Failed", flow="etl", task=identity, id=identity)
    assert empty.json("explain", "--event-id", "abd")["event"]["task"] == "abd"
    assert empty.json("explain", "--event-id", "abc2")["event"]["task"] == "abc2"
    for prefix, told in (("ab", "several events in history begin with 'ab'"), ("x", "no event in history begins")):
        result = empty("explain", "--event-id", prefix)
        assert result.exit_code == 2
        assert told in result.stderr


def test_explaining_changes_nothing_that_is_stored(empty: Shell, begin: Begin) -> None:
    past = begin(GROUPED + 'throttle = { limit = "3/1h", over = "summary" }\n')
    past.silence("flow=quiet", "2h")
    past.publish(state="Failed", flow="etl", task="load")
    past.publish(state="Failed", flow="quiet", task="load")
    before = past.contents()
    for args in (
        ("--state", "Failed", "--flow", "etl", "--task", "load"),
        ("--state", "Success", "--flow", "etl", "--task", "load", "--at", "2026-03-02T12:00:05Z"),
        ("--state", "Failed", "--flow", "quiet", "--at", "2026-03-02T12:30:00Z", "--ahead", "3d"),
        ("--last",),
    ):
        assert empty("explain", *args).exit_code == 0
    assert past.contents() == before
    assert empty.json("inbox") == []


# ---------------------------------------------------------------- asked wrongly


def test_what_cannot_be_meant_is_refused_with_what_would_do(empty: Shell, begin: Begin) -> None:
    begin(GROUPED)
    for args, told in (
        (("--state", "Failed", "--at", "yesterday"), "--at takes a time"),
        (("--state", "Failed", "--ahead", "soon"), "--ahead"),
        (("--last", "--flow", "etl"), "leave the other options out"),
        (("--last", "--event-id", "x"), "leave the other options out"),
        (("--at", NOON), "describe an event"),
        (("--state", "Failed", "--at", "9999-12-31T23:59Z", "--ahead", "1d"), "is past the end of the calendar"),
    ):
        result = empty("explain", *args)
        assert result.exit_code == 2
        assert told in result.stderr
