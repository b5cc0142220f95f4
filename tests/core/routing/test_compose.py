"""What a message says."""

from datetime import timedelta

import pytest

from tocsin.routing.compose import Envelope, Template, compose
from tocsin.routing.templates import OUTPUT_CAP, check_template, render, template_data
from tocsin_hooks.events import ExceptionSummary
from tocsin_hooks.messages import Action
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
        ("line\n{{ flow", "line 2"),
        ("{{ flow.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_template_is_checked_before_anything_fails(template: str, complaint: str | None) -> None:
    found = check_template(template)
    assert found is None if complaint is None else complaint in (found or "")


def test_templates_can_read_every_field_of_the_event() -> None:
    assert set(EVENT.to_dict()) <= set(template_data(EVENT))
