"""Finding routes by what they require changes nothing about which of them act."""

from hypothesis import given, settings, strategies as st

from tocsin.routing.index import RouteIndex
from tocsin.routing.router import Route, Router
from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import when
from tocsin_hooks.testing import sample_event

ATOMS = st.sampled_from(
    [
        *(f"flow={name}" for name in "abc"),
        *(f"task={name}" for name in "xyz"),
        *(f"tags={name}" for name in "pq"),
        *(f"state={name}" for name in ("Failed", "Success", "Retrying")),
        'task=""',
        "flow!=a",
        "flow=~a|b",
        "tags!=p",
        "is_failed",
        "attempt>1",
    ]
)
TEXTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) and ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) or ({pair[1]})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=5,
)
EVENTS = st.builds(
    lambda flow, task, tags, state, attempt: sample_event(
        flow=flow, task=task, tags=frozenset(tags), state=state, attempt=attempt,
        state_family=(state, "Failed", "Finished") if state != "Failed" else ("Failed", "Finished"),
    ),
    st.sampled_from("abc"),
    st.sampled_from(["x", "y", "z", ""]),
    st.sets(st.sampled_from("pqr")),
    st.sampled_from(["Failed", "TimedOut"]),
    st.integers(1, 3),
)  # fmt: skip


def parsed(text: str):
    try:
        return when(text)
    except FilterError:  # a contradiction such as 'state=Failed and state=Success' is refused
        return when("flow=a")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.booleans()), min_size=8, max_size=14), EVENTS)
def test_an_indexed_router_decides_as_one_that_tries_every_route(rows, event) -> None:
    routes = tuple(Route(f"r{n}", parsed(text), (f"c{n}",), stop=stop) for n, (text, stop) in enumerate(rows))
    indexed = Router(routes).decide(event)
    acting, _ = Router()._acting(routes, event, (), "")
    assert [target.route for target in indexed.targets] == [act.route.name for act in acting]


def test_routes_that_ask_for_something_else_are_not_even_looked_at() -> None:
    routes = [Route(f"r{n}", when(f"flow=flow{n} and is_failed"), ("ops",)) for n in range(1000)]
    routes += [Route("tagged", when("tags=prod"), ("ops",)), Route("all", None, ("ops",))]
    assert RouteIndex(routes).candidates(sample_event(flow="flow7", tags=frozenset({"prod"}))) == [7, 1000, 1001]


def test_a_route_that_can_never_match_is_no_candidate() -> None:
    impossible = when("flow=a") & when("flow=b")
    assert RouteIndex([Route("never", impossible, ("ops",))]).candidates(sample_event(flow="a")) == []
