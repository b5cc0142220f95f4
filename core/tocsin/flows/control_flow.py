"""How a flow takes one way or another: blocks of `case`, `switch`, `ifelse`, and `merge`, where ways meet again.

All rest on skipping: a task that compares a result with a value skips what waits for it when they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self

from tocsin.errors import FlowError
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import as_task
from tocsin.flows.signals import SKIP
from tocsin.flows.task import FunctionTask, Task
from tocsin.flows.triggers import all_finished, not_all_skipped
from tocsin_hooks.results import NoResult


class CompareValue(Task):
    """Skips what waits for it unless it is given `value`."""

    def __init__(self, value: Any, **kwargs: Any) -> None:
        self.value = value
        kwargs.setdefault("name", f'CompareValue: "{value}"')
        super().__init__(**kwargs)

    def run(self, value: Any) -> None:
        """Raise SKIP unless the values are equal."""
        if value != self.value:
            raise SKIP(f"the value is {value!r}, and not {self.value!r}")


class Merge(Task):
    """Takes the first of its results that is not None; skipped only if all tasks before it were."""

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.setdefault("skip_on_upstream_skip", False):
            raise FlowError("a merge goes on after skipped tasks; leave skip_on_upstream_skip away, or give False")
        kwargs.setdefault("trigger", not_all_skipped)
        super().__init__(**kwargs)

    def run(self, **task_results: Any) -> Any:
        """The first result that is not None."""
        ordered = sorted(task_results.items(), key=lambda item: (len(item[0]), item[0]))
        return next((value for _, value in ordered if value is not None), None)


class FilterTask(Task):
    """Keeps those items of a list for which `filter_func` holds; unless given, all but None, exceptions and no result.

    `log_func` is given the items kept, and what it returns is logged.
    """

    def __init__(
        self,
        filter_func: Callable[[Any], bool] | None = None,
        log_func: Callable[[list[Any]], str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("skip_on_upstream_skip", False)
        kwargs.setdefault("trigger", all_finished)
        self.filter_func = filter_func or _is_result
        self.log_func = log_func
        super().__init__(**kwargs)

    def run(self, task_results: Iterable[Any]) -> list[Any]:
        """The items that are kept."""
        kept = [item for item in task_results if self.filter_func(item)]
        if self.log_func is not None:
            self.logger.info("%s", self.log_func(kept))
        return kept


def _is_result(item: Any) -> bool:
    return item is not None and item is not NoResult and not isinstance(item, BaseException)


def switch(condition: Any, cases: Mapping[Any, Any], mapped: bool = False) -> None:
    """Run that task of `cases` whose key is the result of `condition`; the others are skipped."""
    for value, each in cases.items():
        chosen: Task = as_task(each)
        check = CompareValue(value).bind(value=condition, mapped=mapped)
        chosen.set_dependencies(upstream_tasks=[check], mapped=mapped)


def ifelse(condition: Any, true_task: Any, false_task: Any, mapped: bool = False) -> None:
    """Run `true_task` if the result of `condition` is true, else `false_task`; either may be None."""
    cases = {value: each for value, each in ((True, true_task), (False, false_task)) if each is not None}
    if cases:
        truth = FunctionTask(_as_bool, name="as_bool").bind(condition, mapped=mapped)
        switch(truth, cases, mapped=mapped)


def _as_bool(value: Any) -> bool:
    return bool(value)


def merge(*tasks: Any, flow: Flow | None = None, mapped: bool = False, **kwargs: Any) -> Task:
    """A task with the result of the first of `tasks` that has one; further arguments are options of `Task`."""
    named = {f"task_{number}": each for number, each in enumerate(tasks, 1)}
    return Merge(**kwargs).bind(flow=flow, mapped=mapped, **named)


class case:  # noqa: N801  (Prefect 1's name)
    """A block whose tasks run only if the result of `task` equals `value`.

    Those of its tasks that wait for none of the others are made to wait for the comparison.
    """

    def __init__(self, task: Any, value: Any) -> None:
        if isinstance(value, Task):
            raise TypeError(f"the value of a case is task '{value.name}'; give a plain value, and the task first")
        self.task = task
        self.value = value
        self._tasks: dict[Task, None] = {}
        self._flow: Flow | None = None
        self._block: AbstractContextManager[Any] | None = None

    def add_task(self, task: Task, flow: Any) -> None:
        """Count a task of the flow as one of this block."""
        if self._flow is not None and flow is not self._flow:
            raise FlowError(f"task '{task.name}' is added to another flow within the block of case({self.value!r})")
        self._tasks[task] = None

    def __enter__(self) -> Self:
        self._flow = context.get("flow")
        if self._flow is None:
            raise FlowError(f"case({self.value!r}) is used outside a flow; use it within `with Flow(...):`")
        self._block = context(case=self)
        self._block.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        assert self._block is not None, "a block that ends has begun"
        assert self._flow is not None, "so it has a flow"
        self._block.__exit__(None, None, None)
        if kind is not None or not self._tasks:
            return
        tasks, self._tasks = self._tasks, {}
        check = CompareValue(self.value, name=f"case({self.value})").bind(value=self.task, flow=self._flow)
        for task in tasks:
            if not any(before in tasks for before in self._flow.upstream_tasks(task)):
                self._flow.add_edge(check, task)
