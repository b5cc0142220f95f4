"""A task that loops: round after round, each with the whole pipeline, and retries within a round."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tocsin.clock import ManualClock
from tocsin.flows import signals
from tocsin.flows.context import context
from tocsin.flows.edge import Edge
from tocsin.flows.task import Task, task
from tocsin.results import LocalResult
from tocsin.runs import TaskRunner
from tocsin.runs.settling import Surroundings
from tocsin_hooks.results import Result
from tocsin_hooks.states import Failed, Looped, Retrying, State, Success

MINUTE = timedelta(minutes=1)


def rounds(wanted: int) -> Any:
    def work() -> int:
        count: int = context.get("task_loop_count", 1)
        total: int = (context.get("task_loop_result") or 0) + count
        if count < wanted:
            raise signals.LOOP(result=total)
        return total

    return work


def test_each_round_finds_its_number_and_the_result_of_the_one_before() -> None:
    state = TaskRunner(task(rounds(4))).run()
    assert (type(state), state.result) == (Success, 10)


def test_handlers_see_each_round(seen: Any) -> None:
    TaskRunner(task(rounds(3), state_handlers=[seen])).run()
    assert seen == ["Pending>Running", "Running>Looped"] * 2 + ["Pending>Running", "Running>Success"]


def test_the_looped_state_tells_its_round_result_and_message() -> None:
    looped: list[Any] = []

    def note(subject: Any, old: State, new: State) -> None:
        if isinstance(new, Looped):
            looped.append((new.loop_count, new.result, new.message))

    def work() -> None:
        count = context.get("task_loop_count", 1)
        if count < 3:
            raise signals.LOOP("more" if count == 1 else None, result=count * 10)

    TaskRunner(task(work, state_handlers=[note])).run()
    assert looped == [(1, 10, "more"), (2, 20, "round 2 of the loop ended")]


def test_a_loop_signal_without_a_result_carries_its_text() -> None:
    signal = signals.LOOP("again")
    assert (type(signal.state), signal.state.result) == (Looped, "LOOP('again')")


def test_a_thousand_rounds_are_no_deep_recursion() -> None:
    assert TaskRunner(task(rounds(5000))).run().result == 12502500


def test_inputs_are_the_same_in_every_round() -> None:
    got: list[int] = []

    @task
    def work(x: int) -> None:
        got.append(x)
        if len(got) < 3:
            raise signals.LOOP

    TaskRunner(work).run(upstream_states={Edge(Task(), work, "x"): Success(result=7)})
    assert got == [7, 7, 7]


class Flaky(Task):
    """Loops three rounds; the attempts named by round and number fail."""

    def __init__(self, *failing: tuple[int, int], **options: Any) -> None:
        self.failing = failing
        self.made: list[tuple[int, int, Any]] = []
        super().__init__(max_retries=2, retry_delay=MINUTE, **options)

    def run(self) -> Any:
        count = context.get("task_loop_count", 1)
        attempt = context.task_run_count
        self.made.append((count, attempt, context.get("task_loop_result")))
        if (count, attempt) in self.failing:
            raise OSError("gone")
        if count < 3:
            raise signals.LOOP(result=f"after {count}")
        return "done"


def to_the_end(work: Task, clock: ManualClock, runner: type[TaskRunner] = TaskRunner) -> State:
    state = runner(work, surroundings=Surroundings(clock=clock)).run()
    while isinstance(state, Retrying):
        clock.advance(MINUTE)
        state = runner(work, surroundings=Surroundings(clock=clock)).run(state)
    return state


def test_a_retry_goes_on_with_the_same_round_and_each_round_counts_anew(clock: ManualClock) -> None:
    work = Flaky((2, 1), (2, 2), (3, 1))
    assert to_the_end(work, clock).result == "done"
    assert work.made == [
        (1, 1, None),
        (2, 1, "after 1"),
        (2, 2, "after 1"),
        (2, 3, "after 1"),
        (3, 1, "after 2"),
        (3, 2, "after 2"),
    ]


def test_retries_in_a_round_end(clock: ManualClock) -> None:
    work = Flaky((2, 1), (2, 2), (2, 3))
    assert type(to_the_end(work, clock)) is Failed


def test_a_signal_to_retry_or_pause_keeps_the_round() -> None:
    for signal in (signals.RETRY, signals.PAUSE):

        def work(signal: Any = signal) -> None:
            if context.get("task_loop_count") is None:
                raise signals.LOOP(result="one")
            raise signal

        state = TaskRunner(task(work)).run()
        assert state.cached_inputs["_loop_count"].value == 2
        assert state.cached_inputs["_loop_result"].value == "one"


def test_what_a_waiting_round_needs_is_stored_where_results_are(clock: ManualClock, tmp_path: Any) -> None:
    work = Flaky((2, 1), result=LocalResult(dir=str(tmp_path)))
    with context(checkpointing=True):
        state = TaskRunner(work, surroundings=Surroundings(clock=clock)).run()
        kept = state.cached_inputs["_loop_result"]
        assert LocalResult(dir=str(tmp_path)).read(kept.location).value == "after 1"
        state.cached_inputs["_loop_count"].value = None  # as it comes back from a store
        state.cached_inputs["_loop_result"] = Result(location=kept.location)
        clock.advance(MINUTE)
        assert TaskRunner(work, surroundings=Surroundings(clock=clock)).run(state).result == "done"
    assert work.made[2] == (2, 2, "after 1")


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_loop_that_has_ended_is_cached_like_any_success(attempts: int) -> None:
    state = TaskRunner(task(rounds(attempts), cache_for=MINUTE)).run()
    assert state.is_cached()
