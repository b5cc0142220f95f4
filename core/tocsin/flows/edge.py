"""What an edge between two tasks says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from tocsin.errors import FlowError

if TYPE_CHECKING:
    from tocsin.flows.task import Task


class _Fields(NamedTuple):
    upstream_task: Task
    downstream_task: Task
    key: str | None = None
    mapped: bool = False
    flattened: bool = False


class Edge(_Fields):
    """`downstream_task` waits for `upstream_task`, and takes its result as the argument `key` if one is named.

    `mapped` gives each of its children one item of the result; `flattened` removes one level of nesting before that.
    A tuple, because a run looks edges up for every task: equal edges are one, and hashing them is cheap.

    >>> Edge(1, 2, "a b")
    Traceback (most recent call last):
    tocsin.errors.FlowError: the key of an edge is 'a b'; give the name of an argument
    """

    __slots__ = ()

    def __new__(
        cls,
        upstream_task: Any,
        downstream_task: Any,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool | None = False,
    ) -> Self:
        """Check the key."""
        if key is not None and not str(key).isidentifier():
            raise FlowError(f"the key of an edge is '{key}'; give the name of an argument")
        return super().__new__(cls, upstream_task, downstream_task, key, bool(mapped), bool(flattened))

    @property
    def tasks(self) -> frozenset[Task]:
        """Both ends."""
        return frozenset((self.upstream_task, self.downstream_task))

    def __repr__(self) -> str:
        key = f" as '{self.key}'" if self.key else ""
        ends = (getattr(task, "name", task) for task in (self.upstream_task, self.downstream_task))
        return f"<Edge: {' to '.join(map(str, ends))}{key}>"
