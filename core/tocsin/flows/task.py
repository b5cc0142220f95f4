"""What a unit of work is, and how it is told to be one."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import cached_property, lru_cache, update_wrapper
from typing import TYPE_CHECKING, Any, Self, overload

from tocsin.errors import FlowError
from tocsin.flows.handlers import StateHandler, checked_handlers, on_failed
from tocsin.flows.triggers import Trigger, all_successful
from tocsin_hooks.states import run_context

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow

RESERVED = frozenset({"upstream_tasks", "downstream_tasks", "mapped", "task_args", "flow"})
"""Argument names that calling a task gives a meaning of its own."""

RetryOn = type[BaseException] | Iterable[type[BaseException]]


class Task:
    """A unit of work: derive from it and write `run`, or decorate a function with `task`.

    A task that fails is run again up to `max_retries` times, each `retry_delay` after the failure; with `retry_on`,
    only after these exceptions. `trigger` decides from the upstream states whether it runs; with
    `skip_on_upstream_skip` a skipped upstream task skips it before that. `state_handlers` see all its transitions.
    """

    def __init__(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        max_retries: int | None = None,
        retry_delay: timedelta | None = None,
        trigger: Trigger | None = None,
        skip_on_upstream_skip: bool = True,
        state_handlers: Iterable[StateHandler] | None = None,
        on_failure: Callable[..., Any] | None = None,
        retry_on: RetryOn | None = None,
    ) -> None:
        self.name: str = type(self).__name__ if name is None else name
        self.slug = slug
        self.tags: set[str] = checked_tags(self.name, tags)
        self.max_retries, self.retry_delay = checked_retries(self.name, max_retries, retry_delay)
        self.retry_on = checked_retry_on(self.name, retry_on)
        if trigger is not None and not callable(trigger):
            raise TypeError(f"task '{self.name}': trigger is '{trigger!r}', which cannot be called")
        self.trigger: Trigger = all_successful if trigger is None else trigger
        self.skip_on_upstream_skip = skip_on_upstream_skip
        self.state_handlers: list[StateHandler] = checked_handlers(f"task '{self.name}'", state_handlers)
        if on_failure is not None:
            self.state_handlers.append(on_failed(on_failure))
        own = "run" in self.__dict__  # a function task brings its own
        self.signature: inspect.Signature = inspect.signature(self.run) if own else _method_signature(type(self).run)
        self._check_run()
        if (unused := run_context.get().get("unused_tasks")) is not None:
            unused[self] = None

    def run(self) -> Any:
        """The work. Its arguments are the results of upstream tasks; what it returns is this task's result."""
        return None

    def _check_run(self) -> None:
        for parameter in self.signature.parameters.values():
            if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
                raise FlowError(f"task '{self.name}' takes '*{parameter.name}'; give its arguments names")
            if parameter.name in RESERVED:
                raise FlowError(f"task '{self.name}' has an argument '{parameter.name}'; rename it, the name is taken")

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger `tocsin.task.NAME`."""
        return logging.getLogger(f"tocsin.task.{self.name}")

    def __repr__(self) -> str:
        return f"<{'Task' if type(self) is FunctionTask else type(self).__name__}: {self.name}>"

    def copy(self, **changes: Any) -> Self:
        """A task like this one, with some attributes changed."""
        new = copy.copy(self)
        new.__dict__.pop("logger", None)
        new.tags = set(self.tags)
        new.state_handlers = list(self.state_handlers)
        for name, value in changes.items():
            if not hasattr(new, name):
                raise AttributeError(f"task '{self.name}' has no attribute '{name}'")
            setattr(new, name, value)
        return new

    def __call__(
        self,
        *args: Any,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        task_args: Mapping[str, Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Put a copy of this task into the flow, with these arguments; returns the copy."""
        forget_unused(self)
        new = self.copy(**(task_args or {}))
        return new.bind(*args, upstream_tasks=upstream_tasks, downstream_tasks=downstream_tasks, flow=flow, **kwargs)

    def bind(
        self,
        *args: Any,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Put this very task into the flow, with these arguments."""
        flow = flow_in_use(flow, self, "called")
        flow.set_dependencies(
            self,
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            keyword_tasks=_named_arguments(self, args, kwargs),
        )
        return self

    def set_dependencies(
        self,
        flow: Flow | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
    ) -> Self:
        """Tie this task to others in the flow."""
        flow_in_use(flow, self, "tied to others").set_dependencies(
            self,
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            keyword_tasks=keyword_tasks,
        )
        return self

    def set_upstream(self, task: Any, flow: Flow | None = None, key: str | None = None) -> Self:
        """Let this task wait for `task`, and take its result as the argument `key`."""
        if key is None:
            return self.set_dependencies(flow=flow, upstream_tasks=[task])
        return self.set_dependencies(flow=flow, keyword_tasks={key: task})

    def set_downstream(self, task: Task, flow: Flow | None = None, key: str | None = None) -> Self:
        """Let `task` wait for this one, and take its result as the argument `key`."""
        task.set_upstream(self, flow=flow_in_use(flow, self, "tied to others"), key=key)
        return self


class FunctionTask(Task):
    """A task whose work is a function."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **kwargs: Any) -> None:
        if not callable(fn):
            raise TypeError(f"a task is made of a function, not of {fn!r}")
        self.run = fn  # type: ignore[method-assign]  # the function takes the place of the method
        update_wrapper(self, fn, updated=())
        super().__init__(name=getattr(fn, "__name__", type(fn).__name__) if name is None else name, **kwargs)


@overload
def task(fn: Callable[..., Any], **options: Any) -> FunctionTask: ...
@overload
def task(fn: None = None, **options: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...
def task(
    fn: Callable[..., Any] | None = None, **options: Any
) -> FunctionTask | Callable[[Callable[..., Any]], FunctionTask]:
    """Make a task of a function: `@task`, or `@task(max_retries=3, retry_delay=...)` with options of `Task`."""
    if fn is not None:
        return FunctionTask(fn, **options)
    return lambda fn: FunctionTask(fn, **options)


@lru_cache(maxsize=1024)
def _method_signature(run: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(run)
    return signature.replace(parameters=list(signature.parameters.values())[1:])  # without self


def _named_arguments(task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    signature = task.signature
    try:
        arguments = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        raise TypeError(f"task '{task.name}' takes {signature}: {error}") from None
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(parameter.name, {}))
    return arguments


def takes_argument(task: Task, key: str) -> bool:
    """Whether a task's `run` takes an argument of this name."""
    parameters = task.signature.parameters
    return key in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def flow_in_use(flow: Flow | None, task: Task, what: str) -> Flow:
    """The flow given, else the one whose `with` block is open; FlowError when there is none."""
    found: Flow | None = flow if flow is not None else run_context.get().get("flow")
    if found is None:
        raise FlowError(
            f"task '{task.name}' is {what} outside a flow; use `with Flow(...):`, pass `flow=`, "
            f"or call its work itself with `{task.name}.run(...)`"
        )
    return found


def forget_unused(task: Task) -> None:
    """Note that a task made in a `with Flow` block has been used."""
    if unused := run_context.get().get("unused_tasks"):
        unused.pop(task, None)


def checked_tags(name: str, tags: Iterable[str] | None) -> set[str]:
    """The tags as a set; TypeError for a bare string, whose letters would become tags."""
    if isinstance(tags, str):
        raise TypeError(f"'{name}': tags is '{tags}'; give a set: {{'{tags}'}}")
    return set(tags or ())


def checked_retries(name: str, max_retries: int | None, retry_delay: timedelta | None) -> tuple[int, timedelta | None]:
    """Retries and the delay before each; they need each other."""
    if retry_delay is not None and not isinstance(retry_delay, timedelta):
        raise TypeError(f"task '{name}': retry_delay is {retry_delay!r}; give a timedelta")
    retries = max_retries or 0
    if retries < 0:
        raise FlowError(f"task '{name}': max_retries is {retries}; give 0 or more")
    if retries and retry_delay is None:
        raise FlowError(f"task '{name}' has max_retries but no retry_delay; give both")
    if retry_delay is not None and not retries:
        raise FlowError(f"task '{name}' has a retry_delay but no max_retries above 0; give both")
    return retries, retry_delay


def checked_retry_on(name: str, retry_on: RetryOn | None) -> tuple[type[BaseException], ...] | None:
    """The exceptions after which to retry, None for all."""
    if retry_on is None:
        return None
    kinds = (retry_on,) if isinstance(retry_on, type) else tuple(retry_on)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(f"task '{name}': retry_on has {kind!r}, which is no exception class")
    return kinds
