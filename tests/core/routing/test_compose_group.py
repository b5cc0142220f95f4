"""What a message of several events says."""

from datetime import timedelta

import pytest

from tocsin.delivery.envelopes import envelope_of
from tocsin.routing.compose import Envelope, Template, compose
from tocsin.routing.compose_group import TEXT_CAP
from tocsin.store.records import Planned
from tocsin_hooks.messages import Action, Item, Message
from tocsin_hooks.testing import sample_event

EVENT = sample_event()
OPENED = EVENT.time - timedelta(minutes=12)
ETL = {"project": "warehouse", "flow": "etl"}


def item(name: str, state: str = "Failed", text: str = "ValueError: bad", *, recovered: bool = False) -> Item:
    return Item(f"etl/{name}", state, EVENT.time.isoformat(), text, recovered)


LOAD, EXTRACT, CLEAN = item("load"), item("extract", "TimedOut"), item("clean", "Retrying", "")
OVER = item("load", recovered=True)


def told(
    *items: Item, action: Action = Action.OPEN, event=EVENT, template: Template | None = None, **changes
) -> Message:
    changes = {"group": ETL, "reason": "first", "incident_opened_at": OPENED} | changes
    return compose(event, Envelope("d1", "ops", "flappy", action, items=items, **changes), template)


def test_problems_are_counted_placed_and_named() -> None:
    message = told(LOAD, EXTRACT, CLEAN)
    assert message.title == "3 problems in etl: load, extract, clean"
    assert message.text.splitlines() == [
        "Failed: etl/load: ValueError: bad",
        "TimedOut: etl/extract: ValueError: bad",
        "Retrying: etl/clean",
    ]
    assert message.fields[:3] == (("Problems", "3"), ("Project", "warehouse"), ("Flow", "etl"))
    assert (message.count, message.items, message.group) == (3, (LOAD, EXTRACT, CLEAN), ETL)
    assert message.tells_of_several


def test_a_group_of_one_is_told_as_the_event_that_it_is() -> None:
    message = told(LOAD, count=1)
    assert message.title == "Failed: etl/load (attempt 2 of 3)"
    assert ("Task", "load") in message.fields
    assert not message.tells_of_several


@pytest.mark.parametrize(
    ("items", "changes", "title"),
    [
        ((LOAD, EXTRACT, CLEAN, item("a")), {}, "4 problems in etl: load, extract, clean and 1 more"),
        ((LOAD, EXTRACT), {"count": 40}, "40 problems in etl: load, extract and 38 more"),
        ((LOAD, LOAD, EXTRACT), {}, "3 problems in etl: load, extract"),
        ((LOAD, EXTRACT), {"group": {}}, "2 problems: etl/load, etl/extract"),
        ((LOAD, EXTRACT), {"group": {"project": "dwh"}}, "2 problems in dwh: etl/load, etl/extract"),
        ((LOAD, EXTRACT), {"group": {"flow": "", "project": ""}}, "2 problems: etl/load, etl/extract"),
        ((LOAD, EXTRACT), {"group": {"exception": "KeyError"}},
         "2 problems with exception KeyError: etl/load, etl/extract"),
        ((LOAD, EXTRACT), {"group": {"flow": "etl", "team": "data"}}, "2 problems in etl (team data): load, extract"),
        ((item("load[0]"), item("load[1]")), {"group": {"flow": "etl", "task": "load"}},
         "2 problems in etl/load: load[0], load[1]"),
        ((), {"count": 5}, "5 problems in etl"),
        ((Item("etl", "Failed", ""), LOAD), {}, "2 problems in etl: etl, load"),
        ((Item("größe/lädt\n", "Failed", ""), LOAD), {"group": {"flow": "größe"}},
         "2 problems in größe: lädt, etl/load"),
    ],
)  # fmt: skip
def test_a_title_names_where_and_the_first_three(
    items: tuple[Item, ...], changes: dict[str, object], title: str
) -> None:
    assert told(*items, **changes).title == title


