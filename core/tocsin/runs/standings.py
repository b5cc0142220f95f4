"""How each failure in a run of a flow stands to the others: from which it follows, or what it keeps from running."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from tocsin.flows.events import Standing
from tocsin.flows.structure import Structure
from tocsin.flows.task import Task
from tocsin.runs.blocked import blocked_by
from tocsin.runs.causes import Causes
from tocsin.runs.transitions import has_ended
from tocsin_hooks.states import Mapped, Skipped, State

NAMED = 10
"""How many of the tasks that a failure blocks are named."""

_Blocked = tuple[int, tuple[str, ...]]


class Standings:
    """What is known of one run: its flow, and the states of its tasks, as they change.

    Nothing is worked out before somebody asks, which is when something fails. It may be asked from any thread.
    """

    def __init__(self, flow: Structure, states: Mapping[Task, State]) -> None:
        self._flow = flow
        self._states = states
        self._causes = Causes(flow, states)
        self._settled = {task: True for task, state in states.items() if has_ended(state)}  # before the run began
        self._blocked: dict[Any, _Blocked] = {}

    def of_task(self, task: Task, index: int | None, state: State) -> Standing:
        """That of a task, or of a child of a mapped one, which failed for good with this state."""
        if self._causes.follows(task, index, state) and (causes := self._causes.behind(task, index)):
            return Standing(causes)
        return Standing((), *self._blocked_by(task, index))

    def of_flow(self) -> Standing:
        """That of the flow, when it failed because of its reference tasks."""
        reference = self._flow.reference_tasks()
        return Standing(self._causes.of(task for task in self._flow.sorted_tasks() if task in reference))

    # ---------------------------------------------------------------- what cannot run

    def _blocked_by(self, task: Task, index: int | None) -> _Blocked:
        after = frozenset((edge.downstream_task, edge.mapped, edge.flattened) for edge in self._flow.outputs_of(task))
        if not after:
            return 0, ()
        child_wise = any(mapped and not flattened for _, mapped, flattened in after)
        key = (after, index is None, index if child_wise else None)  # of a thousand that fail alike, one is looked at
        if key not in self._blocked:
            found = blocked_by(task, index, self._flow, self)
            first = heapq.nsmallest(NAMED, found, key=self._order.__getitem__)
            self._blocked[key] = len(found), tuple(each.name for each in first)
        return self._blocked[key]

    @cached_property
    def _order(self) -> dict[Task, int]:
        return {task: place for place, task in enumerate(self._flow.sorted_tasks())}

    def is_settled(self, task: Task) -> bool:
        """Whether a task ended before the run began, or will be skipped; as it was when first asked."""
        if task not in self._settled:
            self._settled[task] = task.skip_on_upstream_skip and any(
                _is_skipped(self._states.get(edge.upstream_task), edge.mapped) for edge in self._flow.inputs_of(task)
            )
        return self._settled[task]

    def width(self, task: Task) -> int | None:
        """How many children a mapped task has, once it has been split."""
        state = self._states.get(task)
        return len(state.map_states) if isinstance(state, Mapped) else None


def _is_skipped(state: State | None, one_by_one: bool) -> bool:
    """Whether what waits for a task with this state is skipped, too; `one_by_one`, only some of its children are."""
    if isinstance(state, Mapped) and not one_by_one:
        return any(isinstance(child, Skipped) for child in state.map_states)
    return isinstance(state, Skipped)
