"""Pictures of flows: what is in them, and that names cannot break them."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tocsin.flows import layout
from tocsin.flows.drawing import MOST_CHILDREN, Node, Picture, picture
from tocsin.flows.flow import Flow
from tocsin.flows.gathering import Constant
from tocsin.flows.task import Task, task
from tocsin_hooks.states import Failed, Mapped, Pending, State, Success

SVG = "{http://www.w3.org/2000/svg}"


@task
def inc(x: int) -> int:
    return x + 1


def pipeline() -> tuple[Flow, Task, Task, Task]:
    with Flow("etl") as flow:
        rows = Constant([1, 2], name="rows")()
        each = inc.map(rows)
        last = Task("last")(upstream_tasks=[each])
    return flow, rows, each, last


def ended(rows: Task, each: Task, last: Task) -> State:
    children: list[State] = [Success(), Failed()]
    return Success(result={rows: Success(), each: Mapped(map_states=children), last: Pending()})


def test_a_picture_has_a_node_for_each_task_and_an_arrow_for_each_edge() -> None:
    flow, *_ = pipeline()
    assert flow.to_mermaid().splitlines() == [
        "flowchart TD",
        '    t0(["rows"])',
        '    t1["inc #lt;map#gt;"]',
        '    t2(["last"])',
        "    t0 -->|x| t1",
        "    t1 --> t2",
    ]


def test_a_state_gives_colours_and_the_children_of_mapped_tasks() -> None:
    flow, *tasks = pipeline()
    drawn = picture(flow, ended(*tasks))
    assert [(node.id, node.color) for node in drawn.nodes] == [
        ("t0", Success.color),
        ("t1_0", Success.color),
        ("t1_1", Failed.color),
        ("t2", Pending.color),
    ]
    assert [(arrow.start, arrow.end) for arrow in drawn.arrows] == [
        ("t0", "t1_0"),
        ("t0", "t1_1"),
        ("t1_0", "t2"),
        ("t1_1", "t2"),
    ]


def test_mapped_tasks_after_one_another_are_tied_child_by_child() -> None:
    with Flow("f") as flow:
        first = inc.map([1, 2])
        second = inc.map(first)
    two = Mapped(map_states=[Success(), Success()])
    arrows = picture(flow, Success(result={first: two, second: two})).arrows
    assert [(arrow.start, arrow.end) for arrow in arrows[-2:]] == [("t1_0", "t2_0"), ("t1_1", "t2_1")]


def test_too_many_children_are_one_node_with_the_colour_of_the_worst() -> None:
    flow, _, each, _ = pipeline()
    children: list[State] = [Success()] * MOST_CHILDREN + [Failed()]
    drawn = picture(flow, Success(result={each: Mapped(map_states=children)}))
    assert [(node.label, node.color) for node in drawn.nodes] == [
        ("rows", None),
        ("inc <map>", Failed.color),
        ("last", None),
    ]


def test_a_state_without_those_of_tasks_is_refused() -> None:
    flow, *_ = pipeline()
    with pytest.raises(TypeError, match="does not hold the states of tasks"):
        flow.to_svg(Success(result=5))


def test_names_cannot_break_a_picture() -> None:
    name = '<b>"a" & `b`\n#1'
    flow = Flow("f", tasks=[Task(name)])
    root = ElementTree.fromstring(flow.to_svg())
    assert [each.text for each in root.iter(f"{SVG}text")] == [name]
    assert flow.to_mermaid().splitlines()[1] == '    t0(["#lt;b#gt;#quot;a#quot; #amp; #96;b#96; #35;1"])'


def test_an_svg_shows_all_nodes_arrows_and_colours() -> None:
    flow, *tasks = pipeline()
    root = ElementTree.fromstring(flow.to_svg(ended(*tasks)))
    boxes = [each for each in root.iter(f"{SVG}rect") if each.get("rx")]
    assert [each.get("fill") for each in boxes] == [Success.color, Success.color, Failed.color, Pending.color]
    assert len([each for each in root.iter(f"{SVG}path") if each.get("marker-end")]) == 4
    assert ElementTree.fromstring(Flow("empty").to_svg()).tag == f"{SVG}svg"


def test_nodes_stand_below_what_they_wait_for_and_do_not_overlap() -> None:
    rows = layout.rows_of("abcdef", [("a", "d"), ("b", "c"), ("c", "f"), ("a", "f"), ("d", "e")])
    assert [set(row) for row in rows] == [{"a", "b"}, {"c", "d"}, {"e", "f"}]
    boxes = layout.boxes_of(rows, dict.fromkeys("abcdef", 100.0))
    for row in rows:
        xs = [boxes[node].x for node in row]
        assert all(right - left >= 100 for left, right in pairwise(xs))
    assert boxes["a"].y < boxes["d"].y < boxes["e"].y


def test_a_row_is_sorted_by_what_its_nodes_wait_for() -> None:
    rows = layout.rows_of(["a", "b", "c", "d"], [("a", "d"), ("b", "c")])
    assert rows == [["a", "b"], ["d", "c"]]


def test_a_long_name_is_cut_but_told_in_full() -> None:
    long = "x" * 60
    text = layout.svg(Picture((Node("t0", long),), ()))
    root = ElementTree.fromstring(text)
    assert [len(str(each.text)) for each in root.iter(f"{SVG}text")] == [layout.LONGEST]
    assert [each.text for each in root.iter(f"{SVG}title")] == [long]


def test_graphviz_is_given_the_same_picture() -> None:
    pytest.importorskip("graphviz")
    flow, *tasks = pipeline()
    source = flow.visualize(ended(*tasks)).source
    assert f'fillcolor="{Failed.color}80"' in source
    assert 'label="inc <map>"' in source
    assert "shape=box" in source


def test_without_graphviz_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "graphviz", None)
    with pytest.raises(ImportError, match=r"needs the extra 'viz': pip install 'tocsin\[viz\]'"):
        Flow("f").visualize(filename=str(tmp_path / "f"))
