"""What a failure keeps from running: an event of a failure for good counts the tasks, and names the first."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import cloudpickle
import pytest

from tocsin.executors import Executor
from tocsin.flows import signals, triggers
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.marks import flatten, unmapped
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow
from tocsin.runs.blocked import NoFacts, blocked_by
from tocsin_hooks.states import Failed, Mapped, State, Success, TriggerFailed

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no other process can import a test


@task
def fail() -> None:
    raise ValueError("no rows")


@task
def numbers() -> list[int]:
    return [1, 2, 3, 4]


@task
def picky(x: int) -> int:
    if x == 4:
        raise ValueError(x)
    return x


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(values: list[int]) -> int:
    return sum(values)


def step(name: str, **options: Any) -> Task:
    return Task(name, **options)


def blocks(flow: Flow, told: Any, **options: Any) -> dict[str, tuple[int, tuple[str, ...]]]:
    """What each failure told blocks, by subject; those that block nothing are left out."""
    hub = told()
    run_flow(flow, publisher=hub, **options)
    return {event.subject: (event.blocks, event.blocked) for event in hub.events if event.blocks or event.blocked}


def names(flow: Flow, start: Task, index: int | None = None) -> set[str]:
    return {each.name for each in blocked_by(start, index, flow, NoFacts())}


# ---------------------------------------------------------------- in a run


def test_a_failure_counts_all_behind_it_and_names_them_in_the_order_of_the_flow(executor: Executor, told: Any) -> None:
    bad, left, right, end = fail.copy(name="bad"), step("left"), step("right"), step("end")
    flow = Flow("etl", tasks=[step("aside"), end, right, left, bad])
    flow.chain(bad, left, end)
    flow.chain(bad, right, end)
    assert blocks(flow, told, executor=executor) == {"etl/bad": (3, ("left", "right", "end"))}


def test_a_child_blocks_what_hangs_on_the_mapped_task_and_a_mapped_task_counts_once(
    executor: Executor, told: Any
) -> None:
    with Flow("maps") as flow:
        flow.chain(total(double.map(picky.map(numbers()))), step("end"))
    assert blocks(flow, told, executor=executor) == {"maps/picky[3]": (3, ("double", "total", "end"))}


def test_ten_are_named_and_all_are_counted(told: Any) -> None:
    bad, after = fail.copy(name="bad"), [step(f"t{number}") for number in range(500)]
    flow = Flow("etl", tasks=[bad, *after])
    for each in after:
        flow.add_edge(bad, each)
    count, first = blocks(flow, told)["etl/bad"]
    assert count == 500
    assert first == tuple(f"t{number}" for number in range(10))


def test_each_of_several_failures_counts_what_it_would_block_alone(told: Any) -> None:
    one, two, end = fail.copy(name="one"), fail.copy(name="two"), step("end")
    flow = Flow("etl", tasks=[one, two, end, step("own")])
    flow.add_edge(one, end)
    flow.add_edge(two, end)
    flow.add_edge(two, flow.get_tasks("own")[0])
    assert blocks(flow, told) == {"etl/one": (1, ("end",)), "etl/two": (2, ("end", "own"))}


def test_what_blocks_follows_from_nothing_and_what_follows_blocks_nothing(told: Any) -> None:
    hub = told()
    flow = Flow("etl")
    flow.chain(fail.copy(name="bad"), step("middle"), step("end"))
    run_flow(flow, publisher=hub)
    failures = [event for event in hub.events if event.is_a("Failed")]
    assert [(event.subject, bool(event.causes), event.blocks) for event in failures] == [
        ("etl/bad", False, 2),
        ("etl/middle", True, 0),
        ("etl/end", True, 0),
        ("etl", True, 0),
    ]


@pytest.mark.parametrize("signal", [signals.FAIL, signals.VALIDATIONFAIL], ids=lambda signal: signal.__name__)
def test_a_task_that_ends_itself_as_failed_blocks_as_any_other(told: Any, signal: type[signals.StateSignal]) -> None:
    @task
    def signalled() -> None:
        raise signal("no")

    flow = Flow("etl")
    flow.chain(signalled, step("end"))
    assert blocks(flow, told) == {"etl/signalled": (1, ("end",))}


def test_a_success_or_a_skip_blocks_nothing(told: Any) -> None:
    @task
    def skip() -> None:
        raise signals.SKIP("nothing new")

    flow = Flow("etl")
    flow.chain(step("fine"), skip, step("end"))
    assert blocks(flow, told) == {}


def test_a_failure_that_a_handler_mends_blocks_nothing(told: Any) -> None:
    def soften(subject: Any, old: State, new: State) -> State:
        return Success("good enough") if new.is_failed() else new

    flow = Flow("etl")
    flow.chain(fail.copy(name="bad", state_handlers=[soften]), step("end"))
    assert blocks(flow, told) == {}


def test_what_ended_in_an_earlier_run_does_not_count(told: Any) -> None:
    bad, middle, end, other = fail.copy(name="bad"), step("middle"), step("end"), step("other")
    flow = Flow("etl", tasks=[bad, middle, end, other])
    flow.chain(bad, middle, end)
    flow.add_edge(bad, other)
    assert blocks(flow, told, task_states={middle: Success()}) == {"etl/bad": (1, ("other",))}
    mapped = Mapped(map_states=[Success(), TriggerFailed()])
    assert blocks(flow, told, task_states={middle: mapped, other: Failed()}) == {}


def test_what_is_skipped_anyway_does_not_count(told: Any) -> None:
    @task
    def skip() -> None:
        raise signals.SKIP("nothing new")

    bad, branch, behind = fail.copy(name="bad", skip_on_upstream_skip=False), step("branch"), step("behind")
    flow = Flow("etl", tasks=[skip, bad, branch, behind])
    flow.chain(skip, bad, branch, behind)
    flow.add_edge(skip, branch)
    assert blocks(flow, told) == {}
    eager = step("eager", skip_on_upstream_skip=False)
    flow.add_edge(skip, eager)
    flow.add_edge(bad, eager)
    assert blocks(flow, told) == {"etl/bad": (1, ("eager",))}


def test_a_flow_blocks_nothing_and_takes_part_in_no_count(told: Any) -> None:
    assert blocks(Flow("etl", tasks=[fail.copy(name="bad")]), told) == {}


def test_a_child_beyond_the_width_of_what_hangs_on_it_blocks_nothing_there(told: Any) -> None:
    @task
    def add(x: int, y: int) -> int:
        return x + y

    @task
    def short() -> list[int]:
        return [1, 2]

    with Flow("maps") as flow:
        add.map(picky.map(numbers()), short())  # as wide as the shorter one: picky[3] has nobody to wait for it
    assert blocks(flow, told) == {}


def test_nothing_is_worked_out_while_nothing_fails_for_good(told: Any, clock: Any) -> None:
    @task(max_retries=1, retry_delay=timedelta(minutes=1))
    def flaky() -> None:
        if context.task_run_count == 1:
            raise OSError("no network")

    class Counted(Flow):
        looks = 0

        def outputs_of(self, task: Task) -> Any:
            Counted.looks += 1
            return super().outputs_of(task)

    flow = Counted("etl")
    flow.chain(flaky, step("end"))
    run_flow(flow, clock=clock)
    untold, Counted.looks = Counted.looks, 0
    assert blocks(flow, told, clock=clock) == {}
    assert Counted.looks == untold > 0


# ---------------------------------------------------------------- the decision by itself


def pair(**options: Any) -> tuple[Flow, Task]:
    bad = step("bad")
    flow = Flow("etl")
    flow.chain(bad, step("after", **options))
    return flow, bad


@pytest.mark.parametrize(
    ("trigger", "refuses"),
    [
        (triggers.all_successful, True),
        (triggers.not_all_skipped, True),
        (triggers.any_successful, True),  # there is no other
        (triggers.manual_only, False),  # it pauses, and somebody may resume it
        (triggers.all_failed, False),
        (triggers.any_failed, False),
        (triggers.all_finished, False),
        (triggers.always_run, False),
        (triggers.some_failed(at_most=0), False),  # refuses, but that depends on numbers
        (lambda upstream: True, False),
    ],
)
def test_only_what_is_sure_not_to_run_counts(trigger: Callable[[Any], bool], refuses: bool) -> None:
    flow, bad = pair(trigger=trigger)
    assert names(flow, bad) == ({"after"} if refuses else set())


def test_one_success_is_enough_for_any_successful_so_all_before_it_must_fail() -> None:
    bad, fine, branch, end = step("bad"), step("fine"), step("branch"), step("end", trigger=triggers.any_successful)
    flow = Flow("etl", tasks=[bad, fine, branch, end])
    flow.chain(bad, branch, end)
    flow.add_edge(bad, end)
    assert names(flow, bad) == {"branch", "end"}
    flow.add_edge(fine, end)
    assert names(flow, bad) == {"branch"}


def test_the_count_stops_at_a_task_that_may_run_and_does_not_go_on_behind_it() -> None:
    bad, cleanup, mail = step("bad"), step("cleanup", trigger=triggers.all_finished), step("mail")
    flow = Flow("etl")
    flow.chain(bad, step("load"), cleanup, mail)
    assert names(flow, bad) == {"load"}
    flow.add_edge(bad, mail)
    assert names(flow, bad) == {"load", "mail"}, "it also hangs on what failed"


def test_nothing_to_map_over_blocks_a_mapped_task_whatever_its_trigger() -> None:
    late = {"trigger": triggers.all_finished}
    with Flow("maps") as flow:
        bad = fail()
        children = double.copy(**late).map(bad)
        other = double.copy(name="other", **late).map(children)
        total.copy(**late)(other)
    assert names(flow, bad) == {"double", "other"}


def test_a_mapped_task_that_has_more_to_map_over_asks_its_trigger() -> None:
    @task
    def add(x: int, y: int) -> int:
        return x + y

    with Flow("maps") as flow:
        bad, rows = fail(), numbers()
        add.copy(name="strict").map(bad, rows)
        add.copy(name="lenient", trigger=triggers.all_finished).map(bad, rows)
        add.copy(name="shared").map(rows, unmapped(bad))
        double.copy(name="flat").map(flatten(bad))
    assert names(flow, bad) == {"strict", "shared", "flat"}


def test_a_child_leaves_to_a_lenient_trigger_what_hangs_on_it() -> None:
    with Flow("maps") as flow:
        rows = picky.map(numbers())
        double.copy(name="lenient", trigger=triggers.all_finished).map(rows)
        double.copy(name="last", trigger=triggers.any_successful).map(rows)
        total.copy(name="some", trigger=triggers.any_successful)(rows)
        total(double.copy(name="flat").map(flatten(rows)))
    assert names(flow, rows, 3) == {"last", "flat", "total"}, "'some' has the other children"
    assert names(flow, rows, None) == {"lenient", "last", "some", "flat", "total"}, "no children at all"


def test_a_task_without_anything_behind_it_blocks_nothing() -> None:
    flow, _ = pair()
    [after] = flow.get_tasks("after")
    assert names(flow, after) == set()
