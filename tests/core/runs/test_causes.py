"""Why something failed: an event whose failure follows from others in the run names the roots, and only these."""

from __future__ import annotations

import sys
from datetime import timedelta
from itertools import pairwise
from typing import Any

import cloudpickle
import pytest

from tocsin.executors import Executor, LocalExecutor
from tocsin.flows import signals, triggers
from tocsin.flows.flow import Flow
from tocsin.flows.handlers import callback_factory
from tocsin.flows.marks import flatten, unmapped
from tocsin.flows.task import Task, task
from tocsin.runs import run_flow
from tocsin.runs.causes import CAP, Causes
from tocsin_hooks.events import Event
from tocsin_hooks.filters import when
from tocsin_hooks.states import Cancelled, Failed, Mapped, Skipped, State, Success, TriggerFailed

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # no other process can import a test


@task
def fail() -> None:
    raise ValueError("no rows")


@task
def numbers() -> list[int]:
    return [1, 2, 3, 4]


@task
def picky(x: int) -> int:
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@task
def double(x: int) -> int:
    return 2 * x


@task
def total(values: list[int]) -> int:
    return sum(values)


def step(name: str, **options: Any) -> Task:
    return Task(name, **options)


def causes(events: list[Event]) -> dict[str, tuple[str, ...]]:
    """The causes of each failure told, by subject."""
    return {event.subject: event.causes for event in events if event.is_a("Failed")}


def run(flow: Flow, told: Any, executor: Executor | None = None, **options: Any) -> dict[str, tuple[str, ...]]:
    hub = told()
    run_flow(flow, publisher=hub, executor=executor or LocalExecutor(), **options)
    assert all(not event.causes for event in hub.events if not event.is_a("Failed"))
    return causes(hub.events)


# ---------------------------------------------------------------- wherever tasks run


def test_all_that_never_ran_names_the_root_and_so_does_the_flow(executor: Executor, told: Any) -> None:
    bad, left, right, end = fail.copy(name="bad"), step("left"), step("right"), step("end")
    flow = Flow("etl", tasks=[bad, step("aside")])
    flow.chain(bad, left, end)
    flow.chain(bad, right, end)
    root = ("etl/bad",)
    assert run(flow, told, executor) == {
        "etl/bad": (),
        "etl/left": root,
        "etl/right": root,
        "etl/end": root,
        "etl": root,
    }


def test_children_of_mapped_tasks_are_named_one_by_one(executor: Executor, told: Any) -> None:
    with Flow("maps") as flow:
        picked = picky.map(numbers())
        total(double.map(picked))
    roots = ("maps/picky[1]", "maps/picky[3]")
    assert run(flow, told, executor) == {
        "maps/picky[1]": (),
        "maps/picky[3]": (),
        "maps/double[1]": roots[:1],
        "maps/double[3]": roots[1:],
        "maps/total": roots,
        "maps": roots,
    }


def test_a_state_that_a_handler_puts_in_place_of_another_loses_no_cause(executor: Executor, told: Any) -> None:
    def reword(subject: Any, old: State, new: State) -> State:
        return TriggerFailed("in other words") if isinstance(new, TriggerFailed) else new

    flow = Flow("etl", task_state_handlers=[reword])
    flow.chain(fail.copy(name="bad"), step("middle"), step("end"))
    assert run(flow, told, executor) == dict.fromkeys(["etl/middle", "etl/end", "etl"], ("etl/bad",)) | {"etl/bad": ()}


# ---------------------------------------------------------------- roots


def test_each_root_is_named_once_in_the_order_in_which_it_was_waited_for(told: Any) -> None:
    first, second = fail.copy(name="first"), fail.copy(name="second")
    after, end = step("after"), step("end")
    flow = Flow("etl", tasks=[first, second, after, end])
    flow.add_edge(second, after)
    flow.add_edge(first, after)
    flow.add_edge(first, end)
    flow.add_edge(after, end)
    found = run(flow, told)
    assert found["etl/after"] == ("etl/second", "etl/first")
    assert found["etl/end"] == ("etl/first", "etl/second")


