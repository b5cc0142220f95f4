"""What a message says."""

from datetime import timedelta

import pendulum
import pytest

from tocsin.routing.compose import Envelope, Template, compose
from tocsin.routing.templates import OUTPUT_CAP, check_template, render, template_data
from tocsin_hooks.events import ExceptionSummary
from tocsin_hooks.messages import Action, Item
from tocsin_hooks.testing import sample_event

EVENT = sample_event()


def envelope(action: Action = Action.OPEN, **changes) -> Envelope:
    return Envelope(id="d1", channel="ops", route="pages", action=action, incident="warehouse/etl/load", **changes)


def test_a_failure_is_told_by_state_subject_and_attempt() -> None:
    message = compose(EVENT, envelope())
    assert message.title == "Failed: etl/load (attempt 2 of 3)"
    assert message.text == "ValueError: bad row 17: <no amount>"
    assert ("Duration", "1 min 23 s") in message.fields
    assert message.severity == "error"
    assert not message.templated


def test_a_retry_says_when_the_next_try_is() -> None:
    next_try = EVENT.time.add(minutes=5)
    event = sample_event(
        state="Retrying", state_family=("Retrying", "Scheduled", "Pending"), next_attempt_at=next_try, severity=""
    )
    message = compose(event, envelope())
    assert message.text.endswith("Next try at 2026-03-01 12:35:15 UTC")
    assert message.severity == "warning"


def test_a_recovery_says_how_long_it_took() -> None:
    event = sample_event(state="Success", state_family=("Success", "Finished"), exception=None)
    opened = EVENT.time - timedelta(hours=1, minutes=30)
    message = compose(event, envelope(Action.RECOVER, incident_opened_at=opened))
    assert message.title == "Recovered: etl/load after 1 h 30 min"
    assert message.severity == "info"


def test_a_test_message_is_marked_as_one() -> None:
    assert compose(EVENT, envelope(Action.TEST)).title.startswith("Test message from tocsin")


def test_a_failure_that_blocks_others_says_how_many_and_names_the_first() -> None:
    message = compose(sample_event(blocks=500, blocked=("clean", "join", "report")), envelope())
    assert ("Blocks", "500 tasks: clean, join, report, ...") in message.fields
    assert message.text.splitlines() == [
        "ValueError: bad row 17: <no amount>",
        "Blocks 500 tasks: clean, join, report, ...",
    ]


@pytest.mark.parametrize(
    ("blocks", "blocked", "told"),
    [
        (0, (), None),
        (1, ("clean",), "1 task: clean"),
        (3, ("a", "b", "c"), "3 tasks: a, b, c"),
        (7, (), "7 tasks"),
        (9, ("a", "b", "c", "d", "e", "f"), "9 tasks: a, b, c, d, e, ..."),
        (2, ("x" * 100, "a\nb"), f"2 tasks: {'x' * 59}…, a b"),
    ],
)
def test_what_is_blocked_fits_into_a_line(blocks: int, blocked: tuple[str, ...], told: str | None) -> None:
    message = compose(sample_event(blocks=blocks, blocked=blocked), envelope())
    assert dict(message.fields).get("Blocks") == told
    assert ("Blocks" in message.text) == (told is not None)


def test_a_recovery_no_longer_blocks() -> None:
    message = compose(sample_event(blocks=3, blocked=("a",)), envelope(Action.RECOVER))
    assert "Blocks" not in dict(message.fields)
    assert "Blocks" not in message.text


def test_what_an_event_hides_is_counted() -> None:
    assert ("Hides", "14 more") in compose(EVENT, envelope(hides=14)).fields
    assert "Hides" not in dict(compose(EVENT, envelope()).fields)


def test_a_reminder_says_how_long_it_lasts_by_the_time_it_is_sent_not_that_of_the_event() -> None:
    opened = EVENT.time - timedelta(minutes=1)
    message = compose(
        EVENT, envelope(Action.REPEAT, reason="repeat", incident_opened_at=opened, at=opened + timedelta(hours=4))
    )
    assert message.title == "Still Failed: etl/load for 4 h"
    assert message.time == opened + timedelta(hours=4)
    assert message.reason == "repeat"


