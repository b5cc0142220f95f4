"""Mapping: one task becomes many, each with its own states, in every executor; and what follows sees them all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import cloudpickle
import pytest

from tocsin.clock import ManualClock
from tocsin.flows import signals, triggers
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.runs import Executor, FlowRunner, LocalExecutor, TaskRunner, ThreadExecutor, run_flow
from tocsin_hooks.states import Failed, Mapped, Pending, Retrying, Running, Skipped, State, Success, TriggerFailed

MINUTE = timedelta(minutes=1)


class Pickling(LocalExecutor):
    """Sends each call and what comes of it through pickle, as an executor in another process does."""

    slots = None  # type: ignore[assignment]  # all there are, as a cluster wants it

    def call(self, key: Any, fn: Callable[..., Any], *args: Any) -> None:
        super().call(key, roundtrip, cloudpickle.dumps((fn, args)))


def roundtrip(call: bytes) -> Any:
    fn, args = cloudpickle.loads(call)
    return cloudpickle.loads(cloudpickle.dumps(fn(*args)))


@pytest.fixture(params=["local", "threads", "pickling"])
def executor(request: pytest.FixtureRequest) -> Executor:
    made: dict[str, Callable[[], Executor]] = {
        "local": LocalExecutor,
        "threads": lambda: ThreadExecutor(3),
        "pickling": Pickling,
    }
    return made[request.param]()


@task
def add_one(x: int) -> int:
    return x + 1


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def collect(values: Any) -> Any:
    return values


class Numbers(Task):
    """Returns what it was made with."""

    def __init__(self, value: Any, name: str = "numbers", **options: Any) -> None:
        self.value = value
        super().__init__(name, **options)

    def run(self) -> Any:
        return self.value


class Picky(Task):
    """Fails, or skips, on the items that it is told."""

    def __init__(self, bad: Any = (), skip: Any = (), name: str = "picky", **options: Any) -> None:
        self.bad, self.skip = bad, skip
        super().__init__(name, **options)

    def run(self, x: Any) -> Any:
        if x in self.bad:
            raise ValueError(f"bad {x}")
        if x in self.skip:
            raise signals.SKIP
        return x


def mapped(flow: Flow, up: Task, down: Task, key: str = "x", **options: Any) -> Task:
    flow.add_edge(up, down, key, mapped=True, **options)
    return down


def kinds(state: Any) -> list[str]:
    return [type(each).__name__ for each in state.map_states]


# ---------------------------------------------------------------- width and inputs


def test_each_item_gets_a_child_and_a_reduce_gets_the_list(executor: Executor) -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers([1, 2, 3]), add_one.copy())
    flow.add_edge(many, collect, "values")
    state = run_flow(flow, executor=executor)
    assert type(state) is Success
    assert type(state.result[many]) is Mapped
    assert [child.result for child in state.result[many].map_states] == [2, 3, 4]
    assert state.result[many].result == [2, 3, 4]
    assert state.result[many].n_map_states == 3
    assert state.result[collect].result == [2, 3, 4]


def test_the_shortest_input_decides_how_many_children_there_are(executor: Executor) -> None:
    flow, both = Flow("map"), add.copy()
    mapped(flow, Numbers([1, 2, 3]), both, "x")
    mapped(flow, Numbers((10, 20)), both, "y")
    assert run_flow(flow, executor=executor).result[both].result == [11, 22]


def test_what_is_not_mapped_is_shared_by_all_children(executor: Executor) -> None:
    flow, both = Flow("map"), add.copy()
    mapped(flow, Numbers([1, 2, 3]), both, "x")
    flow.add_edge(Numbers(100), both, "y")
    assert run_flow(flow, executor=executor).result[both].result == [101, 102, 103]


def test_constants_are_shared_by_all_children(executor: Executor) -> None:
    flow, both = Flow("map"), add.copy()
    mapped(flow, Numbers([1, 2]), both, "x")
    flow.set_dependencies(both, keyword_tasks={"y": 5})
    assert run_flow(flow, executor=executor).result[both].result == [6, 7]


def test_flatten_removes_one_level_before_mapping(executor: Executor) -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers([[1, 2], [3], []]), add_one.copy(), flattened=True)
    assert run_flow(flow, executor=executor).result[many].result == [2, 3, 4]


def test_flatten_takes_the_items_of_what_children_made(executor: Executor) -> None:
    flow = Flow("map")
    lists = mapped(flow, Numbers([[1, 2], [3, 4, 5]]), Picky(name="lists"))
    many = mapped(flow, lists, add_one.copy(), flattened=True)
    flow.add_edge(many, collect, "values")
    assert run_flow(flow, executor=executor).result[collect].result == [2, 3, 4, 5, 6]


def test_flatten_works_for_a_reduce_and_for_a_plain_task(executor: Executor) -> None:
    flow = Flow("map")
    lists = mapped(flow, Numbers([[1, 2], [3]]), Picky(name="lists"))
    reduced, plain = collect.copy(), collect.copy()
    flow.add_edge(lists, reduced, "values", flattened=True)
    flow.add_edge(Numbers([[1], [2]]), plain, "values", flattened=True)
    state = run_flow(flow, executor=executor)
    assert state.result[reduced].result == [1, 2, 3]
    assert state.result[plain].result == [1, 2]


def test_flatten_leaves_alone_what_has_one_level_only() -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers([1, 2]), add_one.copy(), flattened=True)
    assert run_flow(flow).result[many].result == [2, 3]


def test_a_failed_child_goes_through_flatten_as_one() -> None:
    flow = Flow("map")
    lists = mapped(flow, Numbers(["ab", "c"]), Picky(bad=["c"], name="lists"))
    many = mapped(flow, lists, Picky(), flattened=True)
    assert kinds(run_flow(flow).result[many]) == ["Success", "Success", "TriggerFailed"]


@pytest.mark.parametrize("empty", [[], (), "", range(0)])
def test_nothing_to_map_over_makes_no_children_and_the_reduce_gets_an_empty_list(empty: Any) -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers(empty), add_one.copy())
    again = mapped(flow, many, add_one.copy(name="again"))
    flow.add_edge(again, collect, "values")
    state = run_flow(flow)
    assert (type(state.result[many]), state.result[many].map_states) == (Mapped, [])
    assert (type(state.result[again]), state.result[again].n_map_states) == (Mapped, 0)
    assert state.result[collect].result == []
    assert state.is_successful()


@pytest.mark.parametrize("value", [5, None, {"a": 1}, {1, 2}])
def test_what_has_no_items_fails_the_parent_which_has_no_children(value: Any, seen: Any) -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers(value), add_one.copy(state_handlers=[seen]))
    flow.add_edge(many, collect, "values")
    state = run_flow(flow)
    assert type(state.result[many]) is Failed
    assert "'add_one' cannot be mapped over the result of 'numbers'" in str(state.result[many].message)
    assert type(state.result[collect]) is TriggerFailed
    assert seen == ["Pending>Failed"]


def test_anything_with_items_by_number_can_be_mapped_over() -> None:
    class Squares:
        def __getitem__(self, index: int) -> int:
            if index == 4:
                raise IndexError
            return index * index

    class Endless:
        def __getitem__(self, index: int) -> int:
            return index

    flow, both = Flow("map"), add.copy()
    mapped(flow, Numbers(Squares()), both, "x")
    mapped(flow, Numbers([0, 0, 0]), both, "y")
    one = mapped(flow, Numbers(Squares()), add_one.copy())
    bounded = add.copy()
    mapped(flow, Numbers(Endless()), bounded, "x")
    mapped(flow, Numbers([10, 10]), bounded, "y")
    state = run_flow(flow)
    assert state.result[both].result == [0, 1, 4]
    assert state.result[one].result == [1, 2, 5, 10]
    assert state.result[bounded].result == [10, 11]


def test_a_task_may_be_mapped_without_data_from_the_upstream() -> None:
    flow, each = Flow("map"), Numbers(7, "each")
    flow.add_edge(Numbers([1, 2]), each, mapped=True)
    assert run_flow(flow).result[each].result == [7, 7]


# ---------------------------------------------------------------- children alone


def test_children_fail_alone_and_the_parent_is_mapped_all_the_same(executor: Executor) -> None:
    flow = Flow("map")
    first = mapped(flow, Numbers([1, 2, 3]), Picky(bad=[2]))
    second = mapped(flow, first, add_one.copy())
    late = collect.copy(trigger=triggers.all_finished)
    flow.add_edge(first, late, "values")
    flow.add_edge(second, collect, "values")
    state = run_flow(flow, executor=executor)
    assert kinds(state.result[first]) == ["Success", "Failed", "Success"]
    assert kinds(state.result[second]) == ["Success", "TriggerFailed", "Success"]
    assert type(state.result[collect]) is TriggerFailed
    [one, error, three] = state.result[late].result
    assert (one, str(error), three) == (1, "bad 2", 3)
    assert isinstance(error, ValueError)


def test_a_skipped_child_skips_its_own_successor_only(executor: Executor) -> None:
    flow = Flow("map")
    first = mapped(flow, Numbers([1, 2]), Picky(skip=[2]))
    second = mapped(flow, first, add_one.copy())
    flow.add_edge(second, collect, "values")
    state = run_flow(flow, executor=executor)
    assert kinds(state.result[second]) == ["Success", "Skipped"]
    assert type(state.result[collect]) is Skipped, "one of all its upstreams was"


def test_a_failed_upstream_fails_the_parent_but_one_of_two_only_the_triggers_of_children() -> None:
    flow, both = Flow("map"), add.copy()
    bad = mapped(flow, Numbers(5), Picky(name="bad"))
    alone = mapped(flow, bad, add_one.copy())
    mapped(flow, Numbers([1, 2]), both, "x")
    mapped(flow, bad, both, "y")
    state = run_flow(flow)
    assert type(state.result[alone]) is Failed
    assert kinds(state.result[both]) == ["TriggerFailed", "TriggerFailed"]


def test_triggers_see_children_in_place_of_the_mapped_task() -> None:
    flow = Flow("map")
    first = mapped(flow, Numbers([1, 2, 3]), Picky(bad=[2]))
    some = Numbers(1, "some", trigger=triggers.some_failed(at_least=1, at_most=1))
    flow.add_edge(first, some)
    assert run_flow(flow).result[some].is_successful()


def test_children_of_a_reference_task_decide_whether_the_flow_failed(executor: Executor) -> None:
    flow = Flow("map")
    first = mapped(flow, Numbers([1, 2, 3]), Picky(bad=[2]))
    seen_states: list[Any] = []
    flow.terminal_state_handler = lambda flow, state, states: seen_states.append(states)
    state = run_flow(flow, executor=executor)
    assert (type(state), state.message) == (Failed, "some reference tasks failed: 'picky'")
    assert seen_states == [set(state.result[first].map_states)]


def test_handlers_see_the_parent_become_mapped_and_then_each_child(seen: Any) -> None:
    flow = Flow("map")
    mapped(flow, Numbers([1, 2]), Picky(bad=[2], state_handlers=[seen]))
    run_flow(flow)
    assert seen == ["Pending>Mapped", "Pending>Running", "Running>Success", "Pending>Running", "Running>Failed"]


def test_a_handler_may_keep_a_task_from_being_mapped() -> None:
    def no(subject: Any, old: State, new: State) -> State:
        return Failed("not today") if new.is_mapped() else new

    flow = Flow("map")
    many = mapped(flow, Numbers([1, 2]), add_one.copy(state_handlers=[no]))
    assert run_flow(flow).result[many].message == "not today"


def test_children_know_their_index_and_so_do_their_events(told: Any) -> None:
    @task
    def look(x: int) -> tuple[Any, ...]:
        return context.map_index, context.task_full_name, context.task_name

    flow, publisher = Flow("map"), told()
    many = mapped(flow, Numbers("ab"), look)
    state = run_flow(flow, publisher=publisher)
    assert state.result[many].result == [(0, "look[0]", "look"), (1, "look[1]", "look")]
    found = [(event.map_index, event.state) for event in publisher.of("look")]
    assert found == [(None, "Mapped"), (0, "Running"), (0, "Success"), (1, "Running"), (1, "Success")]
    assert len({event.id for event in publisher.events}) == len(publisher.events)


# ---------------------------------------------------------------- order


def test_depth_comes_before_breadth() -> None:
    order: list[str] = []

    def note(subject: Any, old: State, new: State) -> None:
        if new.is_running():
            order.append(context.task_full_name)

    flow = Flow("map", task_state_handlers=[note])
    one = mapped(flow, Numbers([1, 2]), add_one.copy(name="one"))
    two = mapped(flow, one, add_one.copy(name="two"))
    mapped(flow, two, add_one.copy(name="three"))
    run_flow(flow)
    assert order == ["numbers", "one[0]", "two[0]", "three[0]", "one[1]", "two[1]", "three[1]"]


def test_a_child_starts_once_the_one_before_it_has_ended_though_others_run_still() -> None:
    went_through = threading.Event()

    @task
    def first(x: int) -> int:
        assert x == 1 or went_through.wait(10)
        return x

    @task
    def second(x: int) -> int:
        went_through.set()
        return x

    flow = Flow("map")
    many = mapped(flow, mapped(flow, Numbers([0, 1]), first), second)
    assert run_flow(flow, executor=ThreadExecutor(2)).result[many].result == [0, 1]


def test_a_mapped_task_may_wait_for_two_mapped_tasks_and_a_plain_one(executor: Executor) -> None:
    flow, both = Flow("map"), add.copy()
    numbers = Numbers([1, 2, 3])
    mapped(flow, mapped(flow, numbers, add_one.copy(name="a")), both, "x")
    mapped(flow, mapped(flow, mapped(flow, numbers, add_one.copy(name="b")), add_one.copy(name="c")), both, "y")
    flow.add_edge(Numbers(0, "plain"), both)
    flow.add_edge(both, collect, "values")
    assert run_flow(flow, executor=executor).result[collect].result == [5, 7, 9]


# ---------------------------------------------------------------- retries and later passes


class FailsFirst(Task):
    """Fails in its first attempt, for one item."""

    def run(self, x: int) -> tuple[int, int]:
        if x == 2 and context.task_run_count == 1:
            raise OSError("not yet")
        return x, context.task_run_count


def test_only_the_child_that_failed_is_tried_again(executor: Executor, seen: Any) -> None:
    flow = Flow("map")
    flaky = FailsFirst("flaky", max_retries=1, retry_delay=timedelta(milliseconds=1))
    mapped(flow, Numbers([1, 2, 3]), flaky)
    after = mapped(flow, flaky, Picky(name="after"))
    flow.add_edge(after, collect, "values")
    assert run_flow(flow, executor=executor).result[collect].result == [(1, 1), (2, 2), (3, 1)]


def test_a_pass_ends_running_while_a_child_waits_and_the_next_one_runs_it_alone(clock: ManualClock) -> None:
    flow, ran = Flow("map"), []
    flaky = FailsFirst("flaky", max_retries=1, retry_delay=MINUTE)
    flaky.state_handlers.append(lambda subject, old, new: ran.append(context.map_index) if new.is_running() else None)
    mapped(flow, Numbers([1, 2, 3]), flaky)
    flow.add_edge(flaky, collect, "values")
    first = FlowRunner(flow, clock=clock).run(return_tasks=flow.tasks)
    assert type(first) is Running
    assert kinds(first.result[flaky]) == ["Success", "Retrying", "Success"]
    assert type(first.result[collect]) is Pending
    assert ran == [0, 1, 2]
    clock.advance(60)
    last = FlowRunner(flow, clock=clock).run(first, dict(first.result), flow.tasks)
    assert type(last) is Success
    assert ran == [0, 1, 2, 1]
    assert last.result[collect].result == [(1, 1), (2, 2), (3, 1)]


def test_children_given_from_before_are_kept_and_missing_ones_run() -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers([1, 2, 3]), add_one.copy())
    before = Mapped(map_states=[Success(result=50), Pending()])
    state = run_flow(flow, task_states={many: before})
    assert state.result[many].result == [50, 3, 4]


def test_a_mapped_result_given_from_before_can_be_mapped_over_and_reduced() -> None:
    flow = Flow("map")
    first = mapped(flow, Numbers([1, 2]), Picky(bad=[1, 2]))
    second = mapped(flow, first, add_one.copy())
    flow.add_edge(first, collect, "values")
    given = Mapped(map_states=[Success(result=10), Success(result=20)], result=[10, 20])
    state = FlowRunner(flow).run(task_states={first: given}, return_tasks=[second, collect])
    assert state.result[second].result == [11, 21]
    assert state.result[collect].result == [10, 20]


def test_a_list_given_from_before_is_mapped_over() -> None:
    flow, numbers = Flow("map"), Numbers(0)
    many = mapped(flow, numbers, add_one.copy())
    assert run_flow(flow, task_states={numbers: Success(result=[5, 6])}).result[many].result == [6, 7]


def test_a_child_that_has_yet_to_start_begins_where_it_was_told() -> None:
    flow = Flow("map")
    many = mapped(flow, Numbers([2, 2]), FailsFirst("flaky"))
    given = Mapped(map_states=[Retrying(run_count=4), Pending()])
    state = run_flow(flow, task_states={many: given})
    assert kinds(state.result[many]) == ["Success", "Failed"]
    assert state.result[many].map_states[0].result == (2, 5)


def test_a_retry_of_one_child_holds_up_neither_the_others_nor_their_successors(clock: ManualClock) -> None:
    order: list[str] = []

    def note(subject: Any, old: State, new: State) -> None:
        if new.is_finished() and not new.is_mapped():
            order.append(f"{context.task_full_name} at {clock.monotonic():g}")

    flow = Flow("map")
    flaky = FailsFirst("flaky", max_retries=1, retry_delay=MINUTE)
    mapped(flow, Numbers([1, 2, 3]), flaky)
    mapped(flow, flaky, Picky(name="after", state_handlers=[note]))
    run_flow(flow, clock=clock)
    assert order == ["after[0] at 0", "after[2] at 0", "after[1] at 60"]


def test_a_task_runner_of_its_own_says_whether_a_task_can_be_mapped() -> None:
    edge = Edge(Numbers([1]), add_one, "x", mapped=True)
    state: Any = TaskRunner(add_one).run(upstream_states={edge: Success(result=[1, 2])}, is_mapped_parent=True)
    assert (type(state), state.n_map_states) == (Mapped, 2)


def test_ten_thousand_children_are_run_in_order() -> None:
    flow = Flow("wide")
    many = mapped(flow, Numbers(range(10_000)), add_one.copy())
    again = mapped(flow, many, add_one.copy(name="again"))
    flow.add_edge(again, collect, "values")
    assert run_flow(flow).result[collect].result == list(range(2, 10_002))
