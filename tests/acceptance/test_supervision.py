"""A run whose process dies is announced, once, and delivered by the process that outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tocsin.store.sqlite import SqliteStore
from tocsin.supervision import memory
from tocsin.supervision.endings import Ending
from tocsin.supervision.link import VARIABLE, Told, link_of_this_process

CONFIG = """
[channels.inbox]
type = "inbox"

[[routes]]
when = "is_failed or state=Cancelled"
send = ["inbox"]
"""

FLOW = """
import atexit, os, signal, sys, time
import tocsin
from tocsin import Flow, hookimpl, task

@task
def before():
    pass

@task
def load():
    print("loading", flush=True)
    {load}

with Flow("etl") as flow:
    load(upstream_tasks=[before()])

{more}
if __name__ == "__main__":
    flow.run()
"""

KILL = "os.kill(os.getpid(), signal.{})"


def write(folder: Path, load: str = "pass", more: str = "", config: str = CONFIG) -> None:
    (folder / "etl.py").write_text(FLOW.format(load=load, more=more))
    if config:
        (folder / "tocsin.toml").write_text(config)


def inbox(folder: Path) -> list[tuple[str, str]]:
    store = SqliteStore(folder / "tocsin.db")
    try:
        return sorted((item.title, item.text.partition("\n")[0]) for item in store.inbox())
    finally:
        store.close()


# ---------------------------------------------------------------- ends that nobody asked for


@pytest.mark.parametrize(
    ("load", "code", "words"),
    [
        (KILL.format("SIGKILL"), 137, "killed by SIGKILL while 'load' was running"),
        (KILL.format("SIGSEGV"), 139, "killed by SIGSEGV while 'load' was running"),
        ("os._exit(0)", 1, "its process ended with code 0 before the run had ended, while 'load' was running"),
    ],
)
def test_a_run_whose_process_dies_is_announced_once_and_summed_up(
    tmp_path: Path, tocsin: Any, load: str, code: int, words: str
) -> None:
    write(tmp_path, load)
    done = tocsin("run", "etl.py")
    assert done.returncode == code, done.stderr
    assert "loading" in done.stdout
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[-1].startswith("flow 'etl': Crashed in ")
    assert lines[-1].endswith(words)
    assert "before Success" in lines
    assert "load Running" in lines
    assert "inbox 1 0 0" in lines, "one message, delivered"
    assert inbox(tmp_path) == [("Crashed: etl", words)]
    assert tocsin("tick").returncode == 0
    assert len(inbox(tmp_path)) == 1


def test_the_summary_of_a_dead_run_as_json_is_all_there_is_on_stdout(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path, KILL.format("SIGKILL"))
    done = tocsin("run", "etl.py", "--json")
    data = json.loads(done.stdout)
    assert done.returncode == 137
    assert (data["flow"], data["state"]) == ("etl", "Crashed")
    assert data["message"] == "killed by SIGKILL while 'load' was running"
    assert [(each["name"], each["state"]) for each in data["tasks"]] == [("before", "Success"), ("load", "Running")]
    assert data["deliveries"] == {"inbox": {"delivered": 1, "waiting": 0, "dead": 0}}


def test_what_the_dead_process_had_published_and_not_sent_is_sent_as_well(tmp_path: Path, tocsin: Any) -> None:
    killer = """
class KillMe:
    @hookimpl
    def tocsin_task_failed(self, event):
        os.kill(os.getpid(), signal.SIGKILL)

