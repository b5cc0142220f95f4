"""An event is stored without what goes without saying, and read back as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pendulum
import pytest

from tocsin.store.coding import dump_event
from tocsin_hooks.events import Event
from tocsin_hooks.testing import sample_event

NOON = pendulum.datetime(2026, 3, 1, 12, 0, 0, 123_456)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"map_index": 0, "duration": 0.0, "attempt": 0, "max_attempts": 0, "loop_count": 0},
        {"time": NOON, "next_attempt_at": NOON.add(seconds=1)},
        {"next_attempt_at": pendulum.datetime(2026, 10, 25, 2, 30, tz="Europe/Berlin")},
        {"tags": frozenset(), "parameters": {}, "labels": {}, "exception": None, "message": "", "task": ""},
        {"parameters": {"deep": [{"a": None}, (1, 2.5, True)], "big": 10**30, "": ""}},
        {"parameters": MappingProxyType({"day": "2026-02-28"}), "labels": MappingProxyType({"team": "data"})},
        {"causes": ("etl/a", "etl/b"), "blocks": 3, "blocked": ("c",), "will_retry": True, "source": "wrapped"},
        {"message": 'caf\udce9 and a "quote", \\ and \x00 and \u2028 and 🔔', "labels": {"file": "\ud800"}},
        {"sequence": 7, "project": "", "run_name": "", "url": "", "host": "", "severity": ""},
    ],
)
def test_what_is_stored_of_an_event_is_all_of_it(changes: dict[str, Any]) -> None:
    event = sample_event(**{"sequence": None, **changes})
    plain = {**event.to_dict(), "parameters": json.loads(json.dumps(dict(event.parameters)))}
    assert Event.from_json(dump_event(event)).to_dict() == plain
    dump_event(event).encode()  # which any database takes


def test_what_has_its_default_takes_no_room() -> None:
    event = Event("1", pendulum.instance(datetime(2026, 3, 1, tzinfo=UTC)), "etl", "r", "Failed", ("Failed",))
    assert json.loads(dump_event(event)) == {
        "version": 1,
        "id": "1",
        "time": "2026-03-01T00:00:00+00:00",
        "flow": "etl",
        "run_id": "r",
        "state": "Failed",
        "state_family": ["Failed"],
    }


def test_what_is_no_plain_data_is_refused() -> None:
    with pytest.raises(TypeError):
        dump_event(sample_event(parameters={"x": object()}))
