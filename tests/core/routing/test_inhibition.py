"""What is open hides what hangs on it, and nothing else."""

import json
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from tocsin.routing.inhibition import Inhibitors
from tocsin.settings.alerts import Inhibition
from tocsin_hooks.filters import Opaque, bind_all, when
from tocsin_hooks.testing import sample_event

UPSTREAM = Inhibition(
    "upstream", when("is_failed, state!=TriggerFailed"), when("state=TriggerFailed"), ("run_id",), builtin=True
)


def inhibition(name: str, source: str, target: str, *equal: str, **options) -> Inhibition:
    return Inhibition(name, when(source), when(target), equal, **options)


def event(state="Failed", **changes):
    family = {"TriggerFailed": ("TriggerFailed", "Failed", "Finished")}.get(state, (state, "Finished"))
    return sample_event(state=state, state_family=family, **changes)


def hiding(inhibitors: Inhibitors, target, *open_events) -> list[str]:
    """The inhibitions by which one of the open events hides `target`."""
    signatures = [found for one in open_events for found in inhibitors.signatures(one).items()]
    standing = {(name, signature) for (_, signature), names in signatures for name in names}
    return [
        found.inhibition.name
        for found in inhibitors.targets(target)
        if any((found.inhibition.name, signature) in standing for signature in found.lookups)
    ]


def test_a_source_hides_a_target_that_has_the_same_values() -> None:
    inhibitors = Inhibitors([inhibition("flow first", "is_flow, state=Failed", "is_task", "flow", "run_id")])
    source = event(task="")
    assert hiding(inhibitors, event(), source) == ["flow first"]
    assert hiding(inhibitors, event(flow="other"), source) == []
    assert hiding(inhibitors, event(run_id="other"), source) == []
    assert hiding(inhibitors, event(), event(task="", state="Success")) == []
    assert hiding(inhibitors, event()) == []


def test_without_equal_labels_every_source_hides_every_target() -> None:
    inhibitors = Inhibitors([inhibition("warehouse down", "flow=ping", "tags=warehouse and not flow=ping")])
    assert hiding(inhibitors, event(tags=frozenset({"warehouse"})), event(flow="ping", tags=frozenset())) == [
        "warehouse down"
    ]


def test_a_label_absent_on_both_sides_or_empty_is_the_same() -> None:
    inhibitors = Inhibitors([inhibition("i", "flow=a", "flow=b", "team", "params.region")])
    source = event(flow="a", labels={}, parameters={})
    same = {"flow": "b", "labels": {}, "parameters": {}}
    assert hiding(inhibitors, event(**same), source) == ["i"]
    assert hiding(inhibitors, event(**(same | {"labels": {"team": ""}})), source) == ["i"]
    assert hiding(inhibitors, event(**(same | {"labels": {"team": "x"}})), source) == []
    assert hiding(inhibitors, event(**(same | {"parameters": {"region": "eu"}})), source) == []


def test_values_cannot_be_mistaken_for_those_of_other_labels() -> None:
    inhibitors = Inhibitors([inhibition("i", "flow=a", "flow=b", "x", "y")])
    assert hiding(inhibitors, event(flow="b", labels={"x": '","'}), event(flow="a", labels={"y": '","'})) == []
    assert hiding(inhibitors, event(flow="b", labels={"x": "p"}), event(flow="a", labels={"y": "p"})) == []


def test_tags_numbers_and_flags_are_equal_as_matchers_see_them() -> None:
    inhibitors = Inhibitors([inhibition("i", "flow=a", "flow=b", "tags", "attempt", "is_failed")])
    assert hiding(inhibitors, event(flow="b", tags=frozenset("qp")), event(flow="a", tags=frozenset("pq"))) == ["i"]
    assert hiding(inhibitors, event(flow="b", attempt=1), event(flow="a", attempt=2)) == []


