"""A message of several events is shown with all that it tells of, and each of them leads to it."""

from __future__ import annotations

from support.operated import EXTRACT, LOAD, happen, hub_of_2024
from support.shell import Shell

CONFIG = """
[defaults]
send = ["ops"]
group = { by = ["flow"], wait = "5m" }
[channels.ops]
type = "inbox"
"""


def grouped(empty: Shell) -> None:
    """Two failures that are told in one message at five past twelve, and a third that is told of later."""
    empty.write(CONFIG)
    happen(LOAD, EXTRACT)
    with hub_of_2024() as (hub, clock):
        clock.advance(600)
        hub.tick()


def test_a_delivery_of_several_events_lists_them(empty: Shell) -> None:
    grouped(empty)
    [delivery] = empty.json("deliveries")
    assert len(delivery["events"]) == 2
    assert delivery["event"]["id"] == delivery["events"][0]
    assert "Failed etl/extract and 1 more" in empty("deliveries").stdout
    shown = empty("deliveries", "show", delivery["id"]).stdout
    assert "  events:  2\n" in shown
    for event, subject in zip(delivery["events"], ("etl/extract", "etl/load"), strict=True):
        assert f"    {event}  Failed {subject}\n" in shown


def test_a_delivery_is_shown_in_the_words_in_which_it_is_sent(empty: Shell) -> None:
    grouped(empty)
    [delivery] = empty.json("deliveries")
    shown = empty.json("deliveries", "show", delivery["id"])
    assert shown["message"]["title"] == "2 problems in etl: extract, load"
    assert "Failed: etl/load" in shown["message"]["text"]


def test_each_event_of_a_message_leads_to_it(empty: Shell) -> None:
    grouped(empty)
    [delivery] = empty.json("deliveries")
    for event in delivery["events"]:
        [sent] = empty.json("explain", "--event-id", event)["history"]["sent"]
        assert (sent["id"], sent["events"]) == (delivery["id"], delivery["events"])
        assert "with 1 more: pending" in empty("explain", "--event-id", event).stdout


def test_a_delivery_of_one_event_lists_none(empty: Shell) -> None:
    empty.write(CONFIG.replace("group", "#"))
    happen(LOAD)
    [delivery] = empty.json("deliveries")
    assert delivery["events"] == [delivery["event"]["id"]]
    assert "events:" not in empty("deliveries", "show", delivery["id"]).stdout
    assert "more" not in empty("deliveries").stdout


def test_the_newest_incidents_are_listed_whether_they_are_over_or_not(empty: Shell) -> None:
    empty.write(CONFIG)
    happen(LOAD, EXTRACT, {**LOAD, "state": "Success"})
    assert [incident["number"] for incident in empty.json("incidents", "--all", "1")] == [2]
    assert [bool(incident["closed_at"]) for incident in empty.json("incidents", "--all", "5")] == [True, False]
