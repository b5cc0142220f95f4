"""The operator's own words: Jinja2 in a sandbox, over plain data, with a bound on what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tocsin_hooks.events import Event

OUTPUT_CAP = 20_000
"""Characters that a template may produce; what is longer is cut, and says so."""

_CUT = "\n... (cut: longer than a message may be)"


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    # Channels escape for their own dialects: escaping here as well would escape twice.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, trim_blocks=True)


def render(template: str, data: Mapping[str, Any]) -> str:
    """The text that `template` makes of `data`, cut at `OUTPUT_CAP`.

    Raises ValueError, with the line where it is known, for a template that cannot be read or does not fit the data.

    >>> render("{{ flow }} is {{ state|lower }}", {"flow": "etl", "state": "Failed"})
    'etl is failed'
    """
    pieces, size = [], 0
    try:
        for piece in _environment().from_string(template).generate(dict(data)):
            pieces.append(piece)
            size += len(piece)
            if size > OUTPUT_CAP:
                return "".join(pieces)[: OUTPUT_CAP - len(_CUT)] + _CUT
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        raise ValueError(f"{error.message}" + (f" (line {line})" if line else "")) from error
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, MemoryError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error  # what a filter made of the data
    return "".join(pieces)


def check_template(template: str) -> str | None:
    """What is wrong with a template, tried on an event that has everything; None when nothing is."""
    try:
        render(template, template_data(_sample()))
    except ValueError as error:
        return str(error)
    return None


def template_data(event: Event) -> dict[str, Any]:
    """What templates can read: the event's JSON form, and its extra labels under their own names."""
    data = event.to_dict()
    return {
        **data["labels"],
        **data,
        "subject": event.subject,
        "params": data["parameters"],
        "context": data["labels"],
        "exception": data["exception"] or {"type": "", "message": "", "traceback": ""},
    }


def _sample() -> Event:
    import pendulum

    now = pendulum.datetime(2026, 1, 2, 3, 4, 5)
    return Event(
        id="00000000-0000-0000-0000-000000000000",
        time=now,
        flow="flow",
        run_id="run",
        task="task",
        state="Failed",
        state_family=("Failed", "Finished"),
        duration=1.0,
        next_attempt_at=now,
    )
