"""A supervisor that can have no thread, or no process, starts nothing that nobody would wait for."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.threadless import Limit
from tocsin.supervision.child import UnsupervisedError, supervise


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_where_no_thread_can_be_had_no_child_is_started_and_nothing_stays_open(tmp_path: Path) -> None:
    before, trace = open_files(), tmp_path / "ran"
    with pytest.raises(UnsupervisedError, match="can't start new thread"):
        supervise([sys.executable, "-c", f"open({str(trace)!r}, 'w')"], begin=Limit(0).begin)
    assert not trace.exists()
    assert open_files() <= before


def test_a_child_is_listened_to_from_its_first_word_on() -> None:
    say = (
        "import os; pipe = int(os.environ['TOCSIN_SUPERVISOR']); "
        'os.write(pipe, b\'{"flow": "etl", "run_id": "r1"}\\n{"task": "load", "state": "Running"}\\n\'); '
        "os.kill(os.getpid(), 9)"
    )
    ended = supervise([sys.executable, "-c", say], environ=os.environ, begin=Limit(1).begin)
    assert (ended.told.flow, ended.told.run_id, ended.told.running) == ("etl", "r1", ["load"])
    assert ended.ending.in_words(ended.told.running) == "killed by SIGKILL while 'load' was running"


def test_a_command_that_is_not_there_leaves_nothing_open() -> None:
    before = open_files()
    with pytest.raises(FileNotFoundError):
        supervise(["/nowhere/at/all"])
    assert open_files() <= before + 1, "the listener closes its end by itself"
