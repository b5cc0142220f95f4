"""What can be done with a filter: explaining, indexing, binding names, writing, copying."""

import copy
import logging
import pickle
from collections.abc import Callable

import pytest

from tocsin_hooks.errors import FilterError
from tocsin_hooks.events import Event
from tocsin_hooks.filters import (
    EVERYTHING,
    And,
    Filter,
    Match,
    Not,
    Opaque,
    Or,
    Ref,
    all_of,
    any_of,
    bind_all,
    parse,
    when,
)
from tocsin_hooks.testing.samples import sample_event

EVENT = sample_event()


def is_night(event: Event) -> bool:
    return event.time.hour < 6


class Broken:
    def __call__(self, event: Event) -> bool:
        raise KeyError(event.flow)


# ---------------------------------------------------------------- explain


def test_an_explanation_evaluates_every_part_and_shows_what_it_saw() -> None:
    found = parse("state=Failed or (attempt>=max_attempts and not tags=prod) or is_retrying, nope=x").explain(EVENT)
    assert str(found).splitlines() == [
        "yes state=Failed or attempt>=max_attempts and not tags=prod or is_retrying and nope=x",
        "  yes state=Failed   (state is 'Failed')",
        "  no  attempt>=max_attempts and not tags=prod",
        "    no  attempt>=max_attempts   (attempt is 2, max_attempts is 3)",
        "    no  not tags=prod",
        "      yes tags=prod   (tags is {'nightly', 'prod'})",
        "  no  is_retrying and nope=x",
        "    no  is_retrying   (is_retrying is 'false')",
        "    no  nope=x   (nope is absent)",
    ]
    assert [(leaf.text, leaf.value) for leaf in found.leaves()][:2] == [
        ("state=Failed", "Failed"),
        ("attempt>=max_attempts", 2),
    ]


def test_an_explanation_looks_into_a_named_filter() -> None:
    found = parse("@prod", named={"prod": when("project=warehouse")}).explain(EVENT)
    assert (found.text, found.verdict) == ("@prod", True)
    assert found.children[0].text == "project=warehouse"


def test_an_explanation_shows_that_a_predicate_raised() -> None:
    found = Opaque(Broken(), "mypkg:broken").explain(EVENT)
    assert (found.text, found.verdict, found.note) == ("<python mypkg:broken>", False, "raised KeyError: 'etl'")


def test_an_explanation_takes_one_line_for_each_part_whatever_an_event_holds() -> None:
    event = EVENT.replace(message="first\nsecond\x1b[31m" + "x" * 5000)
    (line,) = str(parse("message=x").explain(event)).splitlines()
    assert line.startswith(r"no  message=x   (message is 'first\nsecond\x1b[31mxxx")
    assert len(line) < 200


def test_an_explanation_asks_a_predicate_once_and_agrees_with_itself() -> None:
    answers = iter([True, False])
    found = (~Opaque(lambda event: next(answers), "fickle")).explain(EVENT)
    assert (found.verdict, found.children[0].verdict) == (False, True)


# ---------------------------------------------------------------- Python predicates


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError


class NoVerdict:
    def __bool__(self) -> bool:
        raise ValueError("which of them?")


def raising(error: BaseException) -> Callable[[Event], bool]:
    def predicate(event: Event) -> bool:
        raise error

    return predicate


@pytest.mark.parametrize(
    ("predicate", "note"),
    [
        (raising(SystemExit(3)), "raised SystemExit: 3"),
        (raising(Unprintable()), "raised Unprintable"),
        (lambda event: NoVerdict(), "raised ValueError: which of them?"),
        (raising(KeyError("a\nb")), r"raised KeyError: 'a\nb'"),
    ],
)
def test_whatever_a_predicate_raises_is_no_match(predicate: Callable[[Event], bool], note: str) -> None:
    assert not Opaque(predicate).matches(EVENT)
    assert Opaque(predicate).explain(EVENT).note == note


def test_a_predicate_that_raises_is_false_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    broken = Opaque(Broken(), "mypkg:broken")
    both = broken | when("state=Success")
    with caplog.at_level(logging.WARNING, logger="tocsin.filters"):
        assert [both.matches(EVENT), broken.matches(EVENT), (~broken).matches(EVENT)] == [False, False, True]
    assert [record.getMessage() for record in caplog.records] == [
        "filter mypkg:broken raised KeyError; it counts as false"
    ]


