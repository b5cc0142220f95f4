"""An event is plain, immutable data with an identity of its own."""

import copy
import dataclasses
import pickle

import pendulum
import pytest

from tocsin_hooks.events import Event, event_id
from tocsin_hooks.testing import sample_event

IDENTITY = ("tocsin", "r", "t", None, 1, 1, "Failed")


def change() -> Event:
    fields = {f.name: getattr(sample_event(), f.name) for f in dataclasses.fields(Event) if f.name != "id"}
    return Event.of_change(IDENTITY, **fields)


def test_an_event_survives_json_and_pickle() -> None:
    event = sample_event(next_attempt_at=sample_event().time, map_index=3, duration=None)
    assert Event.from_json(event.to_json()) == event
    assert pickle.loads(pickle.dumps(event)) == event


def test_an_id_that_is_made_late_is_the_same_as_one_made_at_once() -> None:
    event = change()
    assert event.id == event_id(*IDENTITY)
    assert event == sample_event(id=event_id(*IDENTITY))
    assert event.to_dict()["id"] == event.id


def test_an_event_whose_id_was_not_asked_for_can_be_copied_pickled_and_changed() -> None:
    assert pickle.loads(pickle.dumps(change())).id == change().id
    assert copy.copy(change()).id == change().id
    assert change().replace(flow="other").id == change().id


def test_an_event_cannot_be_changed_and_has_no_other_attributes() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        change().flow = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="'idd'"):
        _ = change().idd
    with pytest.raises(AttributeError):
        _ = sample_event().nothing


def test_fields_of_a_later_version_are_passed_over_and_a_newer_form_is_refused() -> None:
    data = sample_event().to_dict()
    assert Event.from_dict(data | {"colour": "red"}) == sample_event()
    with pytest.raises(ValueError, match="event of version 2"):
        Event.from_dict(data | {"version": 2})


def test_different_changes_have_different_ids() -> None:
    others = [(*IDENTITY[:i], "x", *IDENTITY[i + 1 :]) for i in range(len(IDENTITY))]
    assert len({event_id(*identity) for identity in (IDENTITY, *others)}) == len(IDENTITY) + 1


def test_a_copy_is_made_of_its_own_fields_and_takes_no_others() -> None:
    event = sample_event()
    assert event.subject == "etl/load"
    moved = event.replace(task="store", map_index=0)
    assert (moved.subject, event.subject) == ("etl/store[0]", "etl/load")
    assert moved == dataclasses.replace(event, task="store", map_index=0)
    with pytest.raises(TypeError, match="'colour'"):
        event.replace(colour="red")


def test_what_was_left_out_has_its_default_and_what_every_event_needs_is_missed() -> None:
    least = {"id": "1", "time": "2026-03-01T12:30:15+00:00", "flow": "f", "run_id": "r", "state": "S"}
    read = Event.from_dict({**least, "state_family": []})
    assert read == Event("1", sample_event().time, "f", "r", "S", ())
    assert (read.attempt, read.tags, read.labels, read.parameters) == (1, frozenset(), {}, {})
    read.labels["mine"] = "1"  # type: ignore[index]
    assert Event.from_dict({**least, "state_family": []}).labels == {}
    with pytest.raises(TypeError, match="'flow'"):
        Event.from_dict({name: value for name, value in least.items() if name != "flow"} | {"state_family": []})


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:30:15+00:00",
        "2026-03-01T12:30:15.000001+00:00",
        "2026-03-01T12:30:15Z",
        "2026-03-01T12:30:15.5Z",
        "2026-10-25T02:30:00+01:00",
        "2026-03-01T12:30+00:00",
        "2026-W09-7T12:30:15+00:00",
        "20260301T123015.000001+00:00",
    ],
)
def test_times_are_read_in_every_form_of_iso_8601(text: str) -> None:
    read = Event.from_dict(sample_event().to_dict() | {"time": text}).time
    assert read == pendulum.parse(text)
    assert read.isoformat() == pendulum.parse(text).isoformat()  # type: ignore[union-attr]
    assert read.add(hours=1).in_timezone("UTC").offset == 0


@pytest.mark.parametrize("text", ["2026-13-01T12:30:15+00:00", "yesterday at half past 12+00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Event.from_dict(sample_event().to_dict() | {"time": text})