def test_a_reminder_of_unknown_beginning_gives_no_span() -> None:
    assert compose(EVENT, envelope(Action.REPEAT)).title == "Still Failed: etl/load"


@pytest.mark.parametrize(
    ("minutes", "action", "title"),
    [
        (0, Action.OPEN, "Failed: etl/load (attempt 2 of 3)"),
        (15, Action.OPEN, "Still Failed: etl/load for 15 min"),
        (45, Action.REPEAT, "Still Failed: etl/load for 45 min"),
    ],
)
def test_an_escalation_says_its_own_words_first(minutes: int, action: Action, title: str) -> None:
    at = EVENT.time + timedelta(minutes=minutes)
    message = compose(
        EVENT, envelope(action, reason="escalation", say="still nobody", incident_opened_at=EVENT.time, at=at)
    )
    assert message.title == title
    assert message.text.splitlines()[0] == "still nobody"


def test_the_words_of_an_escalation_are_said_once_whatever_the_template_says() -> None:
    said = [
        compose(EVENT, envelope(reason="escalation", say="wake up"), Template(text=text)).text
        for text in ("{{ subject }}: {{ say }}", "{{ subject }}")
    ]
    assert said == ["etl/load: wake up", "wake up\netl/load"]


def test_an_acknowledgement_names_who_took_it_on_and_alarms_nobody() -> None:
    message = compose(EVENT, envelope(Action.UPDATE, reason="acknowledged", acknowledged_by="kim"))
    assert message.title == "Acknowledged by kim: etl/load"
    assert ("Acknowledged by", "kim") in message.fields
    assert message.severity == "info"
    assert (message.is_acknowledgement, message.is_alarm, message.word) == (True, False, "Acknowledged")


def test_a_failure_after_the_acknowledgement_is_told_as_a_failure() -> None:
    message = compose(EVENT, envelope(Action.UPDATE, reason="changed", acknowledged_by="kim"))
    assert message.title == "Failed: etl/load (attempt 2 of 3)"
    assert ("Acknowledged by", "kim") in message.fields
    assert (message.is_acknowledgement, message.is_alarm, message.severity) == (False, True, "error")


def test_flapping_is_told_by_its_changes_and_is_one_event() -> None:
    message = compose(EVENT, envelope(Action.UPDATE, reason="flapping", count=4, within=timedelta(hours=1)))
    assert message.title == "Flapping: etl/load changed 4 times in 1 h"
    assert "No more is sent until it is calm." in message.text
    assert message.count == 1
    assert not message.tells_of_several


@pytest.mark.parametrize(
    ("state", "family", "title"),
    [
        ("Failed", ("Failed", "Finished"), "Calm again: etl/load is Failed"),
        ("Cached", ("Cached", "Success", "Finished"), "Calm again: etl/load has recovered"),
    ],
)
def test_calm_after_flapping_says_how_it_ended(state: str, family: tuple[str, ...], title: str) -> None:
    event = sample_event(state=state, state_family=family)
    message = compose(event, envelope(Action.UPDATE, reason="calm", within=timedelta(minutes=30)))
    assert message.title == title
    assert "It has not changed for 30 min." in message.text
    assert not message.is_alarm


@pytest.mark.parametrize(
    ("zone", "time", "next_try"),
    [
        ("UTC", "2026-03-29 00:59:00 UTC", "2026-03-29 01:01:00 UTC"),
        ("Europe/Berlin", "2026-03-29 01:59:00 CET", "2026-03-29 03:01:00 CEST"),  # the clocks are set between
        ("America/Sao_Paulo", "2026-03-28 21:59:00 -03", "2026-03-28 22:01:00 -03"),
        ("No/Such_Zone", "2026-03-29 00:59:00 UTC", "2026-03-29 01:01:00 UTC"),
    ],
)
def test_times_are_those_of_the_zone_with_its_abbreviation(zone: str, time: str, next_try: str) -> None:
    now = pendulum.datetime(2026, 3, 29, 0, 59)
    family = ("Retrying", "Scheduled", "Pending")
    event = sample_event(state="Retrying", state_family=family, time=now, next_attempt_at=now.add(minutes=2))
    message = compose(event, envelope(timezone=zone))
    assert dict(message.fields)["Time"] == time
    assert dict(message.fields)["Next try"] == next_try
    assert message.text.endswith(f"Next try at {next_try}")


