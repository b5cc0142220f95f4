"""What a unit of work is, and how it is told to be one."""

from __future__ import annotations

import copy
import inspect
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, ClassVar, Self, overload

from tocsin.errors import FlowError
from tocsin.flows import run_signature, task_options
from tocsin.flows.expressions import Expressions
from tocsin.flows.handlers import StateHandler, checked_handlers, on_failed
from tocsin.flows.logs import get_logger
from tocsin.flows.marks import EdgeAnnotation
from tocsin.flows.task_options import RetryOn, checked_tags
from tocsin.flows.triggers import Trigger, all_successful
from tocsin_hooks.states import run_context

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow


class Task(Expressions):
    """A unit of work: derive from it and write `run`, or decorate a function with `task`.

    A task that fails is run again up to `max_retries` times, each `retry_delay` after the failure; with `retry_on`,
    only after these exceptions. `timeout` is in whole seconds. `trigger` decides from the upstream states whether it
    runs; with `skip_on_upstream_skip` a skipped upstream task skips it before that. With `cache_for` its result is
    used again as long as `cache_validator` agrees, under `cache_key` or its name. `result` and `target` say where its
    result is kept, `checkpoint=False` that it is not. `state_handlers` see all its transitions. `nout` says how many
    results it has, so that it can be taken apart: `a, b = both()`.
    """

    auto_generated: bool = False
    """Whether tocsin made it of a value that was no task."""
    cleans_up: ClassVar[bool] = False
    """Whether it ends a block of a resource; such a task does not decide how a flow ends."""

    def __init__(
        self,
        name: str | None = None,
        slug: str | None = None,
        tags: Iterable[str] | None = None,
        max_retries: int | None = None,
        retry_delay: timedelta | None = None,
        retry_on: RetryOn | None = None,
        timeout: float | timedelta | None = None,
        trigger: Trigger | None = None,
        skip_on_upstream_skip: bool = True,
        cache_for: timedelta | None = None,
        cache_validator: Callable[..., bool] | None = None,
        cache_key: str | None = None,
        checkpoint: bool | None = None,
        state_handlers: Iterable[StateHandler] | None = None,
        on_failure: Callable[..., Any] | None = None,
        log_stdout: bool = False,
        result: Any = None,
        target: Any = None,
        task_run_name: str | Callable[..., str] | None = None,
        nout: int | None = None,
    ) -> None:
        self.name: str = name or type(self).__name__
        self.slug = slug
        self.tags: set[str] = checked_tags(self.name, tags).union(run_context.get().get("tags", ()))
        defaults = task_options.defaults()
        self.max_retries, self.retry_delay = task_options.checked_retries(self.name, max_retries, retry_delay, defaults)
        self.retry_on = task_options.checked_retry_on(self.name, retry_on, self.max_retries)
        self.timeout = task_options.checked_timeout(self.name, defaults.timeout if timeout is None else timeout)
        if trigger is not None and not callable(trigger):
            raise TypeError(f"task '{self.name}': trigger is '{trigger!r}', which cannot be called")
        self.trigger: Trigger = all_successful if trigger is None else trigger
        self.skip_on_upstream_skip = skip_on_upstream_skip
        self.cache_for = cache_for
        self.cache_key = cache_key
        self.cache_validator = task_options.checked_validator(self.name, cache_for, cache_validator)
        self.checkpoint = checkpoint
        self.state_handlers: list[StateHandler] = checked_handlers(f"task '{self.name}'", state_handlers)
        if on_failure is not None:
            self.state_handlers.append(on_failed(on_failure))
        self.log_stdout = log_stdout
        self.target = target
        self.result = task_options.settled_result(self.name, result, target)
        self.task_run_name = task_run_name
        own = "run" in self.__dict__  # a function task brings its own
        self.signature: inspect.Signature = (
            inspect.signature(self.run) if own else run_signature.class_signature(type(self))
        )
        run_signature.check_signature(self.name, self.signature)
        self.nout = run_signature.result_count(self.outputs()) if nout is None else nout
        _track(self)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a `run` whose arguments could not be given by name, where it is written."""
        super().__init_subclass__(**kwargs)
        if callable(cls.__dict__.get("run")):
            run_signature.check_signature(cls.__name__, run_signature.class_signature(cls))

    if TYPE_CHECKING:  # a task's own run has the arguments it likes

        def run(self, *args: Any, **kwargs: Any) -> Any:
            """The work. Its arguments are the results of upstream tasks; what it returns is this task's result."""
    else:

        def run(self):
            """The work. Its arguments are the results of upstream tasks; what it returns is this task's result."""

    def inputs(self) -> dict[str, dict[str, Any]]:
        """Each argument of `run` with its `type` and whether it is `required`."""
        return run_signature.described_inputs(self.run, self.signature)

    def outputs(self) -> Any:
        """The type of what `run` returns, `Any` when it is not said."""
        return run_signature.return_annotation(self.run, self.signature)

    @cached_property
    def logger(self) -> logging.Logger:
        """The logger `tocsin.NAME`."""
        return get_logger(self.name)

    def __repr__(self) -> str:
        return f"<{'Task' if type(self) is FunctionTask else type(self).__name__}: {self.name}>"

    # ---------------------------------------------------------------- putting it into a flow

    def copy(self, **task_args: Any) -> Self:
        """A task like this one, with some attributes changed; a slug of its own gets `-copy` at its end."""
        flow = run_context.get().get("flow")
        if flow is not None and flow.has_edges(self):
            warnings.warn(
                f"the copy of task '{self.name}' is not tied to the tasks to which the task itself is tied",
                stacklevel=2,
            )
        new = copy.copy(self)
        new.__dict__.pop("logger", None)
        new.tags = self.tags.union(run_context.get().get("tags", ()))
        new.state_handlers = list(self.state_handlers)
        if self.slug is not None:
            new.slug = f"{self.slug}-copy"
        for name, value in task_args.items():
            if not hasattr(new, name):
                raise AttributeError(f"task '{self.name}' has no attribute '{name}'")
            setattr(new, name, value)
        if "result" in task_args or "target" in task_args:
            new.result = task_options.settled_result(new.name, new.result, new.target)
        new.tags = checked_tags(new.name, new.tags)
        _track(new)
        return new

    def __call__(
        self,
        *args: Any,
        mapped: bool = False,
        task_args: Mapping[str, Any] | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Put a copy of this task into the flow, with these arguments; returns the copy."""
        flow = flow_in_use(flow, self, "called")
        return self._copied(task_args).bind(
            *args,
            mapped=mapped,
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            flow=flow,
            **kwargs,
        )

    def map(
        self,
        *args: Any,
        upstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        task_args: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Put a copy of this task into the flow that runs once for each item of its arguments.

        An argument in `unmapped` is given to all of them as a whole.
        """
        for value in (*args, *kwargs.values()):
            if not isinstance(value, EdgeAnnotation) and not hasattr(value, "__getitem__"):
                kind = type(value).__name__
                raise TypeError(f"task '{self.name}' cannot be mapped over a value of type '{kind}'; use unmapped(...)")
        flow = flow_in_use(flow, self, "mapped")
        return self._copied(task_args).bind(*args, mapped=True, upstream_tasks=upstream_tasks, flow=flow, **kwargs)

    def _copied(self, task_args: Mapping[str, Any] | None) -> Self:
        new = self.copy(**(task_args or {}))
        forget_unused(self)
        return new

    def bind(
        self,
        *args: Any,
        mapped: bool = False,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        flow: Flow | None = None,
        **kwargs: Any,
    ) -> Self:
        """Put this very task into the flow, with these arguments."""
        arguments = run_signature.named_arguments(self.name, self.signature, args, kwargs)
        flow = flow_in_use(flow, self, "called")
        self.tags.update(run_context.get().get("tags", ()))
        flow.set_dependencies(
            self,
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            keyword_tasks=arguments,
            mapped=mapped,
        )
        return self

    def set_dependencies(
        self,
        flow: Flow | None = None,
        upstream_tasks: Iterable[Any] | None = None,
        downstream_tasks: Iterable[Any] | None = None,
        keyword_tasks: Mapping[str, Any] | None = None,
        mapped: bool = False,
        validate: bool | None = None,
    ) -> Self:
        """Tie this task to others in the flow."""
        flow_in_use(flow, self, "tied to others").set_dependencies(
            self,
            upstream_tasks=upstream_tasks,
            downstream_tasks=downstream_tasks,
            keyword_tasks=keyword_tasks,
            mapped=mapped,
            validate=validate,
        )
        return self

    def set_upstream(self, task: Any, flow: Flow | None = None, key: str | None = None, mapped: bool = False) -> Self:
        """Let this task wait for `task`, and take its result as the argument `key`."""
        if key is None:
            return self.set_dependencies(flow=flow, upstream_tasks=[task], mapped=mapped)
        return self.set_dependencies(flow=flow, keyword_tasks={key: task}, mapped=mapped)

    def set_downstream(
        self, task: Task, flow: Flow | None = None, key: str | None = None, mapped: bool = False
    ) -> Self:
        """Let `task` wait for this one, and take its result as the argument `key`."""
        task.set_upstream(self, flow=flow_in_use(flow, self, "tied to others"), key=key, mapped=mapped)
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
def task(fn: Callable[..., Any], **task_init_kwargs: Any) -> FunctionTask: ...
@overload
def task(fn: None = None, **task_init_kwargs: Any) -> Callable[[Callable[..., Any]], FunctionTask]: ...
def task(
    fn: Callable[..., Any] | None = None, **task_init_kwargs: Any
) -> FunctionTask | Callable[[Callable[..., Any]], FunctionTask]:
    """Make a task of a function: `@task`, or `@task(max_retries=3, retry_delay=...)` with options of `Task`."""
    if fn is not None:
        return FunctionTask(fn, **task_init_kwargs)
    return lambda fn: FunctionTask(fn, **task_init_kwargs)


def takes_argument(task: Task, key: str) -> bool:
    """Whether a task's `run` takes an argument of this name."""
    return run_signature.takes(task.signature, key)


def flow_in_use(flow: Flow | None, task: Task, what: str) -> Flow:
    """The flow given, else the one whose `with` block is open; FlowError when there is none."""
    found: Flow | None = flow if flow is not None else run_context.get().get("flow")
    if found is None:
        raise FlowError(
            f"task '{task.name}' is {what} outside a flow; use `with Flow(...):`, pass `flow=`, "
            f"or call its work itself with `{task.name}.run(...)`"
        )
    return found


def _track(task: Task) -> None:
    if (unused := run_context.get().get("unused_tasks")) is not None:
        unused[task] = None


def forget_unused(task: Task) -> None:
    """Note that a task made in a `with Flow` block has been used."""
    if unused := run_context.get().get("unused_tasks"):
        unused.pop(task, None)
