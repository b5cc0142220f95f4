"""`tocsin run` with a plugin that hangs: the run ends as it does without it, its messages arrive, and it is named."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from acceptance.conftest import Tocsin

FLOW = """
from tocsin import Flow, task
from tocsin.executors import LocalExecutor, ThreadExecutor

@task
def load():
    {load}

@task
def report(rows):
    return rows

with Flow("etl", executor={executor}) as flow:
    report(load())
"""

CONFIG = """
[channels.home]
type = "inbox"

[[routes]]
when = "is_flow and is_finished"
send = ["home"]
"""

HANG = {
    "sleep": "import time\ntime.sleep(1000)",
    "read": "import socket\nnear, far = socket.socketpair()\nnear.recv(1)",
    "loop": "while True: pass",
}

HOOKS = {
    "tocsin_startup": "version",
    "tocsin_propose_state": "event, state",
    "tocsin_enrich": "event",
    "tocsin_task_running": "event",
    "tocsin_state_changed": "event",
}
TOLD_ON_A_THREAD = {"tocsin_delivered": "message, receipt"}


@pytest.fixture
def run(tmp_path: Path, tocsin: Tocsin) -> Callable[..., tuple[int, dict[str, object], str]]:
    def run(hooks: list[str], how: str, *, load: str = "return 1", executor: str = "LocalExecutor()"):
        lines = ["from tocsin_hooks import hookimpl"]
        for hook in hooks:
            body = HANG[how].replace("\n", "\n    ")
            lines.append(f"@hookimpl\ndef {hook}({(HOOKS | TOLD_ON_A_THREAD)[hook]}):\n    {body}\n")
        info = tmp_path / "site" / "slowpoke-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slowpoke\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[tocsin]\nslowpoke = slowpoke_plugin\n")
        (tmp_path / "site" / "slowpoke_plugin.py").write_text("\n".join(lines))
        (tmp_path / "flow.py").write_text(FLOW.format(load=load, executor=executor))
        (tmp_path / "tocsin.toml").write_text(CONFIG)
        ran = tocsin("run", "flow.py", "--json", PYTHONPATH=str(tmp_path / "site"), TOCSIN_HOOK_DEADLINE="300ms")
        return ran.returncode, json.loads(ran.stdout), ran.stderr

    return run


def named(hook: str) -> str:
    return f"plugin 'slowpoke' did not come back from '{hook}' within 0.3 s; it was ended, and is not called again"


def test_a_flow_that_succeeds_does_so_and_its_message_arrives(run: Callable[..., tuple]) -> None:
    code, summary, said = run(["tocsin_state_changed"], "read")
    assert (code, summary["state"]) == (0, "Success")
    assert summary["deliveries"]["home"]["delivered"] == 1
    assert said.count(named("tocsin_state_changed")) == 1


def test_a_flow_that_fails_does_so_with_its_own_code_whatever_hangs(run: Callable[..., tuple]) -> None:
    code, summary, said = run([*HOOKS], "sleep", load="raise ValueError('bad row')")
    assert (code, summary["state"]) == (1, "Failed")
    assert summary["deliveries"]["home"]["delivered"] == 1
    for hook in HOOKS:
        assert said.count(named(hook)) == 1, hook


def test_tasks_on_threads_go_on_and_so_do_deliveries(run: Callable[..., tuple]) -> None:
    code, summary, said = run(["tocsin_task_running", "tocsin_delivered"], "loop", executor="ThreadExecutor(2)")
    assert (code, summary["state"]) == (0, "Success")
    assert summary["deliveries"]["home"]["delivered"] == 1
    assert said.count(named("tocsin_task_running")) == 1
    assert said.count(named("tocsin_delivered")) == 1
