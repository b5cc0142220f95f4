"""How one task becomes many: whether it can be mapped, how wide, and what each child gets."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tocsin.flows.triggers import Upstream
from tocsin_hooks.states import Cached, Failed, Finished, Mapped, Pending, State, Success

if TYPE_CHECKING:
    from tocsin.flows.edge import Edge
    from tocsin.flows.task import Task

StateT = TypeVar("StateT", bound=State)

_BUSY, _DONE, _CAP = 255, 254, 253  # in MapRun._waiting: started; ended; the most that a child can wait for


class NotMappable(Exception):
    """A result that was to be mapped over cannot be."""


# ---------------------------------------------------------------- decisions


def ready_to_map(upstream: Upstream) -> State:
    """What becomes of a task that is to be mapped: `Mapped`, knowing its width, or `Failed`, which has no children.

    It is not asked whether upstream tasks succeeded, as long as one gives something to map over: that is for each
    child's trigger.

    >>> from tocsin.flows.edge import Edge
    >>> from tocsin.flows.task import Task
    >>> edge = Edge(Task("rows"), Task("load"), "row", mapped=True)
    >>> ready_to_map({edge: Success(result=[1, 2, 3])}).n_map_states
    3
    >>> ready_to_map({edge: Success(result=5)})
    <Failed: "'load' cannot be mapped over the result of 'rows': it is of type 'int', which has no items">
    """
    if not upstream:
        return Mapped("split into children")
    if not any(edge.mapped and isinstance(state, Success) for edge, state in upstream.items()):
        return Failed("no upstream task succeeded that could be mapped over")
    try:
        width = min(len(found) for found in Inputs(upstream).mapped.values())
    except NotMappable as error:
        return Failed(str(error))
    return Mapped("split into children", n_map_states=width)


def ended(state: State | None) -> bool:
    """Whether nothing is left to do: a cached result still has to be looked at.

    >>> ended(Success()), ended(Cached()), ended(Pending()), ended(None)
    (True, False, False, False)
    """
    return isinstance(state, Finished) and not isinstance(state, Cached)


def flattened(state: State) -> State:
    """A state like this one with one level of nesting removed from its result; itself when there is none.

    >>> flattened(Success(result=[[1, 2], [3]])).result
    [1, 2, 3]
    >>> flattened(Success(result=[1, 2])).result
    [1, 2]
    """
    if isinstance(state, Mapped):
        children = flat_children(state.map_states)
        new = with_result(state, [child.result for child in children])
        new.map_states, new._n_map_states = children, None
        return new
    try:
        return with_result(state, [item for part in state.result for item in part])
    except TypeError:
        return state


def flat_children(children: Sequence[State]) -> list[State]:
    """A state for each item in the results of `children`; a child that has no items stands for itself.

    >>> [child.result for child in flat_children([Success(result=[1, 2]), Success(result=[3]), Failed(result=None)])]
    [1, 2, 3, None]
    """
    found: list[State] = []
    for child in children:
        try:
            items = list(child.result) if isinstance(child, Success) else None
        except TypeError:
            items = None
        found.extend([child] if items is None else (with_result(child, item) for item in items))
    return found


def with_result(state: StateT, value: Any) -> StateT:
    """A copy of a state that carries another result."""
    new = copy.copy(state)
    new.result = value
    return new


class Inputs:
    """What the children of a mapped task get: of its mapped upstreams an item each, the others whole."""

    def __init__(self, upstream: Upstream) -> None:
        self.shared = {
            edge: flattened(state) if edge.flattened else state for edge, state in upstream.items() if not edge.mapped
        }
        self.states: dict[Edge, Sequence[State]] = {}  # mapped tasks: a child each
        self.items: dict[Edge, Sequence[Any]] = {}  # results: an item each
        self.templates: dict[Edge, State] = {}
        self.broken: dict[Edge, State] = {}  # nothing to map over: the children's triggers see to it
        for edge, state in upstream.items():
            if edge.mapped:
                self._take(edge, state)
        bound = min((len(found) for found in self.mapped.values()), default=None)
        for edge, state in self.templates.items():
            if edge not in self.items:
                self.items[edge] = _listed(edge, state.result, bound)

    def _take(self, edge: Edge, state: State) -> None:
        if isinstance(state, Mapped):
            self.states[edge] = flat_children(state.map_states) if edge.flattened else state.map_states
            return
        if not isinstance(state, Success):
            self.broken[edge] = with_result(state, state.result)
            return
        state = flattened(state) if edge.flattened else state
        self.templates[edge] = state
        if isinstance(state.result, list | tuple | str | range):
            self.items[edge] = state.result

    @property
    def mapped(self) -> Mapping[Edge, Sequence[Any]]:
        """What is mapped over, for its length."""
        return {**self.states, **self.items}

    def of(self, index: int) -> dict[Edge, State]:
        """The upstream states of one child."""
        found: dict[Edge, State] = {**self.shared, **self.broken}
        for edge, states in self.states.items():
            found[edge] = states[index]
        for edge, items in self.items.items():
            found[edge] = _item_state(self.templates[edge], items[index])
        return found


def _item_state(state: State, item: Any) -> State:
    new: State = object.__new__(type(state))  # half the cost of copy.copy, and paid for every child
    new.__dict__.update(state.__dict__)
    new._carried = item
    return new


def _listed(edge: Edge, value: Any, bound: int | None) -> list[Any]:
    """The items of something with `[0]`, `[1]` and so on, at most `bound`."""
    if not hasattr(value, "__getitem__"):
        raise NotMappable(_refusal(edge, f"it is of type '{type(value).__name__}', which has no items"))
    found: list[Any] = []
    try:
        while bound is None or len(found) < bound:
            found.append(value[len(found)])
    except IndexError:
        return found
    except Exception as error:  # whatever somebody else's __getitem__ raises
        kind = type(value).__name__
        raise NotMappable(_refusal(edge, f"asked for item {len(found)}, the '{kind}' raised {error!r}")) from error
    return found


def _refusal(edge: Edge, why: str) -> str:
    return f"'{edge.downstream_task.name}' cannot be mapped over the result of '{edge.upstream_task.name}': {why}"


# ---------------------------------------------------------------- one mapped task in a run


class Child:
    """One of the tasks that a mapped task has become: what executors and progress know it by."""

    __slots__ = ("index", "map_run")

    def __init__(self, map_run: MapRun, index: int) -> None:
        self.map_run = map_run
        self.index = index

    @property
    def task(self) -> Task:
        """The task it is a child of."""
        return self.map_run.task

    @property
    def name(self) -> str:
        """`task[index]`."""
        return f"{self.map_run.task.name}[{self.index}]"

    @property
    def priority(self) -> int:
        """How many mapped tasks stand one behind the other up to this one; the deepest should go first."""
        return self.map_run.depth

    def __repr__(self) -> str:
        return f"<Child: {self.name}>"


class MapRun:
    """A mapped task in a run: its children's states, and which of them may start.

    Children are not made before they start, so that a wide map costs a few bytes per child that waits.
    """

    def __init__(self, task: Task, state: Mapped, inputs: Inputs, before: State | None, depth: int) -> None:
        self.task = task
        self.state = state
        self.inputs = inputs
        self.depth = depth
        widths = [len(found) for found in inputs.mapped.values()]
        self.width = min(widths) if widths else state.n_map_states
        known: Sequence[State | None] = before.map_states if isinstance(before, Mapped) else ()
        first = None if isinstance(before, Mapped) else before
        pending = Pending("not run") if first is None else first
        states = [(known[index] if index < len(known) else None) or pending for index in range(self.width)]
        self.states: list[State] = states
        self._fresh = pending if first is None else None
        state.map_states, state._n_map_states = states, None
        self.left = self.width
        self._next = 0
        self._waiting = bytearray(self.width)
        for index, each in enumerate(states):
            if ended(each):
                self.end(index)

    def wait_for(self, upstream: MapRun) -> None:
        """Let each child wait for the child of `upstream` with the same index."""
        for index, count in enumerate(self._waiting):
            if count < _CAP and upstream._waiting[index] != _DONE:
                self._waiting[index] = count + 1

    def released(self, index: int) -> Child | None:
        """The child that may start because what it waited for has ended; None when it waits for more."""
        if index >= self.width or self._waiting[index] in (0, _BUSY, _DONE):
            return None
        self._waiting[index] -= 1
        if self._waiting[index]:
            return None
        self._waiting[index] = _BUSY
        return Child(self, index)

    def next_child(self) -> Child | None:
        """The next child that waits for nothing and has not been started."""
        index = self._waiting.find(0, self._next)
        if index < 0:
            return None
        self._next = index + 1
        self._waiting[index] = _BUSY
        return Child(self, index)

    def end(self, index: int) -> None:
        """Note that a child has ended."""
        self._waiting[index] = _DONE
        self.left -= 1

    def state_of(self, index: int) -> State | None:
        """The state from which a child starts."""
        state = self.states[index]
        return None if state is self._fresh else state

    def unfinished(self) -> Iterator[Child]:
        """The children that have not ended."""
        return (Child(self, index) for index, state in enumerate(self.states) if not isinstance(state, Finished))

    def close(self) -> None:
        """Show the children's results as the result of the whole; a failed child's is its exception."""
        self.state.result = [state.result for state in self.states]
