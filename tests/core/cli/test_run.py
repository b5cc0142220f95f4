from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from support.shell import FLOW, Shell


def test_a_run_shows_progress_and_sums_up_tasks_and_deliveries(etl: Shell) -> None:
    result = etl("run", "etl.py")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "Retrying extract (attempt 1 of 3)" in lines
    assert "Success extract (attempt 2 of 3)" in lines
    assert "Success load" in lines
    table = lines[lines.index("TASK STATE ATTEMPTS DURATION MESSAGE") :]
    assert table[1].startswith("extract Success 2 of 3 ")
    assert table[2].startswith("load Success 1 ")
    assert "CHANNEL DELIVERED WAITING DEAD" in table
    assert "inbox 2 0 0" in table
    assert table[-1].startswith("flow 'etl': Success in ")


def test_a_failed_flow_exits_with_1_and_says_what_failed(etl: Shell) -> None:
    result = etl("run", "etl.py", "--param", "ok=false")
    assert result.exit_code == 1
    assert "OSError('disk full')" in result.stdout
    assert "flow 'etl': Failed in " in result.stdout


def test_quiet_shows_the_summary_only(etl: Shell) -> None:
    result = etl("run", "etl.py", "--quiet")
    assert "Retrying" not in result.stdout
    assert "flow 'etl': Success" in result.stdout


def test_the_summary_as_json_is_all_there_is_on_stdout(etl: Shell) -> None:
    result = etl("run", "etl.py", "--json")
    data = json.loads(result.stdout)
    assert "extracting" in result.stderr, "what the flow prints goes elsewhere"
    assert data["state"] == "Success"
    assert [(t["name"], t["state"], t["attempts"]) for t in data["tasks"] if t["name"] != "ok"] == [
        ("extract", "Success", 2),
        ("load", "Success", 1),
    ]
    assert data["deliveries"] == {"inbox": {"delivered": 2, "waiting": 0, "dead": 0}}


def test_deliveries_are_those_of_this_run(etl: Shell) -> None:
    etl("run", "etl.py", "--param", "ok=false")
    etl.write(FLOW.replace("calls = []", "calls = [1]"), "etl.py")
    again = etl.json("run", "etl.py", "--param", "ok=false", code=1)
    assert again["deliveries"] == {"inbox": {"delivered": 1, "waiting": 0, "dead": 0}}
    assert len(etl.json("deliveries")) == 4, "the flow's own failure is explained by its task's"


def test_parameters_are_checked_before_anything_runs(etl: Shell) -> None:
    unknown = etl("run", "etl.py", "--param", "okk=1")
    assert unknown.exit_code == 2
    assert "flow 'etl' has no parameter 'okk'; did you mean 'ok'?" in unknown.stderr
    etl.write(FLOW.replace(", default=True", ""), "etl.py")
    missing = etl("run", "etl.py")
    assert missing.exit_code == 2
    assert "flow 'etl' needs a value for 'ok'; give it with --param ok=VALUE" in missing.stderr
    assert "extracting" not in missing.output + unknown.output


def test_a_file_with_several_flows_wants_to_be_told_which(etl: Shell) -> None:
    etl.write("from tocsin import Flow\nday, night = Flow('by-day'), Flow('by-night')\n", "two.py")
    which = etl("run", "two.py")
    assert which.exit_code == 2
    assert "'two.py' holds 2 flows; say which: 'two.py:day', 'two.py:night'" in which.stderr
    assert etl.json("run", "two.py:night")["flow"] == "by-night"
    assert etl.json("run", "two.py:by-day")["flow"] == "by-day"
    assert "did you mean 'night'?" in etl("run", "two.py:nigth").stderr