tocsin.register(KillMe())
"""
    write(tmp_path, "raise ValueError('bad row')", killer, CONFIG + "[[inhibit]]\nname = 'flow'\nenabled = false\n")
    done = tocsin("run", "etl.py")
    assert done.returncode == 137
    titles = [title for title, _ in inbox(tmp_path)]
    assert titles == ["Crashed: etl", "Failed: etl/load"]


def test_without_a_config_the_end_is_said_all_the_same(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path, KILL.format("SIGKILL"), config="")
    done = tocsin("run", "etl.py")
    assert done.returncode == 137
    assert "flow 'etl': Crashed" in done.stdout
    assert "killed by SIGKILL while 'load' was running" in done.stdout


def test_a_process_that_dies_before_its_run_began_announces_nothing(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path, more=KILL.format("SIGKILL"))
    killed = tocsin("run", "etl.py")
    assert killed.returncode == 137
    assert "'etl.py': killed by SIGKILL before its run began" in killed.stderr
    write(tmp_path, more="os._exit(5)")
    assert tocsin("run", "etl.py").returncode == 5
    assert inbox(tmp_path) == []


def test_a_process_that_dies_when_all_is_done_does_not_make_the_run_a_crash(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path, more="atexit.register(lambda: os.kill(os.getpid(), signal.SIGKILL))")
    done = tocsin("run", "etl.py")
    assert done.returncode == 137
    assert "flow 'etl': Success" in done.stdout
    assert "killed by SIGKILL after all was done" in done.stderr
    assert inbox(tmp_path) == []


def test_a_process_that_dies_after_the_end_of_its_run_was_stored_does_not_make_it_a_crash(
    tmp_path: Path, tocsin: Any
) -> None:
    killer = """
class KillMe:
    @hookimpl
    def tocsin_flow_succeeded(self, event):
        os.kill(os.getpid(), signal.SIGKILL)

tocsin.register(KillMe())
"""
    write(tmp_path, more=killer)
    done = tocsin("run", "etl.py")
    assert done.returncode == 137
    assert "Crashed" not in done.stdout
    assert "flow 'etl': Finished" in done.stdout
    assert inbox(tmp_path) == []


def test_mistakes_are_said_as_before_and_are_no_crash(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path)
    done = tocsin("run", "etl.py", "--param", "nope=1")
    assert done.returncode == 2
    assert "flow 'etl' has no parameter 'nope'" in done.stderr
    write(tmp_path, config='[channels.x]\ntype = "nothing"\n')
    assert tocsin("run", "etl.py").returncode == 2


def test_a_flow_finds_modules_and_arguments_as_without_a_supervisor(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path, more="print(sys.argv[1:], sys.path[:2], os.environ.get('TOCSIN_SUPERVISOR'))")
    without = tocsin("run", "etl.py", "--no-supervise").stdout.splitlines()[0]
    within = tocsin("run", "etl.py").stdout.splitlines()[0]
    assert within == without.replace("'run', 'etl.py', '--no-supervise'", "'run', '--', 'etl.py'")


# ---------------------------------------------------------------- without a supervisor


def test_a_run_without_a_supervisor_is_announced_by_whoever_looks_next(
    tmp_path: Path, tocsin: Any, python: Any
) -> None:
    write(tmp_path, KILL.format("SIGKILL"))
    assert python("etl.py").returncode == -signal.SIGKILL
    assert inbox(tmp_path) == []
    for command in (["tick"], ["hub", "--once"]):
        assert tocsin(*command).returncode == 0
    [(title, text)] = inbox(tmp_path)
    assert title == "Crashed: etl"
    assert text.startswith("its process is gone without a word (pid ")


def test_no_supervise_runs_in_the_process_itself(tmp_path: Path, tocsin: Any) -> None:
    write(tmp_path, KILL.format("SIGKILL"))
    assert tocsin("run", "etl.py", "--no-supervise").returncode == -signal.SIGKILL
    write(tmp_path)
    assert tocsin("run", "etl.py", "--no-supervise").returncode == 0
    assert [title.split(" after ")[0] for title, _ in inbox(tmp_path)] == ["Crashed: etl", "Recovered: etl"]


def test_a_hub_that_runs_announces_it_at_once(tmp_path: Path, tocsin: Any, python: Any, environ: Any) -> None:
    config = CONFIG.replace('type = "inbox"', 'type = "console"')
    write(tmp_path, KILL.format("SIGKILL"), config=config)
    command = [sys.executable, "-m", "tocsin.cli", "hub"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as hub:
        try:
            assert hub.stdout is not None
            assert hub.stdout.readline().startswith("tocsin hub: ")
            assert python("etl.py").returncode == -signal.SIGKILL
            lines = iter(hub.stdout.readline, "")
            assert any("Crashed: etl" in line for line in lines)
        finally:
            hub.send_signal(signal.SIGTERM)


# ---------------------------------------------------------------- ends that somebody asked for

SLEEP = "time.sleep(60)"


class Run:
    """`tocsin run` under way, in a process group of its own."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tocsin.cli", "run", "etl.py", "-q"],
            cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "loading\n"

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("to", ["supervisor", "group"])
def test_a_signal_cancels_the_run_once_and_gives_the_code(
    tmp_path: Path, environ: dict[str, str], tocsin: Any, number: int, code: int, to: str
) -> None:
    write(tmp_path, SLEEP)
    run = Run(tmp_path, environ)
    (os.kill if to == "supervisor" else os.killpg)(run.process.pid, number)
    returned, out, err = run.end()
    assert returned == code, err
    assert "flow 'etl': Cancelled" in out
    assert "Traceback" not in err
    assert [title for title, _ in inbox(tmp_path)] == ["Cancelled: etl", "Cancelled: etl/load"]


