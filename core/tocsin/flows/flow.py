"""What a pipeline is: tasks, the edges between them, and how its own state follows from theirs."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from tocsin.errors import CycleError, FlowError, ParameterError, did_you_mean
from tocsin.flows import graph, ports
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.gathering import as_task, holds_task
from tocsin.flows.handlers import StateHandler, checked_handlers, on_failed
from tocsin.flows.parameter import Parameter
from tocsin.flows.task import Task, checked_tags, takes_argument
from tocsin_hooks.states import State

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

TerminalStateHandler = Callable[["Flow", State, set[State]], State | None]


class Flow:
    """A pipeline. Inside `with Flow("name") as flow:` calling a task adds it.

    `state_handlers` see the flow's own transitions, `task_state_handlers` those of every task, after the task's own.
    The flow fails if a reference task does; unless told otherwise, these are the tasks that nothing waits for.
    `terminal_state_handler(flow, state, reference_states)` may replace the final state.
    """

    def __init__(
        self,
        name: str,
        *,
        tasks: Iterable[Task] | None = None,
        edges: Iterable[Edge] | None = None,
        reference_tasks: Iterable[Task] | None = None,
        state_handlers: Iterable[StateHandler] | None = None,
        task_state_handlers: Iterable[StateHandler] | None = None,
        on_failure: Callable[..., Any] | None = None,
        terminal_state_handler: TerminalStateHandler | None = None,
        executor: Any = None,
        tags: Iterable[str] | None = None,
        validate: bool = False,
    ) -> None:
        if not name:
            raise FlowError("a flow needs a name")
        self.name = name
        self.tags = checked_tags(name, tags)
        self.executor = executor
        self.state_handlers: list[StateHandler] = checked_handlers(f"flow '{name}'", state_handlers)
        if on_failure is not None:
            self.state_handlers.append(on_failed(on_failure))
        self.task_state_handlers: list[StateHandler] = checked_handlers(f"flow '{name}'", task_state_handlers)
        self.terminal_state_handler = terminal_state_handler
        self.slugs: dict[Task, str] = {}
        self.constants: dict[Task, dict[str, Any]] = {}
        self._upstream: dict[Task, list[Edge]] = {}
        self._downstream: dict[Task, list[Edge]] = {}
        self._edges: set[Edge] = set()
        self._filled: set[tuple[Task, str]] = set()  # arguments that have a value, for a quick look
        self._parameters: set[Parameter] = set()
        self._slugs_used: set[str] = set()
        self._slug_counts: Counter[str] = Counter()
        self._order: list[Task] | None = None
        self._references: set[Task] = set()
        self._open: list[AbstractContextManager[Any]] = []
        for task in tasks or ():
            self.add_task(task)
        for edge in edges or ():
            self.add_edge(*edge)
        if reference_tasks is not None:
            self.set_reference_tasks(reference_tasks)
        if validate:
            self.validate()

    def __repr__(self) -> str:
        return f"<Flow: {self.name}>"

    # ---------------------------------------------------------------- the with block

    def __enter__(self) -> Self:
        block = context(flow=self, unused_tasks={})
        block.__enter__()
        self._open.append(block)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        unused = [] if kind else [task.name for task in context.unused_tasks if task not in self._upstream]
        self._open.pop().__exit__(None, None, None)
        if unused:
            names = ", ".join(f"'{name}'" for name in unused)
            text = f"made in the block of flow '{self.name}' but not added to it: {names}; call them, or use add_task"
            warnings.warn(text, stacklevel=2)

    # ---------------------------------------------------------------- building

    def add_task(self, task: Task) -> Task:
        """Add a task, unless it is there already."""
        if not isinstance(task, Task):
            raise TypeError(f"flow '{self.name}' is made of tasks; found {task!r}")
        if task not in self._upstream:
            self.slugs[task] = self._new_slug(task)
            self._upstream[task] = []
            self._downstream[task] = []
            if isinstance(task, Parameter):
                self._parameters.add(task)
            self._order = None
            context.get("unused_tasks", {}).pop(task, None)
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
        validate: bool = False,
    ) -> Edge:
        """Let one task wait for another, and take its result as the argument `key`; an edge that exists is kept."""
        edge = Edge(upstream_task, downstream_task, key, mapped, flattened)
        if isinstance(downstream_task, Parameter):
            raise FlowError(f"parameter '{downstream_task.name}' cannot wait for '{upstream_task.name}'")
        self.add_task(upstream_task)
        self.add_task(downstream_task)
        if edge in self._edges:
            return edge
        if key is not None:
            self._fill(downstream_task, key)
        self._edges.add(edge)
        self._upstream[downstream_task].append(edge)
        self._downstream[upstream_task].append(edge)
        self._order = None
        if validate:
            self.validate()
        return edge

    def _fill(self, task: Task, key: str) -> None:
        if not takes_argument(task, key):
            hint = did_you_mean(key, task.signature.parameters)
            raise FlowError(f"task '{task.name}' takes no argument '{key}'{hint}")
        if (task, key) in self._filled:
            raise FlowError(
                f"argument '{key}' of task '{task.name}' has a value already; "
                f"to use the task again with others, call it or add a copy"
            )
        self._filled.add((task, key))

    def set_dependencies(
        self,
        task: Any,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        validate: bool = False,
    ) -> None:
        """Tie a task to others; values that are no tasks become constants or, with tasks inside, collections."""
        subject = self.add_task(as_task(task, self))
        for value in upstream_tasks or ():
            self.add_edge(as_task(value, self), subject)
        for value in downstream_tasks or ():
            self.add_edge(subject, as_task(value, self))
        for key, value in (keyword_tasks or {}).items():
            if holds_task(value):
                self.add_edge(as_task(value, self), subject, key)
            else:
                self._fill(subject, key)
                self.constants.setdefault(subject, {})[key] = value
        if validate:
            self.validate()

    def chain(self, *tasks: Task, validate: bool = False) -> list[Edge]:
        """Let each of the tasks wait for the one before it."""
        edges = [self.add_edge(before, after) for before, after in pairwise(tasks)]
        if validate:
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

    def inputs_of(self, task: Task) -> list[Edge]:
        """The edges for which `task` waits, in the order in which they were added."""
        return self._upstream[task]

    def outputs_of(self, task: Task) -> list[Edge]:
        """The edges that wait for `task`, in the order in which they were added."""
        return self._downstream[task]

    def _known(self, task: Task) -> Task:
        if task not in self._upstream:
            raise FlowError(f"task '{task.name}' is not in flow '{self.name}'")
        return task

    def root_tasks(self) -> set[Task]:
        """The tasks that wait for nothing."""
        return {task for task, edges in self._upstream.items() if not edges}

    def terminal_tasks(self) -> set[Task]:
        """The tasks for which nothing waits."""
        return {task for task, edges in self._downstream.items() if not edges}

    def reference_tasks(self) -> set[Task]:
        """The tasks that decide whether the flow failed: those set, else the terminal ones."""
        return set(self._references) or self.terminal_tasks()

    def set_reference_tasks(self, tasks: Iterable[Task] | None) -> None:
        """Let these tasks decide whether the flow failed; none of them means the terminal ones."""
        self._references = {self._known(task) for task in tasks or ()}

    def sorted_tasks(self) -> list[Task]:
        """All tasks, each after those for which it waits; CycleError if there is no such order."""
        if self._order is None:
            upstream = {task: [edge.upstream_task for edge in edges] for task, edges in self._upstream.items()}
            downstream = {task: [edge.downstream_task for edge in edges] for task, edges in self._downstream.items()}
            order = graph.ordered(upstream, downstream)
            if loop := graph.cycle(upstream, order):
                raise CycleError(self.name, [task.name for task in loop])
            self._order = order
        return list(self._order)

    def get_tasks(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        task_type: type[Task] = Task,
    ) -> list[Task]:
        """The tasks with this name, slug, all of these tags and of this type, in the order they were added."""
        wanted = set(tags or ())
        return [
            task
            for task in self._upstream
            if (name is None or task.name == name)
            and (slug is None or self.slugs[task] == slug)
            and wanted <= task.tags
            and isinstance(task, task_type)
        ]

    def parameters(self) -> set[Parameter]:
        """The parameters."""
        return set(self._parameters)

    def validate(self) -> None:
        """Raise FlowError if the flow cannot run."""
        self.sorted_tasks()

    # ---------------------------------------------------------------- running

    def run(self, parameters: Mapping[str, Any] | None = None, **kwargs: Any) -> State:
        """Run to the end, waiting for retries; the final state's `result` maps every task to its state.

        Parameters may be given by keyword; further keywords are options of `tocsin.runs.run_flow`.
        """
        if context.get("flow") is self:
            raise FlowError(f"flow '{self.name}' is run inside its own `with` block; run it after the block")
        names = {parameter.name for parameter in self.parameters()}
        given = dict(parameters or {})
        options: dict[str, Any] = {}
        for key, value in kwargs.items():
            if key in names:
                given[key] = value
            elif key in ports.OPTIONS:
                options[key] = value
            else:
                hint = did_you_mean(key, names | ports.OPTIONS)
                raise ParameterError(f"flow '{self.name}' has no parameter '{key}', nor is it an option{hint}")
        return ports.run_flow(self, given, **options)
