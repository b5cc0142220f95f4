"""What holds for all texts, all filters and all events."""

from typing import Any

from hypothesis import example, given, settings, strategies as st

from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import (
    EVERYTHING,
    Compare,
    Filter,
    Flag,
    LabelRef,
    Match,
    Not,
    Ref,
    all_of,
    any_of,
    parse,
    value_of,
)
from tocsin_hooks.filters.labels import FLAG_LABELS, NUMBER_LABELS, text_of
from tocsin_hooks.testing.samples import sample_event

NAMED = {"prod": parse("tags=prod"), "not": parse("attempt>1")}
WORDS = ["", "etl", "load", "prod", "a b", "or", "not", "é", "(x", "x)", "a*", '"', "\\", "\n", "{}", "1", "<3"]
texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=5))
labels = st.one_of(
    st.sampled_from(["flow", "task", "tags", "team", "params.x", "not", "@x"]), st.text(min_size=1, max_size=4)
)
free_labels = labels.filter(lambda label: label not in FLAG_LABELS)
numbers = st.one_of(st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False))
leaves = st.one_of(
    st.builds(Match, free_labels, st.sampled_from(["=", "!="]), texts),
    st.builds(
        Match,
        free_labels,
        st.sampled_from(["=~", "!~"]),
        st.sampled_from(["", ".*", "a|b", "(é|x)+.?", "[^\n]*", "(?i)\\pL\\Q)\\E"]),
    ),
    st.builds(Match, st.just("state"), st.sampled_from(["=", "!="]), st.sampled_from(["Failed", "Success"])),
    st.builds(
        Compare,
        st.sampled_from([*sorted(NUMBER_LABELS), "team", "params.x"]),
        st.sampled_from(["<", "<=", ">", ">="]),
        st.one_of(
            numbers, st.sampled_from(["attempt", "max_attempts", "params.y", "params.a b", "context.)"]).map(LabelRef)
        ),
    ),
    st.builds(Flag, st.sampled_from(sorted(FLAG_LABELS))),
    st.builds(Match, st.sampled_from(sorted(FLAG_LABELS)), st.just("="), st.sampled_from(["true", "false"])),
    st.sampled_from([Ref(name, target) for name, target in NAMED.items()]),
    st.just(EVERYTHING),
)


def possible(tree: Filter) -> bool:
    """Whether no part asks for two states at once, which the parser refuses."""
    return all(node.required().get("state", {"one"}) for node in tree.walk())


trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda terms: all_of(*terms)),
        st.lists(inner, min_size=1, max_size=3).map(lambda terms: any_of(*terms)),
        inner.map(Not),
    ),
    max_leaves=8,
).filter(possible)
plain = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), texts, st.lists(st.integers(), max_size=2))


@st.composite
def events(draw: st.DrawFn) -> Event:
    changes: dict[str, Any] = {
        "flow": draw(texts),
        "task": draw(texts),
        "state": draw(st.sampled_from(["Failed", "Success", "Retrying"])),
        "attempt": draw(st.integers(0, 4)),
        "duration": draw(st.one_of(st.none(), st.floats(0, 1e6))),
        "tags": draw(st.frozensets(st.sampled_from(["prod", "etl", "a b", "é", "or"]))),
        "parameters": draw(st.dictionaries(st.sampled_from(["x", "y"]), plain)),
        "labels": draw(st.dictionaries(st.sampled_from(["team", "not", "@x"]), texts)),
        "will_retry": draw(st.booleans()),
    }
    return sample_event(**changes)


@settings(max_examples=200, deadline=None)
@given(trees, events())
def test_a_filter_written_out_reads_back_equal_and_decides_alike(tree: Filter, event: Event) -> None:
    again = parse(tree.to_text(), named=NAMED)
    assert again == tree
    assert again.matches(event) is tree.matches(event)
    assert tree.explain(event).verdict is tree.matches(event)
    assert hash(again) == hash(tree)


@settings(max_examples=200, deadline=None)
@given(trees, events())
def test_a_filter_never_matches_an_event_that_lacks_what_it_requires(tree: Filter, event: Event) -> None:
    if tree.matches(event):
        for label, values in tree.required().items():
            held = value_of(event, label)
            assert values & (held if isinstance(held, frozenset) else {text_of(held)})


PIECES = (
    "flow state attempt = != =~ !~ < >= ~ ( ) { } , and or not @ prod \" \\ \\x \\u00 Failed 3 90s is_failed [ * + | '"
)
fragments = st.lists(st.sampled_from([*PIECES.split(), "{2}", " ", " ", "\n"]), max_size=14).map("".join)


@settings(max_examples=500, deadline=None)
@given(st.one_of(fragments, fragments, st.text(max_size=30)))
@example("(" * 100_000)
@example('a=~"[[:alpha:]\\\\pL(?i)"')
@example('a=~"(?i"')
@example("not " * 100_000)
@example("a=" + "(" * 100_000)
@example('a=~"' + "(" * 9_000 + '"')
@example('a=~"' + "(?:" * 400 + "a" + ")*" * 400 + '"')
@example("a=1," * 20_000)
@example("\ud800=\udfff")
@example('a="\\x')
@example("state=" + "x" * 100_000)
def test_any_text_is_a_filter_or_refused_at_a_place_inside_it(text: str) -> None:
    try:
        tree = parse(text, named=NAMED)
    except FilterError as error:
        assert 0 <= error.start <= len(text)  # noqa: PT017
        assert error.start < error.end <= len(text) + 1  # noqa: PT017
        assert error.reason in str(error)  # noqa: PT017
    else:
        assert parse(tree.to_text(), named=NAMED) == tree
