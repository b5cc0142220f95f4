"""What a pipeline is: tasks that wait for one another, and how its own state follows from theirs."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tocsin.errors import FlowError, ParameterError, did_you_mean
from tocsin.flows import marks, ports
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.gathering import as_task, holds_task
from tocsin.flows.handlers import StateHandler, checked_handlers, on_failed
from tocsin.flows.logs import get_logger
from tocsin.flows.structure import Structure, eager
from tocsin.flows.task import Task, takes_argument
from tocsin.flows.task_options import checked_tags
from tocsin_hooks.states import State

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

TerminalStateHandler = Callable[["Flow", State, set[State]], State | None]


_ABSENT = {
    **dict.fromkeys(("register", "serialize", "serialized_hash"), "tocsin has no server; run it with `tocsin run`"),
    **dict.fromkeys(("run_agent", "run_configs"), "tocsin has no agents; run it with `tocsin run`"),
    "environment": "give an executor instead",
    "diagnostics": "the command `tocsin check` tells what is wrong",
}
"""What Prefect 1's flows have and tocsin's have not, and what to do instead."""


class Flow(Structure):
    """A pipeline. Inside `with Flow("name") as flow:` calling a task adds it.

    `state_handlers` see the flow's own transitions, `task_state_handlers` those of every task, after the task's own.
    The flow fails if a reference task does; unless told otherwise, these are the tasks that nothing waits for.
    `terminal_state_handler(flow, state, reference_states)` may replace the final state. `result` is where tasks keep
    their results that do not say it themselves. `run_config` and `storage` are kept, but nothing reads them.
    """

    def __init__(
        self,
        name: str,
        schedule: Any = None,
        executor: Any = None,
        run_config: Any = None,
        storage: Any = None,
        tasks: Iterable[Task] | None = None,
        edges: Iterable[Edge] | None = None,
        reference_tasks: Iterable[Task] | None = None,
        state_handlers: Iterable[StateHandler] | None = None,
        on_failure: Callable[..., Any] | None = None,
        validate: bool | None = None,
        result: Any = None,
        terminal_state_handler: TerminalStateHandler | None = None,
        *,
        task_state_handlers: Iterable[StateHandler] | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        if not name:
            raise FlowError("a flow needs a name")
        super().__init__()
        self.name = name
        self.tags = checked_tags(name, tags)
        self.schedule = schedule
        self.executor = executor
        self.run_config = run_config
        self.storage = storage
        self.result = result
        self.state_handlers: list[StateHandler] = checked_handlers(f"flow '{name}'", state_handlers)
        if on_failure is not None:
            self.state_handlers.append(on_failed(on_failure))
        self.task_state_handlers: list[StateHandler] = checked_handlers(f"flow '{name}'", task_state_handlers)
        self.terminal_state_handler = terminal_state_handler
        self._open: list[AbstractContextManager[Any]] = []
        for task in tasks or ():
            self.add_task(task)
        for edge in edges or ():
            self.add_edge(*edge, validate=False)
        if reference_tasks is not None:
            self.set_reference_tasks(reference_tasks)
        if eager(validate):
            self.validate()

    @property
    def logger(self) -> logging.Logger:
        """The logger `tocsin.NAME`."""
        return get_logger(self.name)

    def __repr__(self) -> str:
        return f'<{type(self).__name__}: name="{self.name}">'

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Flow)
        return (
            self.name == other.name
            and self.tasks == other.tasks
            and self.edges == other.edges
            and self.reference_tasks() == other.reference_tasks()
        )

    __hash__ = object.__hash__  # a flow grows, so that no other could last

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": []}  # a block is open in one process

    def __getattr__(self, name: str) -> NoReturn:  # asked for what is not there only
        hint = f": {why}" if (why := _ABSENT.get(name)) else ""
        raise AttributeError(f"a flow has no '{name}'{hint}", name=name, obj=self)

    # ---------------------------------------------------------------- the with block

    def __enter__(self) -> Self:
        block = context(flow=self, unused_tasks={}, case=None, resource=None)
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

    def set_dependencies(
        self,
        task: Any,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> None:
        """Tie a task to others; values that are no tasks become constants or, with tasks inside, collections.

        `mapped` maps the task over all it waits for, but for what is `unmapped`.
        """
        subject = self.add_task(as_task(task, self))
        for each in upstream_tasks or ():
            said = marks.read(each, mapping=mapped)
            self.add_edge(as_task(said.value, self), subject, None, said.mapped, said.flattened, validate)
        for each in downstream_tasks or ():
            said = marks.read(each)
            self.add_edge(subject, as_task(said.value, self), None, said.mapped, said.flattened, validate)
        for key, each in (keyword_tasks or {}).items():
            said = marks.read(each, mapping=mapped)
            if said.mapped or said.flattened or holds_task(said.value):
                self.add_edge(as_task(said.value, self), subject, key, said.mapped, said.flattened, validate)
            else:
                self.add_constant(subject, key, said.value)

    def copy(self) -> Self:
        """A flow with the same tasks, which can be changed by itself."""
        new = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, dict | set | list):
                setattr(new, name, value.copy())
        new.constants.update((task, dict(values)) for task, values in self.constants.items())
        new._upstream = {task: list(edges) for task, edges in self._upstream.items()}
        new._downstream = {task: list(edges) for task, edges in self._downstream.items()}
        new._open = []
        return new

    def replace(self, old: Task, new: Any, validate: bool = True) -> None:
        """Put another task, or a value, in the place of a task: it gets its edges, and the constants it can take."""
        self._known(old)
        references = self._references
        edges, constants = self._drop(old)
        fresh: Task = self.add_task(as_task(new, self))
        for edge in edges:
            before = fresh if edge.upstream_task is old else edge.upstream_task
            after = fresh if edge.downstream_task is old else edge.downstream_task
            self.add_edge(before, after, edge.key, edge.mapped, edge.flattened, validate=False)
        for key, value in constants.items():
            if takes_argument(fresh, key) and (fresh, key) not in self._filled:
                self.add_constant(fresh, key, value)
        self._references = {fresh if task is old else task for task in references}
        if validate:
            self.validate()

    def update(
        self,
        flow: Flow,
        merge_parameters: bool = False,
        validate: bool | None = None,
        merge_reference_tasks: bool = False,
    ) -> None:
        """Add all that another flow has. With `merge_parameters` parameters of one name become one: this flow's."""
        mine = {parameter.name: parameter for parameter in self.parameters()} if merge_parameters else {}
        instead: dict[Task, Task] = {each: mine[each.name] for each in flow.parameters() if each.name in mine}
        references = self.reference_tasks() | {instead.get(task, task) for task in flow.reference_tasks()}
        for task in flow._upstream:
            self.add_task(instead.get(task, task))
        for edge in flow.sorted_edges():
            before = instead.get(edge.upstream_task, edge.upstream_task)
            self.add_edge(before, *edge[1:], validate=validate)
        for task, values in flow.constants.items():
            for key, value in values.items():
                self.add_constant(task, key, value)
        if merge_reference_tasks:
            self.set_reference_tasks(references)

    # ---------------------------------------------------------------- running

    def run(
        self,
        parameters: Mapping[str, Any] | None = None,
        run_on_schedule: bool | None = None,
        runner_cls: Any = None,
        **kwargs: Any,
    ) -> State:
        """Run to the end, waiting for retries; the final state's `result` maps every task to its state.

        Parameters may be given by keyword; further keywords are options of `tocsin.runs.run_flow`.
        """
        if context.get("flow") is self:
            raise FlowError(f"flow '{self.name}' is run inside its own `with` block; run it after the block")
        names = {parameter.name for parameter in self.parameters()}
        given = dict(parameters or {})
        said = {"run_on_schedule": run_on_schedule, "runner_cls": runner_cls}
        options: dict[str, Any] = {name: value for name, value in said.items() if value is not None}
        for key, value in kwargs.items():
            if key in names:
                given[key] = value
            elif key in ports.OPTIONS:
                options[key] = value
            else:
                hint = did_you_mean(key, names | ports.OPTIONS)
                raise ParameterError(f"flow '{self.name}' has no parameter '{key}', nor is it an option{hint}")
        return ports.run_flow(self, given, **options)

    # ---------------------------------------------------------------- keeping and drawing

    def save(self, fpath: str | Path | None = None) -> str:
        """Write the flow to a file, in the folder `flows` of the home directory unless one is named; the file."""
        from tocsin.flows import saving

        return saving.save(self, fpath)

    @staticmethod
    def load(fpath: str | Path) -> Flow:
        """Read a flow that was saved; a name without a folder is looked for where `save` writes by itself.

        A file can hold any code: load only what you trust.
        """
        from tocsin.flows import saving

        return saving.load(fpath)

    def visualize(self, flow_state: State | None = None, filename: str | None = None, format: str | None = None) -> Any:  # noqa: A002
        """Draw the flow with graphviz, which the extra `viz` installs: the graph, written to `filename` if given.

        Tasks have the colours of their states in `flow_state`. `to_svg` and `to_mermaid` need nothing installed.
        """
        from tocsin.flows import drawing

        return drawing.graphviz_of(drawing.picture(self, flow_state), self.name, filename, format)

    def to_mermaid(self, flow_state: State | None = None) -> str:
        """The flow as a Mermaid flowchart."""
        from tocsin.flows import drawing

        return drawing.mermaid(drawing.picture(self, flow_state))

    def to_svg(self, flow_state: State | None = None) -> str:
        """The flow as an SVG document."""
        from tocsin.flows import drawing, layout

        return layout.svg(drawing.picture(self, flow_state))