def test_what_fails_by_itself_has_no_cause_though_others_failed_before_it(told: Any) -> None:
    after = fail.copy(name="after", trigger=triggers.any_failed)
    end = step("end")
    flow = Flow("etl")
    flow.chain(fail.copy(name="bad"), after, end)
    assert run(flow, told) == {"etl/bad": (), "etl/after": (), "etl/end": ("etl/after",), "etl": ("etl/after",)}


def test_a_trigger_that_refuses_although_nothing_failed_is_the_root_of_what_follows(told: Any) -> None:
    picky_one, end = step("cleanup", trigger=triggers.all_failed), step("end")
    flow = Flow("etl")
    flow.chain(step("fine"), picky_one, end)
    assert run(flow, told) == {"etl/cleanup": (), "etl/end": ("etl/cleanup",), "etl": ("etl/cleanup",)}


def test_a_trigger_that_refuses_by_a_signal_or_breaks_names_what_failed_before_it(told: Any) -> None:
    def refuse(upstream: Any) -> bool:
        raise signals.TRIGGERFAIL("no")

    def broken(upstream: Any) -> bool:
        raise OSError("no network")

    bad = fail.copy(name="bad")
    flow = Flow("etl", tasks=[bad])
    flow.add_edge(bad, step("refused", trigger=refuse))
    flow.add_edge(bad, step("broken", trigger=broken))
    flow.add_edge(bad, step("false", trigger=lambda _: False))
    found = run(flow, told)
    assert {found[f"etl/{name}"] for name in ("refused", "broken", "false")} == {("etl/bad",)}


@pytest.mark.parametrize(
    "signal", [signals.FAIL, signals.VALIDATIONFAIL, signals.TRIGGERFAIL], ids=lambda signal: signal.__name__
)
def test_a_task_that_ends_itself_by_a_signal_is_a_root(told: Any, signal: type[signals.StateSignal]) -> None:
    @task
    def signalled() -> None:
        raise signal("no")

    flow = Flow("etl")
    flow.chain(signalled, step("end"))
    assert run(flow, told)["etl/end"] == ("etl/signalled",)


def test_a_failure_behind_one_that_was_recovered_from_is_no_cause(told: Any) -> None:
    rescue = step("rescue", trigger=triggers.all_failed)
    late = fail.copy(name="late")
    flow = Flow("etl")
    flow.chain(fail.copy(name="bad"), rescue, late, step("end"))
    assert run(flow, told) == {"etl/bad": (), "etl/late": (), "etl/end": ("etl/late",), "etl": ("etl/late",)}


def test_what_was_skipped_is_no_cause_of_what_runs_all_the_same(told: Any) -> None:
    @task
    def skip() -> None:
        raise signals.SKIP("nothing new")

    bad, end, after = fail.copy(name="bad"), step("end", skip_on_upstream_skip=False), step("after")
    flow = Flow("etl", tasks=[skip, bad, end, after])
    flow.add_edge(skip, end)
    flow.add_edge(bad, end)
    flow.chain(end, after)
    root = ("etl/bad",)
    assert run(flow, told) == {"etl/bad": (), "etl/end": root, "etl/after": root, "etl": root}


def test_what_was_cancelled_is_no_failure_and_the_refusal_behind_it_is_the_root(told: Any) -> None:
    def cancel(subject: Any, old: State, new: State) -> State:
        return Cancelled("by hand") if new.is_finished() else new

    flow = Flow("etl")
    flow.chain(step("stopped", state_handlers=[cancel]), step("middle"), step("end"))
    assert run(flow, told) == {"etl/middle": (), "etl/end": ("etl/middle",), "etl": ("etl/middle",)}


