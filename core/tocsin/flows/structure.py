"""Which tasks a flow has, what they are called in it, and which waits for which."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from tocsin.errors import ArgumentError, CycleError, FlowError, did_you_mean
from tocsin.flows import graph
from tocsin.flows.edge import Edge
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, forget_unused, takes_argument
from tocsin.options import config
from tocsin_hooks.states import run_context


class Structure:
    """The tasks and edges of a flow."""

    name: str

    def __init__(self) -> None:
        self.slugs: dict[Task, str] = {}
        self.constants: defaultdict[Task, dict[str, Any]] = defaultdict(dict)
        """The arguments of tasks that are plain values."""
        self._upstream: dict[Task, list[Edge]] = {}
        self._downstream: dict[Task, list[Edge]] = {}
        self._edges: dict[Edge, None] = {}  # a set that keeps their order
        self._filled: dict[tuple[Task, str], Edge | None] = {}  # arguments that have a value; None for a constant
        self._doubtful: dict[Edge, None] = {}  # edges that name an argument which the task does not take
        self._parameters: set[Parameter] = set()
        self._slugs_used: set[str] = set()
        self._slug_counts: Counter[str] = Counter()
        self._order: tuple[Task, ...] | None = None
        self._references: set[Task] = set()

    # ---------------------------------------------------------------- building

    def add_task(self, task: Task) -> Task:
        """Add a task, unless it is there already. Within a block of `case` or of a resource it belongs to the block."""
        if not isinstance(task, Task):
            raise TypeError(f"flow '{self.name}' is made of tasks; found {task!r}")
        forget_unused(task)
        if task in self._upstream:
            return task
        self.slugs[task] = self._new_slug(task)
        self._upstream[task] = []
        self._downstream[task] = []
        self._order = None
        if isinstance(task, Parameter):
            self._parameters.add(task)
            return task
        values = run_context.get()
        for block in (values.get("case"), values.get("resource")):
            if block is not None:
                block.add_task(task, self)
        return task

    def _new_slug(self, task: Task) -> str:
        if task.slug is not None:
            if task.slug in self._slugs_used:
                raise FlowError(f"flow '{self.name}' already has a task with the slug '{task.slug}'; choose another")
            slug = task.slug
        else:
            base = "-".join([task.name, *sorted(task.tags)])
            slug = self._next_slug(base)
            while slug in self._slugs_used:
                slug = self._next_slug(base)
        self._slugs_used.add(slug)
        return slug

    def _next_slug(self, base: str) -> str:
        self._slug_counts[base] += 1
        return f"{base}-{self._slug_counts[base]}"

    def add_edge(
        self,
        upstream_task: Task,
        downstream_task: Task,
        key: str | None = None,
        mapped: bool = False,
        flattened: bool = False,
        validate: bool | None = None,
    ) -> Edge:
        """Let one task wait for another, and take its result as the argument `key`; an edge that exists is kept.

        `validate` finds cycles, and arguments that the task does not take, at once rather than when the flow is run.
        """
        edge = Edge(upstream_task, downstream_task, key, mapped, flattened)
        if isinstance(downstream_task, Parameter):
            name = getattr(upstream_task, "name", upstream_task)
            raise FlowError(f"parameter '{downstream_task.name}' cannot wait for '{name}'")
        self.add_task(upstream_task)
        self.add_task(downstream_task)
        if edge not in self._edges:
            if key is not None:
                self._fill(downstream_task, key, edge)
            self._edges[edge] = None
            self._upstream[downstream_task].append(edge)
            self._downstream[upstream_task].append(edge)
            self._order = None
        if eager(validate):
            self.validate()
        return edge

    def add_constant(self, task: Task, key: str, value: Any) -> None:
        """Give a task a plain value as the argument `key`."""
        if not takes_argument(task, key):
            raise ArgumentError(_not_taken(task, key))
        self._fill(task, key, None)
        self.constants[task][key] = value

    def _fill(self, task: Task, key: str, edge: Edge | None) -> None:
        place = (task, key)
        if place in self._filled and (edge is not None or self._filled[place] is not None):
            raise FlowError(
                f"argument '{key}' of task '{task.name}' has a value already; "
                f"to use the task again with others, call it or add a copy"
            )
        self._filled[place] = edge
        if edge is not None and not takes_argument(task, key):
            self._doubtful[edge] = None

    def _drop(self, task: Task) -> tuple[list[Edge], dict[str, Any]]:
        """Take a task out; its edges and constants."""
        edges = [edge for edge in self._edges if task in edge.tasks]
        for edge in edges:
            del self._edges[edge]
            self._upstream[edge.downstream_task].remove(edge)
            self._downstream[edge.upstream_task].remove(edge)
            self._doubtful.pop(edge, None)
            if edge.key is not None:
                self._filled.pop((edge.downstream_task, edge.key), None)
        constants = self.constants.pop(task, {})
        for key in constants:
            self._filled.pop((task, key), None)
        self._slugs_used.discard(self.slugs.pop(task))
        del self._upstream[task], self._downstream[task]
        if isinstance(task, Parameter):
            self._parameters.discard(task)
        self._order = None
        return edges, constants

    def chain(self, *tasks: Task, validate: bool | None = None) -> list[Edge]:
        """Let each of the tasks wait for the one before it."""
        edges = [self.add_edge(before, after, validate=False) for before, after in pairwise(tasks)]
        if eager(validate):
            self.validate()
        return edges

    # ---------------------------------------------------------------- looking

    @property
    def tasks(self) -> set[Task]:
        """All tasks."""
        return set(self._upstream)

    @property
    def edges(self) -> set[Edge]:
        """All edges."""
        return set(self._edges)

    def sorted_edges(self) -> list[Edge]:
        """All edges, in the order in which they were added."""
        return list(self._edges)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.sorted_tasks())

    def has_edges(self, task: Task) -> bool:
        """Whether a task is tied to others here."""
        return bool(self._upstream.get(task) or self._downstream.get(task))

    def edges_to(self, task: Task) -> set[Edge]:
        """The edges for which `task` waits."""
        return set(self._upstream[self._known(task)])

    def edges_from(self, task: Task) -> set[Edge]:
        """The edges that wait for `task`."""
        return set(self._downstream[self._known(task)])

    def upstream_tasks(self, task: Task) -> set[Task]:
        """The tasks for which `task` waits."""
        return {edge.upstream_task for edge in self._upstream[self._known(task)]}

    def downstream_tasks(self, task: Task) -> set[Task]:
        """The tasks that wait for `task`."""
        return {edge.downstream_task for edge in self._downstream[self._known(task)]}

    def all_upstream_tasks(self, task: Task) -> set[Task]:
        """The tasks for which `task` waits, directly or not."""
        return graph.reachable(self._known(task), self.upstream_tasks)

    def all_downstream_tasks(self, task: Task) -> set[Task]:
        """The tasks that wait for `task`, directly or not."""
        return graph.reachable(self._known(task), self.downstream_tasks)

    def all_upstream_edges(self) -> dict[Task, set[Edge]]:
        """For every task the edges for which it waits."""
        return {task: set(edges) for task, edges in self._upstream.items()}

    def all_downstream_edges(self) -> dict[Task, set[Edge]]:
        """For every task the edges that wait for it."""
        return {task: set(edges) for task, edges in self._downstream.items()}

    def inputs_of(self, task: Task) -> list[Edge]:
        """The edges for which `task` waits, in the order in which they were added."""
        return self._upstream[task]

    def outputs_of(self, task: Task) -> list[Edge]:
        """The edges that wait for `task`, in the order in which they were added."""
        return self._downstream[task]

    def _known(self, task: Task) -> Task:
        if task not in self._upstream:
            raise FlowError(f"task '{getattr(task, 'name', task)}' is not in flow '{self.name}'")
        return task

    def root_tasks(self) -> set[Task]:
        """The tasks that wait for nothing."""
        return {task for task, edges in self._upstream.items() if not edges}

    def terminal_tasks(self) -> set[Task]:
        """The tasks for which nothing waits."""
        return {task for task, edges in self._downstream.items() if not edges}

    def reference_tasks(self) -> set[Task]:
        """The tasks that decide whether the flow failed.

        Those set, else those for which nothing waits but the cleaning up of a resource.
        """
        if self._references:
            return set(self._references)
        return {
            task
            for task, edges in self._downstream.items()
            if not task.cleans_up
            and (not edges or (edges[0].downstream_task.cleans_up and all(e.downstream_task.cleans_up for e in edges)))
        }

    def set_reference_tasks(self, tasks: Iterable[Task] | None) -> None:
        """Let these tasks decide whether the flow failed; none of them means those for which nothing waits."""
        self._references = {self._known(task) for task in tasks or ()}

    def sorted_tasks(self, root_tasks: Iterable[Task] | None = None) -> tuple[Task, ...]:
        """All tasks, each after those for which it waits; CycleError if there is no such order.

        With `root_tasks`, these and the tasks that wait for them, directly or not.
        """
        if self._order is None:
            upstream = {task: [edge.upstream_task for edge in edges] for task, edges in self._upstream.items()}
            downstream = {task: [edge.downstream_task for edge in edges] for task, edges in self._downstream.items()}
            order = graph.ordered(upstream, downstream)
            if loop := graph.cycle(upstream, order):
                raise CycleError(self.name, [task.name for task in loop])
            self._order = tuple(order)
        roots = set(root_tasks or ())
        if not roots:
            return self._order
        wanted = roots.union(*(self.all_downstream_tasks(task) for task in roots))
        return tuple(task for task in self._order if task in wanted)

    def get_tasks(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        task_type: type[Task] | None = None,
    ) -> list[Task]:
        """The tasks with this name, slug, all of these tags and of this type, in the order they were added."""
        wanted = set(tags or ())
        return [
            task
            for task in self._upstream
            if (name is None or task.name == name)
            and (slug is None or self.slugs[task] == slug)
            and wanted <= task.tags
            and isinstance(task, task_type or Task)
        ]

    def parameters(self) -> set[Parameter]:
        """The parameters."""
        return set(self._parameters)

    def validate(self) -> None:
        """Raise FlowError if the flow cannot run: it has a cycle, or an edge gives a task what it does not take."""
        self.sorted_tasks()
        for edge in self._doubtful:
            raise ArgumentError(_not_taken(edge.downstream_task, str(edge.key)))


def eager(validate: bool | None) -> bool:
    """Whether to look for mistakes at once: what is said, else what the config says."""
    return bool(config.flows.eager_edge_validation) if validate is None else validate


def _not_taken(task: Task, key: str) -> str:
    return f"task '{task.name}' takes no argument '{key}'{did_you_mean(key, task.signature.parameters)}"
