"""What `check`, `explain`, `test`, `inbox`, `plugins` and `init` promise when nothing is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

from support.shell import CONFIG, PIGEON, WALL, Shell
from tocsin.cli.init import STARTER

# ---------------------------------------------------------------- check


def test_a_config_without_mistakes_is_counted_and_makes_no_store(shell: Shell) -> None:
    result = shell("check")
    assert (result.exit_code, result.stdout) == (0, "ok: 2 channels, 1 route\n")
    assert not (shell.folder / "tocsin.db").exists()


def test_a_program_gets_every_mistake_as_data(shell: Shell) -> None:
    shell.write(CONFIG.replace("when =", "wehn ="))
    found = shell.json("check", code=2)
    assert found["ok"] is False
    assert [(each["code"], each["line"], each["severity"]) for each in found["problems"]] == [("E106", 12, "error")]


def test_another_file_can_be_checked(shell: Shell) -> None:
    shell.write(CONFIG.replace('["inbox"]', '["inbx"]'), "other.toml")
    result = shell("check", "other.toml")
    assert result.exit_code == 2
    assert "other.toml:13:" in result.stdout
    assert "sends to unknown channel 'inbx'; did you mean 'inbox'?" in result.stdout
    assert "other.toml: 1 error" in result.stdout


# ---------------------------------------------------------------- init


def test_the_config_that_init_writes_has_no_mistakes_and_works(empty: Shell) -> None:
    result = empty("init")
    assert result.exit_code == 0
    assert "tocsin check" in result.stdout
    assert empty("check").stdout == "ok: 2 channels, 1 route\n"
    assert [m["channel"] for m in empty.json("explain", "--state", "Failed")["messages"]] == ["inbox", "screen"]


def test_init_writes_over_nothing_unless_told_to(shell: Shell) -> None:
    refused = shell("init")
    assert refused.exit_code == 2
    assert "'tocsin.toml' exists already; --force writes over it" in refused.stderr
    assert (shell.folder / "tocsin.toml").read_text() == CONFIG
    assert shell("init", "--force").exit_code == 0
    assert (shell.folder / "tocsin.toml").read_text() == STARTER


# ---------------------------------------------------------------- explain

ROUTES = """\
[defaults]
send = ["inbox"]

[channels.inbox]
type = "inbox"
[channels.screen]
type = "console"

[[routes]]
name = "prod"
when = "tags=prod"
send = ["inbox"]
template = "short"

[[routes]]
name = "prod failures"
under = "prod"
when = "is_failed and attempt>=2"
send = ["screen"]
template = "short"
stop = true

[[routes]]
name = "never"
send = ["inbox"]