def test_causes_are_capped_and_the_first_are_kept(told: Any) -> None:
    bad = [fail.copy(name=f"bad-{number}") for number in range(CAP + 5)]
    middle, end = step("middle"), step("end")
    flow = Flow("etl", tasks=[*bad, middle, end])
    for each in bad:
        flow.add_edge(each, middle)
    flow.add_edge(middle, end)
    found = run(flow, told)
    assert found["etl/end"] == found["etl/middle"] == tuple(f"etl/bad-{number}" for number in range(20))


def test_a_failure_that_will_be_retried_is_told_without_causes_and_the_last_attempt_counts(
    told: Any, clock: Any
) -> None:
    bad = fail.copy(name="bad", max_retries=2, retry_delay=timedelta(minutes=1))
    flow = Flow("etl")
    flow.chain(bad, step("end"))
    hub = told()
    run_flow(flow, publisher=hub, clock=clock)
    assert [(event.state, event.causes, event.blocks) for event in hub.of("bad") if not event.is_a("Running")] == [
        ("Failed", (), 0),
        ("Retrying", (), 0),
        ("Failed", (), 0),
        ("Retrying", (), 0),
        ("Failed", (), 1),
    ]
    assert causes(hub.events)["etl/end"] == ("etl/bad",)


def test_an_event_with_causes_survives_its_json_form(told: Any) -> None:
    hub = told()
    flow = Flow("etl")
    flow.chain(fail.copy(name="bäd"), step("end"))
    run_flow(flow, publisher=hub)
    [event] = hub.of("end")
    assert event.causes == ("etl/bäd",)
    assert Event.from_json(event.to_json()) == event


# ---------------------------------------------------------------- the flow


def test_the_flow_names_only_what_its_reference_tasks_failed_for(told: Any) -> None:
    bad, other, load = fail.copy(name="bad"), fail.copy(name="other"), step("load")
    flow = Flow("etl", tasks=[bad, other, load])
    flow.add_edge(bad, load)
    flow.set_reference_tasks([load])
    assert run(flow, told)["etl"] == ("etl/bad",)
    flow.set_reference_tasks([other])
    assert run(flow, told)["etl"] == ("etl/other",)
    flow.set_reference_tasks([other, load])
    assert run(flow, told)["etl"] == ("etl/other", "etl/bad")


def test_a_flow_that_a_handler_failed_has_no_cause(told: Any) -> None:
    def broken(flow: Any, old: State, new: State) -> State:
        raise OSError("no network")

    flow = Flow("etl", tasks=[step("fine")], state_handlers=[broken])
    assert run(flow, told) == {"etl": ()}


def test_a_flow_names_its_causes_though_nobody_heard_of_the_tasks_between(told: Any) -> None:
    tasks = [fail.copy(name="bad"), *(step(f"t{number}") for number in range(3000))]
    flow = Flow("long", tasks=tasks)
    flow.chain(*tasks)
    hub = told()
    hub.wants = lambda state, task, context: task is None
    run_flow(flow, publisher=hub)
    assert causes(hub.events) == {"long": ("long/bad",)}


# ---------------------------------------------------------------- mapped tasks


def test_a_mapped_task_with_nothing_to_map_over_names_the_failure_before_it(told: Any) -> None:
    with Flow("maps") as flow:
        total(double.map(fail()))
    root = ("maps/fail",)
    assert run(flow, told) == {"maps/fail": (), "maps/double": root, "maps/total": root, "maps": root}


def test_children_name_a_failure_that_all_of_them_share(told: Any) -> None:
    @task
    def add(x: int, y: int) -> int:
        return x + y

    with Flow("maps") as flow:
        add.map(numbers(), y=unmapped(fail()))
    found = run(flow, told)
    assert [found[f"maps/add[{index}]"] for index in range(4)] == [("maps/fail",)] * 4
    assert found["maps"] == ("maps/fail",)


def test_children_over_flattened_results_name_the_child_they_would_have_come_from(told: Any) -> None:
    @task
    def pages(x: int) -> list[int]:
        if x == 2:
            raise ValueError(x)
        return [x] * 3

    with Flow("maps") as flow:
        double.map(flatten(pages.map(numbers())))  # 1 1 1, the failure, 3 3 3, 4 4 4
    root = ("maps/pages[1]",)
    assert run(flow, told) == {"maps/pages[1]": (), "maps/double[3]": root, "maps": root}


