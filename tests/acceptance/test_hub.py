"""`tocsin hub` as a service manager meets it: it answers how it is, ends soon when told to, and loses nothing."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PLUGIN = """
import threading
from tocsin_hooks import ChannelConfig, ChannelType, Receipt, hookimpl

class HangsConfig(ChannelConfig):
    hangs: bool = True

class Hangs:
    def __init__(self, config):
        self.config = config

    def send(self, message, previous=None):
        print("sending", message.title, flush=True)
        if self.config.hangs:
            threading.Event().wait()
        return Receipt("at last")

@hookimpl
def tocsin_channel_types():
    return [ChannelType("hangs", HangsConfig, Hangs)]
"""

FAILURE = """
from dataclasses import replace
from tocsin.assembly import assemble, locate
from tocsin.simulate import event_of

assembly = assemble(locate())
outbox = replace(assembly.hub.outbox, wake=lambda: None)
event = event_of({"state": "Failed", "flow": "etl", "task": "load"}, assembly.clock)
assert assembly.hub.store_event(outbox, event).sent
assembly.store.close()
"""

CONFIG = """
[delivery]
drain = "{drain}"
[defaults]
send = ["ops"]
[channels.ops]
type = "hangs"
hangs = {hangs}
[hub]
listen = "127.0.0.1:0"
"""


class Hub:
    """A folder with a hub in it, in a process of its own."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder, self.environ = folder, environ | {"PYTHONPATH": str(folder / "site")}
        site = folder / "site"
        info = site / "tocsin_hangs-1.0.dist-info"
        info.mkdir(parents=True)
        (site / "tocsin_hangs.py").write_text(PLUGIN)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tocsin_hangs\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[tocsin]\nhangs = tocsin_hangs\n")
        self.process: subprocess.Popen[str] | None = None
        self.url = ""

    def config(self, *, drain: str = "10ms", hangs: bool = True) -> None:
        (self.folder / "tocsin.toml").write_text(CONFIG.format(drain=drain, hangs=str(hangs).lower()))

    def fail(self) -> None:
        """Something fails in another process, which delivers nothing."""
        (self.folder / "failure.py").write_text(FAILURE)
        subprocess.run([sys.executable, "failure.py"], cwd=self.folder, env=self.environ, check=True, timeout=60)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tocsin.cli", "hub"], cwd=self.folder, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.url = self.line(r"answering on (http://\S+)/healthz").group(1)

    def line(self, pattern: str) -> re.Match[str]:
        """The next line that it prints of that pattern."""
        assert self.process is not None
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended and never said {pattern}: {self.process.communicate()[1]}")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """How it ended, and what it said until then."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out + err

    def tocsin(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin.cli", *arguments], cwd=self.folder, env=self.environ, text=True,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    def json(self, *arguments: str) -> Any:
        return json.loads(self.tocsin(*arguments, "--json").stdout)

    def is_seen(self) -> None:
        """Wait until it keeps time, and has said so."""
        assert self.process is not None
        while not self.json("status")["hubs"]:
            assert self.process.poll() is None

    def get(self, page: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.url}{page}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture
def hub(tmp_path: Path, environ: dict[str, str]) -> Iterator[Hub]:
    made = Hub(tmp_path, environ)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_hub_ends_when_told_to(hub: Hub, number: signal.Signals) -> None:
    hub.config(drain="1h")
    hub.start()
    hub.signal(number)
    code, said = hub.end()
    assert (code, "stopped: 0 delivered, 0 dead" in said) == (0, True)


def test_a_channel_that_hangs_keeps_no_hub_from_ending_and_its_delivery_is_not_lost(hub: Hub) -> None:
    hub.config()
    hub.fail()
    hub.config(drain="100ms")
    hub.start()
    hub.line("^sending Failed: etl/load")
    hub.signal(signal.SIGTERM)
    code, said = hub.end()
    assert (code, "stopping: waiting for what is under way" in said) == (0, True)
    assert [delivery["status"] for delivery in hub.json("deliveries")] == ["leased"]
    hub.config(hangs=False, drain="30s")
    assert hub.tocsin("hub", "--once").returncode == 0
    assert [delivery["status"] for delivery in hub.json("deliveries")] == ["delivered"]


def test_a_second_signal_ends_it_at_once_and_nothing_is_lost(hub: Hub) -> None:
    hub.config()
    hub.fail()
    hub.config(drain="1h")
    hub.start()
    hub.line("^sending ")
    hub.signal(signal.SIGTERM)
    hub.line("^stopping: waiting for what is under way")
    status, text = hub.get("/healthz")
    assert (status, json.loads(text)["reasons"]) == (503, ["the hub is stopping"])
    hub.signal(signal.SIGTERM)
    assert hub.end()[0] == -signal.SIGTERM
    assert [delivery["status"] for delivery in hub.json("deliveries")] == ["leased"]


def test_a_hub_that_runs_is_well_seen_by_status_and_counts(hub: Hub) -> None:
    hub.config(hangs=False, drain="30s")
    hub.start()
    hub.is_seen()
    hub.fail()
    hub.line("^sending Failed: etl/load")
    assert hub.get("/healthz")[0] == 200
    [seen] = hub.json("status")["hubs"]
    assert hub.process is not None
    assert (seen["there"], seen["pid"], seen["lost"]) == (True, hub.process.pid, 0)
    assert hub.tocsin("doctor").returncode == 0
    figures = hub.get("/metrics")[1]
    assert "tocsin_hub_up 1.0" in figures
    assert 'tocsin_notification_seconds_count{channel="ops"} 1.0' in figures
    hub.signal(signal.SIGTERM)
    assert hub.end()[0] == 0
    assert hub.json("status")["hubs"] == [], "it said that it leaves"


def test_a_hub_that_was_killed_is_no_longer_there_and_doctor_says_so(hub: Hub) -> None:
    hub.config(hangs=False)
    hub.start()
    hub.is_seen()
    hub.signal(signal.SIGKILL)
    hub.end()
    [seen] = hub.json("status")["hubs"]
    assert seen["there"] is False
    assert "has ended without a word" in hub.tocsin("doctor").stdout


def test_an_address_that_is_taken_is_one_line(hub: Hub) -> None:
    hub.config()
    hub.start()
    port = hub.url.rpartition(":")[2]
    taken = subprocess.run(
        [sys.executable, "-m", "tocsin.cli", "hub"], cwd=hub.folder,
        env=hub.environ | {"TOCSIN__HUB__LISTEN": f"127.0.0.1:{port}"}, text=True, capture_output=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert taken.returncode == 2
    assert taken.stderr.startswith(f"error: [hub] listen = '127.0.0.1:{port}' cannot be had: ")
    assert "Traceback" not in taken.stderr