@pytest.mark.parametrize(
    ("reason", "title"),
    [
        ("recovered", "2 of 3 problems recovered in etl"),
        ("", "2 of 3 problems recovered in etl"),
        ("new", "1 problem in etl: clean; 2 recovered"),
        ("changed", "1 problem in etl: clean; 2 recovered"),
    ],
)
def test_news_comes_first_in_the_title_be_it_a_recovery_or_a_failure(reason: str, title: str) -> None:
    message = told(OVER, item("extract", recovered=True), CLEAN, action=Action.UPDATE, reason=reason)
    assert message.title == title
    assert message.text.splitlines()[0] == "Retrying: etl/clean"  # what is still wrong comes first
    assert sum(line.startswith("Recovered: ") for line in message.text.splitlines()) == 2
    assert ("Problems", "3, 2 recovered") in message.fields


@pytest.mark.parametrize("items", [(LOAD, EXTRACT, CLEAN), (OVER, OVER, OVER)])
def test_when_all_is_over_the_title_says_after_how_long(items: tuple[Item, ...]) -> None:
    message = told(*items, action=Action.RECOVER, reason="all recovered")
    assert message.title == "Recovered: 3 problems in etl after 12 min"
    assert all(line.startswith("Recovered: ") for line in message.text.splitlines())
    assert message.severity == "info"


def test_an_outage_ends_with_the_last_of_the_recoveries() -> None:
    last = Item("etl/x", "Success", (EVENT.time + timedelta(minutes=8)).isoformat(), "", True)
    assert told(OVER, last, action=Action.RECOVER).title == "Recovered: 2 problems in etl after 20 min"


def test_recoveries_that_are_not_listed_are_counted() -> None:
    message = told(OVER, LOAD, action=Action.UPDATE, count=90, recovered=30, reason="recovered")
    assert message.title == "30 of 90 problems recovered in etl"
    assert message.text.splitlines()[-1] == "and 88 more"


def test_a_reminder_counts_what_is_still_wrong() -> None:
    message = told(LOAD, EXTRACT, OVER, action=Action.REPEAT, reason="repeat", at=OPENED + timedelta(hours=4))
    assert message.title == "Still 2 problems in etl for 4 h: load, extract; 1 recovered"


def test_a_group_that_is_calm_again_says_so_and_lists_what_is_wrong() -> None:
    message = told(LOAD, EXTRACT, OVER, action=Action.UPDATE, reason="calm", within=timedelta(minutes=30))
    assert message.title == "Calm again: 2 problems in etl: load, extract; 1 recovered"
    assert message.tells_of_several


def test_the_envelope_of_a_planned_delivery_holds_all_that_was_planned() -> None:
    planned = Planned(
        "ops", "flappy", Action.REPEAT, reason="repeat", incident="etl", opened_at=OPENED, group=ETL, items=(LOAD,),
        count=7, recovered=2, within=timedelta(hours=1), silent=True, say="wake up", hides=3, acknowledged_by="kim",
    )  # fmt: skip
    assert envelope_of(planned, "d1", at=EVENT.time, timezone="Europe/Berlin", attempt=2, may_repeat=True) == Envelope(
        "d1", "ops", "flappy", Action.REPEAT, 2, True, "etl", OPENED, "repeat", ETL, (LOAD,), 7, 2, True, "kim",
        "wake up", 3, EVENT.time, timedelta(hours=1), "Europe/Berlin",
    )  # fmt: skip


def test_an_acknowledgement_of_a_group_names_who_and_how_much() -> None:
    message = told(LOAD, EXTRACT, action=Action.UPDATE, reason="acknowledged", acknowledged_by="kim")
    assert message.title == "Acknowledged by kim: 2 problems in etl"
    assert ("Acknowledged by", "kim") in message.fields


@pytest.mark.parametrize(
    ("items", "changes", "title"),
    [
        ((LOAD, OVER, CLEAN), {"count": 12, "recovered": 3}, "Digest: 12 problems, 3 recovered"),
        ((LOAD,), {}, "Digest: 1 problem"),
        ((OVER, OVER), {}, "Digest: 2 problems, 2 recovered"),
        ((LOAD, CLEAN), {"group": ETL}, "Digest: 2 problems in etl"),
        ((item("a", "Success", ""), item("b", "Cached", "")), {}, "Digest: 2 events"),
        ((item("a", "Success", ""), item("b", "OutOfStock", "")), {}, "Digest: 2 problems"),
    ],
)
def test_a_digest_counts_what_was_collected(items: tuple[Item, ...], changes: dict[str, object], title: str) -> None:
    message = told(*items, action=Action.EVENT, reason="digest", **{"group": {}, **changes})
    assert message.title == title
    assert message.tells_of_several


