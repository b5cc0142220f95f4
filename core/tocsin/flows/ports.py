"""How `flow.run()` reaches what runs flows, without this package importing it: `tocsin` sets `run_flow`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tocsin.errors import FlowError

if TYPE_CHECKING:
    from tocsin_hooks.states import State

RunFlow = Callable[..., "State"]
"""`run_flow(flow, parameters, **options)`: runs a flow to its end and returns the final state, whose result maps each
task to its state."""

OPTIONS = frozenset(
    {
        "ask",
        "clock",
        "context",
        "executor",
        "on_change",
        "run_name",
        "run_on_schedule",
        "runner_cls",
        "state",
        "task_contexts",
        "task_runner_cls",
        "task_runner_state_handlers",
        "task_states",
    }
)
"""What `flow.run()` takes by keyword beside parameters; `tocsin.runs.run_flow` says what they mean."""


def _nothing(*_: Any, **__: Any) -> State:
    raise FlowError("nothing is set that runs flows; set tocsin.flows.ports.run_flow, as 'import tocsin' does")


run_flow: RunFlow = _nothing
