"""A process that the system gives no more threads: its pipeline ends as it should, and its messages wait."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tocsin.store.records import Status
from tocsin.store.sqlite import SqliteStore

Command = Callable[..., CompletedProcess[str]]
pytestmark = pytest.mark.timeout(300)

CONFIG = """
[store]
path = "tocsin.db"

[channels.home]
type = "inbox"

[[routes]]
when = "is_failed"
send = ["home"]
"""

# No thread has room for a stack as large as all the memory that a process can address: the system refuses each.
FLOW = """
import threading
threading.stack_size(1 << 47)
from tocsin import Flow, task

@task
def load():
    raise ValueError("bad row")

@task
def count():
    return 3

with Flow("etl") as flow:
    counted = count()
    load()

if __name__ == "__main__":
    final = flow.run()
    print(type(final).__name__, final.result[counted].result)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tocsin.toml").write_text(CONFIG)
    (tmp_path / "etl.py").write_text(FLOW)
    return tmp_path


def statuses(folder: Path) -> list[Status]:
    store = SqliteStore(folder / "tocsin.db")
    found = [delivery.status for delivery in store.deliveries()]
    store.close()
    return found


def test_a_run_ends_as_its_tasks_do_and_the_next_process_delivers(
    folder: Path, python: Command, tocsin: Command
) -> None:
    ran = python("etl.py")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == ["Failed", "3"]
    for text in ("deliveries wait for threads that cannot be had", "let this process have more threads"):
        assert text in ran.stderr
    assert "threading.py" not in ran.stderr, "no traceback but that of the task"
    waiting = statuses(folder)
    assert waiting
    assert set(waiting) == {Status.PENDING}
    assert tocsin("hub", "--once").returncode == 0
    assert set(statuses(folder)) == {Status.DELIVERED}
    assert "bad row" in tocsin("inbox").stdout


def test_a_run_that_cannot_be_supervised_is_run_all_the_same(folder: Path, python: Command) -> None:
    limited = "import sys, threading; threading.stack_size(1 << 47); from tocsin.cli import main; sys.exit(main())"
    ran = python("-c", limited, "run", "etl.py")
    assert ran.returncode == 1, "the flow has failed"
    assert "the run is not supervised: can't start new thread" in ran.stderr
    assert "threading.py" not in ran.stderr
    assert set(statuses(folder)) == {Status.PENDING}