[templates.short]
title = "{{ flow }} went {{ state|lower }}"
"""


def test_explain_tells_of_each_route_whether_it_acts_and_why(shell: Shell) -> None:
    shell.write(ROUTES)
    found = shell.json("explain", "--state", "failed", "--flow", "etl", "--task", "load", "--tag", "prod",
                       "--attempt", "2")  # fmt: skip
    assert [(r["route"], r["depth"], r["verdict"]) for r in found["routes"]] == [
        ("prod", 0, "replaced"),
        ("prod failures", 1, "acts"),
        ("never", 0, "not reached"),
        ("defaults", 0, "no match"),
    ]
    saw = found["routes"][1]["filter"]["parts"]
    assert [(part["text"], part["holds"], part["saw"]) for part in saw] == [
        ("is_failed", True, {"is_failed": "true"}),
        ("attempt>=2", True, {"attempt": 2}),
    ]


def test_explain_shows_each_message_as_it_would_be_sent(shell: Shell) -> None:
    shell.write(ROUTES)
    args = ("explain", "--state", "Failed", "--flow", "etl", "--tag", "prod", "--attempt", "2")
    [message] = shell.json(*args)["messages"]
    expected = {
        "channel": "screen",
        "route": "prod failures",
        "action": "open",
        "severity": "error",
        "title": "etl went failed",
        "text": "",
    }
    assert {key: message[key] for key in expected} == expected
    told = shell(*args).stdout
    assert "incident '/etl/' is not open; this event opens it" in told
    assert "not reached never: 'prod failures' stops" in told
    assert "no  attempt>=2   (attempt is 1)" in shell(*args[:-2]).stdout
    assert "to screen, by route 'prod failures', to open the incident" in told
    assert not (shell.folder / "tocsin.db").exists()


def test_explain_knows_which_incidents_are_open(etl: Shell) -> None:
    etl("run", "etl.py", "--param", "ok=false", "--quiet")
    event = ("--flow", "etl", "--task", "load")
    again = etl.json("explain", "--state", "Failed", *event)
    assert again["incident"]["step"] == "update"
    assert [(m["channel"], m["action"]) for m in again["messages"]] == [("inbox", "update")]
    over = etl.json("explain", "--state", "Success", *event)
    assert over["incident"]["step"] == "close"
    assert over["messages"][0]["title"].startswith("Recovered: etl/load after ")
    assert etl.json("explain", "--state", "Success", "--flow", "other")["messages"] == []


def test_explain_takes_an_event_from_a_file_and_from_a_delivery(etl: Shell) -> None:
    etl("run", "etl.py", "--param", "ok=false", "--quiet")
    delivery = etl.json("deliveries")[0]
    etl.write(json.dumps(delivery["event"]), "event.json")
    by_file = etl.json("explain", "--event", "event.json")
    by_id = etl.json("explain", "--delivery", delivery["id"][:6])
    assert by_file["event"] == delivery["event"]
    assert by_id["event"]["id"] == delivery["event"]["id"]
    assert by_id["event"]["parameters"] == {"ok": False}


def test_explain_without_an_event_or_with_a_wrong_one_says_what_to_write(shell: Shell) -> None:
    for args, told in (
        ((), "describe an event, as in: tocsin explain --state Failed"),
        (("--flow", "etl"), "say which state was entered, as in: --state Failed"),
        (("--state", "Faild"), "there is no state 'Faild'; did you mean 'Failed'?"),
        (("--state", "Failed", "--param", "day"), "--param takes NAME=VALUE, found 'day'"),
        (("--delivery", "5e1c"), "no delivery begins with '5e1c'"),
        (("--state", "Failed", "--delivery", "5e1c"), "leave the other options out"),
    ):
        result = shell("explain", *args)
        assert result.exit_code == 2
        assert told in result.stderr
    shell.write("{", "event.json")
    assert "'event.json' is not JSON" in shell("explain", "--event", "event.json").stderr
    shell.write("{}", "event.json")
    assert "'event.json' holds no event: 'time' is missing" in shell("explain", "--event", "event.json").stderr


def test_explain_shows_what_an_event_holds_without_letting_it_control_the_terminal(shell: Shell) -> None:
    result = shell("explain", "--state", "Failed", "--flow", "e\x1b[2Jtl", "--exception", "E: a\x07b")
    assert "\x1b" not in result.stdout
    assert "\x07" not in result.stdout
    assert "Failed: e\\x1b[2Jtl" in result.stdout


# ---------------------------------------------------------------- test, inbox


def test_a_test_message_reaches_the_channel_marked_as_one_and_is_not_stored_for_delivery(shell: Shell) -> None:
    result = shell("test", "inbox")
    assert (result.exit_code, result.stdout) == (0, "sent to inbox: in the inbox; read it with 'tocsin inbox'\n")
    [message] = shell.json("inbox")
    assert message["title"] == "Test message from tocsin to channel 'inbox'"
    assert message["action"] == "test"
    assert shell.json("deliveries") == []


def test_a_test_of_a_channel_that_is_not_there_names_the_nearest(shell: Shell) -> None:
    result = shell("test", "inbx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the config has no channel 'inbx'; did you mean 'inbox'?" in result.stderr


def test_a_test_that_fails_tells_the_reason_and_what_would_do(
    shell: Shell, install: Callable[[str, str], None]
) -> None:
    install("tocsin_wall", WALL)
    shell.write(CONFIG + '[channels.wall]\ntype = "wall"\n')
    result = shell("test", "wall")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "channel 'wall' did not take the message: auth: HTTP 401 from https://wall.example.org/..." in result.stderr
    assert "check the credential of [channels.wall]" in result.stderr
    assert "s3cr3t" not in result.output
    data = shell.json("test", "wall", code=1)
    assert (data["ok"], data["reason"]) == (False, "auth")


def test_the_inbox_shows_the_newest_last_and_as_many_as_asked(etl: Shell) -> None:
    assert etl("inbox").stdout == "the inbox is empty\n"
    assert not (etl.folder / "tocsin.db").exists()
    etl("run", "etl.py", "--param", "ok=false", "--quiet")
    shown = etl("inbox").stdout
    assert "[error] Failed: etl/load\n    OSError: disk full\n" in shown
    assert shown.index("Retrying: etl/extract") < shown.index("Failed: etl/load")
    assert etl.json("inbox", "--limit", "4")[0]["title"].startswith("Retrying")
    assert len(etl.json("inbox", "--limit", "1")) == 1


# ---------------------------------------------------------------- plugins


def test_plugins_are_listed_with_what_they_provide(shell: Shell, install: Callable[[str, str], None]) -> None:
    install("tocsin_pigeon", PIGEON)
    found = {each["name"]: each for each in shell.json("plugins")}
    assert found["tocsin_pigeon"]["channel_types"] == ["pigeon"]
    assert found["tocsin_pigeon"]["version"] == "1.2"
    assert found["tocsin.local"]["channel_types"] == ["inbox", "console"]
    assert "tocsin_pigeon 1.2" in shell("plugins").stdout


def test_plugins_that_the_config_blocks_are_not_used(shell: Shell, install: Callable[[str, str], None]) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write(CONFIG + '[plugins]\nblock = ["tocsin_pigeon"]\n')
    found = {each["name"]: each for each in shell.json("plugins")}
    assert found["tocsin_pigeon"]["error"] == "not loaded: the config does not allow it"
    assert shell("check").stdout == "ok: 2 channels, 1 route\n"


def test_a_channel_type_is_shown_with_its_settings_and_a_piece_of_config(
    shell: Shell, install: Callable[[str, str], None]
) -> None:
    install("tocsin_pigeon", PIGEON)
    for name in ("pigeon", "tocsin_pigeon"):
        told = shell("plugins", "show", name).stdout
        assert 'channel type "pigeon": By air' in told
        assert '[channels.NAME]\ntype = "pigeon"\n' in told
    [kind] = shell.json("plugins", "show", "pigeon")["channel_types"]
    assert kind["settings"] == [
        {"name": "ring", "type": "secret", "required": False, "default": "none",
         "description": "The number on its ring."},
        {"name": "loft", "type": "text", "required": False, "default": "roof", "description": ""},
    ]  # fmt: skip
    unknown = shell("plugins", "show", "pigoen")
    assert unknown.exit_code == 2
    assert "did you mean 'pigeon'?" in unknown.stderr


def test_every_hook_is_listed_with_when_it_is_called(shell: Shell) -> None:
    hooks = {each["name"]: each["summary"] for each in shell.json("plugins", "hooks")}
    assert hooks["tocsin_task_failed"].startswith("Called after a task run failed")
    assert len(hooks) > 50
    assert "tocsin_send" in shell("plugins", "hooks").stdout
