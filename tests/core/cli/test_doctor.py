"""`tocsin doctor` looks at all that tocsin needs, says what would mend what is wrong, and changes nothing."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.operated import LOAD, happen, hub_of_2024
from support.postgres import shared_server
from support.shell import CONFIG, PIGEON, Shell
from tocsin.clock import ManualClock
from tocsin.health.examine import clock_findings, config_findings, version_findings
from tocsin.health.examine_store import NONE_LEFT, SCARCE, room_findings, store_findings
from tocsin.health.findings import Finding, Level
from tocsin.health.machine import Glance, glance, remote_file_system, too_open
from tocsin.simulate import event_of
from tocsin.store.log_watch import LONG_LOG
from tocsin.store.schema import MIGRATIONS

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
Install = Callable[[str, str], None]


def looked(shell: Shell, code: int = 0) -> dict[str, list[tuple[str, str, str]]]:
    """What the doctor says by area: level, text and remedy of each finding."""
    told = shell.json("doctor", code=code)
    assert told["ok"] is (code == 0)
    found: dict[str, list[tuple[str, str, str]]] = {}
    for each in told["findings"]:
        found.setdefault(each["area"], []).append((each["level"], each["text"], each["remedy"]))
    return found


def troubles(found: dict[str, list[tuple[str, str, str]]]) -> list[str]:
    return [area for area, all_of_it in found.items() for level, _, _ in all_of_it if level != "ok"]


def test_where_all_is_well_everything_is_looked_at_and_ok(shell: Shell) -> None:
    happen()
    found = looked(shell)
    assert troubles(found) == []
    assert set(found) == {"config", "plugins", "store", "permissions", "spill file", "clock", "versions", "hub"}
    shown = shell("doctor").stdout
    assert shown.splitlines()[0] == "ok      config:      'tocsin.toml' is right"
    assert shown.splitlines()[-1] == "0 failed, 0 warnings"


def test_where_there_is_no_store_yet_none_is_made(shell: Shell) -> None:
    [(level, text, _)] = looked(shell)["store"]
    assert (level, "is not made yet" in text) == ("ok", True)
    assert not (shell.folder / "tocsin.db").exists()


def test_without_a_config_that_is_what_fails_and_the_rest_is_looked_at(empty: Shell) -> None:
    found = looked(empty, code=1)
    assert found["config"] == [("failed", "there is none: nobody is notified", "'tocsin init' writes one")]
    assert {"plugins", "clock", "versions"} <= set(found)


def test_a_config_that_is_named_and_missing_fails(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", "nowhere.toml")
    [(level, text, _)] = looked(empty, code=1)["config"]
    assert (level, "'nowhere.toml' does not exist" in text) == ("failed", True)


def test_each_mistake_of_the_config_is_told_with_its_place(shell: Shell) -> None:
    shell.write(CONFIG.replace('send = ["inbox"]', 'send = ["inbux"]'))
    found = looked(shell, code=1)
    [text] = [text for level, text, _ in found["config"] if level == "failed"]
    assert text.startswith("tocsin.toml:13:9 E302 ")
    assert "did you mean 'inbox'" in text
    assert found["store"] == [("warning", "not looked at, since the config has mistakes", "")]
    assert shell("doctor").exit_code == 1


def test_a_missing_secret_is_told_and_no_secret_is_shown(
    shell: Shell, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("pigeon", PIGEON)
    shell.write(CONFIG + '[channels.p]\ntype = "pigeon"\nring = { env = "RING" }\n')
    assert "environment variable 'RING' is not set" in looked(shell, code=1)["config"][0][1]
    monkeypatch.setenv("RING", "k3y-of-the-loft")
    assert looked(shell)["config"][-1][0] == "ok"
    assert "k3y-of-the-loft" not in shell("doctor").output


def test_a_plugin_that_cannot_be_used_is_a_warning_with_its_reason(shell: Shell, install: Install) -> None:
    install("tocsin_broken", "raise RuntimeError('no wings')")
    [(level, text, remedy)] = looked(shell)["plugins"]
    assert (level, remedy) == ("warning", "mend, upgrade or remove it")
    assert text.startswith("'tocsin_broken' is not used: ")
    assert text.endswith("RuntimeError: no wings")


def test_two_plugins_that_clash_are_a_warning(shell: Shell, install: Install) -> None:
    install("pigeon", PIGEON)
    install("dove", PIGEON)
    assert any("both" in text for level, text, _ in looked(shell)["plugins"] if level == "warning")


def test_a_plugin_that_is_blocked_on_purpose_is_none(shell: Shell, install: Install) -> None:
    install("pigeon", PIGEON)
    shell.write(CONFIG + '[plugins]\nblock = ["pigeon"]\n')
    assert looked(shell)["plugins"][0] == ("ok", "the config does not allow: pigeon", "")


# ---------------------------------------------------------------- the store


def of_store(path: Path) -> list[Finding]:
    return list(store_findings(path, NOON))


def test_what_is_no_database_fails_and_stays_as_it_is(shell: Shell) -> None:
    path = shell.folder / "tocsin.db"
    path.write_bytes(b"this is no database" * 999)
    [(level, text, remedy), *_] = looked(shell, code=1)["store"]
    assert (level, "is damaged: file is not a database" in text) == ("failed", True)
    assert "sets it aside as 'tocsin.db.corrupt-TIME'" in remedy
    assert path.read_bytes() == b"this is no database" * 999


def test_a_damaged_page_is_found(shell: Shell) -> None:
    happen(*({**LOAD, "task": f"task{number}"} for number in range(40)))
    path = shell.folder / "tocsin.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    [(level, text, remedy), *_] = looked(shell, code=1)["store"]
    assert (level, "is damaged: " in text, "aside" in remedy) == ("failed", True, True)


def test_a_store_of_a_newer_tocsin_fails_and_one_of_an_older_is_told_and_left_as_it_is(shell: Shell) -> None:
    happen()
    path = shell.folder / "tocsin.db"
    for version, level in ((len(MIGRATIONS) + 1, Level.FAILED), (len(MIGRATIONS) - 1, Level.WARNING)):
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        [finding] = [each for each in of_store(path) if "schema" in each.text]
        assert finding.level is level
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)
        db.close()


def test_an_empty_file_is_a_store_to_be(tmp_path: Path) -> None:
    (tmp_path / "tocsin.db").touch()
    assert {each.level for each in of_store(tmp_path / "tocsin.db")} == {Level.WARNING}


def test_a_folder_in_the_place_of_the_store_fails(tmp_path: Path) -> None:
    [finding] = of_store(tmp_path)
    assert (finding.level, finding.text) == (Level.FAILED, f"'{tmp_path}' is not a file")


def test_a_file_in_the_place_of_its_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    [finding, *_] = of_store(tmp_path / "file" / "tocsin.db")
    assert finding.level is Level.FAILED
    assert "is not a folder" in finding.text


def test_a_store_that_somebody_keeps_locked_is_read_nevertheless(shell: Shell) -> None:
    happen()
    db = sqlite3.connect(shell.folder / "tocsin.db", isolation_level=None)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM events").fetchone()
    assert troubles(looked(shell)) == []
    db.close()


@pytest.mark.parametrize(
    ("free", "levels"),
    [
        (SCARCE, []),
        (SCARCE - 1, [Level.WARNING]),
        (NONE_LEFT, [Level.WARNING]),
        (NONE_LEFT - 1, [Level.FAILED]),
        (0, [Level.FAILED]),
        (None, [Level.WARNING]),
    ],
)
def test_a_disk_is_told_of_before_and_when_it_is_full(free: int | None, levels: list[Level]) -> None:
    assert [each.level for each in room_findings("store", Path("/srv/tocsin.db"), free)] == levels


def test_a_long_log_that_somebody_keeps_from_being_folded_in_is_told_of(shell: Shell) -> None:
    happen()
    reader = sqlite3.connect(shell.folder / "tocsin.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    with (shell.folder / "tocsin.db-wal").open("ab") as file:
        file.truncate(LONG_LOG + 1)
    assert [each.text for each in of_store(shell.folder / "tocsin.db") if each.level is Level.WARNING] == [
        "its write-ahead log is long: 64 MiB"
    ]
    reader.close()


def test_events_of_the_future_say_that_a_clock_is_wrong(shell: Shell) -> None:
    with hub_of_2024() as (hub, clock):
        clock.advance(datetime.now(UTC) + timedelta(hours=2) - clock.now())
        assert hub.outbox is not None
        hub.store_event(hub.outbox, event_of(LOAD, clock))
    [(level, text, _), *_] = looked(shell)["clock"]
    assert (level, text.startswith("the newest event is 7")) == ("warning", True)


MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
25 22 0:5 / /srv rw - nfs4 files:/srv rw
26 25 8:2 / /srv/local rw - xfs /dev/sdb1 rw
27 22 0:9 / /mnt/over\\040there rw - cifs //files/x rw
28 22 0:10 / /mnt/ssh rw - fuse.sshfs me@files: rw
29 22 0:11 / /mnt/disk rw - fuseblk /dev/sdc1 rw
junk
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/tocsin.db", ""),
        ("/srv/tocsin.db", "nfs4"),
        ("/srv", "nfs4"),
        ("/srv2/tocsin.db", ""),
        ("/srv/local/tocsin.db", ""),
        ("/mnt/over there/a/tocsin.db", "cifs"),
        ("/mnt/ssh/tocsin.db", "fuse.sshfs"),
        ("/mnt/disk/tocsin.db", ""),
    ],
)
def test_a_network_file_system_is_known_by_the_nearest_mount(path: str, kind: str) -> None:
    assert remote_file_system(Path(path), MOUNTS) == kind


def test_a_database_that_answers_is_ok_and_one_that_does_not_fails_without_its_password(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", shared_server().url(shell.folder))
    shell.write(CONFIG + '[store]\nurl = { env = "DATABASE_URL" }\n')
    found = looked(shell)
    place = "PostgreSQL, by environment variable 'DATABASE_URL'"
    assert found["store"] == [("ok", f"{place}: it answers, and can be written", "")]
    assert found["hub"] == [("ok", "none runs, and nothing waits for one", "")]
    told = shell.json("status")
    assert (told["ok"], told["store"]["place"], told["store"]["bytes"] > 0) == (True, place, True)
    monkeypatch.setenv("DATABASE_URL", "postgresql://ann:s3cr3t-word@127.0.0.1:1/none")
    [(level, text, _)] = looked(shell, code=1)["store"]
    assert (level, "127.0.0.1" in text, "s3cr3t-word" in shell("doctor").output) == ("failed", True, False)


# ---------------------------------------------------------------- permissions


def test_a_store_that_others_can_read_is_told_of(shell: Shell) -> None:
    happen()
    (shell.folder / "tocsin.db").chmod(0o640)
    [(level, text, remedy)] = looked(shell)["permissions"]
    assert (level, "has the mode 0640" in text) == ("warning", True)
    assert remedy == f"chmod 600 '{shell.folder / 'tocsin.db'}'"


def test_a_secret_file_that_others_can_read_is_told_of_and_not_shown(shell: Shell, install: Install) -> None:
    install("pigeon", PIGEON)
    shell.write(CONFIG + '[channels.p]\ntype = "pigeon"\nring = { file = "ring.txt" }\n')
    path = shell.write("k3y-of-the-loft", "ring.txt")
    path.chmod(0o644)
    [(level, text, remedy)] = looked(shell)["permissions"]
    assert (level, remedy) == ("warning", f"chmod 600 '{path}'")
    assert "of channel 'p' has the mode 0644" in text
    assert "k3y-of-the-loft" not in shell("doctor").output
    path.chmod(0o400)
    assert "permissions" not in looked(shell)


@pytest.mark.parametrize(
    ("mode", "told"), [(0o600, ""), (0o400, ""), (0o700, ""), (0o604, "0604"), (0o620, "0620"), (0o666, "0666")]
)
def test_a_file_is_too_open_when_others_may_read_or_write_it(tmp_path: Path, mode: int, told: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    assert too_open(tmp_path / "file") == told
    assert too_open(tmp_path / "none") == ""


# ---------------------------------------------------------------- the spill file


def test_what_waits_in_the_spill_file_is_told_of(shell: Shell) -> None:
    with hub_of_2024() as (hub, clock):
        assert hub.outbox is not None
        hub.outbox.spill.add(event_of(LOAD, clock), [])
    [(level, text, _)] = looked(shell)["spill file"]
    assert (level, text.startswith("1 event(s) wait in ")) == ("warning", True)


def test_a_spill_folder_that_others_can_look_into_is_told_of(shell: Shell) -> None:
    (shell.folder / "spill").mkdir(mode=0o755)
    (shell.folder / "spill").chmod(0o755)
    assert looked(shell)["spill file"][0][:1] == ("warning",)


def test_a_spill_folder_that_cannot_be_is_a_failure(shell: Shell) -> None:
    shell.write("in the way", "spill")
    [(level, text, remedy)] = looked(shell, code=1)["spill file"]
    assert (level, remedy) == ("failed", "set TOCSIN_SPILL_DIR")
    assert "is not a folder" in text


# ---------------------------------------------------------------- clock, libraries, hub


def levels(found: Any) -> list[Level]:
    return [each.level for each in found]


def test_a_clock_that_was_moved_between_two_looks_is_told_of() -> None:
    first = Glance(NOON, 100.0)
    steady = Glance(NOON + timedelta(seconds=3), 103.0)
    assert levels(clock_findings(first, steady, "UTC")) == [Level.OK]
    for moved in (timedelta(hours=1), timedelta(days=-1)):
        found = list(clock_findings(first, Glance(steady.wall + moved, 103.0), "UTC"))
        assert levels(found) == [Level.WARNING]
        assert f"{moved.total_seconds():+.1f} s" in found[0].text


def test_a_clock_says_the_time_that_it_shows() -> None:
    clock = ManualClock()
    first = glance(clock)
    clock.advance(60)
    [finding] = clock_findings(first, glance(clock), "Europe/Berlin")
    assert finding.text == "2024-01-01 12:01:00 UTC, steady; time zone 'Europe/Berlin' is known"


@pytest.mark.parametrize("zone", ["Europe/Atlantis", "../etc/passwd", ""])
def test_a_time_zone_without_data_fails(zone: str) -> None:
    look = Glance(NOON, 0.0)
    assert levels(clock_findings(look, look, zone)) == [Level.FAILED]


def test_a_library_that_is_missing_fails_and_one_that_only_metrics_need_is_a_warning() -> None:
    assert Level.FAILED in levels(version_findings(listens=False, there={"click": "8"}))
    there = dict.fromkeys(
        ("click", "cloudpickle", "croniter", "jinja2", "pendulum", "pluggy", "pydantic", "python-dateutil", "rich"), "1"
    )
    assert set(levels(version_findings(listens=False, there=there))) == {Level.OK}
    [finding] = [each for each in version_findings(listens=True, there=there) if each.level is not Level.OK]
    assert (finding.level, finding.remedy) == (Level.WARNING, "pip install 'tocsin[metrics]'")


def test_timers_that_nobody_keeps_are_told_of(shell: Shell) -> None:
    shell.write(
        CONFIG + '[[watch]]\nname = "ledger"\nkind = "missed"\nflow = "ledger"\nevery = "1d"\nsend = ["inbox"]\n'
    )
    happen()
    [(level, text, remedy)] = looked(shell)["hub"]
    assert (level, text.startswith("none runs, and 1 thing(s) are to be done since 2024-01-02 ")) == ("warning", True)
    assert "tocsin tick" in remedy


def test_without_a_config_there_is_one_finding_of_it() -> None:
    assert levels(config_findings(None)) == [Level.FAILED]


def test_the_document_is_one_for_programs(shell: Shell) -> None:
    told = json.loads(shell("doctor", "--json").stdout)
    assert set(told) == {"ok", "findings"}
    assert {tuple(each) for each in told["findings"]} == {("area", "level", "text", "remedy")}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_a_store_that_cannot_be_written_fails(shell: Shell) -> None:
    happen()
    (shell.folder / "tocsin.db").chmod(0o400)
    assert looked(shell, code=1)["store"][0][0] == "failed"
