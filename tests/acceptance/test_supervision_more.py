"""What a supervisor makes of real deaths: by every signal, for want of memory, beside a hub, and together with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from support.beasts import until
from tocsin.hub.heartbeats import HEARTBEAT
from tocsin.store.sqlite import SqliteStore

CONFIG = """
[channels.inbox]
type = "inbox"

[[routes]]
when = "is_failed"
send = ["inbox"]
"""

FLOW = """
import os, resource, signal, sys
from tocsin import Flow, task

@task
def load():
    print("loading", flush=True)
    {load}

with Flow("etl") as flow:
    load()
"""


def write(folder: Path, load: str) -> None:
    (folder / "etl.py").write_text(FLOW.format(load=load))
    (folder / "tocsin.toml").write_text(CONFIG)


def inbox(folder: Path) -> list[tuple[str, str]]:
    store = SqliteStore(folder / "tocsin.db")
    try:
        return sorted((item.title, item.text.partition("\n")[0]) for item in store.inbox())
    finally:
        store.close()


# ---------------------------------------------------------------- signals

ALL_SIGNALS = """
import signal, sys
from tocsin.supervision.child import supervise

harmless = {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
stopping = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
start = "import os, resource, signal; signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals()); "
start += "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
for number in sorted(signal.valid_signals() - harmless - stopping):
    die = f"number = {int(number)}; number != 9 and signal.signal(number, signal.SIG_DFL); os.kill(os.getpid(), number)"
    ended = supervise([sys.executable, "-S", "-E", "-c", start + die])
    print(int(number), ended.ending.exit_code, ended.ending.in_words(["load"]), sep="|")
"""


def test_the_death_by_any_signal_is_named_and_gives_its_code() -> None:
    done = subprocess.run([sys.executable, "-c", ALL_SIGNALS], capture_output=True, text=True, timeout=60, check=False)
    found = [line.split("|") for line in done.stdout.splitlines()]
    assert len(found) > 20, done.stderr
    for number, code, words in found:
        assert int(code) == 128 + int(number)
        try:
            name = signal.Signals(int(number)).name
        except ValueError:
            name = f"signal {number}"
        assert words == f"killed by {name} while 'load' was running"


# ---------------------------------------------------------------- memory


def make_group(megabytes: int) -> Path | None:
    """A control group below this process's own that may use so much memory, if one can be made."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("memory", ""):
            continue
        parent, limit = ("/memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        made = Path(f"/sys/fs/cgroup{parent}{path}") / f"tocsin-test-{os.getpid()}"
        try:
            made.mkdir()
        except OSError:
            continue
        try:
            (made / limit).write_text(f"{megabytes}M")
        except OSError:
            made.rmdir()
        else:
            return made
    return None


@contextmanager
def memory_group(megabytes: int) -> Iterator[Path]:
    """Such a group, which is gone again at the end; skips the test where none can be made."""
    if (group := make_group(megabytes)) is None:
        pytest.skip("no control group with a bound of memory can be made here")
    try:
        yield group
    finally:
        until(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def test_a_run_that_the_kernel_kills_for_want_of_memory_is_said_to_be_probably_that(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    write(tmp_path, "kept = [bytearray(5 << 20) for _ in range(1000)]")
    with memory_group(200) as group:
        inside = f"echo $$ > {group}/cgroup.procs && exec {sys.executable} -m tocsin.cli run etl.py"
        done = subprocess.run(
            ["sh", "-c", inside], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
    words = "killed by SIGKILL, probably out of memory, while 'load' was running"
    assert done.returncode == 137, done.stderr
    assert words in " ".join(done.stdout.split())
    assert inbox(tmp_path) == [("Crashed: etl", words)]


def test_memory_that_the_process_is_refused_is_a_failure_and_no_crash(tmp_path: Path, tocsin: Any) -> None:
    limit = "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); kept = bytearray(8 << 30)"
    write(tmp_path, limit)
    done = tocsin("run", "etl.py")
    assert done.returncode == 1, done.stderr
    assert "flow 'etl': Failed" in done.stdout
    assert [title for title, _ in inbox(tmp_path)] == ["Failed: etl/load"]
    assert "MemoryError" in inbox(tmp_path)[0][1]


# ---------------------------------------------------------------- beside a hub


@pytest.fixture
def hub(tmp_path: Path, environ: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    write(tmp_path, "sys.stdin.readline()")
    command = [sys.executable, "-m", "tocsin.cli", "hub"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"tocsin hub: ")
        yield process
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def supervised(folder: Path, environ: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`tocsin run` under way, and the process that runs the flow."""
    with subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "run", "etl.py", "-q"],
        cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        pid = process.pid
        [child] = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        yield process, child
        process.kill()
        process.communicate(timeout=60)


def declared(folder: Path) -> bool:
    store = SqliteStore(folder / "tocsin.db")
    try:
        cells = store.transact(lambda tx: tx.cells(HEARTBEAT, parent="dead"), keep=False)
    finally:
        store.close()
    return bool(cells)


@pytest.mark.usefixtures("hub")
def test_a_hub_leaves_it_to_the_supervisor_to_say_how_the_run_died(tmp_path: Path, environ: dict[str, str]) -> None:
    with supervised(tmp_path, environ) as (process, child):
        os.kill(child, signal.SIGABRT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 134
    assert "killed by SIGABRT while 'load' was running" in " ".join(out.split())
    assert inbox(tmp_path) == [("Crashed: etl", "killed by SIGABRT while 'load' was running")]


@pytest.mark.usefixtures("hub")
def test_a_run_that_dies_with_its_supervisor_is_announced_by_the_hub_once(
    tmp_path: Path, environ: dict[str, str], tocsin: Any
) -> None:
    with supervised(tmp_path, environ) as (process, child):
        os.kill(process.pid, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)
        process.wait(60)
        until(lambda: declared(tmp_path))
    assert tocsin("tick").returncode == 0
    until(lambda: inbox(tmp_path))
    [(title, text)] = inbox(tmp_path)
    assert title == "Crashed: etl"
    assert text.startswith(f"its process is gone without a word (pid {child} on ")
