"""The events PagerDuty is sent, against the limits it publishes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from tocsin_hooks import Action, Link
from tocsin_hooks.testing import sample_event, sample_group_message, sample_message
from tocsin_pagerduty import PagerDutyConfig
from tocsin_pagerduty.payload import LARGEST, dedup_key_of, resolve, severity_of, summary_of, trigger

KEY = "k" * 32
CONFIG = PagerDutyConfig.model_validate({"routing_key": {"env": "PAGERDUTY_KEY"}})


def event(config: PagerDutyConfig = CONFIG, **changes: Any) -> dict[str, Any]:
    encoded = trigger(sample_message(**changes), KEY, "etl/load", config)
    assert len(encoded) <= LARGEST
    decoded: dict[str, Any] = json.loads(encoded)
    return decoded


def test_a_trigger_has_the_members_pagerduty_knows_and_no_other() -> None:
    sent = event()
    assert set(sent) == {"routing_key", "event_action", "dedup_key", "client", "client_url", "links", "payload"}
    assert sent["routing_key"] == KEY
    assert (sent["event_action"], sent["dedup_key"]) == ("trigger", "etl/load")
    payload = sent["payload"]
    details = payload.pop("custom_details")
    assert payload == {
        "summary": "Failed: etl/load",
        "source": "worker-1",
        "severity": "error",
        "timestamp": "2026-03-01T12:30:15+00:00",
        "component": "load",
        "group": "etl",
        "class": "ValueError",
    }
    assert details["text"] == sample_message().text
    assert details["Attempt"] == "2 of 3"
    assert details["parameters"] == {"day": "2026-02-28", "limit": 1000}
    assert "ValueError: bad row 17" in details["traceback"]


def test_a_resolve_has_three_members() -> None:
    assert json.loads(resolve(KEY, "a/b")) == {"routing_key": KEY, "event_action": "resolve", "dedup_key": "a/b"}


def test_the_time_is_the_events_with_its_zone() -> None:
    time = datetime.fromisoformat(event()["payload"]["timestamp"])
    assert time == sample_event().time
    assert time.utcoffset() is not None


def test_a_group_is_told_by_its_title_and_list_and_not_by_one_of_its_events() -> None:
    payload = json.loads(trigger(sample_group_message(), KEY, "k", CONFIG))["payload"]
    assert payload["summary"] == "3 problems in etl"
    assert (payload["group"], payload.get("component"), payload.get("class")) == ("etl", None, None)
    details = payload["custom_details"]
    assert details["text"] == sample_group_message().text
    assert (details["Problems"], details["Flow"]) == ("3", "etl")
    assert "traceback" not in details
    assert "attempt" not in details


@pytest.mark.parametrize(
    ("title", "changes", "summary"),
    [
        ("Still Failed: etl/load for 15 min", {"reason": "escalation"}, "Still Failed: etl/load for 15 min"),
        ("Flapping: etl/load changed 4 times", {"reason": "flapping"}, "Flapping: etl/load changed 4 times"),
        ("bad rows", {"action": Action.REPEAT}, "Still Failed etl/load: bad rows"),
    ],
)
def test_a_summary_says_the_state_once(title: str, changes: dict[str, Any], summary: str) -> None:
    assert summary_of(sample_message(title=title, **changes)) == summary


# ---------------------------------------------------------------- the key


def test_a_digest_has_a_key_of_its_own_and_touches_no_alert_of_its_events() -> None:
    digest = sample_group_message(Action.EVENT, incident="", reason="digest")
    assert dedup_key_of(digest) == "tocsin digest failures"


def test_the_key_is_the_same_over_attempts_states_and_times() -> None:
    later = sample_event(state="TimedOut", attempt=3, time=sample_event().time.add(hours=3), message="other")
    again = sample_message(Action.UPDATE, id="other", attempt=7, severity="critical", event=later)
    assert dedup_key_of(again) == dedup_key_of(sample_message())


def test_different_problems_have_different_keys() -> None:
    keys = {dedup_key_of(sample_message(incident=incident)) for incident in ("a", "b", "a\n", "x" * 300, "x" * 301)}
    assert len(keys) == 5


def test_without_an_incident_the_key_is_what_it_happened_to() -> None:
    assert dedup_key_of(sample_message(incident="", event=sample_event(map_index=3))) == "etl/load[3]"


def test_a_test_has_a_key_of_its_own() -> None:
    assert dedup_key_of(sample_message(Action.TEST)) == "tocsin test ops"


@pytest.mark.parametrize("incident", ["x" * 255, "x" * 256, "\U0001f525" * 5000, "\x00", "\ud800" * 300])
def test_a_key_is_at_most_255_characters_of_one_line(incident: str) -> None:
    key = dedup_key_of(sample_message(incident=incident))
    assert 0 < len(key) <= 255
    assert key.isprintable()
    key.encode()


# ---------------------------------------------------------------- words


def test_the_summary_begins_with_state_and_flow() -> None:
    assert summary_of(sample_message(title="rows are bad")) == "Failed etl/load: rows are bad"
    assert summary_of(sample_message(title="Failed: etl/load")) == "Failed: etl/load"
    assert summary_of(sample_message(title="")) == "Failed etl/load"


def test_the_operators_own_words_are_left_alone() -> None:
    assert summary_of(sample_message(title="Wake up", templated=True)) == "Wake up"


@pytest.mark.parametrize("char", ["x", "\U0001f525", "\n"])
@pytest.mark.parametrize("length", [1, 1023, 1024, 1025, 100_000])
def test_a_summary_is_one_line_of_1_to_1024_code_points(char: str, length: int) -> None:
    summary = summary_of(sample_message(title=char * length, templated=True))
    assert 1 <= len(summary) <= 1024
    assert summary.endswith("…") == (length > 1024 and char != "\n")
    assert summary.isprintable()


def test_a_summary_of_nothing_is_still_one() -> None:
    assert summary_of(sample_message(title=" \x00 ", templated=True)) == "tocsin"


@pytest.mark.parametrize(
    ("state", "family", "expected"),
    [
        ("Failed", ("Failed", "Finished"), "critical"),
        ("Crashed", ("Crashed", "Failed", "Finished"), "warning"),
        ("TimedOut", ("TimedOut", "Failed", "Finished"), "critical"),
        ("Retrying", ("Retrying", "Scheduled", "Pending"), "error"),
    ],
)
def test_the_nearest_state_in_the_map_gives_the_severity(state: str, family: tuple[str, ...], expected: str) -> None:
    message = sample_message(event=sample_event(state=state, state_family=family))
    assert severity_of(message, {"Failed": "critical", "Crashed": "warning"}) == expected


@pytest.mark.parametrize(("own", "expected"), [("critical", "critical"), ("info", "info"), ("loud", "error")])
def test_without_a_map_the_message_gives_the_severity(own: str, expected: str) -> None:
    assert severity_of(sample_message(severity=own), {}) == expected


def test_a_test_is_never_more_than_info() -> None:
    message = sample_message(Action.TEST, severity="critical")
    assert severity_of(message, {"Failed": "critical"}) == "info"


# ---------------------------------------------------------------- details, links


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "x" * 513_000},
        {"text": "\x01" * 513_000},
        {"event": sample_event(parameters={"rows": ["\U0001f525" * 100] * 5000})},
        {
            "links": tuple(Link("l" * 9999, f"https://h.example.org/{n}" + "p" * 1900) for n in range(60)),
            "text": "x" * 513_000,
        },
    ],
    ids=range(4),
)
def test_an_event_too_large_goes_without_details_and_says_so(changes: dict[str, Any]) -> None:
    sent = event(**changes)
    assert isinstance(sent["payload"]["custom_details"], dict)
    assert sent["dedup_key"] == "etl/load"
    assert sent["payload"]["summary"]
    assert sent["payload"]["custom_details"]["details"].startswith("left out: ")


def test_names_without_end_are_cut() -> None:
    names = dict.fromkeys(["flow", "task", "host"], "n" * 600_000)
    payload = event(event=sample_event(**names))["payload"]
    assert {len(payload[part]) for part in ("source", "component", "group")} == {255}


def test_details_are_kept_up_to_the_limit() -> None:
    room = LARGEST - len(json.dumps(event(text=""), ensure_ascii=False, separators=(",", ":")).encode())
    fits = "x" * (room - len('"text":"",'))
    assert event(text=fits)["payload"]["custom_details"]["text"] == fits
    assert "left out" in event(text=fits + "x")["payload"]["custom_details"]["details"]


def test_details_are_always_an_object_of_what_json_can_hold() -> None:
    odd = sample_event(parameters={"when": datetime(2026, 1, 1), "n": float("inf"), "e": ValueError("x")})  # noqa: DTZ001
    details = event(event=odd)["payload"]["custom_details"]
    assert details["parameters"] == {"when": "2026-01-01 00:00:00", "n": "inf", "e": "x"}
    assert isinstance(event(text="", fields=(), templated=True)["payload"]["custom_details"], dict)


def test_fields_do_not_hide_the_text() -> None:
    assert event(fields=(("text", "other"),))["payload"]["custom_details"]["text"] == sample_message().text


def test_links_are_https_filled_and_given_once() -> None:
    links = (
        Link("Run", "https://h.example.org/1"),
        Link("", "https://h.example.org/2"),
        Link("Again", "https://h.example.org/1"),
        Link("Plain", "http://h.example.org/3"),
        Link("Empty", ""),
        Link("Script", "javascript:alert(1)"),
        Link("Broken", "https://h.example.org/ x\n"),
    )
    assert event(links=links)["links"] == [
        {"href": "https://h.example.org/1", "text": "Run"},
        {"href": "https://h.example.org/2", "text": "https://h.example.org/2"},
    ]
    assert "links" not in event(links=links[3:])


def test_empty_parts_are_left_out() -> None:
    bare = sample_event(task="", url="http://insecure.example.org", host="", exception=None)
    sent = event(event=bare, links=())
    assert "client_url" not in sent
    assert "component" not in sent["payload"]
    assert sent["payload"]["source"] == "etl"


def test_source_and_client_can_be_set() -> None:
    config = CONFIG.model_copy(update={"source": "prod", "client": "Pipelines", "client_url": "https://p.example.org"})
    sent = event(config)
    assert (sent["payload"]["source"], sent["client"]) == ("prod", "Pipelines")
    assert sent["client_url"] == "https://p.example.org"


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"severity": {"Failed": "fatal"}}, "'critical', 'error', 'warning' or 'info'"),
        ({"severity": {"Faild": "error"}}, "there is no state 'Faild'; did you mean 'Failed'?"),
        ({"retrying": "maybe"}, "'silent' or 'trigger'"),
        ({"region": "mars"}, "'us' or 'eu'"),
        ({"client_url": "http://p.example.org"}, "client_url"),
        ({"routing_key": KEY}, "a secret is never written here"),
    ],
)
def test_bad_settings_are_refused_when_read(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", "[?]")):
        PagerDutyConfig.model_validate({"routing_key": {"env": "PAGERDUTY_KEY"}, **settings})


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://events.pagerduty.com/v2/enqueue"),
        ({"region": "eu"}, "https://events.eu.pagerduty.com/v2/enqueue"),
        ({"base_url": "https://gateway.example.org:8443"}, "https://gateway.example.org:8443/v2/enqueue"),
    ],
)
def test_events_go_to_the_accounts_region(settings: dict[str, Any], url: str) -> None:
    config = PagerDutyConfig.model_validate({"routing_key": {"env": "PAGERDUTY_KEY"}, **settings})
    assert config.enqueue_url == url
