"""How a function that puts several tasks into a flow is applied to each item of its arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tocsin.errors import FlowError
from tocsin.flows import marks
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import as_task, holds_task
from tocsin.flows.marks import EdgeAnnotation, Said
from tocsin.flows.task import Task


def apply_map(func: Callable[..., Any], *args: Any, flow: Flow | None = None, **kwargs: Any) -> Any:
    """Call `func`, which puts tasks into the flow, and map all these tasks over its arguments; returns what it returns.

    An argument in `unmapped` is given to all as a whole. Blocks of `case` and of resources may be used inside.
    """
    target: Flow | None = context.get("flow") if flow is None else flow
    if target is None:
        raise FlowError("apply_map is used outside a flow; use `with Flow(...):`, or pass `flow=`")
    for value in (*args, *kwargs.values()):
        if not isinstance(value, EdgeAnnotation) and not hasattr(value, "__getitem__"):
            kind = type(value).__name__
            raise TypeError(f"apply_map cannot map over a value of type '{kind}'; use unmapped(...)")
    sketch = Flow("apply_map")
    sources: dict[Task, Said] = {}
    with context(case=None, resource=None):
        given = [_source(value, target, sketch, sources) for value in args]
        named = {name: _source(value, target, sketch, sources) for name, value in kwargs.items()}
        with context(flow=sketch):
            found = func(*given, **named)
    _transfer(sketch, target, sources)
    return found


def _source(value: Any, target: Flow, sketch: Flow, sources: dict[Task, Said]) -> Any:
    said = marks.read(value, mapping=True)
    if not said.mapped and not holds_task(said.value):
        return said.value  # a plain value stays one
    task: Task = as_task(said.value, target)
    target.add_task(task)
    sketch.add_task(task)
    sources[task] = said
    return task


def _transfer(sketch: Flow, target: Flow, sources: dict[Task, Said]) -> None:
    known = target.tasks
    new = [task for task in sketch.sorted_tasks() if task not in known]
    for task in new:
        target.add_task(task)
    for edge in sketch.sorted_edges():
        target.add_edge(*_mapped(edge, sources, known))
    for task, values in sketch.constants.items():
        for key, value in values.items():
            target.add_constant(task, key, value)
    for task in new:
        _start_with_sources(task, new, target, sources)


def _mapped(edge: Edge, sources: dict[Task, Said], known: set[Task]) -> Edge:
    said = sources.get(edge.upstream_task)
    if said is not None:
        return edge._replace(mapped=said.mapped, flattened=edge.flattened or said.flattened)
    return edge if edge.upstream_task in known else edge._replace(mapped=True)


def _start_with_sources(task: Task, new: list[Task], target: Flow, sources: dict[Task, Said]) -> None:
    """Let a task that waits for none of the others run as often as they do, and wait for what they wait for."""
    upstream = target.upstream_tasks(task)
    if upstream.isdisjoint(new):
        for source, said in sources.items():
            if source not in upstream:
                target.add_edge(source, task, None, said.mapped, said.flattened)