def test_a_predicate_combines_with_expressions_and_is_shown_by_its_name() -> None:
    night = Opaque(is_night) & when("is_failed")
    assert not night.matches(EVENT)
    assert night.matches(EVENT.replace(time=EVENT.time.set(hour=3)))
    assert night.to_text().startswith("<python ")
    assert night.to_text().endswith(":is_night> and is_failed")
    with pytest.raises(FilterError):
        parse(night.to_text())


# ---------------------------------------------------------------- names


def test_names_are_bound_later_and_through_each_other() -> None:
    named = bind_all(
        {
            "critical": parse("@prod and (severity=critical or tags=tier1)"),
            "prod": parse("project=~prod-.* and not @experimental"),
            "experimental": parse("tags=experimental"),
        }
    )
    event = EVENT.replace(project="prod-eu", severity="critical")
    assert named["critical"].matches(event)
    assert not named["critical"].matches(event.replace(tags=frozenset({"experimental"})))
    assert named["critical"].labels() == {"project", "tags", "severity"}
    assert named["critical"].refs() == {"prod"}
    assert parse("not @critical").bind(named).matches(EVENT)
    assert parse("@prod", named=named) == parse("@prod").bind(named)


def test_binding_follows_names_that_are_not_bound_themselves() -> None:
    named = {"a": parse("@b"), "b": parse("flow=etl")}
    assert parse("@a").bind(named).matches(EVENT)


def test_an_unknown_name_is_refused_at_its_place_with_the_nearest() -> None:
    with pytest.raises(FilterError) as caught:
        parse("is_failed and @critcal", named={"critical": when("is_failed")})
    assert caught.value.reason == "unknown filter '@critcal'; did you mean '@critical'?"
    assert caught.value.caret().splitlines()[1] == " " * 14 + "^" * 8
    assert caught.value.code == "E203"
    with pytest.raises(FilterError, match="unknown filter '@x'; known filters: '@critical'"):
        parse("@x").bind({"critical": when("is_failed")})


def test_names_in_a_circle_are_refused_with_the_path() -> None:
    circle = {"z": parse("@a"), "a": parse("flow=x or @b"), "b": parse("not @a")}
    for bind in (lambda: bind_all(circle), lambda: parse("@z").bind(circle)):
        with pytest.raises(FilterError) as caught:
            bind()
        assert caught.value.reason.endswith("circle: @a -> @b -> @a")
        assert (caught.value.text, caught.value.start, caught.value.code) == ("not @a", 4, "E204")
    with pytest.raises(FilterError, match="@me -> @me"):
        bind_all({"me": parse("@me")})


@pytest.mark.parametrize("backwards", [False, True])
def test_names_that_multiply_are_refused_before_they_take_time(backwards: bool) -> None:
    named = {"n0": parse("flow=etl")} | {f"n{i}": parse(f"@n{i - 1} and @n{i - 1}") for i in range(1, 60)}
    with pytest.raises(FilterError, match=r"'@n15' is more than 100000 parts") as caught:
        bind_all(dict(reversed(named.items())) if backwards else named)
    assert (caught.value.text, caught.value.code) == ("@n15 and @n15", "E201")
    few = {name: named[name] for name in list(named)[:15]}
    assert bind_all(few)["n14"].explain(EVENT).verdict


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(("length", "bound"), [(60, True), (100, False), (3000, False)])
def test_names_behind_each_other_are_bound_or_refused_in_whatever_order(
    length: int, bound: bool, backwards: bool
) -> None:
    chain = {"n0": parse("flow=etl")} | {f"n{i}": parse(f"@n{i - 1} and a!=x") for i in range(1, length)}
    named = dict(reversed(chain.items())) if backwards else chain
    if bound:
        last = bind_all(named)[f"n{length - 1}"]
        assert pickle.loads(pickle.dumps(last)).explain(EVENT).verdict
    else:
        with pytest.raises(FilterError, match="128"):
            bind_all(named)


