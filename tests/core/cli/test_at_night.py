"""What the commands say to somebody who is called in the night: what happened, and what would do."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from support.operated import happen
from support.shell import CONFIG, FLOW, PIGEON, WALL, Shell
from tocsin.cli.diagnostics import log_lines
from tocsin.cli.hub import Announced
from tocsin.clock import ManualClock
from tocsin.delivery.presence import SEEN_EVERY, hubs
from tocsin.health.examine import database_remedy
from tocsin.health.examine_store import NONE_LEFT, spill_findings, store_remedy
from tocsin.hub.spill import Spill
from tocsin.store.sqlite import SqliteStore

Install = Callable[[str, str], None]
DIES = FLOW.replace('raise OSError("disk full")', "import os; os._exit(3)") + "\nflow.run(ok=False)\n"
RINGED = CONFIG.replace('["inbox"]', '["inbox", "loft"]') + (
    '[channels.loft]\ntype = "pigeon"\nring = { env = "TOCSIN_RING" }\n'
)


@pytest.fixture
def in_the_way(shell: Shell) -> Shell:
    """A folder where a file is in the place of the store's folder."""
    shell.write("in the way", "file")
    shell.write(CONFIG + '[store]\npath = "file/tocsin.db"\n')
    return shell


# ---------------------------------------------------------------- stores that cannot be used


def test_a_file_in_the_place_of_the_folder_of_the_store_is_a_finding_of_the_doctor(in_the_way: Shell) -> None:
    result = in_the_way("doctor")
    assert result.exit_code == 1
    assert "is not a folder" in result.stdout
    assert "permissions" not in result.stdout


def test_a_single_round_of_the_hub_fails_where_it_cannot_tell_what_is_left(in_the_way: Shell) -> None:
    result = in_the_way("hub", "--once")
    assert result.exit_code == 2
    assert "0 left" not in result.stdout
    assert result.stderr.splitlines()[-1].startswith("error: store ")


def test_what_would_mend_a_store_depends_on_what_is_wrong(tmp_path: Path) -> None:
    store = tmp_path / "tocsin.db"
    store.touch()
    assert store_remedy(store, NONE_LEFT - 1) == "make room on its disk"
    for free in (None, NONE_LEFT):
        assert f"'fuser {store}'" in store_remedy(store, free)
    assert list(tmp_path.iterdir()) == [store], "to look changes nothing"
    gone = tmp_path / "gone" / "tocsin.db"
    assert store_remedy(gone, None).startswith(f"let '{gone.parent}' be written, ")


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        ('FATAL: password authentication failed for user "ann"', "refuses user or password"),
        ("connection failed: fe_sendauth: no password supplied", "refuses user or password"),
        ('FATAL: role "ann" does not exist', "refuses user or password"),
        ('FATAL: database "nodb" does not exist', "has no such database"),
        ("permission denied for schema public", "let that user create tables"),
        ("[store] url: environment variable 'PG_URL' is not set", "mend what [store] url refers to"),
        ("Connection refused; see that the server runs and that [store] url names it", "start the server"),
        ("", "start the server"),
    ],
)
def test_what_would_mend_a_database_depends_on_what_is_said_of_it(said: str, remedy: str) -> None:
    assert remedy in database_remedy(said)


@pytest.mark.parametrize(("free", "told"), [(0, False), (NONE_LEFT - 1, False), (NONE_LEFT, True), (None, True)])
def test_a_full_disk_is_not_said_to_take_a_spill_file(tmp_path: Path, free: int | None, told: bool) -> None:
    texts = [each.text for each in spill_findings(Spill(tmp_path / "spill" / "tocsin.jsonl"), lambda _: free)]
    assert any(text.startswith("nothing waits") for text in texts)
    assert any("can be written" in text for text in texts) is told


# ---------------------------------------------------------------- what a hub says


def test_a_run_that_is_found_dead_is_said_in_the_log_of_who_finds_it(shell: Shell) -> None:
    shell.write(DIES, "dies.py")
    command = [sys.executable, "dies.py"]
    died = subprocess.run(command, cwd=shell.folder, env=dict(os.environ), check=False, capture_output=True, timeout=60)
    assert died.returncode == 3, died.stderr
    said = shell("hub", "--once").stderr
    assert "WARNING run '" in said
    assert "' of flow 'etl' is dead: its process is gone without a word (pid " in said
    assert "is dead: " not in shell("tick").stderr


def test_a_hub_says_when_it_starts_which_secrets_cannot_be_read(
    shell: Shell, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write(RINGED)
    monkeypatch.delenv("TOCSIN_RING", raising=False)
    told = "E407 [channels.loft] ring: environment variable 'TOCSIN_RING' is not set"
    assert told in shell("hub", "--once").stderr
    monkeypatch.setenv("TOCSIN_RING", "s3cr3t-ring-4711")
    assert shell("hub", "--once").stderr == ""


def test_what_is_new_of_a_hub_is_in_the_store_at_once_and_what_is_not_when_it_is_due(tmp_path: Path) -> None:
    clock, store = ManualClock(), SqliteStore(tmp_path / "tocsin.db")
    announced = Announced(store, clock)

    def seen() -> tuple[object, dict[str, str]]:
        [hub] = hubs(store, clock.now())
        return hub.seen_at, dict(hub.breakers)

    began = clock.now()
    announced.keep_up({"breakers": {}})
    assert seen() == (began, {})
    clock.advance(timedelta(seconds=1))
    announced.keep_up({"breakers": {}})
    assert seen() == (began, {})
    opened = clock.now()
    announced.keep_up({"breakers": {"ops": "open"}})
    assert seen() == (opened, {"ops": "open"})
    clock.advance(SEEN_EVERY)
    announced.keep_up({"breakers": {"ops": "open"}})
    assert seen() == (clock.now(), {"ops": "open"})
    store.close()


# ---------------------------------------------------------------- words


def test_an_exception_without_a_text_is_named_and_nothing_more(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("tocsin.night")
    with log_lines(verbose=False):
        for error in (MemoryError(), ValueError("no table")):
            log.error("it raised", exc_info=error)
    assert capsys.readouterr().err == "ERROR it raised: MemoryError\nERROR it raised: ValueError: no table\n"


def test_a_channel_whose_secret_is_missing_is_said_to_need_it(
    shell: Shell, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write(RINGED)
    monkeypatch.delenv("TOCSIN_RING", raising=False)
    result = shell("test", "loft")
    assert result.exit_code == 2
    assert "environment variable 'TOCSIN_RING' is not set" in result.stderr
    assert "mend [channels.loft], or the secret that it refers to" in result.stderr


def test_a_label_that_may_be_misspelt_is_told_of_where_deliveries_are_picked(shell: Shell, install: Install) -> None:
    install("tocsin_wall", WALL)
    shell.write(CONFIG)
    happen()
    result = shell("deliveries", "retry", "--all-dead", "--when", "tsk=load and flow=etl")
    assert result.exit_code == 0
    assert result.stderr == "WARNING label 'tsk' is none of tocsin's; did you mean 'task'?\n"
    assert result.stdout == "0 deliveries due again\n"
