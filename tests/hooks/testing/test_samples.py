"""The sample messages are the same each time, and fit each other."""

from __future__ import annotations

import json

import pytest

from tocsin_hooks import Action, Event
from tocsin_hooks.testing import sample_event, sample_group_message, sample_message


def test_samples_are_the_same_each_time() -> None:
    assert sample_event() == sample_event()
    assert [sample_message(action) for action in Action] == [sample_message(action) for action in Action]


def test_a_sample_event_survives_json() -> None:
    assert Event.from_json(json.dumps(sample_event().to_dict())) == sample_event()


def test_each_action_has_an_id_of_its_own() -> None:
    assert len({sample_message(action).id for action in Action}) == len(Action)


@pytest.mark.parametrize("action", list(Action))
def test_incidents_are_for_actions_that_have_one(action: Action) -> None:
    message = sample_message(action)
    assert bool(message.incident) == (action not in (Action.EVENT, Action.TEST))
    assert message.event.is_a("Failed") == (action is not Action.RECOVER)


@pytest.mark.parametrize("action", [Action.OPEN, Action.UPDATE, Action.REPEAT, Action.RECOVER])
def test_a_message_of_several_has_a_line_for_each(action: Action) -> None:
    message = sample_group_message(action, items=30)
    assert message.tells_of_several
    assert (message.count, len(message.items), len(message.text.splitlines())) == (30, 30, 30)
    assert all(item.recovered == (action is Action.RECOVER) for item in message.items)
    assert all(item.subject in line for item, line in zip(message.items, message.text.splitlines(), strict=True))


def test_anything_can_be_changed() -> None:
    event = sample_event(flow="other")
    message = sample_message(Action.UPDATE, title="x", event=event)
    assert (message.title, message.event.flow, message.action) == ("x", "other", Action.UPDATE)
