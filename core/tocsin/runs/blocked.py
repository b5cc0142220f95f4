"""Which tasks of a flow cannot run because one of them failed."""

from __future__ import annotations

from enum import IntEnum
from typing import Protocol

from tocsin.flows.edge import Edge
from tocsin.flows.structure import Structure
from tocsin.flows.task import Task
from tocsin.flows.triggers import all_successful, any_successful, not_all_skipped

_STRICT = (all_successful, not_all_skipped)
"""Triggers that refuse when one upstream task has failed, whatever became of the others."""


class Loss(IntEnum):
    """How much of a task is sure not to run."""

    CHILD = 1
    """Of a mapped task the child with the index of the one that failed."""
    CHILDREN = 2
    """Children of a mapped task, at least one; which ones is not known."""
    WHOLE = 3
    """The task itself: it has no children, or will have none."""


class Facts(Protocol):
    """What is known of a run that goes on."""

    def is_settled(self, task: Task) -> bool:
        """Whether it is decided what becomes of a task, whatever fails now: it has ended, or will be skipped."""
        ...

    def width(self, task: Task) -> int | None:
        """How many children a mapped task has; None while that is not known."""
        ...


class NoFacts:
    """A run of which nothing is known."""

    def is_settled(self, task: Task) -> bool:  # noqa: ARG002
        """No."""
        return False

    def width(self, task: Task) -> int | None:  # noqa: ARG002
        """Not known."""
        return None


def blocked_by(task: Task, index: int | None, flow: Structure, facts: Facts) -> set[Task]:
    """The tasks that are sure not to run, or not with all of their children, because `task` or its child failed.

    What a trigger makes of a failure counts where it is certain: `all_successful` and `not_all_skipped` refuse for one,
    `any_successful` when all before it fail for this reason. What is to be mapped cannot be when there is nothing to
    map over, whatever its trigger says.

    >>> from tocsin.flows.flow import Flow
    >>> from tocsin.flows.triggers import all_finished
    >>> bad, load, report = Task("bad"), Task("load"), Task("report")
    >>> cleanup, mail = Task("cleanup", trigger=all_finished), Task("mail")
    >>> flow = Flow("etl", tasks=[bad, load, report, cleanup, mail])
    >>> edges = flow.chain(bad, load, report, cleanup, mail)
    >>> sorted(each.name for each in blocked_by(bad, None, flow, NoFacts()))
    ['load', 'report']
    """
    lost = {task: Loss.WHOLE if index is None else Loss.CHILD}
    todo = [task]
    while todo:
        for edge in flow.outputs_of(todo.pop()):
            after = edge.downstream_task
            before = lost.get(after)
            if before is Loss.WHOLE or (before is None and facts.is_settled(after)):
                continue
            if _is_child_wise(edge, lost) and (width := facts.width(after)) is not None and width <= (index or 0):
                continue  # a map is as wide as its narrowest input: it has no child of this index
            found = _loss_along(edge, flow, lost)
            if found is not None and (before is None or found > before):
                lost[after] = found
                todo.append(after)
    del lost[task]
    return set(lost)


def _is_child_wise(edge: Edge, lost: dict[Task, Loss]) -> bool:
    """Whether just one child is lost before the edge, and only the one of the same index sees it after."""
    return edge.mapped and not edge.flattened and lost.get(edge.upstream_task) is Loss.CHILD


def _loss_along(edge: Edge, flow: Structure, lost: dict[Task, Loss]) -> Loss | None:
    """How much is lost after an edge because of what is lost before it; None for nothing that is certain."""
    after = edge.downstream_task
    edges = flow.inputs_of(after)
    mapped = [each for each in edges if each.mapped]
    if mapped and all(lost.get(each.upstream_task) is Loss.WHOLE for each in mapped):
        return Loss.WHOLE
    if after.trigger not in _STRICT:
        certain = after.trigger is any_successful and all(
            lost.get(each.upstream_task) is Loss.WHOLE or _is_child_wise(each, lost) for each in edges
        )
        if not certain:
            return None
    if not mapped:
        return Loss.WHOLE
    return Loss.CHILD if _is_child_wise(edge, lost) else Loss.CHILDREN
