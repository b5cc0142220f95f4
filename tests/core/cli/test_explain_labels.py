"""That `explain` takes labels as they are written anywhere: options, or JSON of an event or of some labels."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.shell import Shell

CONFIG = """
[channels.ops]
type = "inbox"
[[routes]]
name = "critical"
when = "severity=critical"
send = ["ops"]
[[routes]]
name = "team"
when = "team=data"
send = ["ops"]
[[routes]]
name = "late"
when = "attempt>=3 and is_failed"
send = ["ops"]
"""


@pytest.fixture
def shell(empty: Shell) -> Shell:
    empty.write(CONFIG.replace("team=data", "context.team=data"))
    return empty


def acting(found: Any) -> list[str]:
    return [route["route"] for route in found["routes"] if route["verdict"] == "acts"]


@pytest.mark.parametrize(
    ("args", "routes"),
    [
        (("--state", "Failed", "--label", "severity=critical"), ["critical"]),
        (("--state", "Failed", "--label", "team=data"), ["team"]),
        (("--label", "severity=critical"), ["critical"]),
        (("--label", "state=failed", "--label", "attempt=3"), ["late"]),
        (("--state", "Failed", "--attempt", "3"), ["late"]),
        (("--state", "Failed", "--label", "attempt=2"), []),
        (("--state", "Success", "--label", "severity=critical"), []),
    ],
)
def test_a_label_is_what_filters_see_under_that_name(shell: Shell, args: tuple[str, ...], routes: list[str]) -> None:
    assert acting(shell.json("explain", *args)) == routes


@pytest.mark.parametrize(
    ("labels", "routes"),
    [
        ({"state": "Failed", "flow": "etl", "severity": "critical", "team": "data"}, ["critical", "team"]),
        ({"severity": "critical"}, ["critical"]),
        ({"state": "TimedOut", "attempt": 3, "max_attempts": 3, "tags": ["prod"]}, ["late"]),
    ],
)
def test_a_file_may_hold_bare_labels(shell: Shell, labels: dict[str, Any], routes: list[str]) -> None:
    shell.write(json.dumps(labels), "event.json")
    found = shell.json("explain", "--event", "event.json")
    assert acting(found) == routes
    assert [message["channel"] for message in found["messages"]] == ["ops"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"state": "Failed", "attempt": "often"}', "label 'attempt' of the event is a whole number, found 'often'"),
        ('{"state": "Failed", "is_failed": false}', "label 'is_failed' of the event cannot be false"),
        ("[]", "'event.json' holds no event"),
        ('{"version": 1}', "'event.json' holds no event: 'time' is missing"),
    ],
)
def test_a_file_that_holds_no_labels_is_refused_with_the_reason(shell: Shell, text: str, told: str) -> None:
    shell.write(text, "event.json")
    result = shell("explain", "--event", "event.json")
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_route_that_matches_and_does_not_tell_says_why(shell: Shell) -> None:
    told = shell("explain", "--state", "Success", "--label", "severity=critical").stdout
    assert "yes severity=critical" in told
    assert "the event opens no incident, and 'when' asks for no state" in told


def test_an_event_from_elsewhere_is_called_by_its_labels(shell: Shell) -> None:
    told = shell("explain", "--label", "severity=critical", "--label", "alertname=DiskFull").stdout
    assert told.startswith("event of alertname=DiskFull\n")
    assert " alertname=DiskFull\n" in told.partition("Messages")[2]
