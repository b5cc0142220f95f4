"""The operator's own words: Jinja2 in a sandbox, over plain data, with a bound on what comes out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError

from tocsin.routing.envelope import Envelope
from tocsin.routing.template_filters import PlainFilter
from tocsin.routing.template_limits import BUDGET, Budget, LimitedEnvironment
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Action, Item, Why

OUTPUT_CAP = 20_000
"""Characters that a template may produce; what is longer is cut, and says so."""

_CUT = "\n... (cut: longer than a message may be)"


Filters = tuple[PlainFilter, ...]
"""Filters that templates can use beside Jinja2's own."""


@lru_cache(maxsize=16)
def _environment(filters: Filters) -> LimitedEnvironment:
    # Channels escape for their own dialects: escaping here as well would escape twice.
    made = LimitedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)
    for each in filters:
        made.filters.setdefault(each.name, each)  # Jinja2's own keep their meaning
    return made


def template_filters(provided: Mapping[str, Callable[..., Any]]) -> Filters:
    """The filters that plugins have `provided`, as templates may use them."""
    return tuple(PlainFilter(name, function) for name, function in sorted(provided.items()))


def render(template: str, data: Mapping[str, Any], filters: Filters = ()) -> str:
    """The text that `template` makes of `data`, cut at `OUTPUT_CAP`; it may use `filters` beside Jinja2's own.

    Raises ValueError, with the line where it is known, for a template that cannot be read or does not fit the data.

    >>> render("{{ flow }} is {{ state|lower }}", {"flow": "etl", "state": "Failed"})
    'etl is failed'
    """
    pieces, size = [], 0
    try:
        for piece in _environment(filters).from_string(template).generate({**data, BUDGET: Budget()}):
            pieces.append(piece)
            size += len(piece)
            if size > OUTPUT_CAP:
                return "".join(pieces)[: OUTPUT_CAP - len(_CUT)] + _CUT
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise ValueError(f"{error.message}" + (f" (line {line})" if line else "")) from error
    except Exception as error:  # what a filter made of the data, or Python of a template that nests too deep
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return "".join(pieces)


def check_template(template: str, filters: Filters = ()) -> str | None:
    """What is wrong with a template, tried on a message that has everything; None when nothing is.

    What the filters of plugins make of that message says nothing about others, so they are not asked.
    """
    event, envelope = _sample()
    data = template_data(event, envelope)
    for name in ("params", "parameters", "context", "labels", "group"):
        data[name] = _Anything(data[name])
    try:
        render(template, data, tuple(PlainFilter(each.name, _value) for each in filters))
    except ValueError as error:
        return str(error)
    return None


def template_data(event: Event, envelope: Envelope) -> dict[str, Any]:
    """What templates can read: the event's JSON form, its extra labels under their own names, and why it is told."""
    data = event.to_dict()
    return {
        **data["labels"],
        **data,
        "subject": event.subject,
        "params": data["parameters"],
        "context": data["labels"],
        "exception": data["exception"] or {"type": "", "message": "", "traceback": ""},
        "action": str(envelope.action),
        "incident": envelope.incident,
        "opened_at": "" if envelope.incident_opened_at is None else envelope.incident_opened_at.isoformat(),
        "channel": envelope.channel,
        "route": envelope.route,
        "reason": str(envelope.reason),
        "group": dict(envelope.group),
        "items": [dataclasses.asdict(item) for item in envelope.items],
        "count": max(envelope.count, len(envelope.items), 1),
        "silent": envelope.silent,
        "acknowledged_by": envelope.acknowledged_by,
        "hides": envelope.hides,
        "say": envelope.say,
    }


def _value(*_: Any, **__: Any) -> str:
    return "value"


class _Anything(dict[str, Any]):
    """A mapping that has every key: which labels and parameters there will be is not known before."""

    def __missing__(self, key: str) -> str:
        return "value"


def _sample() -> tuple[Event, Envelope]:
    import pendulum

    now = pendulum.datetime(2026, 1, 2, 3, 4, 5)
    event = Event(
        id="00000000-0000-0000-0000-000000000000",
        time=now,
        flow="flow",
        run_id="run",
        task="task",
        state="Failed",
        state_family=("Failed", "Finished"),
        duration=1.0,
        next_attempt_at=now,
        blocks=2,
        blocked=("one", "two"),
    )
    envelope = Envelope(
        id="1",
        channel="channel",
        route="route",
        action=Action.OPEN,
        incident="flow/task",
        incident_opened_at=now,
        reason=Why.FIRST,
        group={"flow": "flow"},
        items=tuple(Item(f"flow/{name}", "Failed", now.isoformat(), "ValueError: no") for name in ("one", "two")),
        count=2,
        acknowledged_by="somebody",
        say="words",
        hides=1,
    )
    return event, envelope
