"""Which failures of a run a failure follows from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from tocsin.flows.edge import Edge
from tocsin.flows.structure import Structure
from tocsin.flows.task import Task
from tocsin_hooks.states import Failed, Mapped, State, Success, TriggerFailed

CAP = 20
"""How many causes of one failure are named."""


class Place(NamedTuple):
    """A task of a run, or a child of a mapped one."""

    task: Task
    child: int | None = None

    @property
    def name(self) -> str:
        """`task`, or `task[3]`."""
        return self.task.name if self.child is None else f"{self.task.name}[{self.child}]"


class Causes:
    """The roots of failures: those that follow from no other one.

    A task that never ran because of what came before it follows from the failures there, and these from their own
    roots; where nothing before it failed, it is a root itself, and so is whatever failed by itself. Only states are
    looked at, not where they come from, so it does not matter who set them and in which process.

    >>> from tocsin.flows.flow import Flow
    >>> a, b, c, d = tasks = [Task(name) for name in "abcd"]
    >>> flow = Flow("etl", tasks=tasks)
    >>> edges = flow.chain(a, b, c)
    >>> causes = Causes(flow, {a: Failed(), b: TriggerFailed(), c: TriggerFailed(), d: Failed()})
    >>> causes.behind(c, None), causes.of([c, d]), causes.behind(a, None)
    (('a',), ('a', 'd'), ())
    """

    def __init__(self, flow: Structure, states: Mapping[Task, State]) -> None:
        self._flow = flow
        self._states = states
        self._known: dict[Place, tuple[str, ...]] = {}  # of what has ended, and so will not change
        self._origins: dict[Task, list[int]] = {}

    def behind(self, task: Task, index: int | None) -> tuple[str, ...]:
        """The roots, by name, of a task or child that did not run because of what came before it."""
        return self._merged(list(self._before(Place(task, index))))

    def of(self, tasks: Iterable[Task]) -> tuple[str, ...]:
        """The roots, by name, of the failures among these tasks and their children."""
        return self._merged([Place(task) for task in tasks if _concerns(self._states.get(task))])

    def follows(self, task: Task, index: int | None, state: State) -> bool:
        """Whether a task or child with this state did not run because of what came before it."""
        if isinstance(state, TriggerFailed):
            return True
        mapped = [edge for edge in self._flow.inputs_of(task) if edge.mapped] if index is None else []
        if not mapped or not isinstance(state, Failed):
            return False
        return not any(isinstance(self._states.get(edge.upstream_task), Success) for edge in mapped)

    # ---------------------------------------------------------------- from one place to those before it

    def _before(self, place: Place) -> Iterator[Place]:
        """What failed before a place, as far as it waits for it."""
        for edge in self._flow.inputs_of(place.task):
            state = self._states.get(edge.upstream_task)
            if not isinstance(state, Mapped) or not edge.mapped:
                if _concerns(state):
                    yield Place(edge.upstream_task)
            elif place.child is not None:
                index = self._index_above(edge, state, place.child)
                if index is not None and isinstance(state.map_states[index], Failed):
                    yield Place(edge.upstream_task, index)

    def _index_above(self, edge: Edge, state: Mapped, index: int) -> int | None:
        """The child before the edge whose result the child `index` after it takes."""
        if not edge.flattened:
            return index if index < len(state.map_states) else None
        above = edge.upstream_task
        if above not in self._origins:
            self._origins[above] = origins(state.map_states)
        found = self._origins[above]
        return found[index] if index < len(found) else None

    def _state_of(self, place: Place) -> State:
        state = self._states[place.task]
        return state.map_states[place.child] if place.child is not None and isinstance(state, Mapped) else state

    def _sources(self, place: Place) -> list[Place] | None:
        """From what a failure follows; None where it stands by itself."""
        state = self._state_of(place)
        if isinstance(state, Mapped):
            return [Place(place.task, index) for index, each in enumerate(state.map_states) if isinstance(each, Failed)]
        return list(self._before(place)) if self.follows(place.task, place.child, state) else None

    # ---------------------------------------------------------------- and on to the roots

    def _merged(self, places: list[Place]) -> tuple[str, ...]:
        self._resolve(places)
        return self._joined(places)

    def _joined(self, places: list[Place]) -> tuple[str, ...]:
        if len(places) == 1:
            return self._known[places[0]]
        found: dict[str, None] = {}
        for place in places:
            found.update(dict.fromkeys(self._known[place]))
            if len(found) >= CAP:
                break
        return tuple(found)[:CAP]

    def _resolve(self, places: list[Place]) -> None:
        """Bring the roots of these places into `_known`. No recursion: a chain may be of any length."""
        todo = [place for place in places if place not in self._known]
        while todo:
            place = todo[-1]
            sources = self._sources(place) if place not in self._known else None
            unknown = [each for each in sources or () if each not in self._known]
            if unknown:
                todo.extend(unknown)
                continue
            todo.pop()
            if place not in self._known:
                is_mapped = isinstance(self._state_of(place), Mapped)
                self._known[place] = self._joined(sources or []) or (() if is_mapped else (place.name,))


def _concerns(state: State | None) -> bool:
    return isinstance(state, Failed | Mapped)


def origins(children: Iterable[State]) -> list[int]:
    """From which child each item comes when the results of mapped children are flattened; as `flat_children` does it.

    >>> origins([Success(result=[1, 2]), Failed(), Success(result=5), Success(result=[]), Success(result=[3])])
    [0, 0, 1, 2, 4]
    """
    found: list[int] = []
    for index, child in enumerate(children):
        try:
            count = len(list(child.result)) if isinstance(child, Success) else 1
        except TypeError:
            count = 1
        found.extend([index] * count)
    return found