def test_a_digest_says_when_each_thing_happened() -> None:
    lines = told(LOAD, OVER, reason="digest", timezone="Europe/Berlin").text.splitlines()
    assert lines == [
        "Failed: etl/load: ValueError: bad (2026-03-01 13:30:15 CET)",
        "Recovered: etl/load: ValueError: bad (2026-03-01 13:30:15 CET)",
    ]


@pytest.mark.parametrize("at", ["", "yesterday", "2026-03-01T12:30:15"])
def test_a_time_that_says_too_little_is_left_out(at: str) -> None:
    assert told(Item("etl/load", "Failed", at, "no"), reason="digest").text == "Failed: etl/load: no"


@pytest.mark.parametrize(
    ("count", "minutes", "title"),
    [
        (12, 30, "12 more messages of route 'flappy' were held back in 30 min"),
        (1, 30, "1 more message of route 'flappy' was held back in 30 min"),
        (12, None, "12 more messages of route 'flappy' were held back"),
    ],
)
def test_a_summary_says_how_many_messages_were_held_back(count: int, minutes: int | None, title: str) -> None:
    within = None if minutes is None else timedelta(minutes=minutes)
    message = told(action=Action.EVENT, reason="summary", count=count, within=within)
    assert message.title == title
    assert message.text == "The last: Failed: etl/load: ValueError: bad row 17: <no amount>"
    assert message.tells_of_several
    assert not message.is_alarm


@pytest.mark.parametrize("say", ["", "still nobody", "wake up " * 400])
def test_a_list_ends_where_there_is_no_more_room_and_counts_the_rest(say: str) -> None:
    message = told(*(item(f"part-{n}", text="x" * n) for n in range(500)), count=700, say=say)
    lines = message.text.removeprefix(say).strip().splitlines()
    shown = len(lines) - 1
    assert lines[-1] == f"and {700 - shown} more"
    assert lines[:2] == ["Failed: etl/part-0", "Failed: etl/part-1: x"]
    assert 3 < shown < 100
    assert len(message.text) <= max(TEXT_CAP, len(say) + TEXT_CAP // 2)


def test_each_item_is_one_line_however_long_its_text() -> None:
    lines = told(item("load", text="a\n\nb " * 200), LOAD).text.splitlines()
    assert len(lines) == 2
    assert len(lines[0]) == 300
    assert lines[0].endswith("…")


def test_the_root_cause_in_a_group_says_what_it_blocks() -> None:
    event = sample_event(blocks=500, blocked=("a", "b"))
    message = told(LOAD, EXTRACT, event=event, hides=498)
    assert message.text.splitlines()[0] == "etl/load blocks 500 tasks: a, b, ..."
    assert ("Blocks", "500 tasks: a, b, ...") in message.fields
    assert ("Hides", "498 more") in message.fields


@pytest.mark.parametrize(
    ("items", "severity"),
    [
        ((CLEAN, CLEAN), "warning"),
        ((CLEAN, LOAD), "error"),
        ((CLEAN, item("x", "Crashed"), LOAD), "critical"),
        ((CLEAN, item("x", "Crashed", recovered=True)), "warning"),
        ((OVER, OVER), "info"),
    ],
)
def test_a_group_is_as_urgent_as_the_worst_that_is_not_over(items: tuple[Item, ...], severity: str) -> None:
    event = sample_event(state="Retrying", state_family=("Retrying", "Scheduled", "Pending"), severity="")
    assert told(*items, event=event, action=Action.UPDATE).severity == severity


def test_a_severity_that_the_event_names_counts_among_the_states() -> None:
    assert told(LOAD, CLEAN, event=sample_event(severity="critical")).severity == "critical"
    assert told(LOAD, CLEAN, event=sample_event(severity="info")).severity == "error"


def test_a_template_that_fails_leaves_the_usual_list() -> None:
    message = told(LOAD, EXTRACT, template=Template(text="{{ group.team }}"))
    assert message.text.startswith("Failed: etl/load")
    assert "the template of route 'flappy' failed" in message.text
