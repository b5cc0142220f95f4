"""What the messages and events look like that channels are tested with."""

from __future__ import annotations

import dataclasses
from typing import Any

from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.messages import Action, Item, Link, Message, Why

_TRACEBACK = """\
Traceback (most recent call last):
  File "etl.py", line 14, in load
    write(rows)
  File "etl.py", line 31, in write
    raise ValueError("bad row 17: <no amount>")
ValueError: bad row 17: <no amount>
"""


def sample_event(**changes: Any) -> Event:
    """The same failed task each time: `load` of the flow `etl`, in attempt 2 of 3.

    >>> event = sample_event(state="TimedOut")
    >>> event.subject, event.attempt, event.max_attempts, event.state
    ('etl/load', 2, 3, 'TimedOut')
    """
    import pendulum

    event = Event(
        id="0b0f5a62-6d0e-5a7e-9a52-1f6a3f0f7c01",
        time=pendulum.datetime(2026, 3, 1, 12, 30, 15, tz="UTC"),
        flow="etl",
        run_id="8c7d6c1e-0000-4000-8000-000000000001",
        state="Failed",
        state_family=("Failed", "Finished"),
        old_state="Running",
        sequence=42,
        project="warehouse",
        run_name="brave-otter",
        task="load",
        task_run_id="8c7d6c1e-0000-4000-8000-000000000002",
        attempt=2,
        max_attempts=3,
        message="ValueError: bad row 17: <no amount>",
        tags=frozenset({"prod", "nightly"}),
        parameters={"day": "2026-02-28", "limit": 1000},
        exception=ExceptionSummary("ValueError", "bad row 17: <no amount>", _TRACEBACK),
        duration=83.5,
        severity="error",
        url="https://tocsin.example.org/runs/8c7d6c1e",
        host="worker-1",
        labels={"team": "data"},
    )
    return dataclasses.replace(event, **changes)


def sample_message(action: Action = Action.OPEN, **changes: Any) -> Message:
    """The same message each time for one action; all but event and test messages belong to one incident.

    >>> sample_message(Action.RECOVER).title
    'Recovered: etl/load'
    """
    action = Action(action)
    event = changes.pop("event", None) or _event(action)
    title, text = _WORDS[action]
    fields: tuple[tuple[str, str], ...] = _FIELDS
    if who := changes.get("acknowledged_by"):
        title = f"Acknowledged by {who}: etl/load" if action is Action.UPDATE else title
        fields = (*fields, ("Acknowledged by", who))
    message = Message(
        id=f"5f3e2a10-4c1b-5d2e-8f00-0000000000{list(Action).index(action):02d}",
        action=action,
        title=title,
        text=text,
        event=event,
        channel="ops",
        route="failures",
        incident="" if action in (Action.EVENT, Action.TEST) else "warehouse/etl/load",
        incident_opened_at="" if action in (Action.EVENT, Action.TEST) else "2026-03-01T12:29:05+00:00",
        severity="info" if action in (Action.RECOVER, Action.TEST) else "error",
        fields=fields,
        links=(Link("Run", "https://tocsin.example.org/runs/8c7d6c1e"),),
    )
    return dataclasses.replace(message, **changes)


def sample_group_message(action: Action = Action.OPEN, *, items: int = 3, **changes: Any) -> Message:
    """The same message each time about so many failed tasks of the flow `etl`: its text has a line for each.

    >>> message = sample_group_message()
    >>> message.title, message.count
    ('3 problems in etl', 3)
    >>> print(message.text)
    Failed: etl/part-1: ValueError: bad row 1
    Failed: etl/part-2: ValueError: bad row 2
    Failed: etl/part-3: ValueError: bad row 3
    """
    over = Action(action) is Action.RECOVER
    at = "2026-03-01T12:30:15+00:00"
    told = tuple(
        Item(f"etl/part-{number}", "Failed", at, f"ValueError: bad row {number}", recovered=over)
        for number in range(1, items + 1)
    )
    grouped: dict[str, Any] = {
        "title": f"{'Recovered: ' if over else ''}{items} problems in etl",
        "text": "\n".join(f"{'Recovered' if over else item.state}: {item.subject}: {item.text}" for item in told),
        "incident": "failures: warehouse, etl",
        "reason": {Action.OPEN: Why.FIRST, Action.REPEAT: Why.REPEAT, Action.RECOVER: Why.ALL_RECOVERED}.get(
            Action(action), Why.NEW
        ),
        "group": {"project": "warehouse", "flow": "etl"},
        "items": told,
        "count": items,
        "fields": (("Problems", str(items)), ("Flow", "etl"), ("Project", "warehouse")),
    }
    return sample_message(action, **{**grouped, **changes})


_FIELDS = (("Run", "brave-otter"), ("Attempt", "2 of 3"), ("Duration", "1 min 23 s"), ("Started", ""))
_WORDS = {
    Action.OPEN: ("Failed: etl/load", "Task load of flow etl failed.\nValueError: bad row 17: <no amount>"),
    Action.UPDATE: (
        "Failed again: etl/load",
        "Task load of flow etl failed again.\nValueError: bad row 17: <no amount>",
    ),
    Action.REPEAT: (
        "Still Failed: etl/load for 4 h",
        "Task load of flow etl failed.\nValueError: bad row 17: <no amount>",
    ),
    Action.RECOVER: ("Recovered: etl/load", "Task load of flow etl succeeded after 2 attempts."),
    Action.EVENT: ("Event: etl/load", "Task load of flow etl failed.\nValueError: bad row 17: <no amount>"),
    Action.TEST: ("Test of channel ops", "This is a test message, sent by `tocsin test`. Nothing has failed."),
}


def _event(action: Action) -> Event:
    if action is Action.RECOVER:
        return sample_event(
            id="0b0f5a62-6d0e-5a7e-9a52-1f6a3f0f7c02",
            state="Success",
            state_family=("Success", "Finished"),
            message="",
            exception=None,
            severity="info",
        )
    return sample_event()
