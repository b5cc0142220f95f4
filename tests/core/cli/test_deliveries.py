from __future__ import annotations

from collections.abc import Callable

import pytest

from support.shell import CONFIG, FLOW, WALL, Shell


@pytest.fixture
def dead(shell: Shell, install: Callable[[str, str], None]) -> Shell:
    """A folder where two deliveries to the channel "wall" are dead, and those to the inbox arrived."""
    install("tocsin_wall", WALL)
    every = '[[inhibit]]\nname = "flow"\nenabled = false\n'  # the flow's failure is told beside its task's
    shell.write(CONFIG.replace('["inbox"]', '["inbox", "wall"]') + every + '[channels.wall]\ntype = "wall"\n')
    shell.write(FLOW.replace("calls = []", "calls = [1]"), "etl.py")
    result = shell("run", "etl.py", "--param", "ok=false", "--quiet")
    assert result.exit_code == 1
    assert "is dead after 1 attempt(s): auth: HTTP 401" in result.stderr
    return shell


def test_deliveries_are_picked_by_status_and_channel(dead: Shell) -> None:
    assert [d["event"]["task"] for d in dead.json("deliveries", "--status", "dead")] == ["", "load"]
    assert {d["status"] for d in dead.json("deliveries", "--channel", "inbox")} == {"delivered"}
    shown = dead("deliveries", "--status", "dead").stdout
    assert "Failed etl/load" in shown
    assert "auth: HTTP 401" in shown
    assert dead("deliveries", "--status", "pending").stdout == "no such deliveries\n"
    assert "did you mean 'wall'?" in dead("deliveries", "--channel", "wal").stderr


def test_a_delivery_is_shown_with_its_message_and_every_try(dead: Shell) -> None:
    delivery = dead.json("deliveries", "--status", "dead")[1]
    shown = dead("deliveries", "show", delivery["id"][:8]).stdout
    assert f"delivery {delivery['id']}" in shown
    assert "Failed: etl/load\n    OSError: disk full\n" in shown
    assert "HTTP 401 from https://wall.example.org/..." in shown
    data = dead.json("deliveries", "show", delivery["id"])
    assert [(t["outcome"], t["reason"]) for t in data["tries"]] == [("dead", "auth")]
    assert data["message"]["title"] == "Failed: etl/load"


def test_an_id_that_fits_none_or_several_is_refused(dead: Shell) -> None:
    for command in ("show", "retry"):
        assert "no delivery begins with 'zz'" in dead("deliveries", command, "zz").stderr
        assert dead("deliveries", command, "").exit_code == 2


def test_a_dead_delivery_can_be_tried_again_by_its_id(dead: Shell) -> None:
    delivery = dead.json("deliveries", "--status", "dead")[0]
    result = dead("deliveries", "retry", delivery["id"][:8])
    assert result.stdout == "1 delivery due again; 'tocsin hub' or the next run delivers\n"
    assert [d["id"] for d in dead.json("deliveries", "--status", "pending")] == [delivery["id"]]
    refused = dead("deliveries", "retry", delivery["id"])
    assert refused.exit_code == 2
    assert "is pending; only dead ones can be tried again" in refused.stderr


def test_dead_deliveries_can_be_picked_by_channel_and_filter(dead: Shell) -> None:
    assert dead.json("deliveries", "retry", "--all-dead", "--channel", "inbox")["revived"] == 0
    assert dead.json("deliveries", "retry", "--all-dead", "--when", "task=load")["revived"] == 1
    assert dead.json("deliveries", "retry", "--all-dead", "--channel", "wall")["revived"] == 1
    assert dead.json("deliveries", "--status", "dead") == []


def test_retry_asks_for_ids_or_for_all(dead: Shell) -> None:
    for args in ((), ("5e1c", "--all-dead"), ("5e1c", "--channel", "wall")):
        assert dead("deliveries", "retry", *args).exit_code == 2
    assert len(dead.json("deliveries", "--status", "dead")) == 2


def test_what_was_revived_goes_out_with_the_next_hub(dead: Shell) -> None:
    dead("deliveries", "retry", "--all-dead")
    dead.write(CONFIG.replace('["inbox"]', '["inbox", "wall"]') + '[channels.wall]\ntype = "console"\n')
    result = dead("hub", "--once")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "2 delivered, 0 dead, 0 left"
    assert "[error] Failed: etl/load" in result.stderr
    assert dead.json("deliveries", "--status", "dead") == []


def test_a_single_round_of_the_hub_fails_when_something_is_dead(dead: Shell) -> None:
    dead("deliveries", "retry", "--all-dead")
    result = dead("hub", "--once")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "0 delivered, 2 dead, 0 left"
