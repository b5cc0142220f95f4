"""How a block of tasks gets something that is set up before them and cleaned up after them, whatever they did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, overload

from tocsin.errors import FlowError
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.signals import SKIP, TRIGGERFAIL
from tocsin.flows.task import Task
from tocsin.flows.triggers import Upstream

Options = Mapping[str, Any]


def resource_cleanup_trigger(upstream_states: Upstream) -> bool:
    """Run once all before it has ended, if the resource was set up: skip or fail if that was skipped or failed."""
    for edge, state in upstream_states.items():
        if not state.is_finished():
            raise TRIGGERFAIL(f"upstream has not finished: '{edge.upstream_task.name}'")
        if edge.key in ("mgr", "resource"):
            if state.is_skipped():
                raise SKIP(f"'{edge.upstream_task.name}' was skipped: there is nothing to clean up")
            if not state.is_successful():
                raise TRIGGERFAIL(f"'{edge.upstream_task.name}' did not succeed: there is nothing to clean up")
    return True


class ResourceInitTask(Task):
    """Makes the object that sets up and cleans up."""

    def __init__(self, resource_class: Callable[..., Any], **kwargs: Any) -> None:
        self.run = resource_class  # type: ignore[method-assign]  # its arguments are those of the class
        super().__init__(**kwargs)


class ResourceSetupTask(Task):
    """Sets the resource up; its result is the resource."""

    def run(self, mgr: Any) -> Any:
        """The resource."""
        return mgr.setup()


class ResourceCleanupTask(Task):
    """Cleans the resource up."""

    cleans_up: ClassVar[bool] = True

    def run(self, mgr: Any, resource: Any) -> None:
        """Hand the resource back."""
        mgr.cleanup(resource)


class ResourceContext:
    """The block of one resource in one flow: its tasks run between setting up and cleaning up."""

    def __init__(self, init_task: Task, setup_task: Task, cleanup_task: Task, flow: Flow) -> None:
        self.init_task = init_task
        self.setup_task = setup_task
        self.cleanup_task = cleanup_task
        self.flow = flow
        self._tasks: dict[Task, None] = {}
        self._block: AbstractContextManager[Any] | None = None

    def add_task(self, task: Task, flow: Any) -> None:
        """Count a task of the flow as one of this block."""
        if flow is not self.flow:
            raise FlowError(f"task '{task.name}' is added to another flow within the block of '{self.init_task.name}'")
        self._tasks[task] = None

    def __enter__(self) -> Task:
        self._block = context(resource=self)
        self._block.__enter__()
        return self.setup_task

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        assert self._block is not None, "a block that ends has begun"
        self._block.__exit__(None, None, None)
        if kind is not None:
            return
        flow, inside = self.flow, self._tasks
        first = [task for task in inside if not (flow.upstream_tasks(task) & {*inside, self.setup_task})]
        last = [task for task in inside if not any(after in inside for after in flow.downstream_tasks(task))]
        for task in first:
            flow.add_edge(self.setup_task, task)
        for task in last:
            flow.add_edge(task, self.cleanup_task)


class ResourceManager:
    """Makes resources of a class with the methods `setup()` and `cleanup(resource)`; made by `resource_manager`.

    `with manager(...) as resource:` puts three tasks into the flow, named NAME, NAME.setup and NAME.cleanup, and ties
    the tasks of the block to them. The resource is cleaned up if it was set up, whatever becomes of the tasks.
    """

    def __init__(
        self,
        resource_class: Callable[..., Any],
        name: str | None = None,
        init_task_kwargs: Options | None = None,
        setup_task_kwargs: Options | None = None,
        cleanup_task_kwargs: Options | None = None,
    ) -> None:
        self.resource_class = resource_class
        self.name = name or str(getattr(resource_class, "__name__", type(resource_class).__name__))
        self.init_task_kwargs = {"name": self.name, "checkpoint": False, **(init_task_kwargs or {})}
        self.setup_task_kwargs = {"name": f"{self.name}.setup", "checkpoint": False, **(setup_task_kwargs or {})}
        self.cleanup_task_kwargs = {
            "name": f"{self.name}.cleanup",
            "checkpoint": False,
            "trigger": resource_cleanup_trigger,
            "skip_on_upstream_skip": False,
            **(cleanup_task_kwargs or {}),
        }

    def __call__(self, *args: Any, flow: Flow | None = None, **kwargs: Any) -> ResourceContext:
        """The block of a new resource; the arguments are those of the class, and may be tasks."""
        flow = context.get("flow") if flow is None else flow
        if flow is None:
            raise FlowError(f"resource '{self.name}' is used outside a flow; use `with Flow(...):`, or pass `flow=`")
        init = ResourceInitTask(self.resource_class, **self.init_task_kwargs).bind(*args, flow=flow, **kwargs)
        setup = ResourceSetupTask(**self.setup_task_kwargs).bind(init, flow=flow)
        cleanup = ResourceCleanupTask(**self.cleanup_task_kwargs).bind(init, setup, flow=flow)
        return ResourceContext(init, setup, cleanup, flow)


@overload
def resource_manager(
    resource_class: Callable[..., Any],
    name: str | None = None,
    init_task_kwargs: Options | None = None,
    setup_task_kwargs: Options | None = None,
    cleanup_task_kwargs: Options | None = None,
) -> ResourceManager: ...
@overload
def resource_manager(
    resource_class: None = None,
    name: str | None = None,
    init_task_kwargs: Options | None = None,
    setup_task_kwargs: Options | None = None,
    cleanup_task_kwargs: Options | None = None,
) -> Callable[[Callable[..., Any]], ResourceManager]: ...
def resource_manager(
    resource_class: Callable[..., Any] | None = None,
    name: str | None = None,
    init_task_kwargs: Options | None = None,
    setup_task_kwargs: Options | None = None,
    cleanup_task_kwargs: Options | None = None,
) -> ResourceManager | Callable[[Callable[..., Any]], ResourceManager]:
    """Make a resource of a class: `@resource_manager`, or `@resource_manager(name=...)` with options of its tasks."""

    def made(chosen: Callable[..., Any]) -> ResourceManager:
        return ResourceManager(chosen, name, init_task_kwargs, setup_task_kwargs, cleanup_task_kwargs)

    return made if resource_class is None else made(resource_class)