def test_a_filter_that_python_nests_too_deep_is_refused() -> None:
    tree = when("flow=etl")
    for _ in range(127):
        tree = ~tree
    assert tree.explain(EVENT).verdict is tree.matches(EVENT) is False
    assert hash(tree) == hash(pickle.loads(pickle.dumps(tree)))
    with pytest.raises(FilterError, match="nested more than 128 deep"):
        _ = ~tree


def test_a_name_that_was_never_bound_says_so_when_it_is_asked() -> None:
    with pytest.raises(FilterError, match="'@prod' is not bound to a filter"):
        when("@prod").matches(EVENT)


# ---------------------------------------------------------------- what must hold


@pytest.mark.parametrize(
    ("text", "required"),
    [
        ("state=Failed", {"state": {"Failed"}}),
        ("state=Failed or state=Crashed", {"state": {"Failed", "Crashed"}}),
        ("state=~Failed|Crashed, flow=etl", {"state": {"Failed", "Crashed"}, "flow": {"etl"}}),
        ("flow=etl or task=load", {}),
        ("flow=etl and attempt>1 or flow=elt and is_failed", {"flow": {"etl", "elt"}}),
        ("(team=a or team=b) and (team=b or team=c)", {"team": {"b"}}),
        ("team=a and team=b", {"team": set()}),
        ("tags=a and tags=b", {"tags": {"a"}}),
        ('tags=""', {}),
        ("not flow=etl", {}),
        ("not flow!=etl", {"flow": {"etl"}}),
        ("not flow!~a|b", {"flow": {"a", "b"}}),
        ("not not flow=etl", {"flow": {"etl"}}),
        ("is_failed and not is_flow", {"is_failed": {"true"}, "is_flow": {"false"}}),
        ("flow=~a.*", {}),
        ('task=""', {"task": {""}}),
        ("(flow=a or flow=b) and flow!=a", {"flow": {"b"}}),
        ("flow=~a|b|c, not flow=~a|b", {"flow": {"c"}}),
        ("(tags=a or tags=b) and tags!=a", {"tags": {"b"}}),
        ("{}", {}),
    ],
)
def test_what_a_filter_requires_is_known_for_an_index(text: str, required: dict[str, set[str]]) -> None:
    assert parse(text).required() == required


def test_what_a_named_filter_requires_is_required() -> None:
    assert parse("@x", named={"x": when("flow=etl")}).required() == {"flow": {"etl"}}


# ---------------------------------------------------------------- what is suspicious


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("flow=~.*", "the regex matches everything, so this always holds"),
        ('flow!~"(.*)|x"', "the regex matches everything, so this never holds"),
        ("{}", "this holds for every event"),
        ('flow="prod-*"', "'*' stands for itself here; a regex is written 'flow=~\"prod-.*\"'"),
        ("team=a, team=b", "this can never hold: it asks for two values of 'team' at once"),
        ("is_failed and not is_failed", "this can never hold: it asks for two values of 'is_failed' at once"),
        ("flow=~a|b, flow!=a, not flow=~b", "this can never hold: it asks for two values of 'flow' at once"),
        ("attempt=2.0", "'attempt' is never written '2.0'; write '2'"),
        ("attempt=two", "'attempt' is a number, which 'two' is not"),
        ("state=Firing", "unknown state 'Firing'; known states: Cached, "),
    ],
)
def test_a_suspicious_filter_is_accepted_with_a_warning(text: str, part: str) -> None:
    (warning,) = parse(f"(({text}) or is_failed)").walk().__next__().children()[0].warnings()
    assert part in warning.reason


def test_a_warning_knows_its_place_and_an_ordinary_filter_has_none() -> None:
    (warning,) = when("is_failed and flow=~.*").warnings()
    assert warning.span == (14, 22)
    assert when("state=Failed and flow=~a.* and attempt=2 and not tags=x").warnings() == ()


