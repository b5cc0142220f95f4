"""What a flow looks like: a picture of nodes and arrows, told to Mermaid and to graphviz. `layout` makes it SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tocsin.flows.edge import Edge
from tocsin.flows.task import Task
from tocsin_hooks.states import Mapped, State

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow

MOST_CHILDREN = 24
"""A mapped task with more children than these is drawn as one node."""


@dataclass(frozen=True, slots=True)
class Node:
    """A task, or one child of a mapped task; `color` is that of its state."""

    id: str
    label: str
    mapped: bool = False
    color: str | None = None


@dataclass(frozen=True, slots=True)
class Arrow:
    """An edge between two nodes, named after the argument that it fills."""

    start: str
    end: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A flow as nodes, each after all it waits for, and arrows."""

    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]


def picture(flow: Flow, state: State | None = None) -> Picture:
    """The flow with the colours of its tasks' states, and with the children of mapped tasks, if a state is given."""
    states = states_in(state)
    nodes_of: dict[Task, list[Node]] = {}
    for number, task in enumerate(flow.sorted_tasks()):
        nodes_of[task] = list(_nodes(f"t{number}", task, flow, states.get(task)))
    arrows = [arrow for edge in flow.sorted_edges() for arrow in _arrows(edge, nodes_of[edge[0]], nodes_of[edge[1]])]
    return Picture(tuple(node for nodes in nodes_of.values() for node in nodes), tuple(arrows))


def states_in(state: State | None) -> Mapping[Task, State]:
    """The states of tasks in that of a flow; TypeError when it has none."""
    if state is None:
        return {}
    if not isinstance(state.result, Mapping):
        raise TypeError(f"the state {state!r} does not hold the states of tasks; give the one that flow.run() returns")
    return state.result


def _nodes(id: str, task: Task, flow: Flow, state: State | None) -> Iterator[Node]:  # noqa: A002
    is_mapped = isinstance(state, Mapped) or any(edge.mapped for edge in flow.inputs_of(task))
    label = f"{task.name} <map>" if is_mapped else task.name
    children = state.map_states if isinstance(state, Mapped) else []
    if 0 < len(children) <= MOST_CHILDREN:
        for place, child in enumerate(children):
            yield Node(f"{id}_{place}", label, is_mapped, color_of(child))
    else:
        yield Node(id, label, is_mapped, color_of(state))


def color_of(state: State | None) -> str | None:
    """The colour of a state; that of a mapped task is its worst child's.

    >>> from tocsin_hooks.states import Failed, Success
    >>> color_of(Mapped(map_states=[Success(), Failed()])) == Failed.color
    True
    """
    if isinstance(state, Mapped):
        bad = next((child for child in state.map_states if child is not None and child.is_failed()), state)
        return bad.color
    return None if state is None else state.color


def _arrows(edge: Edge, before: list[Node], after: list[Node]) -> Iterator[Arrow]:
    label = edge.key or ""
    if edge.mapped and not edge.flattened and len(before) == len(after):
        yield from (Arrow(start.id, end.id, label) for start, end in zip(before, after, strict=True))
    else:
        yield from (Arrow(start.id, end.id, label) for start in before for end in after)


# ---------------------------------------------------------------- Mermaid


def mermaid(drawn: Picture) -> str:
    """The picture as a Mermaid flowchart.

    >>> print(mermaid(Picture((Node("t0", "get"), Node("t1", "put", color="#28a745")), (Arrow("t0", "t1", "rows"),))))
    flowchart TD
        t0(["get"])
        t1(["put"])
        t0 -->|rows| t1
        style t1 fill:#28a745
    """
    lines = ["flowchart TD"]
    for node in drawn.nodes:
        text = f'"{mermaid_text(node.label)}"'
        lines.append(f"    {node.id}[{text}]" if node.mapped else f"    {node.id}([{text}])")
    for arrow in drawn.arrows:
        label = f"|{arrow.label}| " if arrow.label else " "
        lines.append(f"    {arrow.start} -->{label}{arrow.end}")
    lines += [f"    style {node.id} fill:{node.color}" for node in drawn.nodes if node.color]
    return "\n".join(lines)


_MERMAID = str.maketrans({"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "`": "#96;", "\n": " "})


def mermaid_text(text: str) -> str:
    """Text as Mermaid shows it, whatever is in it.

    >>> mermaid_text('a "b" <c>')
    'a #quot;b#quot; #lt;c#gt;'
    """
    return text.translate(_MERMAID)


# ---------------------------------------------------------------- graphviz


def graphviz_of(drawn: Picture, name: str, filename: str | None = None, format: str | None = None) -> Any:  # noqa: A002
    """The picture as a `graphviz.Digraph`, written to a file if one is named; ImportError when it is not installed."""
    try:
        graphviz = import_module("graphviz")
    except ImportError as error:
        raise ImportError(
            "drawing with graphviz needs the extra 'viz': pip install 'tocsin[viz]'; "
            "flow.to_svg() and flow.to_mermaid() need nothing installed"
        ) from error
    graph = graphviz.Digraph(name=name)
    for node in drawn.nodes:
        color = {"style": "filled", "fillcolor": f"{node.color}80"} if node.color else {}
        graph.node(node.id, graphviz.escape(node.label), shape="box" if node.mapped else "ellipse", **color)
    for arrow in drawn.arrows:
        graph.edge(arrow.start, arrow.end, label=arrow.label or None)
    if filename:
        graph.render(filename, view=False, format=format, cleanup=True)
    return graph
