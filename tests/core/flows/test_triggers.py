"""Triggers: whether a task runs, from how the ones before it ended."""

from __future__ import annotations

import pickle

import pytest

from tocsin.flows import triggers
from tocsin.flows.edge import Edge
from tocsin.flows.signals import SKIP, TRIGGERFAIL
from tocsin.flows.task import Task
from tocsin.flows.triggers import Trigger
from tocsin_hooks.states import Cancelled, Failed, Mapped, Running, Skipped, State, Success

LETTERS: dict[str, type[State]] = {"S": Success, "F": Failed, "K": Skipped, "C": Cancelled, "R": Running}


def upstream(letters: str) -> dict[Edge, State]:
    last = Task("last")
    return {Edge(Task(f"t{place}"), last): LETTERS[letter]() for place, letter in enumerate(letters)}


def outcome(trigger: Trigger, letters: str) -> str:
    try:
        return "runs" if trigger(upstream(letters)) else "no"
    except TRIGGERFAIL:
        return "fails"
    except SKIP:
        return "skips"


@pytest.mark.parametrize(
    ("trigger", "runs", "not_runs"),
    [
        (triggers.all_successful, ["", "S", "SSK"], ["F", "SF", "C", "SC"]),
        (triggers.all_failed, ["", "F", "FF"], ["S", "FS", "FK"]),
        (triggers.all_finished, ["", "SFKC"], ["R", "SR"]),
        (triggers.always_run, ["F"], ["R"]),
        (triggers.any_successful, ["", "S", "FS", "FK"], ["F", "FF", "C"]),
        (triggers.any_failed, ["", "F", "SF"], ["S", "SK", "C"]),
        (triggers.not_all_skipped, ["S", "SK"], ["F", "SF", "KF"]),
        (triggers.some_failed(at_least=2), ["", "FF", "FFS"], ["F", "FS", "SSS"]),
        (triggers.some_failed(at_most=1), ["F", "S", "FSS"], ["FF"]),
        (triggers.some_successful(at_least=0.5), ["SF", "SSF"], ["SFF", "F"]),
        (triggers.some_successful(at_least=1, at_most=0.5), ["SF", "SFF"], ["SS", "FF"]),
    ],
)
def test_a_trigger_lets_a_task_run_or_fails_it(trigger: Trigger, runs: list[str], not_runs: list[str]) -> None:
    assert {letters: outcome(trigger, letters) for letters in runs} == dict.fromkeys(runs, "runs")
    assert {letters: outcome(trigger, letters) for letters in not_runs} == dict.fromkeys(not_runs, "fails")


@pytest.mark.parametrize("letters", ["K", "KK", ""])
def test_not_all_skipped_skips_when_all_were(letters: str) -> None:
    assert outcome(triggers.not_all_skipped, letters) == "skips"


def test_a_mapped_task_counts_as_its_children() -> None:
    last = Task("last")
    edge = Edge(Task("many"), last)
    assert triggers.all_successful({edge: Mapped(map_states=[Success(), Skipped()])})
    assert triggers.some_failed(at_least=2)({edge: Mapped(map_states=[Failed(), Failed(), Success()])})
    with pytest.raises(TRIGGERFAIL, match="upstream did not succeed: 'many'"):
        triggers.all_successful({edge: Mapped(map_states=[Success(), Failed()])})


def test_a_trigger_that_is_made_can_be_pickled() -> None:
    assert outcome(pickle.loads(pickle.dumps(triggers.some_failed(at_least=1))), "F") == "runs"