# ---------------------------------------------------------------- writing and copying


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("{a=1,b=2}", "a=1 and b=2"),
        ("(a=1 or b=2), not (c=3, d=4)", "(a=1 or b=2) and not (c=3 and d=4)"),
        ("not not @x", "not not @x"),
        ('"a b"="c d"', '"a b"="c d"'),
        (r'a="\"\\\n\u200b\U000e0001"', r'a="\"\\\n\u200b\U000e0001"'),
        ('"or"="or" or "@x"=y', '"or"=or or "@x"=y'),
        ("duration>1m30s and attempt<1e300", "duration>90 and attempt<1e+300"),
        ("{}", "{}"),
        ("not ({})", "not ({})"),
    ],
)
def test_a_filter_is_written_in_one_way(text: str, written: str) -> None:
    assert parse(text).to_text() == str(parse(text)) == written
    assert parse(written) == parse(text)


def test_a_copy_through_pickle_is_equal_and_matches() -> None:
    tree = parse("@prod and (flow=~e.* or attempt>2)", named={"prod": when("tags=prod")}) & Opaque(Broken())
    tree.matches(EVENT)  # its tests are made by now, and cannot be pickled
    original = parse("is_failed and flow=~(e|x).+")
    assert original.matches(EVENT)
    again = pickle.loads(pickle.dumps(original))
    assert (again, again.span, again.matches(EVENT)) == (original, original.span, True)
    assert pickle.loads(pickle.dumps(tree)).to_text() == tree.to_text()


def test_an_error_can_be_copied_to_another_process() -> None:
    with pytest.raises(FilterError) as caught:
        parse("flow=a, teem=x", labels={"team"})
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.code, again.start, again.end) == (str(caught.value), "E202", 8, 12)


def test_filters_and_errors_can_be_copied() -> None:
    tree = parse("@prod and not a=1")
    assert copy.deepcopy(tree) == copy.copy(tree) == tree


def test_equal_filters_are_one_in_a_set_wherever_they_stood() -> None:
    assert len({parse("a=1 and b=2"), parse("{ a=1, b=2 }"), parse("a=1 and b=3")}) == 2


def test_the_deepest_expression_that_is_read_can_be_used_in_every_way() -> None:
    text = "not (a=1 or flow=etl and " * 25 + "is_failed" + ")" * 25
    tree = parse(text)
    assert parse(tree.to_text()) == tree == pickle.loads(pickle.dumps(tree))
    assert hash(tree) == hash(parse(text))
    assert tree.explain(EVENT).verdict is tree.matches(EVENT) is False
    assert tree.labels() == {"a", "flow", "is_failed"}
    assert not tree.warnings()
    assert not tree.required()


def test_filters_combine_and_stay_flat() -> None:
    a, b, c = when("a=1"), when("b=2"), when("c=3")
    assert a & b & c == parse("a=1 and b=2 and c=3")
    assert a | (b | c) == parse("a=1 or b=2 or c=3")
    assert ~(a & b) | c == parse("not (a=1 and b=2) or c=3")
    assert all_of() == EVERYTHING == parse("{}")
    assert all_of(EVERYTHING, a) == a == any_of(a)
    for wrong in (lambda: And((a,)), lambda: Or((a, Or((b, c)))), any_of):
        with pytest.raises(ValueError, match=r"any_of|all_of"):
            wrong()


def test_a_filter_that_can_never_hold_is_refused_when_it_is_combined() -> None:
    with pytest.raises(FilterError, match="this can never hold: 'state' has one value"):
        when("state=Failed") & (when("state=Success") | when("state=Running"))


def test_a_filter_used_as_a_truth_value_is_a_mistake() -> None:
    with pytest.raises(TypeError, match=r"combine with '&', '\|', '~'"):
        _ = when("a=1") and when("b=2")
    with pytest.raises(TypeError):
        _ = when("a=1") & (lambda event: True)  # type: ignore[operator]


def test_a_filter_can_be_called_like_a_predicate() -> None:
    assert when("is_failed")(EVENT) is True
    assert list(filter(when("flow=etl"), [EVENT, EVENT.replace(flow="x")])) == [EVENT]


def test_a_filter_tells_which_labels_it_reads() -> None:
    tree = parse("state=Failed or (attempt>=max_attempts and not tags=x) or is_failed or params.a=1")
    assert tree.labels() == {"state", "attempt", "max_attempts", "tags", "is_failed", "params.a"}
    assert isinstance(Not(Match("a", "=", "1")), Filter)
    assert Ref("x").labels() == frozenset()
