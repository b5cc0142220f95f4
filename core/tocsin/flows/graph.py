"""In which order tasks can run, and what stands in the way: pure functions over who waits for whom."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def ordered(upstream: Mapping[Node, Iterable[Node]], downstream: Mapping[Node, Iterable[Node]]) -> list[Node]:
    """The nodes, each after all it waits for and otherwise as they were added; those behind a cycle are left out.

    >>> ordered({"c": ["a", "b"], "a": [], "b": []}, {"a": ["c"], "b": ["c"], "c": []})
    ['a', 'b', 'c']
    """
    waiting = {node: len(set(before)) for node, before in upstream.items()}
    ready = deque(node for node, count in waiting.items() if count == 0)
    order: list[Node] = []
    while ready:
        node = ready.popleft()
        order.append(node)
        for after in dict.fromkeys(downstream[node]):
            waiting[after] -= 1
            if waiting[after] == 0:
                ready.append(after)
    return order


def cycle(upstream: Mapping[Node, Iterable[Node]], order: Iterable[Node]) -> list[Node]:
    """One cycle among the nodes that `order` leaves out, its first node repeated at the end; empty if it has all.

    >>> cycle({"a": ["b"], "b": ["a"], "c": ["b"]}, [])
    ['a', 'b', 'a']
    """
    left = dict.fromkeys(upstream)
    for node in order:
        del left[node]
    if not left:
        return []
    place: dict[Node, int] = {}
    node = next(iter(left))
    while node not in place:
        place[node] = len(place)
        node = next(before for before in upstream[node] if before in left)  # it waits for one that is left, too
    against = list(place)[place[node] :]
    return [against[0], *reversed(against)]


def reachable(start: Node, neighbours: Callable[[Node], Iterable[Node]]) -> set[Node]:
    """All nodes that can be reached from `start` in one step or more.

    >>> sorted(reachable("a", {"a": "b", "b": "c", "c": ""}.__getitem__))
    ['b', 'c']
    """
    found: set[Node] = set()
    todo = [start]
    while todo:
        for node in neighbours(todo.pop()):
            if node not in found:
                found.add(node)
                todo.append(node)
    return found
