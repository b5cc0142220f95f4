"""A process that is killed loses nothing that it had published, and the next one sends it once."""

import signal
import sqlite3
from pathlib import Path

import pytest

from support.stand_ins import StandIns

FLOW = """
import os, signal
import tocsin
from tocsin import Flow, hookimpl, task

class KillMe:
    @hookimpl
    def tocsin_task_failed(self, event):
        os.kill(os.getpid(), signal.SIGKILL)

@task
def load():
    raise ValueError("bad row")

with Flow("etl") as flow:
    load()

if __name__ == "__main__":
    tocsin.register(KillMe())
    flow.run()
"""

FLOW_THAT_LIVES = FLOW.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass").replace(
    'raise ValueError("bad row")', "pass"
)


def config(folder: Path, stand_ins: StandIns) -> None:
    (folder / "tocsin.toml").write_text(
        f"""
[channels.hook]
type = "webhook"
url = "{stand_ins.url}/hook"
allow_http = true
allow_private = ["127.0.0.1/32"]
allow_ports = [{stand_ins.http_port}]

[[routes]]
when = "is_failed and is_task"
send = ["hook"]
"""
    )


def kill_right_after_a_failure_was_published(folder: Path, stand_ins: StandIns, python) -> None:
    config(folder, stand_ins)
    (folder / "flow.py").write_text(FLOW)
    killed = python("flow.py")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with sqlite3.connect(folder / "tocsin.db") as db:
        assert db.execute("SELECT count(*) FROM deliveries").fetchone() == (1,)
    db.close()


def titles(stand_ins: StandIns) -> list[str]:
    return [received.content["body"]["data"]["message"]["title"] for received in stand_ins.of("webhook")]


def test_the_hub_delivers_once_what_a_killed_run_had_published(
    tmp_path: Path, stand_ins: StandIns, python, tocsin
) -> None:
    kill_right_after_a_failure_was_published(tmp_path, stand_ins, python)
    hub = tocsin("hub", "--once")
    assert hub.returncode == 0, hub.stderr
    assert tocsin("hub", "--once").returncode == 0
    assert titles(stand_ins) == ["Failed: etl/load"]


def test_the_next_run_delivers_once_what_a_killed_run_had_published_and_the_recovery_after_it(
    tmp_path: Path, stand_ins: StandIns, python
) -> None:
    kill_right_after_a_failure_was_published(tmp_path, stand_ins, python)
    (tmp_path / "flow.py").write_text(FLOW_THAT_LIVES)
    after = python("flow.py")
    assert after.returncode == 0, after.stderr
    assert [title.split(" after ")[0] for title in titles(stand_ins)] == ["Failed: etl/load", "Recovered: etl/load"]


@pytest.mark.parametrize("status", [500, 429])
def test_a_service_that_is_down_at_first_gets_the_message_when_it_is_back(
    tmp_path: Path, stand_ins: StandIns, python, status: int
) -> None:
    config(tmp_path, stand_ins)
    with (tmp_path / "tocsin.toml").open("a") as file:
        file.write('\n[channels.hook.retry]\nfirst = "100ms"\n')
    (tmp_path / "flow.py").write_text(FLOW.replace("os.kill(os.getpid(), signal.SIGKILL)", "pass"))
    stand_ins.scripted += [status, status]
    assert python("flow.py").returncode == 0
    assert titles(stand_ins) == ["Failed: etl/load"]