def test_what_core_says_of_a_delivery_reaches_the_channel() -> None:
    message = compose(EVENT, envelope(Action.UPDATE, reason="new", group={"flow": "etl"}, silent=True))
    assert (message.reason, message.group, message.silent, message.at) == ("new", {"flow": "etl"}, True, "")
    assert message.time == EVENT.time
    assert not message.is_alarm


def test_a_template_takes_the_place_of_the_usual_words() -> None:
    template = Template("{{ flow|upper }} {{ state }}", "{{ exception.message }} {{ params.day }} {{ team }}")
    message = compose(EVENT, envelope(), template)
    assert (message.title, message.text) == ("ETL Failed", "bad row 17: <no amount> 2026-02-28 data")
    assert message.templated


@pytest.mark.parametrize("text", ["{{ nothing.here }}", "{{ flow", "{{ 1 / 0 }}", "{% for %}", "{{ ().__class__ }}"])
def test_a_template_that_fails_gives_the_usual_words_and_says_so(text: str) -> None:
    message = compose(EVENT, envelope(), Template(text=text))
    assert message.text.startswith("ValueError: bad row 17")
    assert "the template of route 'pages' failed" in message.text
    assert not message.templated


def test_a_title_is_one_line_whatever_the_template_gives() -> None:
    assert compose(EVENT, envelope(), Template(title="a\n\r b")).title == "a b"


def test_what_a_template_produces_is_bounded_and_the_cut_is_marked() -> None:
    text = render("{% for i in range(90000) %}xxxxxxxxxx{% endfor %}", {})
    assert len(text) == OUTPUT_CAP
    assert "cut" in text[-60:]


def test_event_data_is_never_read_as_a_template() -> None:
    event = sample_event(message="{{ 7 * 7 }}", exception=ExceptionSummary("E", "{{ 7 * 7 }}"))
    assert (
        compose(event, envelope(), Template(text="{{ message }} {{ exception.message }}")).text
        == "{{ 7 * 7 }} {{ 7 * 7 }}"
    )


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ flow }} {{ next_attempt_at }}", None),
        ("{{ flwo }}", "'flwo' is undefined"),
        ("{{ action }} {{ incident }} {{ reason }} {{ count }} {{ hides }} {{ say }} {{ acknowledged_by }}", None),
        ("{% if silent %}quiet{% endif %} {{ blocks }} {{ blocked|join(', ') }}", None),
        ("{% for item in items %}{{ item.subject }} {{ item.state }} {{ item.at }} {{ item.text }}{% endfor %}", None),
        ("{{ group.team }} {{ params.day|upper }} {{ context.owner }}", None),
        ("{% for item in items %}{{ item.sujbect }}{% endfor %}", "sujbect"),
        ("line\n{{ flow", "line 2"),
        ("{{ flow.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_is_checked_before_anything_fails(template: str, complaint: str | None) -> None:
    found = check_template(template)
    assert found is None if complaint is None else complaint in (found or "")


def test_templates_can_read_why_and_of_what_a_message_tells() -> None:
    items = (Item("etl/load", "Failed", "2026-03-01T12:30:15+00:00", "no"), Item("etl/x", "Failed", "", "", True))
    template = Template(
        "{{ count }} {{ reason }} in {{ group.flow }}",
        "{% for item in items if not item.recovered %}{{ item.subject }} {{ item.text }}{% endfor %}",
    )
    message = compose(EVENT, envelope(reason="new", group={"flow": "etl"}, items=items, count=7), template)
    assert (message.title, message.text) == ("7 new in etl", "etl/load no")


def test_templates_can_read_every_field_of_the_event() -> None:
    assert set(EVENT.to_dict()) <= set(template_data(EVENT, envelope()))
