from __future__ import annotations

import pytest

from support.operated import EXTRACT, FETCH, LOAD, happen
from support.shell import CONFIG, Shell


@pytest.fixture
def broken(shell: Shell) -> Shell:
    """A folder where three incidents are open, and the first of them was told to the inbox."""
    happen(LOAD, EXTRACT, FETCH)
    return shell


# ---------------------------------------------------------------- incidents


def test_what_is_open_is_shown_with_where_it_stands(broken: Shell) -> None:
    happen({**LOAD, "state": "TimedOut"})
    lines = broken("incidents").stdout.splitlines()
    assert lines[0].split() == ["NUMBER", "KEY", "STATE", "SINCE", "(UTC)", "FOR", "FAILURES", "HIDES", "NOTES"]
    assert [line.split()[:5] for line in lines[1:]] == [
        ["#1", "/etl/load", "TimedOut", "2024-01-01", "12:00:00"],
        ["#2", "/etl/extract", "Failed", "2024-01-01", "12:01:00"],
        ["#3", "/mail/fetch", "Failed", "2024-01-01", "12:02:00"],
    ]
    assert [(i["number"], i["failures"], i["acked_by"], i["silence"]) for i in broken.json("incidents")] == [
        (1, 2, "", None),
        (2, 1, "", None),
        (3, 1, "", None),
    ]


def test_incidents_can_be_picked_by_a_filter(broken: Shell) -> None:
    assert [i["key"] for i in broken.json("incidents", "--filter", "tags=warehouse or flow=mail")] == [
        "/etl/load",
        "/mail/fetch",
    ]
    assert broken("incidents", "--filter", "flow=other").stdout == "no such incident\n"
    refused = broken("incidents", "--filter", "flow=etl and")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("            ^\n")


def test_nothing_open_is_said_and_makes_no_store(shell: Shell) -> None:
    assert shell("incidents").stdout == "no incident is open\n"
    assert shell.json("incidents") == []
    assert shell("incidents", "--all", "3").stdout == "no incidents yet\n"
    assert not (shell.folder / "tocsin.db").exists()


def test_all_shows_the_newest_that_are_over_too_and_changes_nothing(broken: Shell) -> None:
    happen({**EXTRACT, "state": "Success"})
    assert [i["key"] for i in broken.json("incidents")] == ["/etl/load", "/mail/fetch"]
    found = broken.json("incidents", "--all", "2")
    assert [(i["number"], i["closed_at"] is None) for i in found] == [(2, False), (3, True)]
    assert "over since 2024-01-01 12:00:00" in broken("incidents", "--all", "9").stdout
    assert len(broken.json("incidents", "--all", "9")) == 3


def test_an_incident_says_who_has_it_and_which_silence_is_on_it(broken: Shell) -> None:
    broken("ack", "1", "--by", "ann")
    silence = broken.json("silence", "add", "flow=mail", "--for", "1h")
    _, first, second, third = broken("incidents").stdout.splitlines()
    assert first.endswith("acknowledged by ann")
    assert second.split()[-2:] == ["1", "0"], "failed once, hides none, and nothing to note"
    assert third.endswith(f"silenced ({silence['id'][:8]})")
    assert broken.json("incidents")[2]["silence"] == silence["id"]


# ---------------------------------------------------------------- ack


@pytest.mark.parametrize("what", ["2", "#2", "/etl/extract", "etl/extract", "flow=etl and not tags=warehouse"])
def test_an_incident_is_named_by_number_key_or_filter(broken: Shell, what: str) -> None:
    assert broken("ack", what, "--by", "ann").stdout == "acknowledged #2 /etl/extract (Failed)\n"
    assert [i["acked_by"] for i in broken.json("incidents")] == ["", "ann", ""]


def test_a_filter_acknowledges_all_that_it_matches_and_each_once(broken: Shell) -> None:
    done = broken.json("ack", "flow=etl", "1", "is_failed", "--by", "ann")
    assert [incident["number"] for incident in done["acknowledged"]] == [1, 2, 3]
    assert (done["already"], done["by"]) == ([], "ann")


def test_whoever_acknowledged_first_keeps_it(broken: Shell) -> None:
    broken("ack", "1", "--by", "ann")
    assert broken("ack", "flow=etl", "--by", "bob").stdout.splitlines() == [
        "acknowledged #2 /etl/extract (Failed)",
        "#1 /etl/load was acknowledged before, by ann",
    ]
    assert [i["acked_by"] for i in broken.json("incidents")] == ["ann", "bob", ""]


def test_who_acknowledges_is_who_is_logged_in_unless_said(broken: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "carla")
    assert broken.json("ack", "1")["by"] == "carla"
    assert broken.json("ack", "2", "--by", "  ")["by"] == "carla"


def test_where_one_means_nothing_none_is_acknowledged(broken: Shell) -> None:
    refused = broken("ack", "1", "/etl/laod")
    assert refused.exit_code == 2
    assert refused.stderr == ("error: no open incident is '/etl/laod'; did you mean '/etl/load'?\n")
    assert [i["acked_by"] for i in broken.json("incidents")] == ["", "", ""]


def test_what_is_no_incident_and_no_filter_is_refused(broken: Shell) -> None:
    assert "nor a filter" in broken("ack", "flow=a and").stderr
    assert "no open incident matches 'flow=other'; 'tocsin incidents'" in broken("ack", "flow=other").stderr
    assert "no open incident is ''" in broken("ack", "").stderr
    assert "no open incident is '/'" in broken("ack", "/").stderr
    assert broken("ack").exit_code == 2
    happen(*({**each, "state": "Success"} for each in (LOAD, EXTRACT, FETCH)))
    assert "no open incident is '1': none is open" in broken("ack", "1").stderr


def test_before_anything_happened_there_is_nothing_to_acknowledge(shell: Shell) -> None:
    assert shell("ack", "1").stderr == "error: no open incident is '1': none is open\n"
    assert not (shell.folder / "tocsin.db").exists()


def test_nobody_is_escalated_to_once_somebody_is_on_it(shell: Shell) -> None:
    escalation = '[escalations.oncall]\nsteps = [{ after = "1m", send = ["inbox"], if = "not acked" }]\n'
    shell.write(CONFIG + 'escalate = "oncall"\n' + escalation)
    happen(LOAD, FETCH)
    shell("ack", "1")
    shell("tick")
    told = [item["title"] for item in shell.json("inbox")]
    assert sum("etl/load" in title for title in told) == 1
    assert sum("mail/fetch" in title for title in told) == 2
