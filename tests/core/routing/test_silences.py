"""A silence hides what it was made for, for as long as it was made for, and its history stays true."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given, settings, strategies as st

from tocsin.errors import FilterError, TocsinError
from tocsin.routing.breadth import holds_for_anything
from tocsin.routing.silences import Silence, SilenceIndex, edited, expired, new_silence, resumes_at
from tocsin.settings.alerts import Window
from tocsin_hooks.filters import Opaque, when
from tocsin_hooks.testing import sample_event

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday
HOUR = timedelta(hours=1)
NIGHT = Window("night", times=((22 * 60, 6 * 60),))
NAMED = {"prod": when("tags=prod"), "any": when("flow!=x"), "odd": Opaque(lambda event: True, "odd")}


def silence(text="flow=etl", **options) -> Silence:
    options = {"now": NOON, "id": "s1", "by": "ann", "comment": "disk swap", "named": NAMED} | options
    if not {"duration", "ends_at", "until_recovered", "window"} & set(options):
        options["duration"] = 2 * HOUR
    return new_silence(text, **options)


def reason(**options) -> str:
    with pytest.raises(TocsinError) as refused:
        silence(**options)
    return str(refused.value)


# ---------------------------------------------------------------- making one


def test_a_silence_is_in_force_from_its_start_to_just_before_its_end() -> None:
    made = silence(starts_at=NOON + HOUR)
    moments = [NOON, NOON + HOUR, NOON + 3 * HOUR - timedelta(microseconds=1), NOON + 3 * HOUR]
    assert [made.status(at) for at in moments] == ["pending", "active", "active", "expired"]
    assert [made.in_force(at) for at in moments] == [False, True, True, False]


def test_a_duration_counts_from_the_start_and_a_start_that_is_past_means_now() -> None:
    made = silence(starts_at=NOON - HOUR, duration=3 * HOUR)
    assert (made.starts_at, made.ends_at, made.created_at) == (NOON, NOON + 2 * HOUR, NOON)


def test_times_are_kept_in_utc_whatever_zone_they_were_given_in() -> None:
    twice = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
    made = silence(now=pendulum.instance(NOON), ends_at=twice)
    assert made.ends_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert {type(made.starts_at), type(made.created_at)} == {datetime}
    assert made.ends_at.tzinfo is made.starts_at.tzinfo is UTC


def test_until_recovered_has_no_end_of_its_own() -> None:
    made = silence(until_recovered=True)
    assert made.ends_at is None
    assert made.status(NOON + 10_000 * HOUR) == "active"


def test_a_recurring_silence_is_in_force_only_while_its_window_is_open() -> None:
    made = silence(window=NIGHT)
    assert made.status(NOON) == "active"
    assert [hours for hours in range(48) if made.in_force(NOON + hours * HOUR)] == [*range(10, 18), *range(34, 42)]
    bounded = silence(window=NIGHT, duration=24 * HOUR)
    assert [hours for hours in range(48) if bounded.in_force(NOON + hours * HOUR)] == [*range(10, 18)]


def test_a_silence_needs_one_end() -> None:
    with pytest.raises(TocsinError, match="needs an end: a duration, a time, recovery, or a window"):
        new_silence("flow=etl", now=NOON, id="s1", by="ann", comment="", named={})
    assert reason(duration=HOUR, until_recovered=True) == "a silence has one end, found 2: a duration and recovery"
    assert "found 2: a duration and a time" in reason(duration=HOUR, ends_at=NOON + HOUR)


def test_an_end_that_is_past_or_not_after_the_start_is_refused() -> None:
    assert reason(ends_at=NOON - HOUR) == (
        "the silence ends at '2026-01-05 11:00:00+00:00', which is past; it is '2026-01-05 12:00:00+00:00' now"
    )
    later = NOON + 5 * HOUR
    assert reason(starts_at=later, ends_at=later) == (
        "the silence ends at '2026-01-05 17:00:00+00:00', which is not after its start at '2026-01-05 17:00:00+00:00'"
    )
    assert "is not after its start at" in reason(duration=timedelta(0))
    assert "which is past" in reason(duration=-HOUR)
    assert "which is past" in reason(starts_at=NOON - 3 * HOUR, duration=HOUR)
    assert "later than can be counted" in reason(duration=timedelta(days=4_000_000))


def test_a_window_that_stays_shut_as_long_as_the_silence_lasts_is_refused() -> None:
    past = Window("last year", years=((2025, 2025),))
    assert reason(window=past) == "window 'last year' does not open while the silence lasts"
    assert reason(window=NIGHT, duration=HOUR) == "window 'night' does not open while the silence lasts"


def test_a_filter_that_cannot_be_read_is_shown_with_its_place() -> None:
    assert reason(text="flow=etl and and") == (
        "expected a matcher, found 'and'\n  flow=etl and and\n               ^^^"
    )
    assert "unknown filter '@prd'; did you mean '@prod'?\n  @prd\n  ^^^^" in reason(text="@prd")


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "flow!=x", "not flow=x", 'flow=~".*"', 'flow=""', 'task=""', "flow!~a|b", "task!=a, flow!=b",
        "tags!=prod", "not is_failed", "flow=x or flow!=x", "flow=x or not tags=prod", "not (flow=x and task=y)",
        "is_flow or is_task", "is_flow=true or is_task=true", "attempt>=1", "attempt<=max_attempts", "not attempt>1",
        "@any", "@any or flow=x", "is_failed=false or is_failed=true", "team!=data", 'team=~"data|"',
        "not (is_flow, is_task)", "@odd or not @odd", "flow!=x or @odd",
    ],
)  # fmt: skip
def test_a_filter_that_asks_for_nothing_an_event_has_is_refused(text) -> None:
    with pytest.raises(FilterError, match="holds for events of any sort") as refused:
        silence(text=text)
    assert (refused.value.start, refused.value.code) == (0, "E206")


@pytest.mark.parametrize(
    "text",
    [
        "flow=x", 'flow=~".+"', "flow=x, task!=y", "is_failed", "is_flow", "not is_flow", "is_task", "not flow!=x",
        "tags=prod", "@prod", "@prod and @any", "attempt=1", "attempt>1", "duration>=0", "map_index>=0", "@odd",
        "not @odd", "not (flow!=x or task=y)", "flow=x or task=y", 'params.day=~".+"', "state!=Failed, flow=x",
        "will_retry",
    ],
)  # fmt: skip
def test_a_filter_that_asks_for_something_is_taken(text) -> None:
    assert silence(text=f" {text} ").filter_text == text


ATOMS = st.sampled_from(
    ["flow=a", "flow=b", 'flow=~"a|c"', "flow!=a", "task=x", 'task=""', "tags=p", "tags!=p", "is_failed",
     "not is_failed", "attempt>1", "attempt=2", "team=data", 'team=""', 'flow=~"[ab].*"', "@prod", "params.day=1"]
)  # fmt: skip
TEXTS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda part: f"({part[0]}) {part[1]} ({part[2]})"),
        inner.map(lambda text: f"not ({text})"),
    ),
    max_leaves=4,
)


@given(TEXTS)
def test_what_holds_for_the_empty_event_is_refused(text) -> None:
    empty = sample_event(
        flow="", task="", state="", state_family=(), tags=frozenset(), parameters={}, labels={}, attempt=1
    )
    try:
        filter_ = when(text).bind(NAMED)
    except FilterError:  # a contradiction
        return
    wider = "attempt" in text  # what numbers say of an event that has none is judged apart
    assert wider or holds_for_anything(filter_) == filter_.matches(empty)


# ---------------------------------------------------------------- changing one


def test_comment_and_end_change_in_place() -> None:
    (after,) = edited(silence(), now=NOON + HOUR, id="s2", comment="still", ends_at=NOON + 9 * HOUR)
    assert after == dataclasses.replace(silence(), comment="still", ends_at=NOON + 9 * HOUR)
    (timed,) = edited(silence(until_recovered=True), now=NOON, id="s2", ends_at=NOON + HOUR)
    assert (timed.id, timed.ends_at, timed.until_recovered) == ("s1", NOON + HOUR, False)


def test_a_new_filter_of_an_active_silence_ends_it_and_makes_another() -> None:
    old, new = edited(silence(), now=NOON + HOUR, id="s2", filter_text="flow=ledger")
    assert old == dataclasses.replace(silence(), ends_at=NOON + HOUR, ended_by="edit, now 's2'")
    assert (new.id, new.filter_text, new.starts_at, new.ends_at) == ("s2", "flow=ledger", NOON + HOUR, NOON + 2 * HOUR)
    assert (new.created_at, new.created_by, new.comment, new.ended_by) == (NOON + HOUR, "ann", "disk swap", "")
    assert old.status(NOON + HOUR) == "expired"


def test_a_new_start_of_an_active_silence_makes_another_that_begins_now_at_the_earliest() -> None:
    _, new = edited(silence(), now=NOON + HOUR, id="s2", starts_at=NOON - HOUR)
    assert new.starts_at == NOON + HOUR
    _, later = edited(silence(), now=NOON, id="s2", starts_at=NOON + HOUR)
    assert (later.starts_at, later.status(NOON)) == (NOON + HOUR, "pending")


def test_the_same_filter_and_start_said_again_are_no_change() -> None:
    (after,) = edited(silence(), now=NOON + HOUR, id="s2", filter_text=' flow="etl"', starts_at=NOON)
    assert (after.id, after.starts_at, after.ends_at) == ("s1", NOON, NOON + 2 * HOUR)


def test_a_pending_silence_changes_in_place() -> None:
    pending = silence(starts_at=NOON + 5 * HOUR)
    (after,) = edited(pending, now=NOON, id="s2", filter_text="flow=ledger", starts_at=NOON - HOUR)
    assert (after.id, after.filter_text, after.starts_at, after.created_at) == ("s1", "flow=ledger", NOON, NOON)


def test_editing_an_expired_silence_makes_another() -> None:
    (new,) = edited(silence(), now=NOON + 5 * HOUR, id="s2", ends_at=NOON + 6 * HOUR)
    assert (new.id, new.starts_at, new.ends_at) == ("s2", NOON + 5 * HOUR, NOON + 6 * HOUR)
    with pytest.raises(TocsinError, match="which is past"):
        edited(silence(), now=NOON + 5 * HOUR, id="s2", comment="again")
    over = expired(silence(until_recovered=True), now=NOON + HOUR, by="recovery")
    (again,) = edited(over, now=NOON + 2 * HOUR, id="s2", comment="again")
    assert (again.ends_at, again.ended_by, again.status(NOON + 2 * HOUR)) == (None, "", "active")


def test_an_edit_is_checked_as_a_new_silence_is() -> None:
    for change in ({"filter_text": "flow=="}, {"filter_text": "flow!=x"}, {"filter_text": "@prd"},
                   {"ends_at": NOON - HOUR}, {"ends_at": NOON}, {"starts_at": NOON + 2 * HOUR}):  # fmt: skip
        with pytest.raises(TocsinError):
            edited(silence(), now=NOON + timedelta(seconds=1), id="s2", named=NAMED, **change)
    assert edited(silence(), now=NOON, id="s2", filter_text="@prod", named=NAMED)[-1].filter_text == "@prod"


def test_a_silence_ends_when_it_is_told_to_also_before_it_began() -> None:
    ended = expired(silence(), now=NOON + HOUR, by="bob")
    assert (ended.ends_at, ended.ended_by, ended.status(NOON + HOUR)) == (NOON + HOUR, "bob", "expired")
    never = expired(silence(starts_at=NOON + 5 * HOUR), now=NOON + HOUR, by="bob")
    assert [never.status(NOON + hours * HOUR) for hours in (0, 1, 5, 6, 9)] == ["pending", *["expired"] * 4]
    with pytest.raises(TocsinError, match="silence 's1' has ended already, at '2026-01-05 14:00:00"):
        expired(silence(), now=NOON + 2 * HOUR, by="bob")


# ---------------------------------------------------------------- the stored form


@pytest.mark.parametrize(
    "made",
    [
        silence(),
        silence(comment='ünïcode " \n', ends_at=NOON + timedelta(microseconds=7)),
        expired(silence(until_recovered=True), now=NOON, by="recovery"),
        silence(
            window=Window("w", ((1320, 360),), ((6, 1),), ((-2, 1),), ((12, 2),), ((2026, 2030),), "Europe/Berlin")
        ),
    ],
)
def test_a_silence_survives_its_json_form_exactly(made) -> None:
    again = Silence.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert again.to_dict() == made.to_dict()


def test_fields_of_a_later_version_are_passed_over_and_a_newer_form_is_refused() -> None:
    data = silence(window=NIGHT).to_dict()
    data["window"]["colour"] = "red"
    assert Silence.from_dict(data | {"colour": "red"}) == silence(window=NIGHT)
    with pytest.raises(ValueError, match="silence of version 2; this tocsin reads up to 1"):
        Silence.from_dict(data | {"version": 2})


# ---------------------------------------------------------------- use


def test_the_first_silence_in_force_that_matches_is_named() -> None:
    silences = [
        silence(id="later", starts_at=NOON + HOUR),
        silence(id="other", text="flow=other"),
        silence(id="night", window=NIGHT),
        silence(id="tagged", text="tags=prod, is_failed"),
        silence(id="same"),
    ]
    index = SilenceIndex(silences, NAMED)
    found = [index.matching(sample_event(), NOON + hours * HOUR) for hours in (0, 1, 3, 11)]
    assert [one and one.id for one in found] == ["tagged", "later", None, "night"]
    assert index.matching(sample_event(flow="x", tags=frozenset()), NOON) is None


def test_labels_of_every_sort_find_their_silence() -> None:
    texts = [
        "params.day=monday",
        "team=data",
        "attempt=2",
        "run_id=r7",
        "exception=KeyError",
        "not is_task",
        "project=~a|b",
    ]
    index = SilenceIndex([silence(text, id=text) for text in texts], {})
    plain = {"attempt": 1, "project": "", "exception": None, "labels": {}, "parameters": {}}
    for text, changes in zip(
        texts,
        [{"parameters": {"day": "monday"}}, {"labels": {"team": "data"}}, {"attempt": 2}, {"run_id": "r7"},
         {"exception": dataclasses.replace(sample_event().exception, type="KeyError")}, {"task": ""}, {"project": "b"}],
        strict=True,
    ):  # fmt: skip
        found = index.matching(sample_event(**(plain | changes)), NOON)
        assert found is not None
        assert found.id == text
    assert index.matching(sample_event(**plain), NOON) is None


def test_a_silence_that_cannot_be_read_any_more_hides_nothing_and_is_told_of() -> None:
    gone = silence("@prod", id="gone")
    bad = dataclasses.replace(gone, id="bad", filter_text="flow==")
    index = SilenceIndex([gone, bad, silence(id="good")], {})
    assert list(index.broken) == ["gone", "bad"]
    assert index.broken["gone"] == "unknown filter '@prod'"
    found = index.matching(sample_event(), NOON)
    assert found is not None
    assert found.id == "good"
    assert SilenceIndex([gone], NAMED).broken == {}


def test_what_a_silence_is_for_is_told_whether_it_is_in_force_or_not() -> None:
    index = SilenceIndex(
        [silence(starts_at=NOON + HOUR), silence("@prd", id="gone", named={"prd": when("flow=etl")})], {}
    )
    assert index.covers("s1", sample_event())
    assert not index.covers("s1", sample_event(flow="other"))
    assert not index.covers("gone", sample_event())
    assert not index.covers("never heard of", sample_event())


def test_a_silence_resumes_at_its_end_or_at_the_closing_of_its_window() -> None:
    assert resumes_at(silence(), NOON) == NOON + 2 * HOUR
    assert resumes_at(silence(), NOON + 5 * HOUR) == NOON + 5 * HOUR
    assert resumes_at(silence(until_recovered=True), NOON) is None
    assert resumes_at(silence(window=NIGHT), NOON + 10 * HOUR) == NOON + 18 * HOUR
    assert resumes_at(silence(window=NIGHT, duration=12 * HOUR), NOON + 10 * HOUR) == NOON + 12 * HOUR
    assert resumes_at(silence(window=Window("always")), NOON) is None


def test_silences_that_ask_for_something_else_are_not_even_looked_at() -> None:
    silences = [silence(f"state=Failed and flow=flow{n} and is_failed", id=f"s{n}") for n in range(1000)]
    index = SilenceIndex(silences, {})
    assert index._index.candidates(sample_event(flow="flow7")) == [7]
    assert index.matching(sample_event(flow="flow7"), NOON) == silences[7]


EVENTS = st.builds(
    lambda flow, task, tags, failed, attempt, team: sample_event(
        flow=flow, task=task, tags=frozenset(tags), attempt=attempt, labels={"team": team} if team else {},
        state_family=("TimedOut", "Failed") if failed else ("Success",), parameters={"day": attempt},
    ),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["x", "y", ""]),
    st.sets(st.sampled_from(["p", "q", "prod"])),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from(["", "data", "web"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(TEXTS, st.integers(-3, 3), st.integers(1, 4), st.booleans()), max_size=8),
    EVENTS,
    st.integers(-3, 5),
)
def test_an_index_of_silences_finds_what_trying_each_finds(rows, event, hours) -> None:
    at = NOON + hours * HOUR
    silences = [
        Silence(f"s{number}", text, "", "", NOON, NOON + start * HOUR, NOON + (start + length) * HOUR,
                window=Window("w", times=((780, 840),)) if windowed else None)
        for number, (text, start, length, windowed) in enumerate(rows)
    ]  # fmt: skip
    index = SilenceIndex(silences, NAMED)
    hiding = [
        one for one in silences
        if one.id not in index.broken and one.in_force(at) and when(one.filter_text).bind(NAMED).matches(event)
    ]  # fmt: skip
    assert index.matching(event, at) == (hiding[0] if hiding else None)
