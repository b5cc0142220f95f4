"""A disk that is full, fails to sync, cannot be written, or is locked: runs go on, and nothing is lost unsaid."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.history import History, Journal, Sink
from support.nursery import Nursery, Spec
from tocsin.hub.spill import Spill
from tocsin.store.sqlite import SqliteStore

SHIM = Path(__file__).parents[1] / "support" / "disk_shim.c"


class Disk:
    """A store on a disk that fails as it is told to."""

    def __init__(self, folder: Path, nursery: Nursery, sink: Sink, trigger: Path) -> None:
        self.folder, self.nursery, self.trigger = folder, nursery, trigger
        self.spec = Spec(
            "", str(folder / "journal"), str(folder / "spill" / "events.jsonl"), sink.port, str(folder / "tocsin.db")
        )
        self.journal = Journal(folder / "journal")
        self.history = History(sink, self.journal, self.spec.channels)
        self.pause = threading.Event()

    def fails(self, error: str, part: str, calls: str = "write") -> None:
        new = self.trigger.with_name("new")
        new.write_text(f"{error} {part} {calls}")
        new.rename(self.trigger)

    def works(self) -> None:
        self.trigger.unlink()

    def does(self, role: str, *publish: str, **more: Any) -> None:
        assert self.nursery.run(replace(self.spec, role=role, publish=publish, **more)) == 0, self.log()

    def log(self) -> str:
        return self.nursery.log.read_text()

    def spilled(self) -> int:
        return Spill(Path(self.spec.spill)).waiting().events

    def until_returned(self, count: int) -> None:
        for _ in range(3000):
            if len(self.journal.said("returned")) >= count:
                return
            self.pause.wait(0.01)
        raise AssertionError(self.log())

    def ends_well(self) -> None:
        self.does("hub")
        store = SqliteStore(Path(self.spec.path or ""))
        self.history.check(store)
        with store._connection.read() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        store.close()


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler, so no disk can be made to fail")
    library = tmp_path_factory.mktemp("shim") / "disk_shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory, shim: Path) -> Iterator[Nursery]:
    folder = tmp_path_factory.mktemp("nursery")
    environ = {"LD_PRELOAD": str(shim), "DISK_SHIM": str(folder / "trigger")}
    with Nursery(folder / "log", environ) as nursery:
        yield nursery


@pytest.fixture
def disk(tmp_path: Path, nursery: Nursery) -> Iterator[Disk]:
    trigger = Path(nursery.environ["DISK_SHIM"])
    with Sink() as sink:
        yield Disk(tmp_path, nursery, sink, trigger)
    trigger.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("error", "part", "calls"),
    [
        ("ENOSPC", "tocsin.db", "write"),
        ("ENOSPC", "tocsin.db-wal", "write"),
        ("EIO", "tocsin.db-wal", "write"),
        ("EIO", "tocsin.db", "sync"),
    ],
)
def test_what_the_disk_refuses_is_spilled_and_delivered_once_it_takes_it(
    disk: Disk, error: str, part: str, calls: str
) -> None:
    disk.does("publisher", "a@load")
    disk.fails(error, part, calls)
    disk.does("publisher", "b@load", "c")
    assert disk.spilled() == 2
    disk.works()
    disk.ends_well()
    assert disk.journal.said("returned") == ["a@load", "b@load", "c"]
    assert disk.spilled() == 0


def test_a_process_under_way_goes_on_by_itself_when_there_is_room_again(disk: Disk) -> None:
    names = [f"e{n}" for n in range(150)]
    pid = disk.nursery.start(replace(disk.spec, role="flow", publish=names, pace=0.005))
    disk.until_returned(20)
    disk.fails("ENOSPC", "tocsin.db")
    disk.until_returned(60)
    assert disk.spilled() > 5
    disk.works()
    assert disk.nursery.wait(pid) == 0, disk.log()
    assert disk.journal.said("returned") == names
    assert disk.spilled() == 0
    disk.ends_well()


def test_a_hub_that_runs_takes_up_what_another_process_spilled(disk: Disk) -> None:
    disk.does("publisher", "a")
    hub = disk.nursery.start(replace(disk.spec, role="hub", forever=True))
    disk.history.sink.wait(1)
    disk.does("publisher", "b", path=str(disk.folder / "journal" / "none.db"))  # a store that cannot be opened
    disk.history.sink.wait(2)
    disk.nursery.kill(hub)
    disk.history.died(SqliteStore(Path(disk.spec.path or "")))
    disk.ends_well()


def test_where_store_and_spill_file_are_full_the_loss_is_counted_and_said_and_the_run_goes_on(disk: Disk) -> None:
    disk.does("publisher", "a")
    disk.fails("ENOSPC", str(disk.folder))
    disk.fails("ENOSPC", "/sp")  # the journal beside them is to be written
    disk.does("publisher", "b", path=str(disk.folder / "journal" / "none.db"))
    disk.works()
    assert disk.journal.said("lost") == ["b"]
    assert "is LOST" in disk.log()
    disk.ends_well()
    assert disk.spilled() == 0


def test_a_folder_that_cannot_be_written_spills_and_names_the_store(disk: Disk) -> None:
    folder = Path(tempfile.mkdtemp(prefix="tocsin-"))
    try:
        (folder / "store").mkdir(mode=0o555)
        (folder / "open").mkdir()
        for path in (folder, folder / "open"):
            path.chmod(0o777)
        spec = replace(
            disk.spec, role="publisher", publish=("a",), path=str(folder / "store" / "tocsin.db"), nobody=True,
            spill=str(folder / "open" / "spill.jsonl"), journal=str(folder / "open" / "journal"),
        )  # fmt: skip
        journal = Journal(folder / "open" / "journal")
        journal.path.chmod(0o666)
        assert disk.nursery.run(spec) == 0, disk.log()
        assert journal.said("returned") == ["a"]
        assert Spill(Path(spec.spill)).waiting().events == 1
        assert f"store '{folder / 'store' / 'tocsin.db'}' cannot be opened" in disk.log()
    finally:
        shutil.rmtree(folder)


def test_a_store_that_another_process_keeps_locked_is_waited_for_a_bounded_time_and_then_spilled(disk: Disk) -> None:
    disk.does("publisher", "a")
    blocker = sqlite3.connect(disk.spec.path or "", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    disk.does("publisher", "b")  # comes back though the lock is held
    assert disk.spilled() == 1
    blocker.execute("ROLLBACK")
    blocker.close()
    disk.ends_well()
