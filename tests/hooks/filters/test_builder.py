"""Filters written in Python are those written as text."""

from collections.abc import Callable, Collection
from datetime import timedelta

import pytest

from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import FLAG_LABELS, F, Filter, Flag, parse
from tocsin_hooks.testing.samples import sample_event


@pytest.mark.parametrize(
    ("built", "text"),
    [
        (F.state == "Failed", "state=Failed"),
        (F.flow != "etl", "flow!=etl"),
        (F.state.is_in("Failed", "TimedOut"), "state=Failed or state=TimedOut"),
        (F.state.is_in("Failed"), "state=Failed"),
        (F.tags.has("x y"), 'tags="x y"'),
        (F.flow.matches(r"(a|b)\d+"), r'flow=~"(a|b)\\d+"'),
        (F.attempt >= 3, "attempt>=3"),
        (F.attempt >= F.max_attempts, "attempt>=max_attempts"),
        (3 > F.attempt, "attempt<3"),  # noqa: SIM300  (the number may come first)
        (F.duration > timedelta(minutes=2), "duration>2m"),
        (F.duration <= "90s", "duration<=90s"),
        (F.attempt == 3, "attempt=3"),
        (F.attempt == 3.0, "attempt=3"),
        (F.attempt >= F.params["at most"], 'attempt>="params.at most"'),
        (F["is_failed"] == False, "is_failed=false"),  # noqa: E712
        (F.named("a b"), '@"a b"'),
        (F.params.owner == "x", "params.owner=x"),
        (F.params["odd name"] == True, '"params.odd name"=true'),  # noqa: E712
        (F["team"] == "", 'team=""'),
        (F.exception.message.matches("a.*"), "exception.message=~a.*"),
        (F.is_failed, "is_failed"),
        (F.will_retry & F.is_task, "will_retry and is_task"),
        (F.named("prod") & ~F.tags.has("flaky"), "@prod and not tags=flaky"),
        (F.flow == "prod-*", 'flow="prod-*"'),
        ((F.a == 1) & (F.b == 2) | ~(F.c == 3), "a=1 and b=2 or not c=3"),
    ],
)
def test_a_built_filter_equals_the_parsed_one(built: Filter, text: str) -> None:
    assert built == parse(text)
    assert parse(built.to_text()) == built


def test_every_boolean_label_is_a_filter_by_itself() -> None:
    assert {flag: getattr(F, flag) for flag in FLAG_LABELS} == {flag: Flag(flag) for flag in FLAG_LABELS}


@pytest.mark.parametrize(
    ("build", "part"),
    [
        (lambda: F.state == "Faild", "unknown state 'Faild'; did you mean 'Failed'?"),
        (lambda: F.flow >= 3, "'flow' is text; '>=' compares numbers"),
        (lambda: F.attempt >= "many", "'many' is none"),
        (lambda: F.attempt >= F.flow, "'flow' is none"),
        (lambda: F.flow.matches("a("), "bad regex: missing )"),
        (lambda: F.named(""), "the name of a filter cannot be empty"),
        (lambda: F[""] == "x", "the name of a label cannot be empty"),
        (lambda: F.flow == "\ud800", "is no character"),
        (lambda: (F.state == "Failed") & (F.state == "Success"), "this can never hold"),
        (lambda: F.attempt >= True, "'True' is none"),
    ],
)
def test_a_built_filter_is_checked_like_a_parsed_one(build: Callable[[], Filter], part: str) -> None:
    with pytest.raises(FilterError) as caught:
        build()
    assert part in caught.value.reason


def test_what_is_no_value_is_refused() -> None:
    builds: list[Callable[[], Filter]] = [
        lambda: F.flow == None,  # noqa: E711
        lambda: F.flow == F.task,
        F.flow.is_in,
        lambda: F.flow.has("x"),
    ]
    for build in builds:
        with pytest.raises(TypeError, match=r"F\['flow'\]"):
            build()


def test_a_built_filter_matches() -> None:
    event = sample_event()
    assert (F.state.is_in("Failed", "TimedOut") & ~F.tags.has("flaky")).matches(event)
    assert not (F.state.is_in("Failed", "TimedOut") & ~F.tags.has("prod")).matches(event)


@pytest.mark.parametrize("values", [["Failed", "TimedOut"], ("Failed", "TimedOut"), {"TimedOut", "Failed"}])
def test_what_a_label_is_in_may_be_a_list(values: Collection[str]) -> None:
    assert F.state.is_in(values) == parse("state=Failed or state=TimedOut")
    with pytest.raises(TypeError, match="needs a value"):
        F.state.is_in([])