def test_an_event_that_matches_both_sides_is_not_hidden_by_one_that_does_so_too() -> None:
    inhibitors = Inhibitors([inhibition("i", "severity=critical", "severity=~critical|warning", "flow")])
    critical, warning = event(severity="critical"), event(severity="warning")
    assert hiding(inhibitors, critical, event(severity="critical", task="x")) == []
    assert hiding(inhibitors, critical, critical) == []
    assert hiding(inhibitors, warning, critical) == ["i"]


def test_an_event_that_matches_both_sides_is_hidden_by_one_that_is_a_source_only() -> None:
    inhibitors = Inhibitors([inhibition("i", "tags=root", "is_task", "flow")])
    both, source_only = event(tags=frozenset({"root"})), event(tags=frozenset({"root"}), task="")
    assert hiding(inhibitors, both, source_only) == ["i"]
    assert hiding(inhibitors, both, both) == []
    assert hiding(inhibitors, event(tags=frozenset()), both) == ["i"]


def test_every_inhibition_that_applies_is_told_in_order() -> None:
    inhibitors = Inhibitors([
        inhibition("first", "flow=a", "flow=b"),
        inhibition("never", "flow=c", "flow=d"),
        inhibition("second", "is_failed, flow=a", "is_task, flow=b", "run_id", hold=timedelta(seconds=15)),
    ])  # fmt: skip
    target = event("TriggerFailed", flow="b")
    assert [found.inhibition.name for found in inhibitors.targets(target)] == ["first", "second"]
    assert inhibitors.targets(target)[1].inhibition.hold == timedelta(seconds=15)
    assert hiding(inhibitors, target, event("TriggerFailed", flow="a")) == ["first", "second"]


def test_a_blocked_task_is_hidden_only_by_a_failure_it_hangs_on() -> None:
    inhibitors = Inhibitors([UPSTREAM])
    blocked = event("TriggerFailed", task="report", causes=("etl/load", "etl/clean"))
    assert hiding(inhibitors, blocked, sample_event(task="load")) == ["upstream"]
    assert hiding(inhibitors, blocked, sample_event(task="clean")) == ["upstream"]
    assert hiding(inhibitors, blocked, sample_event(task="other")) == []
    assert hiding(inhibitors, blocked, sample_event(task="load", run_id="yesterday")) == []
    assert hiding(inhibitors, blocked, event("TriggerFailed", task="load")) == []


def test_a_blocked_task_of_unknown_causes_is_hidden_by_any_failure_of_its_run() -> None:
    inhibitors = Inhibitors([UPSTREAM])
    blocked = event("TriggerFailed", task="report")
    assert hiding(inhibitors, blocked, sample_event(task="other")) == ["upstream"]
    assert hiding(inhibitors, blocked, sample_event(task="other", run_id="yesterday")) == []


def test_a_mapped_cause_is_met_by_itself_and_as_one_of_all() -> None:
    inhibitors = Inhibitors([UPSTREAM])
    child = sample_event(task="load", map_index=0)
    assert hiding(inhibitors, event("TriggerFailed", task="report", causes=("etl/load",)), child) == ["upstream"]
    one_of_many = event("TriggerFailed", task="report", map_index=0, causes=("etl/load[0]",))
    assert hiding(inhibitors, one_of_many, child) == ["upstream"]
    assert hiding(inhibitors, one_of_many, sample_event(task="load", map_index=1)) == []


def test_causes_count_for_the_inhibition_drawn_from_the_task_graph_only() -> None:
    inhibitors = Inhibitors([inhibition("own", "state=Failed", "state=TriggerFailed", "run_id")])
    blocked = event("TriggerFailed", task="report", causes=("etl/load",))
    assert hiding(inhibitors, blocked, sample_event(task="other")) == ["own"]
    assert len(inhibitors.signatures(sample_event())) == 1


def test_signatures_are_text_that_every_database_takes() -> None:
    inhibitors = Inhibitors([inhibition("i", "flow=a", "flow=b", "task")])
    for task in ("größe", "half \udc80 a character", 'quote " \\ \n', ""):
        ((_, signature),) = inhibitors.signatures(event(flow="a", task=task))
        assert signature.isascii()
        assert json.loads(signature) == [0, [task]]


