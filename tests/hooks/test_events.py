"""An event is plain, immutable data with an identity of its own."""

import copy
import dataclasses
import pickle

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
