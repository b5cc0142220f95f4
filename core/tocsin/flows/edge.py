"""What an edge between two tasks says."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tocsin.flows.task import Task


class Edge(NamedTuple):
    """`downstream_task` waits for `upstream_task`, and takes its result as the argument `key` if one is named.

    A tuple, because a run looks edges up for every task: equal edges are one, and hashing them is cheap.
    """

    upstream_task: Task
    downstream_task: Task
    key: str | None = None
    mapped: bool = False
    flattened: bool = False

    @property
    def tasks(self) -> frozenset[Task]:
        """Both ends."""
        return frozenset((self.upstream_task, self.downstream_task))

    def __repr__(self) -> str:
        key = f" as '{self.key}'" if self.key else ""
        return f"<Edge: {self.upstream_task.name} to {self.downstream_task.name}{key}>"
