"""A config whose store is a PostgreSQL database: a run, its alerts, the commands, the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import shared_server
from support.shell import Shell
from tocsin.plugins.catalog import look_again

CONFIG = """
[defaults]
send = ["home"]
group = { by = ["flow"], wait = "1h" }

[store]
url = { env = "ALERTS_DATABASE" }

[channels.home]
type = "inbox"
"""

FLOW = """
from tocsin import Flow, task

@task
def extract():
    raise ValueError("no rows")

@task
def load(rows):
    pass

with Flow("etl") as flow:
    load(extract())
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOCSIN_SPILL_DIR", str(tmp_path / "spill"))
    monkeypatch.setenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("ALERTS_DATABASE", shared_server().url(tmp_path))
    look_again()
    shell = Shell(tmp_path)
    shell.write(CONFIG)
    shell.write(FLOW, "etl.py")
    yield shell
    look_again()  # without the plugins that are left out here


def test_a_run_and_the_commands_work_on_a_database(shell: Shell) -> None:
    assert "ok: 1 channel" in shell("check").stdout
    assert shell("run", "etl.py", "--quiet").exit_code == 1
    assert [item["title"] for item in shell.json("inbox")] == ["Failed: etl/extract"]
    assert [each["status"] for each in shell.json("deliveries")] == ["delivered"]
    assert {each["key"] for each in shell.json("incidents")} == {"/etl/extract", "/etl/load", "/etl/"}
    assert shell("ack", "etl/extract").exit_code == 0
    assert shell("silence", "add", "flow=etl", "--for", "1h").exit_code == 0
    assert "inhibit" in shell("explain", "--last").stdout
    assert shell("tick").exit_code == 0
    status = shell.json("status")
    assert status["store"]["place"] == "PostgreSQL, by environment variable 'ALERTS_DATABASE'"
    assert "it answers" in shell("doctor").stdout
    assert not (shell.folder / "tocsin.db").exists()


def test_a_database_that_is_away_costs_no_run_and_no_alert(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    url = shared_server().url(shell.folder)
    monkeypatch.setenv("ALERTS_DATABASE", "postgresql://ann:s3cret-w0rd@127.0.0.1:1/alerts")
    result = shell("run", "etl.py", "--quiet")
    assert result.exit_code == 1
    assert "s3cret-w0rd" not in result.output
    assert list((shell.folder / "spill").iterdir()), "what the store refused waits in the spill file"
    monkeypatch.setenv("ALERTS_DATABASE", url)
    assert shell("hub", "--once").exit_code == 0
    assert "Failed: etl/extract" in [item["title"] for item in shell.json("inbox")]


def test_a_store_is_a_file_or_a_database_and_never_both(shell: Shell) -> None:
    shell.write(CONFIG.replace("[store]\n", '[store]\npath = "a.db"\n'))
    refused = shell("check")
    assert refused.exit_code == 2
    assert "E107 [store] url: stands beside a 'path'; keep one of the two" in refused.stdout
    shell.write(CONFIG.replace('{ env = "ALERTS_DATABASE" }', '"postgresql://ann:s3cret-w0rd@db/alerts"'))
    refused = shell("check")
    assert "E406" in refused.stdout
    assert "s3cret-w0rd" not in refused.output