def test_a_flow_can_import_from_its_own_folder(etl: Shell) -> None:
    folder = etl.folder / "pipelines"
    folder.mkdir()
    etl.write("NAME = 'helped'\n", "pipelines/a_helper_of_the_flow.py")
    etl.write("from a_helper_of_the_flow import NAME\nfrom tocsin import Flow\nf = Flow(NAME)\n", "pipelines/own.py")
    assert etl.json("run", "pipelines/own.py")["flow"] == "helped"


def test_a_callback_that_fails_is_told_and_the_run_goes_on(etl: Shell) -> None:
    callback = "def ring(subject, state): raise RuntimeError('no bell')\n"
    etl.write(
        "from tocsin import callback_factory\n"
        + callback
        + FLOW.replace(
            'Flow("etl")', 'Flow("etl", state_handlers=[callback_factory(ring, lambda s: s.is_successful())])'
        ),
        "etl.py",
    )
    result = etl("run", "etl.py")
    assert result.exit_code == 0
    assert "1 callback failed; the run went on" in result.stdout
    assert "RuntimeError: no bell" in result.stdout


def test_without_a_config_a_flow_runs_and_it_is_said_that_nobody_hears(etl: Shell) -> None:
    (etl.folder / "tocsin.toml").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "tocsin.cli", "run", "etl.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "flow 'etl': Success" in done.stdout
    assert "no tocsin.toml found: the flow runs, nobody is notified; 'tocsin init' writes one" in done.stderr
    assert "\x1b" not in done.stdout, "no colour where there is no terminal"


def test_the_hub_says_what_it_does_and_ends_well_when_asked_to(etl: Shell) -> None:
    hub = subprocess.Popen([sys.executable, "-m", "tocsin.cli", "hub"], stdout=subprocess.PIPE, text=True)
    assert hub.stdout is not None
    try:
        first = hub.stdout.readline()
        assert first.startswith("tocsin hub: config ")
        assert "channels inbox, screen, 1 route" in first
        hub.send_signal(signal.SIGTERM)
        rest = hub.stdout.read()
        assert hub.wait(timeout=20) == 0
        assert "stopped: 0 delivered, 0 dead" in rest
    finally:
        hub.kill()
        hub.wait()
        hub.stdout.close()


def test_the_demo_retries_fails_and_recovers_without_account_or_network(empty: Shell) -> None:
    result = empty("demo", "--into", "play")
    assert result.exit_code == 0
    told = result.stdout
    assert told.index("[warning] Retrying: etl/extract") < told.index("[error] Failed: etl/load")
    assert told.index("Second run") < told.index("Recovered: etl/load")
    assert "4 messages in the inbox" in told
    assert "tocsin init" in told.partition("Next")[2]
    assert "tocsin-webhook" in told, "it says which plugin would show more"
    assert (empty.folder / "play" / "etl.py").is_file()


def test_the_demo_reaches_a_webhook_where_the_plugin_for_it_is_installed(
    empty: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tocsin_webhook")
    monkeypatch.delenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD")
    result = empty("demo")
    assert result.exit_code == 0
    assert "-> webhook [error] Failed: etl/load" in result.stdout
    assert "4 messages in the inbox, 4 requests at the webhook." in result.stdout


def test_the_demo_is_not_led_astray_by_the_config_or_overrides_of_its_surroundings(
    etl: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = etl.folder / "mine.db"
    monkeypatch.setenv("TOCSIN_CONFIG", str(etl.folder / "tocsin.toml"))
    monkeypatch.setenv("TOCSIN__STORE__PATH", str(mine))
    assert etl("demo").exit_code == 0
    assert not mine.exists()
    assert not (etl.folder / "tocsin.db").exists()


def test_what_a_terminal_cannot_show_is_told_in_escapes(etl: Shell) -> None:
    etl.write(FLOW.replace("disk full", "disk \u2014 full"), "etl.py")
    done = subprocess.run(
        [sys.executable, "-m", "tocsin.cli", "run", "etl.py", "--param", "ok=false"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "disk \\u2014 full" in done.stdout
    assert "Traceback" not in done.stderr
