"""For which events a filter holds."""

import pytest

from tocsin_hooks.events import Event, ExceptionSummary
from tocsin_hooks.filters import FLAG_LABELS, parse, value_of, when
from tocsin_hooks.states import State, family
from tocsin_hooks.testing.samples import sample_event

EVENT = sample_event(
    parameters={
        "owner": "finance",
        "dry": True,
        "rows": 1200,
        "ratio": 0.5,
        "limit": "1000",
        "none": None,
        "db": {"host": "pg-1", "tags": ["a", "b"]},
        "a.b": "dotted",
        "a": {"b": "nested"},
    },
    labels={"team": "data", "shard": "7", "context.region": "eu", "zone": "a"},
    map_index=None,
)
FLOW_EVENT = sample_event(task="", task_run_id="", tags=frozenset(), exception=None, duration=None, severity="")


def entered(state: type[State]) -> Event:
    return sample_event(state=state.__name__, state_family=family(state))


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("flow=etl", True),
        ("flow=ETL", False),
        ("flow!=etl", False),
        ("flow=~e", False),  # the whole value
        ("flow=~e.*", True),
        ("flow=~x|etl", True),
        ("flow!~x|etl", False),
        ("flow=~(?i)ETL", True),
        ('flow=~"^etl$"', True),
        ('message=~".*bad row.*"', True),
        ('absent=""', True),
        ('absent!=""', False),
        ("absent!=y", True),
        ("absent=~.*", True),
        ("absent=~.+", False),
        ("absent!~.+", True),
        ("exception=ValueError", True),
        ('exception.message=~"bad row .*"', True),
        ("team=data", True),
        ("context.region=eu", True),
        ("context.zone=a", True),
        ("params.owner=finance", True),
        ("params.dry=true", True),
        ("params.rows=1200", True),
        ("params.ratio=0.5", True),
        ('params.none=""', True),
        ("params.db.host=pg-1", True),
        ('params.db.tags="[\\"a\\",\\"b\\"]"', True),
        ("params.a.b=dotted", True),
        ('params.owner.more=""', True),
        ("attempt=2", True),
        ('map_index=""', True),
        ("source=tocsin, project=warehouse, host=worker-1, severity=error", True),
    ],
)
def test_a_matcher_sees_the_text_of_a_label_and_an_absent_one_as_empty(text: str, verdict: bool) -> None:
    assert parse(text).matches(EVENT) is verdict
    assert parse(f"not ({text})").matches(EVENT) is not verdict


@pytest.mark.parametrize(
    ("text", "with_tags", "without"),
    [
        ("tags=prod", True, False),
        ("tags=pro", False, False),
        ("tags!=prod", False, True),
        ("tags!=x", True, True),
        ("tags=~night.*", True, False),
        ("tags!~night.*", False, True),
        ("tags=~x|y", False, False),
        ('tags=""', False, True),
        ('tags!=""', True, False),
        ("tags=~.*", True, True),
        ("tags=prod, tags=nightly", True, False),
        ("tags=prod or tags=x", True, False),
        ('tags="" or tags=x', False, True),
    ],
)
def test_tags_are_a_set(text: str, with_tags: bool, without: bool) -> None:
    assert parse(text).matches(EVENT) is with_tags
    assert parse(text).matches(FLOW_EVENT) is without


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("attempt<3", True),
        ("attempt<2", False),
        ("attempt<=2", True),
        ("attempt>2", False),
        ("attempt>=2", True),
        ("attempt>=max_attempts", False),
        ("attempt<max_attempts", True),
        ("duration>1m", True),
        ("duration>90s", False),
        ("sequence>=42", True),
        ("map_index>=0", False),
        ("map_index<0", False),
        ("absent<5", False),
        ("absent>=5", False),
        ("team<5", False),
        ("shard>6.5", True),  # a text that is a number
        ("params.rows>params.limit", True),
        ("params.rows>params.none", False),
        ("params.dry>0", False),
        ("params.ratio<1", True),
    ],
)
def test_a_comparison_sees_numbers_and_is_false_for_anything_else(text: str, verdict: bool) -> None:
    assert parse(text).matches(EVENT) is verdict


def test_a_boolean_label_follows_the_family_of_the_state() -> None:
    states = [
        state for state in State.children() if isinstance(state, type) and not state.__module__.startswith("test")
    ]
    checked = 0
    for state in states:
        for flag in FLAG_LABELS:
            question = {
                "is_cancelled": "Cancelled",
                "is_crashed": "Crashed",
                "is_timed_out": "TimedOut",
                "is_trigger_failed": "TriggerFailed",
            }
            if flag in question:
                expected = question[flag] in family(state)
            elif hasattr(state, flag):
                expected = getattr(state(), flag)()
            else:
                continue
            assert when(flag).matches(entered(state)) is expected, (flag, state)
            checked += 1
    assert checked > 17 * 20


def test_failed_is_exact_and_is_failed_is_not() -> None:
    event = sample_event(state="TriggerFailed", state_family=("TriggerFailed", "Failed", "Finished"))
    assert not when("state=Failed").matches(event)
    assert when("is_failed and is_trigger_failed").matches(event)
    assert when("is_failed=true, is_retrying=false, is_failed!=false").matches(event)
    assert when("is_failed=~tru.").matches(event)


def test_flow_and_task_events_can_be_told_apart() -> None:
    assert when("is_task and not is_flow").matches(EVENT)
    assert when("is_flow and not is_task").matches(FLOW_EVENT)
    assert when("will_retry").matches(EVENT.replace(will_retry=True))
    assert not when("will_retry").matches(EVENT)


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("flow", "etl"),
        ("tags", frozenset({"prod", "nightly"})),
        ("attempt", 2),
        ("duration", 83.5),
        ("map_index", None),
        ("is_failed", "true"),
        ("is_flow", "false"),
        ("exception", "ValueError"),
        ("params.rows", 1200),
        ("params.dry", "true"),
        ("params.nope", None),
        ("team", "data"),
        ("nope", None),
    ],
)
def test_the_value_of_a_label_can_be_asked(label: str, value: object) -> None:
    assert value_of(EVENT, label) == value


def test_a_label_of_an_absent_exception_is_absent() -> None:
    assert value_of(FLOW_EVENT, "exception") is None
    assert value_of(FLOW_EVENT, "exception.message") is None
    assert parse('exception=""').matches(FLOW_EVENT)
    assert parse("exception=KeyError").matches(EVENT.replace(exception=ExceptionSummary("KeyError", "'x'")))


def test_parameters_that_are_no_json_do_not_disturb_a_filter() -> None:
    circular: list[object] = []
    circular.append(circular)
    event = EVENT.replace(parameters={"odd": {(1, 2): "x"}, "loop": circular})
    assert parse("params.odd=~.*x.*").matches(event)
    assert not parse("params.loop=x").matches(event)


def test_a_dot_in_a_regex_matches_line_breaks_too() -> None:
    assert when('message=~".*timed out.*"').matches(EVENT.replace(message="first\nit timed out\nlast"))