def test_the_digest_changes_with_what_signatures_depend_on_and_with_nothing_else() -> None:
    base = inhibition("i", "flow=a", "flow=b", "run_id")
    other = inhibition("j", "flow=c", "flow=d")
    digest = Inhibitors([base, other]).digest()
    assert digest == Inhibitors([other, inhibition("i", " flow = a", 'flow="b"', "run_id", mark=True)]).digest()
    different = [
        [base],
        [other, inhibition("k", "flow=a", "flow=b", "run_id")],
        [other, inhibition("i", "flow=x", "flow=b", "run_id")],
        [other, inhibition("i", "flow=a", "flow=x", "run_id")],
        [other, inhibition("i", "flow=a", "flow=b", "flow")],
        [other, inhibition("i", "flow=a", "flow=b", "run_id", builtin=True)],
        [],
    ]
    digests = [Inhibitors(inhibitions).digest() for inhibitions in different]
    assert len({digest, *digests}) == len(different) + 1


def test_the_digest_sees_through_named_filters() -> None:
    def digest(prod: str) -> str:
        named = bind_all({"prod": when(prod), "bad": when("@prod, is_failed")})
        return Inhibitors([Inhibition("i", when("@bad").bind(named), when("flow=b"))]).digest()

    assert digest("tags=prod") == digest("tags=prod")
    assert digest("tags=prod") != digest("tags=live")


def test_a_python_predicate_can_be_either_side() -> None:
    source, target = (Opaque(lambda event, flow=flow: event.flow == flow, flow) for flow in "ab")
    inhibitors = Inhibitors([Inhibition("i", source, target, ("run_id",))])
    assert hiding(inhibitors, event(flow="b"), event(flow="a")) == ["i"]
    assert hiding(inhibitors, event(flow="a"), event(flow="b")) == []


SIDES = st.sampled_from(
    ["flow=a", "flow=b", "tags=p", "is_task", "tags=p or flow=b", "flow=~a|b", "task!=x", "not is_flow"]
)
EVENTS = st.builds(
    lambda flow, task, tags, run: sample_event(flow=flow, task=task, tags=frozenset(tags), run_id=run),
    st.sampled_from("abc"),
    st.sampled_from(["x", "y", ""]),
    st.sets(st.sampled_from("pq")),
    st.sampled_from("12"),
)


@given(
    st.lists(st.tuples(SIDES, SIDES, st.sets(st.sampled_from(["run_id", "flow", "team"]))), min_size=1, max_size=4),
    EVENTS,
    st.lists(EVENTS, max_size=3),
)
def test_signatures_hide_what_comparing_events_pair_by_pair_hides(rows, target, open_events) -> None:
    inhibitions = [inhibition(f"i{n}", source, side, *sorted(equal)) for n, (source, side, equal) in enumerate(rows)]
    expected = []
    for one in inhibitions:
        two_sided = one.source.matches(target)
        sources = [event for event in open_events if one.source.matches(event)]
        sources = [event for event in sources if not (two_sided and one.target.matches(event))]
        labels = [label for label in one.equal if label != "team"]
        if one.target.matches(target) and any(
            all(getattr(event, label) == getattr(target, label) for label in labels) for event in sources
        ):
            expected.append(one.name)
    assert hiding(Inhibitors(inhibitions), target, *open_events) == expected


@pytest.mark.parametrize("count", [0, 1, 100])
def test_inhibitions_of_other_flows_are_not_even_looked_at(count) -> None:
    inhibitors = Inhibitors([inhibition(f"i{n}", f"flow=s{n}, is_failed", f"flow=t{n}, is_task") for n in range(count)])
    assert inhibitors._targets.candidates(event(flow="t0")) == ([0] if count else [])
    assert inhibitors._sources.candidates(event(flow="s0")) == ([0] if count else [])
