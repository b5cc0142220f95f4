"""Which changes become events: those that a route could match or that could end an open incident, and no others."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tocsin.clock import ManualClock
from tocsin.flows.task import Task
from tocsin.hub.engine import Engine
from tocsin.hub.hub import Hub
from tocsin.hub.incidents import incident_key, key_by_names
from tocsin.hub.outbox import Outbox
from tocsin.hub.policy import Policy
from tocsin.hub.relevance import Interest
from tocsin.hub.spill import Spill
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.router import Route, Router
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.filters import Filter, when
from tocsin_hooks.states import (
    Cached,
    Failed,
    Finished,
    Mapped,
    Retrying,
    Running,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
    family,
)
from tocsin_hooks.testing import sample_event

PROBLEMS = when("is_failed or is_retrying")
PAGES = Route("pages", when("is_failed"), ("ops",))


class World:
    """A hub that runs ask before they build an event."""

    def __init__(self, folder: Path, *routes: Route, key: tuple[str, ...] = ("project", "flow", "task")) -> None:
        self.store = SqliteStore(folder / "tocsin.db")
        policy = Policy(Router(routes, opens=PROBLEMS), key=key, project="warehouse")
        self.hub = Hub(
            Hooks(Catalog()), ManualClock(), Outbox(self.store, Engine(policy), Spill(folder / "spill"), lambda: None)
        )

    def wants(self, state: State, task: str | None = "load", map_index: int | None = None, flow: str = "etl") -> bool:
        context = {"flow_name": flow, "map_index": map_index}
        return self.hub.wants(state, None if task is None else Task(name=task), context)

    def fails(self, task: str = "load", run: str = "run1", kind: type[State] = Failed, **changes: object) -> None:
        event = sample_event(
            id=f"{run}-{task}-{kind.__name__}-{changes.get('map_index')}", run_id=run, flow="etl", task=task,
            project="", state=kind.__name__, state_family=family(kind), sequence=None, **changes,
        )  # fmt: skip
        self.hub.publish(event, kind())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, PAGES)


def test_a_success_is_wanted_only_of_what_has_an_open_incident(world: World) -> None:
    assert not world.wants(Success())
    world.fails()
    assert world.wants(Success())
    assert not world.wants(Success(), "extract")
    assert not world.wants(Success(), flow="sales")
    assert not world.wants(Success(), map_index=0)
    assert not world.wants(Success(), None)
    world.fails(run="run2", kind=Success)
    assert not world.wants(Success())


def test_a_child_of_a_mapped_task_is_asked_about_by_its_index(world: World) -> None:
    world.fails(map_index=3)
    assert [world.wants(Success(), map_index=index) for index in (None, 0, 3)] == [False, False, True]


def test_the_success_of_a_flow_ends_the_incident_of_the_flow(world: World) -> None:
    world.fails("")
    assert world.wants(Success(), None)
    assert not world.wants(Success())


def test_names_that_look_like_the_separators_of_a_key_are_told_apart(world: World) -> None:
    world.fails("a/b%2Fc é")
    assert world.wants(Success(), "a/b%2Fc é")
    assert not world.wants(Success(), "a/b/c é")


def test_what_proves_nothing_is_not_wanted_even_of_what_has_an_open_incident(world: World) -> None:
    world.fails()
    assert not world.wants(Skipped())
    assert not world.wants(Mapped())
    assert not world.wants(Running())
    assert world.wants(Cached())


def test_an_incident_that_another_process_opened_is_ended_too(world: World, tmp_path: Path) -> None:
    assert not world.wants(Success())
    other = World(tmp_path, PAGES)
    other.fails()
    assert world.wants(Success())
    other.fails(run="run2", kind=Success)
    assert not world.wants(Success())
    assert not other.wants(Success())


@pytest.mark.parametrize("key", [("flow", "team"), ("run_name",), ("flow", "tags")])
def test_where_the_key_takes_more_than_names_any_open_incident_makes_a_success_wanted(
    tmp_path: Path, key: tuple[str, ...]
) -> None:
    world = World(tmp_path, PAGES, key=key)
    assert not world.wants(Success(), "extract")
    world.fails()
    assert world.wants(Success(), "extract")


def test_where_the_key_is_the_flow_any_task_of_it_may_end_its_incident(tmp_path: Path) -> None:
    world = World(tmp_path, PAGES, key=("flow",))
    world.fails("load")
    assert world.wants(Success(), "extract")
    assert not world.wants(Success(), flow="sales")


def test_without_names_any_open_incident_makes_a_success_wanted(world: World) -> None:
    world.fails()
    assert world.hub.wants(Success(), object())
    assert world.hub.wants(Success(), Task(name="extract"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("flow=etl", {("etl", "load"), ("etl", "extract"), ("etl", None)}),
        ("task=load", {("etl", "load"), ("sales", "load")}),
        ("flow=etl and task=load", {("etl", "load")}),
        ('flow=~"e.*" and not task=load', {("etl", "extract"), ("etl", None)}),
        ("is_flow", {("etl", None), ("sales", None)}),
        ("flow=sales and is_failed", set()),
        ("flow=sales and team=core", {("sales", "load"), ("sales", "extract"), ("sales", None)}),
        ("flow=sales or is_prod=true", {(f, t) for f in ("etl", "sales") for t in ("load", "extract", None)}),
    ],
)
def test_a_route_gets_the_successes_that_it_could_match(
    tmp_path: Path, text: str, wanted: set[tuple[str, str | None]]
) -> None:
    world = World(tmp_path, PAGES, Route("more", when(text), ("log",)))
    asked = [(flow, task) for flow in ("etl", "sales") for task in ("load", "extract", None)]
    assert {(flow, task) for flow, task in asked if world.wants(Success(), task, flow=flow)} == wanted


def test_another_config_is_asked_from_when_it_is_adopted(world: World) -> None:
    assert not world.wants(Success())
    router = Router((Route("all", None, ("ops",)),), opens=PROBLEMS)
    world.hub.adopt(replace(Policy(router), project="warehouse"))
    assert world.wants(Success())


def test_to_ask_again_costs_no_statement_unless_somebody_has_committed(world: World) -> None:
    world.fails()
    world.wants(Success(), "extract")
    statements: list[str] = []
    with world.store._connection.read() as db:
        db.set_trace_callback(statements.append)
    assert [world.wants(Success(), task) for task in ("extract", "load")] == [False, True]
    assert statements == []
    with SqliteStore(world.store.path)._connection.write() as db:
        db.execute("UPDATE incidents SET closed_at = 1")
    assert not world.wants(Success(), "load")
    assert statements


# ---------------------------------------------------------------- the rules behind it

TEXTS = st.text(st.sampled_from("ab/%[]0 é\udce9"), max_size=4)
LABELS = st.lists(st.sampled_from(["project", "flow", "task"]), max_size=4)


@settings(max_examples=200, deadline=None)
@given(LABELS, TEXTS, TEXTS, TEXTS, st.none() | st.integers(0, 20))
def test_a_key_made_of_names_is_that_of_the_event(
    labels: list[str], project: str, flow: str, task: str, index: int | None
) -> None:
    event = sample_event(project=project, flow=flow, task=task, map_index=index)
    found = key_by_names(tuple(labels), project=project, flow=flow, task=task, map_index=index)
    if any({"project": project, "flow": flow, "task": task}[label] for label in labels):
        assert found == incident_key(event, labels)
    else:
        assert found is None, "such an event is known by all labels that it has"


ATOMS = st.sampled_from(
    ["flow=etl", "flow!=etl", 'flow=~"e.*|sales"', "task=load", "task!=load", 'task=""', "is_failed", "is_successful",
     "state=Success", "is_task", "is_flow", "tags=prod", "team=core", "is_prod=true", "attempt>1", "will_retry"]
).map(when)  # fmt: skip
FILTERS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]), inner.map(lambda one: ~one)
    ),
    max_leaves=5,
)  # fmt: skip
KINDS = st.sampled_from([Success, Failed, Running, Retrying, TimedOut, TriggerFailed, Finished])


@settings(max_examples=300, deadline=None)
@given(st.lists(FILTERS, max_size=3), KINDS, st.sampled_from(["etl", "sales", "x"]), st.sampled_from(["", "load", "y"]))
def test_no_event_is_passed_over_that_a_filter_matches(
    filters: list[Filter], kind: type[State], flow: str, task: str
) -> None:
    interest = Interest(filters, family(kind), "task" if task else "flow")
    events = [
        sample_event(
            flow=flow, task=task, state=kind.__name__, state_family=family(kind), tags=tags, labels=labels,
            attempt=attempt, will_retry=attempt == 1,
        )
        for tags, labels, attempt in ((frozenset({"prod"}), {"team": "core"}, 2), (frozenset(), {"is_prod": "true"}, 1))
    ]  # fmt: skip
    if any(filter_.matches(event) for filter_ in filters for event in events):
        assert interest.covers(flow, task)
        assert not interest.never
    if interest.never:
        assert not interest.covers(flow, task)
