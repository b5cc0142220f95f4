"""Where the nodes of a picture stand: in rows, each below all it waits for; and the SVG that shows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from tocsin.flows.drawing import Arrow, Node, Picture

LETTER, HEIGHT, GAP, ROW, MARGIN = 7.4, 34.0, 28.0, 92.0, 20.0
"""In pixels: a letter's width, a node's height, what is between nodes, from row to row, and around all."""

LONGEST = 40
"""Letters shown of a name; all of it is told when one points at the node."""


class Box(NamedTuple):
    """A node's place: its middle and its width."""

    x: float
    y: float
    width: float


def rows_of(nodes: Iterable[str], arrows: Iterable[tuple[str, str]]) -> list[list[str]]:
    """The nodes, which come each after all they wait for, in rows; those in a row stand near what they are tied to.

    >>> rows_of(["a", "b", "c", "d"], [("a", "c"), ("b", "d"), ("c", "d")])
    [['a', 'b'], ['c'], ['d']]
    """
    before: dict[str, list[str]] = {node: [] for node in nodes}
    after: dict[str, list[str]] = {node: [] for node in before}
    for start, end in arrows:
        before[end].append(start)
        after[start].append(end)
    depth: dict[str, int] = {}
    rows: list[list[str]] = []
    for node, starts in before.items():
        depth[node] = 1 + max((depth[start] for start in starts), default=-1)
        if depth[node] == len(rows):
            rows.append([])
        rows[depth[node]].append(node)
    for neighbours, order in ((before, rows), (after, rows[::-1]), (before, rows)):
        for row in order:
            _align(row, neighbours, _places(rows))
    return rows


def _places(rows: Sequence[Sequence[str]]) -> dict[str, float]:
    return {node: (place + 0.5) / len(row) for row in rows for place, node in enumerate(row)}


def _align(row: list[str], neighbours: Mapping[str, list[str]], places: Mapping[str, float]) -> None:
    """Sort a row by the mean place of each node's neighbours; one without any keeps its own."""
    wanted = {
        node: sum(places[near] for near in neighbours[node]) / len(neighbours[node])
        if neighbours[node]
        else places[node]
        for node in row
    }
    row.sort(key=wanted.__getitem__)


def boxes_of(rows: Sequence[Sequence[str]], widths: Mapping[str, float]) -> dict[str, Box]:
    """The place of each node, the rows centred above one another.

    >>> boxes_of([["a"], ["b", "c"]], {"a": 50, "b": 50, "c": 50})["a"]
    Box(x=84.0, y=37.0, width=50)
    """
    lengths = [sum(widths[node] for node in row) + GAP * (len(row) - 1) for row in rows]
    widest = max(lengths, default=0.0)
    boxes: dict[str, Box] = {}
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        left = MARGIN + (widest - length) / 2
        for node in row:
            boxes[node] = Box(left + widths[node] / 2, MARGIN + HEIGHT / 2 + number * ROW, widths[node])
            left += widths[node] + GAP
    return boxes


_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" '
    'font-family="system-ui, sans-serif" font-size="13">\n'
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 L8 4 L0 8 z" fill="#5b6770"/></marker></defs>\n'
    '<rect width="100%" height="100%" fill="#ffffff"/>'
)


def svg(drawn: Picture) -> str:
    """The picture as an SVG document that stands by itself."""
    widths = {node.id: 28 + LETTER * len(shortened(node.label)) for node in drawn.nodes}
    rows = rows_of(widths, [(arrow.start, arrow.end) for arrow in drawn.arrows])
    boxes = boxes_of(rows, widths)
    width = max((box.x + box.width / 2 for box in boxes.values()), default=0.0) + MARGIN
    height = max((box.y for box in boxes.values()), default=0.0) + HEIGHT / 2 + MARGIN
    arrows = (_arrow(arrow, boxes[arrow.start], boxes[arrow.end]) for arrow in drawn.arrows)
    nodes = (_node(node, boxes[node.id]) for node in drawn.nodes)
    return "\n".join([_HEAD.format(width, height), *arrows, *nodes, "</svg>"])


def shortened(text: str) -> str:
    """A name, cut short when it is long."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _node(node: Node, box: Box) -> str:
    corner = 4 if node.mapped else HEIGHT / 2
    fill = f'fill="{escape(node.color)}" fill-opacity="0.5"' if node.color else 'fill="#eef2f5"'
    return (
        f"<g><title>{escape(node.label)}</title>"
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y - HEIGHT / 2:.1f}" width="{box.width:.1f}" '
        f'height="{HEIGHT:.0f}" rx="{corner:.0f}" stroke="#5b6770" {fill}/>'
        f'<text x="{box.x:.1f}" y="{box.y + 4.5:.1f}" text-anchor="middle" fill="#1b2024">'
        f"{escape(shortened(node.label))}</text></g>"
    )


def _arrow(arrow: Arrow, start: Box, end: Box) -> str:
    top, bottom = start.y + HEIGHT / 2, end.y - HEIGHT / 2
    middle = (top + bottom) / 2
    line = (
        f'<path d="M{start.x:.1f} {top:.1f} C{start.x:.1f} {middle:.1f} {end.x:.1f} {middle:.1f} '
        f'{end.x:.1f} {bottom:.1f}" fill="none" stroke="#5b6770" marker-end="url(#tip)"/>'
    )
    if not arrow.label:
        return line
    return (
        f'{line}<text x="{(start.x + end.x) / 2:.1f}" y="{middle:.1f}" text-anchor="middle" font-size="11" '
        f'fill="#5b6770">{escape(arrow.label)}</text>'
    )
