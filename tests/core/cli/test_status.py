"""`tocsin status` says how things stand, and exits with 1 as soon as somebody has to look."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from support.operated import EXTRACT, FETCH, LOAD, happen, hub_of_2024
from support.shell import CONFIG, WALL, Shell
from tocsin.delivery.presence import HUB, announce
from tocsin.simulate import event_of
from tocsin.store.records import Cell
from tocsin.store.summary import DISABLED

Install = Callable[[str, str], None]
WALLED = CONFIG.replace('["inbox"]', '["wall"]') + '[channels.wall]\ntype = "wall"\n'


@pytest.fixture
def walled(shell: Shell, install: Install) -> Shell:
    """A folder where nothing that goes wrong can be told: the channel refuses for good."""
    install("tocsin_wall", WALL)
    shell.write(WALLED)
    return shell


def put(cell: Cell) -> None:
    with hub_of_2024() as (hub, _):
        assert hub.outbox is not None
        hub.outbox.store.transact(lambda tx: tx.put(cell))


def first_line(shell: Shell) -> str:
    return shell("status").stdout.partition("\n")[0]


def test_where_nothing_ever_happened_all_is_well_and_no_store_is_made(shell: Shell) -> None:
    result = shell("status")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("fine: nothing needs a person\n")
    assert "not made yet" in result.stdout
    assert not (shell.folder / "tocsin.db").exists()
    told = shell.json("status")
    assert (told["ok"], told["troubles"], told["hubs"], told["store"]["bytes"]) == (True, [], [], None)
    assert set(told["channels"]) == {"inbox", "screen"}


def test_what_waits_and_what_arrived_is_told_for_each_channel(shell: Shell) -> None:
    happen(LOAD)
    shell("tick")
    told = shell.json("status")
    inbox = told["channels"]["inbox"]
    assert (inbox["pending"], inbox["due"], inbox["leased"], inbox["dead"]) == (0, 0, 0, 0)
    assert datetime.fromisoformat(inbox["last_success"]).tzinfo is not None
    assert told["channels"]["screen"]["last_success"] is None
    assert told["incidents_open"] == 1
    assert told["store"]["bytes"] > 0
    assert "incidents:  1 open" in shell("status").stdout


def test_a_delivery_that_has_waited_too_long_needs_somebody(shell: Shell) -> None:
    happen(LOAD, EXTRACT)
    told = shell.json("status", code=1)
    assert told["channels"]["inbox"]["pending"] == 2
    assert datetime.fromisoformat(told["oldest"]) == datetime(2024, 1, 1, 12, tzinfo=UTC)
    [trouble] = told["troubles"]
    assert trouble == (
        "2 deliveries wait for 'inbox', the oldest since 2024-01-01 12:00:00 UTC, and nobody delivers: run 'tocsin hub'"
    )
    assert first_line(shell) == f"needs you: {trouble}"


def test_one_that_has_just_been_planned_needs_nobody(shell: Shell) -> None:
    with hub_of_2024() as (hub, clock):
        clock.advance(datetime.now(UTC) - clock.now())
        assert hub.outbox is not None
        hub.store_event(hub.outbox, event_of(LOAD, clock))
    told = shell.json("status")
    assert (told["channels"]["inbox"]["pending"], told["troubles"]) == (1, [])


def test_dead_deliveries_need_somebody_and_say_why_and_what_shows_them(walled: Shell) -> None:
    happen(LOAD, FETCH)
    walled("tick")
    told = walled.json("status", code=1)
    wall = told["channels"]["wall"]
    assert (wall["dead"], wall["dead_reasons"], wall["failures"]) == (2, {"auth": 2}, {"auth": 2})
    assert wall["failing_since"] is not None
    assert told["troubles"] == [
        "2 deliveries to 'wall' are dead (auth: 2); 'tocsin deliveries --status dead --channel wall' shows them"
    ]
    shown = walled("status").stdout
    assert "failing since " in shown
    assert "s3cr3t" not in shown + json.dumps(told)


def test_a_channel_that_lacks_what_it_needs_needs_somebody_at_once(shell: Shell, install: Install) -> None:
    lacks = WALL.replace("Reason.AUTH", "Reason.CONFIG").replace(", permanent=True", "")
    install("tocsin_wall", lacks)
    shell.write(WALLED)
    with hub_of_2024() as (hub, clock):
        clock.advance(datetime.now(UTC) - clock.now())
        assert hub.outbox is not None
        hub.store_event(hub.outbox, event_of(LOAD, clock))
    assert shell.json("status")["troubles"] == [], "nobody has tried yet"
    shell.unchecked("tick")
    [trouble] = shell.json("status", code=1)["troubles"]
    assert trouble.startswith("1 delivery waits for 'wall', the oldest since ")
    assert trouble.endswith(", and the last try failed (config): 'tocsin test wall' says what is wrong")


def test_dead_deliveries_that_were_revived_need_nobody(walled: Shell) -> None:
    happen(LOAD)
    walled("tick")
    assert walled("status").exit_code == 1
    walled("deliveries", "retry", "--all-dead")
    told = walled.json("status")
    assert (told["channels"]["wall"]["dead"], told["channels"]["wall"]["pending"]) == (0, 1)


def test_a_channel_that_is_switched_off_needs_somebody(shell: Shell) -> None:
    put(Cell(DISABLED, "inbox", "{}"))
    [trouble] = shell.json("status", code=1)["troubles"]
    assert trouble.startswith("channel 'inbox' is switched off")
    assert "switched off" in shell("status").stdout.splitlines()[-2]


def test_events_in_the_spill_file_need_somebody(shell: Shell) -> None:
    with hub_of_2024() as (hub, clock):
        assert hub.outbox is not None
        hub.outbox.spill.add(event_of(LOAD, clock), [])
    told = shell.json("status", code=1)
    assert told["spilled"]["events"] == 1
    assert told["troubles"][0].startswith("1 event waits in the spill file ")
    (shell.folder / "tocsin.db").unlink()
    assert shell("status").exit_code == 1, "even where there is no store"


def test_events_in_a_spill_file_that_is_being_replayed_count_too(shell: Shell) -> None:
    with hub_of_2024() as (hub, clock):
        assert hub.outbox is not None
        spill = hub.outbox.spill
        spill.add(event_of(LOAD, clock), [])
        spill.path.rename(spill.path.with_name(spill.path.name + ".replay"))
        spill.add(event_of(FETCH, clock), [])
    assert shell.json("status", code=1)["spilled"]["events"] == 2


def test_several_troubles_are_counted_in_the_first_line_and_all_told_below(walled: Shell) -> None:
    put(Cell(DISABLED, "wall", "{}"))
    happen(LOAD)
    lines = walled("status").stdout.splitlines()
    assert lines[0].startswith("needs you: channel 'wall' is switched off")
    assert lines[0].endswith(" (and 1 more, below)")
    assert [line.startswith("needs you: ") for line in lines[-2:]] == [True, True]
    assert "1 delivery waits for 'wall'" in lines[-1]


# ---------------------------------------------------------------- the hub


def seen(**more: Any) -> None:
    body = {"seen_at": datetime.now(UTC).timestamp(), "host": "db1", **more}
    put(Cell(HUB, "db1|boot|4711|99", json.dumps(body)))


def test_a_hub_of_another_host_is_there_while_it_is_heard_of(shell: Shell) -> None:
    seen(started_at=datetime(2024, 1, 1, tzinfo=UTC).timestamp(), breakers={"inbox": "open"})
    [hub] = shell.json("status")["hubs"]
    assert (hub["host"], hub["pid"], hub["there"]) == ("db1", 4711, True)
    shown = shell("status").stdout
    assert "hub:        on 'db1', process 4711, since 2024-01-01 00:00:00 UTC, last seen " in shown
    assert "breaker open" in shown


def test_a_hub_that_was_not_heard_of_for_long_is_gone(shell: Shell) -> None:
    seen(seen_at=(datetime.now(UTC) - timedelta(hours=1)).timestamp(), breakers={"inbox": "open"})
    [hub] = shell.json("status")["hubs"]
    assert hub["there"] is False
    shown = shell("status").stdout
    assert "last seen 1 h ago, has ended without a word" in shown
    assert "breaker" not in shown


def test_what_a_hub_has_lost_needs_somebody(shell: Shell) -> None:
    seen(lost=2)
    [trouble] = shell.json("status", code=1)["troubles"]
    assert trouble.startswith("the hub on 'db1' has lost 2 events")


def test_a_hub_that_ended_long_ago_without_a_word_is_forgotten_when_another_speaks(shell: Shell) -> None:
    seen(seen_at=datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    with hub_of_2024() as (hub, _):
        assert hub.outbox is not None
        announce(hub.outbox.store, datetime.now(UTC), {"spilled": 3})
    [hub_seen] = shell.json("status")["hubs"]
    assert (hub_seen["there"], hub_seen["spilled"]) == (True, 3)


def test_a_store_that_cannot_be_read_is_an_error(shell: Shell) -> None:
    (shell.folder / "tocsin.db").mkdir()
    result = shell("status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "tocsin.db" in result.stderr


def test_a_damaged_store_that_was_set_aside_needs_somebody_until_it_is_moved_away(shell: Shell) -> None:
    happen()
    aside = shell.write("damaged", "tocsin.db.corrupt-20260102T120000Z")
    shell.write("its log", "tocsin.db.corrupt-20260102T120000Z-wal")
    told = shell.json("status", code=1)
    assert told["set_aside"] == [str(aside)]
    assert told["troubles"][0].startswith(f"a damaged store was set aside as '{aside}'")
    assert "was set aside" in shell("doctor").stdout
    aside.unlink()
    assert shell("status").exit_code == 0


def test_nothing_is_changed_by_looking(shell: Shell) -> None:
    happen(LOAD)
    before = shell.json("deliveries")
    shell("status")
    assert shell.json("deliveries") == before
