"""What `backtest` promises: what another config would have sent for the same past, more, less or elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.past import Past
from support.shell import Shell
from tocsin.clock import ManualClock
from tocsin.simulate import event_of
from tocsin.store.reading import BEGINNING, events_between, newest_event
from tocsin.store.sqlite import SqliteStore

NOON = "2026-03-02T12:00:00Z"
PERIOD = ("--since", "2026-03-02", "--until", "2026-03-03")
PRESENT = """\
[channels.ops]
type = "inbox"
[channels.mail]
type = "inbox"

[[routes]]
name = "problems"
when = "is_failed"
send = ["ops"]
"""

Begin = Callable[..., Past]


@pytest.fixture
def begin(empty: Shell) -> Iterator[Begin]:
    """Writes the present config and begins a history with it."""
    begun: list[Past] = []

    def begin(config: str = PRESENT, start: str = NOON) -> Past:
        empty.write(config)
        begun.append(Past(empty.folder, start))
        return begun[-1]

    yield begin
    for past in begun:
        past.close()


def fail_and_recover(past: Past) -> None:
    """Two failures of a flow, half a minute apart, and their recovery after ten minutes."""
    past.publish(state="Failed", flow="etl", task="extract")
    past.advance("30s")
    past.publish(state="Failed", flow="etl", task="load")
    past.advance("10m")
    past.publish(state="Success", flow="etl", task="extract")
    past.publish(state="Success", flow="etl", task="load")


def backtest(shell: Shell, new: str, *args: str, code: int = 0) -> Any:
    shell.write(new, "new.toml")
    return shell.json("backtest", "new.toml", *PERIOD, *args, code=code)


def rows(found: Any) -> list[tuple[str, str, int, int, int]]:
    return [(r["route"], r["channel"], r["present"], r["new"], r["difference"]) for r in found["rows"]]


def test_the_same_config_sends_the_same(empty: Shell, begin: Begin) -> None:
    fail_and_recover(begin())
    found = backtest(empty, PRESENT, "--show")
    assert found["events"] == 4
    assert rows(found) == [("problems", "ops", 4, 4, 0)]
    assert (found["more"], found["less"], found["elsewhere"]) == ([], [], [])
    assert found["totals"]["at_another_time"] == 0
    assert "both would have sent the same messages" in empty("backtest", "new.toml", *PERIOD).stdout


def test_messages_on_another_channel_are_shown_as_elsewhere(empty: Shell, begin: Begin) -> None:
    fail_and_recover(begin())
    found = backtest(empty, PRESENT.replace('send = ["ops"]', 'send = ["mail"]'), "--show")
    assert rows(found) == [("problems", "mail", 0, 4, 4), ("problems", "ops", 4, 0, -4)]
    assert (found["more"], found["less"]) == ([], [])
    first = found["elsewhere"][0]
    assert (first["present"]["channel"], first["new"]["channel"], first["new"]["title"]) == (
        "ops", "mail", "Failed: etl/extract",
    )  # fmt: skip
    told = empty("backtest", "new.toml", *PERIOD, "--show").stdout
    assert "> 2026-03-02 12:00:00  ops (problems) -> mail (problems)  open  Failed: etl/extract" in told


def test_a_config_that_groups_sends_less(empty: Shell, begin: Begin) -> None:
    fail_and_recover(begin())
    found = backtest(empty, PRESENT + 'group = { by = ["flow"], wait = "1m" }\n', "--show")
    assert rows(found) == [("problems", "ops", 4, 3, -1)]
    assert [(m["time"], m["action"], len(m["events"])) for m in found["more"]] == [
        ("2026-03-02T12:01:00+00:00", "open", 2),
        ("2026-03-02T12:10:30+00:00", "update", 2),
        ("2026-03-02T12:10:30+00:00", "recover", 2),  # it tells of all that was grouped
    ]
    assert [m["action"] for m in found["less"]] == ["open", "open", "recover", "recover"]


def test_reminders_and_missed_runs_are_counted_to_the_end_of_the_period_and_no_further(
    empty: Shell, begin: Begin
) -> None:
    begin().publish(state="Failed", flow="etl", task="load")
    new = PRESENT + 'group = { by = ["flow"], wait = "1m", repeat = "4h" }\n'
    watch = '[[watch]]\nname = "ml"\nflow = "ml"\nkind = "missed"\nevery = "10h"\nsend = ["mail"]\n'
    found = backtest(empty, new + watch, "--show")
    assert rows(found) == [("problems", "ops", 1, 3, 2), ("watch:ml", "mail", 0, 1, 1)]
    assert [(m["time"][11:16], m["reason"]) for m in found["more"] if m["channel"] == "ops"] == [
        ("16:01", "repeat"),
        ("20:01", "repeat"),
    ]


def test_the_table_has_a_row_for_each_route_and_channel_in_the_order_of_the_configs(empty: Shell, begin: Begin) -> None:
    fail_and_recover(begin())
    backtest(empty, PRESENT + '[[routes]]\nname = "also"\nwhen = "is_failed, task=load"\nsend = ["mail"]\n')
    lines = [line.split() for line in empty("backtest", "new.toml", *PERIOD).stdout.splitlines()]
    assert lines[2:6] == [
        ["ROUTE", "CHANNEL", "PRESENT", "NEW", "DIFFERENCE"],
        ["problems", "ops", "4", "4", "0"],
        ["also", "mail", "0", "2", "+2"],
        ["in", "all", "4", "6", "+2"],
    ]
    assert lines[7] == ["2", "more,", "0", "less,", "0", "elsewhere"]


def test_messages_that_only_come_later_are_counted_as_such(empty: Shell, begin: Begin) -> None:
    begin().publish(state="Failed", flow="etl", task="load")
    found = backtest(empty, PRESENT + 'group = { by = ["flow"], wait = "1m", repeat = "7d" }\n')
    assert rows(found) == [("problems", "ops", 1, 1, 0)]
    assert found["totals"] == {
        "present": 1, "new": 1, "difference": 0, "more": 0, "less": 0, "elsewhere": 0, "at_another_time": 1,
    }  # fmt: skip


def test_only_a_route_or_a_channel_can_be_looked_at(empty: Shell, begin: Begin) -> None:
    fail_and_recover(begin())
    new = PRESENT.replace('send = ["ops"]', 'send = ["ops", "mail"]')
    assert rows(backtest(empty, new, "--channel", "mail")) == [("problems", "mail", 0, 4, 4)]
    found = backtest(empty, new, "--route", "defaults")
    assert (found["rows"], found["totals"]["more"]) == ([], 0)
    wrong = empty("backtest", "new.toml", "--channel", "mial")
    assert wrong.exit_code == 2
    assert "neither config has a channel 'mial'; did you mean 'mail'?" in wrong.stderr


def test_events_outside_of_the_period_do_not_count(empty: Shell, begin: Begin) -> None:
    past = begin()
    past.publish(state="Failed", flow="etl", task="a")
    past.advance("1d")
    past.publish(state="Failed", flow="etl", task="b")
    assert backtest(empty, PRESENT)["events"] == 1
    empty.write(PRESENT, "new.toml")
    one = empty.json("backtest", "new.toml", "--since", "2026-03-02T12:00:01Z", "--until", "2026-03-03T12:00:01Z")
    assert (one["events"], one["totals"]["new"]) == (1, 1)


def test_silences_in_the_store_count_for_both(empty: Shell, begin: Begin) -> None:
    past = begin()
    past.silence("task=load", "1h")
    past.publish(state="Failed", flow="etl", task="load")
    past.publish(state="Failed", flow="etl", task="extract")
    past.advance("10m")
    past.publish(state="Success", flow="etl", task="load")
    assert rows(backtest(empty, PRESENT)) == [("problems", "ops", 1, 1, 0)]


def test_a_new_config_with_mistakes_is_refused_as_check_refuses_it(empty: Shell, begin: Begin) -> None:
    begin()
    wrong = PRESENT.replace('["ops"]', '["opps"]')
    empty.write(wrong, "new.toml")
    result = empty("backtest", "new.toml")
    assert result.exit_code == 2
    assert result.stdout == empty("check", "new.toml").stdout
    assert "did you mean 'ops'?" in result.stdout
    found = backtest(empty, wrong, code=2)
    assert [(found["ok"], each["code"]) for each in found["problems"]] == [(False, "W902"), (False, "E302")]


def test_events_that_history_may_lack_are_said(empty: Shell, begin: Begin) -> None:
    fail_and_recover(begin())
    wider = PRESENT + '[[routes]]\nname = "wider"\nwhen = "state=Success"\nsend = ["mail"]\n'
    narrower = PRESENT + '[[routes]]\nname = "narrower"\nwhen = "is_failed and tags=prod"\nsend = ["mail"]\n'
    assert backtest(empty, wider)["may_lack_events_for"] == ["route 'wider'"]
    told = empty("backtest", "new.toml", *PERIOD).stdout
    assert "history may lack events that route 'wider' of the new config would act on" in told
    assert '[store] history = "all" keeps every event' in told
    assert backtest(empty, narrower)["may_lack_events_for"] == []
    empty.write(PRESENT + '[store]\nhistory = "all"\n')
    assert backtest(empty, wider)["may_lack_events_for"] == []


def test_watches_report_by_themselves_and_not_once_more_from_history(empty: Shell, begin: Begin) -> None:
    watched = PRESENT + '[[watch]]\nname = "late"\nkind = "missed"\nflow = "etl"\nevery = "1h"\nsend = ["mail"]\n'
    past = begin(watched)
    past.publish(state="Running", flow="etl")
    past.advance("70m")
    assert [each.channel for each in past.store.deliveries()] == ["mail"]
    found = backtest(empty, watched)
    assert found["events"] == 1
    assert found["totals"]["difference"] == 0
    assert backtest(empty, PRESENT)["totals"]["new"] == 0


def test_no_secret_is_read_and_nothing_is_stored(empty: Shell, begin: Begin, install: Any, monkeypatch: Any) -> None:
    from support.shell import PIGEON

    install("tocsin_pigeon", PIGEON)
    monkeypatch.delenv("RING_OF_THE_PIGEON", raising=False)
    past = begin()
    fail_and_recover(past)
    before = past.contents()
    new = PRESENT.replace(
        '[channels.mail]\ntype = "inbox"', '[channels.mail]\ntype = "pigeon"\nring = { env = "RING_OF_THE_PIGEON" }'
    )
    assert rows(backtest(empty, new.replace('send = ["ops"]', 'send = ["mail"]')))[0] == ("problems", "mail", 0, 4, 4)
    assert past.contents() == before
    assert empty.json("inbox") == []


def test_a_period_without_events_or_a_store_is_said(empty: Shell, begin: Begin) -> None:
    empty.write(PRESENT)
    empty.write(PRESENT, "new.toml")
    none = empty("backtest", "new.toml")
    assert none.exit_code == 2
    assert "there is no history yet" in none.stderr
    assert not (empty.folder / "tocsin.db").exists()
    begin()
    result = empty("backtest", "new.toml", *PERIOD)
    assert result.exit_code == 0
    assert result.stdout == (
        "0 events from 2026-03-02 00:00:00 to 2026-03-03 00:00:00 UTC\nneither config would have sent anything\n"
    )


def test_a_period_that_cannot_be_meant_is_refused(empty: Shell, begin: Begin) -> None:
    begin()
    empty.write(PRESENT, "new.toml")
    for args, told in (
        (("--since", "2026-03-03", "--until", "2026-03-02"), "is not after --since"),
        (("--since", "soon"), "--since takes a time"),
        (("--since", "99999999d"), "--since"),
    ):
        result = empty("backtest", "new.toml", *args)
        assert result.exit_code == 2
        assert told in result.stderr


# ---------------------------------------------------------------- reading history


@pytest.mark.parametrize("at_a_time", [1, 2, 7, 1000])
def test_history_is_read_whole_and_in_the_order_of_time_however_few_at_a_time(tmp_path: Path, at_a_time: int) -> None:
    store, clock = SqliteStore(tmp_path / "a.db"), ManualClock()
    offsets = [5, 0, 0, 0, 3, 9, 1, 1, 8, 7, 7, 2, 6, 4, 30, 20]  # as stored: neither in order nor all different
    start = clock.now()
    made = [
        event_of({"time": start + timedelta(seconds=n), "id": f"{place}"}, clock) for place, n in enumerate(offsets)
    ]
    store.transact(lambda tx: [tx.add_event(event) for event in made])
    end = start + timedelta(seconds=30)
    read = [event.id for event in events_between(store, start, end, at_a_time=at_a_time)]
    expected = sorted((n, place) for place, n in enumerate(offsets) if n < 30)
    assert read == [str(place) for _, place in expected]
    newest = newest_event(store, datetime(2030, 1, 1, tzinfo=UTC))
    assert newest is not None
    assert newest.id == "14"
    assert list(events_between(store, BEGINNING, start)) == []
    store.close()
