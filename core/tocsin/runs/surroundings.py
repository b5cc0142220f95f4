"""What code in a run of a flow finds in the context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tocsin.clock import Clock
from tocsin.flows.context import context, dates
from tocsin.flows.events import plain_parameters
from tocsin.flows.flow import Flow
from tocsin_hooks.states import run_context

_TASK_KEYS = frozenset({"attempt", "map_index", "flow", "unused_tasks"})


def flow_context(flow: Flow, parameters: Mapping[str, Any], given: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """What code in a run of `flow` finds in the context; values that are `given` win."""
    outer = run_context.get()
    now = clock.now()
    seen_at = context.config.get("server", {}).get("ui", {}).get("url")
    effective = {each.name: each.default for each in flow.parameters() if not each.required}
    effective |= {**(given.get("parameters") or {}), **parameters}
    return {
        "checkpointing": bool(context.config.flows.checkpointing),
        **{key: value for key, value in outer.items() if key not in _TASK_KEYS and not key.startswith("task_")},
        **dates(now, given.get("date", outer.get("date"))),
        "flow_name": flow.name,
        "flow_id": flow.name,
        "flow_tags": frozenset(getattr(flow, "tags", ())),
        "flow_run_id": given.get("flow_run_id") or clock.new_id(),
        "flow_run_name": "",
        **({"runs_seen_at": str(seen_at)} if seen_at else {}),
        "scheduled_start_time": now,
        **given,
        "parameters": effective,
        "plain_parameters": plain_parameters(effective),
    }