def test_a_mapped_task_is_itself_a_root_where_it_could_not_be_mapped(told: Any) -> None:
    with Flow("maps") as flow:
        total.copy(name="end")(double.map(total(numbers())))  # over a number
    root = ("maps/double",)
    assert run(flow, told) == {"maps/double": (), "maps/end": root, "maps": root}


# ---------------------------------------------------------------- states that come from elsewhere


def test_states_of_an_earlier_run_are_followed_too(told: Any) -> None:
    bad, middle, end = fail.copy(name="bad"), step("middle"), step("end")
    flow = Flow("etl")
    flow.chain(bad, middle, end)
    known = {bad: Failed("then"), middle: TriggerFailed("then")}
    assert run(flow, told, task_states=known) == {"etl/end": ("etl/bad",), "etl": ("etl/bad",)}


def test_causes_are_no_part_of_a_state(told: Any) -> None:
    bad, end = fail.copy(name="bad"), step("end")
    flow = Flow("etl")
    flow.chain(bad, end)
    state = run_flow(flow, publisher=told()).result[end]
    text = str(state.message)
    assert state == TriggerFailed(text, result=state.result)
    assert repr(state) == f'<TriggerFailed: "{text}">'
    assert cloudpickle.loads(cloudpickle.dumps(state)).message == text


def test_an_attempt_whose_process_died_is_a_root(told: Any) -> None:
    from tocsin.executors import LocalDaskExecutor

    @task
    def die() -> None:
        import os

        os._exit(3)

    flow = Flow("etl")
    flow.chain(die, step("end"))
    executor = LocalDaskExecutor("processes", num_workers=1, retries_on_worker_loss=0)
    hub = told()
    run_flow(flow, publisher=hub, executor=executor)
    assert [(event.state, event.blocks) for event in hub.of("die")][-1] == ("Crashed", 1)
    assert causes(hub.events) == {"etl/die": (), "etl/end": ("etl/die",), "etl": ("etl/die",)}


# ---------------------------------------------------------------- the decision by itself


def test_roots_are_found_without_recursion_and_each_task_is_looked_at_once() -> None:
    looked: list[str] = []

    class Watched(dict[Task, State]):
        def __getitem__(self, key: Task) -> State:
            looked.append(key.name)
            return super().__getitem__(key)

    layers = [[step(f"{depth}-{number}") for number in range(10)] for depth in range(30)]
    flow = Flow("mesh", tasks=[each for layer in layers for each in layer])
    for above, below in pairwise(layers):
        for before in above:
            for after in below:
                flow.add_edge(before, after)
    states = Watched({each: TriggerFailed() for layer in layers for each in layer})
    states[layers[0][3]] = Failed()
    found = Causes(flow, states).of(layers[-1])
    assert found == tuple(f"0-{number}" for number in range(10)), "those of the first layer fail for no other one"
    assert len(looked) < 10 * 30 * 30


def test_a_mapped_task_all_of_whose_children_are_fine_has_no_roots() -> None:
    above = step("above")
    flow = Flow("etl", tasks=[above])
    assert Causes(flow, {above: Mapped(map_states=[Success(), Skipped()])}).of([above]) == ()
    assert Causes(flow, {above: Mapped(map_states=[Success(), Failed()])}).of([above]) == ("above[1]",)
    assert Causes(flow, {}).of([above]) == ()


def test_a_callback_can_ask_how_much_a_failure_blocks() -> None:
    calls: list[str] = []
    page = callback_factory(lambda subject, state: calls.append(subject.name), when("is_failed and blocks>=2"))
    flow = Flow("etl", task_state_handlers=[page], tasks=[fail.copy(name="harmless")])
    flow.chain(fail.copy(name="bad"), step("middle"), step("end"))
    run_flow(flow)
    assert calls == ["bad"]