def test_ctrl_c_at_a_terminal_reaches_the_run_once(tmp_path: Path, environ: dict[str, str]) -> None:
    counting = "struck = []\nsignal.signal(signal.SIGINT, lambda *_: struck.append(os.write(1, b'struck ')))"
    waiting = "[time.sleep(0.01) for _ in range(6000) if not struck]"
    waiting += "; [time.sleep(0.01) for _ in range(50)]"  # for a second one
    write(tmp_path, waiting, counting)
    at_terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    command = [sys.executable, "-c", at_terminal, sys.executable, "-m", "tocsin.cli", "run", "etl.py", "-q"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as terminal:
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        assert terminal.stdout.readline() == b"loading\r\n"
        terminal.stdin.write(b"\x03")
        terminal.stdin.flush()
        lines = []
        for line in iter(terminal.stdout.readline, b""):
            lines.append(line)
            if b"flow 'etl'" in line:
                break
        terminal.stdin.close()
    text = b"".join(lines)
    assert text.count(b"struck") == 1, text
    assert b"Success" in lines[-1]


STUBBORN = """
import signal, sys
from tocsin.supervision.child import Patience, supervise

start = "import signal, time; signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals()); "
deaf = "[signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)]; "
child = deaf + "print('up', flush=True); time.sleep(60)"
ended = supervise([sys.executable, "-c", start + child], patience=Patience(first={first}, again={again}))
print(ended.ending.in_words())
"""


@pytest.mark.parametrize(("first", "again", "signals"), [(0.1, 60, 1), (60, 0.1, 2)])
def test_a_child_that_does_not_end_when_asked_to_is_killed(first: float, again: float, signals: int) -> None:
    script = STUBBORN.format(first=first, again=again)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        assert supervisor.stdout.readline() == "up\n"
        supervisor.send_signal(signal.SIGTERM)
        if signals == 2:
            supervisor.send_signal(signal.SIGINT)
        words = supervisor.stdout.read().strip()
    assert words.startswith("killed by SIGKILL: it had not ended after it was asked to by SIG")


def test_a_run_goes_on_when_its_supervisor_is_killed(tmp_path: Path, environ: dict[str, str], tocsin: Any) -> None:
    write(tmp_path, "sys.stdin.readline()")
    with subprocess.Popen(
        [sys.executable, "-m", "tocsin.cli", "run", "etl.py", "--json"], cwd=tmp_path, env=environ,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as supervisor:  # fmt: skip
        assert supervisor.stderr is not None
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        assert supervisor.stderr.readline() == "loading\n"
        supervisor.kill()
        supervisor.wait()
        assert tocsin("tick").returncode == 0, "the run is under way, though its supervisor is gone"
        supervisor.stdin.write("go on\n")
        supervisor.stdin.flush()
        assert json.loads(supervisor.stdout.read())["state"] == "Success"
    assert inbox(tmp_path) == []


# ---------------------------------------------------------------- what the kernel says


def put(root: Path, path: str, text: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


EVENTS = "low 0\nhigh 0\nmax 12\noom 4\noom_kill {}\noom_group_kill 0\n"


def test_the_count_of_the_own_control_group_is_read(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/user.slice/run.scope\n")
    put(tmp_path, "sys/fs/cgroup/user.slice/run.scope/memory.events", EVENTS.format(3))
    put(tmp_path, "proc/vmstat", "nr_free_pages 1\noom_kill 99\n")
    assert memory.kills(tmp_path) == 3


def test_in_a_container_the_own_group_is_the_root_of_all(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "0::/../outside\n")
    put(tmp_path, "sys/fs/cgroup/memory.events", EVENTS.format(1))
    assert memory.kills(tmp_path) == 1


def test_control_groups_of_version_1_are_read_as_well(tmp_path: Path) -> None:
    put(tmp_path, "proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a:b\n0::/c\n")
    put(tmp_path, "sys/fs/cgroup/memory/a:b/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert memory.kills(tmp_path) == 2


def test_where_no_group_tells_the_host_does_and_else_nobody(tmp_path: Path) -> None:
    assert memory.kills(tmp_path) is None
    put(tmp_path, "proc/vmstat", "nr_free_pages 1\noom_kill 7\n")
    assert memory.kills(tmp_path) == 7


@pytest.mark.parametrize(
    ("code", "starved", "words"),
    [
        (-9, True, "killed by SIGKILL, probably out of memory"),
        (-9, False, "killed by SIGKILL"),
        (-11, True, "killed by SIGSEGV"),
        (-34, False, "killed by SIGRTMIN"),
        (7, True, "its process ended with code 7 before the run had ended"),
    ],
)
def test_memory_is_blamed_only_for_what_the_kernel_does_for_want_of_it(code: int, starved: bool, words: str) -> None:
    assert Ending(code, out_of_memory=starved).in_words() == words


def test_many_tasks_under_way_are_counted() -> None:
    tasks = ["a", "b", "c", "d", "e"]
    assert Ending(-9).in_words(tasks) == "killed by SIGKILL while 'a', 'b', 'c' and 2 more were running"
    assert Ending(-9).in_words(["a", "b"]) == "killed by SIGKILL while 'a' and 'b' were running"
    assert Ending(-9, out_of_memory=True).in_words(["a"]) == (
        "killed by SIGKILL, probably out of memory, while 'a' was running"
    )


def test_a_line_that_was_cut_off_is_passed_over() -> None:
    told = Told()
    for line in (b'{"flow": "etl", "run_id": "r1"}\n', b'{"task": "load", "state": "Running"}\n', b'{"task": "lo'):
        told.take(line)
    assert (told.flow, told.run_id, told.running, told.left) == ("etl", "r1", ["load"], False)


@pytest.mark.parametrize("named", ["nonsense", "98765", ""])
def test_a_variable_that_names_no_pipe_is_no_supervisor(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.setenv(VARIABLE, named)
    assert link_of_this_process() is None
    assert VARIABLE not in os.environ


def test_what_a_process_tells_arrives_and_a_supervisor_that_is_gone_is_no_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv(VARIABLE, str(writing))
    link, told = link_of_this_process(), Told()
    assert link is not None
    link.begins("etl", "r1")
    link.known()
    link.task("load[1]", "Running")
    link.task("load[2]" + "x" * 10_000, "Running")
    link.task("load[1]", "Success")
    link.ended("Failed", "no rows \u2014 none")
    link.left()
    os.close(writing)
    told.listen(os.fdopen(reading, "rb"))
    assert (told.flow, told.run_id, told.known, told.left) == ("etl", "r1", True, True)
    assert (told.state, told.message) == ("Failed", "no rows \u2014 none")
    assert [title[:7] for title in told.running] == ["load[2]"]
    link.left()
