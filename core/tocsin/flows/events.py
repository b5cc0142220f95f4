"""How a change of state is written down as an event."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote

from tocsin.clock import Clock, SystemClock
from tocsin.flows.parameter import is_plain
from tocsin.flows.task import Task
from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.masking import known, mask, mask_head, mask_tail, mask_values, tells_a_secret
from tocsin_hooks.states import Failed, Finished, Retrying, State, family

if TYPE_CHECKING:
    import pendulum

    from tocsin.flows.flow import Flow

TRACEBACK_CAP = 20_000
"""Characters kept of a traceback: its end, which names the error."""

MESSAGE_CAP = 10_000
"""Characters kept of the message of a state or an exception: its beginning."""

PARAMETER_CAP = 5_000
"""Characters that a parameter may take before it is told by its shortened `repr`."""

_SHORT = 200
_NO_TAGS: frozenset[str] = frozenset()

REPR_CAP = 200
"""Characters kept of a parameter that has no JSON form."""


class Standing(NamedTuple):
    """How a failure stands to others of its run: from which it follows, or what it keeps from running."""

    causes: tuple[str, ...] = ()
    blocks: int = 0
    blocked: tuple[str, ...] = ()

    def facts(self, flow: str) -> dict[str, Any]:
        """The same as fields of an event of this flow.

        >>> Standing(causes=("load[3]",)).facts("etl")
        {'causes': ('etl/load[3]',), 'blocks': 0, 'blocked': ()}
        """
        causes = tuple([f"{flow}/{name}" for name in self.causes])
        return {"causes": causes, "blocks": self.blocks, "blocked": self.blocked}


class Attempt(Protocol):
    """What a runner knows of the attempt it makes; it stands in the context under `attempt`."""

    clock: Clock
    started: float | None
    """The clock's `monotonic()` when the attempt began running."""
    will_retry: bool
    """Whether the failure being told is not the last word."""

    def standing(self, state: State) -> Standing:
        """How a failure that is the last word stands to others of the run."""
        ...


def event_of(
    subject: Task | Flow,
    old_state: State,
    new_state: State,
    context: Mapping[str, Any],
    *,
    time: pendulum.DateTime | None = None,
) -> Event:
    """The event that tells of a change, from the context of the run in which it happened."""
    attempt: Attempt | None = context.get("attempt")
    clock = attempt.clock if attempt else SystemClock()
    subject = getattr(subject, "subject", subject)  # handlers of a runner are given the runner
    is_task = isinstance(subject, Task)
    run_id = context.get("flow_run_id", "")
    task_run_id = context.get("task_run_id", "") if is_task else ""
    map_index = context.get("map_index") if is_task else None
    count = context.get("task_run_count") or 1
    loop_count = context.get("task_loop_count") or 1
    kind = type(new_state)
    flow_tags = context.get("flow_tags", ())
    started = attempt.started if attempt else None
    message = new_state.message or ""
    failed = isinstance(new_state.result, BaseException)
    parameters = context.get("parameters")
    secrets = secrets_in(parameters) if parameters and (message or failed) else ()
    tags = subject.tags
    event = Event.of_change(
        ("tocsin", run_id, task_run_id, map_index, count, loop_count, kind.__name__),
        time=clock.now() if time is None else time,
        flow=context.get("flow_name", ""),
        run_id=run_id,
        state=kind.__name__,
        state_family=family(kind),
        old_state=type(old_state).__name__,
        run_name=context.get("flow_run_name", ""),
        task=subject.name if is_task else "",
        task_run_id=task_run_id,
        map_index=map_index,
        attempt=count,
        max_attempts=getattr(subject, "max_retries", 0) + 1,
        loop_count=loop_count,
        message=_beginning(message, secrets) if message else "",
        tags=frozenset(tags).union(flow_tags) if tags or flow_tags else _NO_TAGS,
        parameters=context.get("plain_parameters", {}),
        exception=summary_of(new_state.result, secrets) if failed else None,
        duration=clock.monotonic() - started if started is not None and isinstance(new_state, Finished) else None,
        will_retry=attempt.will_retry if attempt else False,
        labels={},
        next_attempt_at=new_state.start_time if isinstance(new_state, Retrying) else None,
    )
    if isinstance(new_state, Failed) and attempt and not attempt.will_retry:
        vars(event).update(attempt.standing(new_state).facts(event.flow))  # which nobody has seen yet
    if "runs_seen_at" in context:
        vars(event)["url"] = run_url(context["runs_seen_at"], run_id, task_run_id)
    return event


def run_url(base: str, run_id: str, task_run_id: str = "") -> str:
    """Where a run can be seen, below the address at which all are; nothing for a run without an id.

    >>> run_url("https://runs.example.org/", "r1"), run_url("https://runs.example.org", "r1", "r1/load rows-1")
    ('https://runs.example.org/flow-run/r1', 'https://runs.example.org/task-run/r1/load%20rows-1')
    """
    if not run_id:
        return ""
    kind, name = ("task-run", task_run_id) if task_run_id else ("flow-run", run_id)
    return f"{base.rstrip('/')}/{kind}/{quote(name)}"


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON data, without secrets: a value without a JSON form is told by its shortened `repr`.

    >>> plain_parameters({"day": "2024-01-01", "engine": {1}, "api_token": "t0k3n"})
    {'day': '2024-01-01', 'engine': '{1}', 'api_token': '***'}
    """
    return {name: mask_values(value if _fits(value) else short_repr(value), name) for name, value in parameters.items()}


def secrets_in(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Texts among parameters that their names tell to be secrets.

    >>> secrets_in({"day": "2024-01-01", "api_token": "t0k3n"})
    ('t0k3n',)
    """
    return tuple([value for name, value in parameters.items() if isinstance(value, str) and tells_a_secret(name)])


def _fits(value: Any) -> bool:
    """Whether a value can stand in an event as it is: it has a JSON form, and not an endless one."""
    if value is None or isinstance(value, bool | int | float):
        return is_plain(value)
    return is_plain(value) and len(repr(value)) <= PARAMETER_CAP


def short_repr(value: Any) -> str:
    """The `repr` of a value, cut short; its type when even that raises."""
    try:
        text = repr(value)
    except Exception:  # somebody else's __repr__
        return f"<{type(value).__name__}>"
    return mask_head(text, REPR_CAP)


def summary_of(result: Any, secrets: Collection[str] = ()) -> ExceptionSummary | None:
    """An exception as text without what looks like a secret, and without `secrets`; None for any other result.

    >>> summary_of(ValueError("no rows: password=hunter2")).message
    'no rows: password=***'
    """
    if not isinstance(result, BaseException):
        return None
    try:
        message = str(result)
    except Exception:  # somebody else's __str__
        message = f"<{type(result).__name__}>"
    text = "".join(traceback.format_exception(result))
    return ExceptionSummary(
        type(result).__name__, _beginning(message, secrets), mask_tail(text, TRACEBACK_CAP, secrets)
    )


def _beginning(text: str, secrets: Collection[str]) -> str:
    if len(text) <= _SHORT and not secrets:
        return _masked(text, len(known))
    return mask_head(text, MESSAGE_CAP, secrets)


@lru_cache(maxsize=1024)
def _masked(text: str, secrets_known: int) -> str:  # noqa: ARG001  (a secret revealed since makes another answer)
    """The words of states are few and short, and told with every one of them."""
    return mask(text)
