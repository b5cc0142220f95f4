"""A plugin whose channels misbehave in every way, installed into a folder; and the processes that are left of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODULE = r"""
import ctypes, json, os, signal, subprocess, sys, threading
from tocsin_hooks import ChannelConfig, ChannelType, Receipt, hookimpl

class BeastConfig(ChannelConfig):
    log: str
    made: str = "well"

class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")

class Beast:  # does what the task is called whose failure it is told of
    def __init__(self, config):
        self.config = config
        if config.made == "exits":
            os._exit(4)
        if config.made == "raises":
            raise ValueError("no such beast")
        if config.made == "leaves":
            raise SystemExit(5)
        if config.made == "hangs":
            threading.Event().wait()

    def send(self, message, previous=None):
        self.note(os.getpid(), message.event.task)
        answer = getattr(self, message.event.task)(message)
        return Receipt("roared") if answer is None else answer

    def note(self, pid, way):
        with open(self.config.log, "a") as log:
            log.write(json.dumps({"pid": pid, "way": way}) + "\n")

    def good(self, message): pass
    def exits(self, message): os._exit(7)
    def segfaults(self, message): os.kill(os.getpid(), signal.SIGSEGV)
    def hangs(self, message): threading.Event().wait()
    def hangs_in_c(self, message): ctypes.PyDLL(None).sleep(600)
    def raises(self, message): raise ZeroDivisionError("oops")
    def leaves(self, message): raise SystemExit(3)
    def interrupts(self, message): raise KeyboardInterrupt
    def closes(self, message): raise GeneratorExit
    def unspeakable(self, message): raise Unspeakable
    def unserialisable(self, message): json.dumps(message)
    def text(self, message): return "ok"
    def generator(self, message): return (each for each in ())
    def odd(self, message): return Receipt("odd", {"at": object(), object(): 1})

    def prints(self, message):
        forged = '{"receipt": {"detail": "forged"}, "number": 1}'
        print(forged, flush=True)
        os.write(1, forged.encode() + b"\n")

    def leaks_threads(self, message):
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    def leaks_files(self, message):
        self.kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]

    def closes_its_streams(self, message):
        sys.stderr.close()
        sys.stdin.close()
        os.chdir("/")
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def closes_all_files(self, message): os.closerange(3, 256)

    def starts_another(self, message):
        self.note(subprocess.Popen(["sleep", "600"]).pid, "child")

    def starts_another_and_hangs(self, message):
        self.starts_another(message)
        self.hangs(message)

    def starts_another_and_exits(self, message):
        self.starts_another(message)
        os._exit(8)

    def forks(self, message): os.fork()

@hookimpl
def tocsin_channel_types():
    return [ChannelType("beast", BeastConfig, Beast)]
"""


def install(folder: Path, name: str = "beasts", code: str = MODULE) -> Path:
    """Install the plugin into a folder that is to stand in PYTHONPATH."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[tocsin]\n{name} = {name}\n")
    return folder


def noted(log: Path) -> list[dict[str, Any]]:
    """What the channels have noted: the processes they were, or started, and what they did."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def left(log: Path) -> set[int]:
    """The processes of the channels that are still there."""
    return {each["pid"] for each in noted(log) if is_there(each["pid"])}


def is_there(pid: int) -> bool:
    """Whether a process runs: one that has ended and is not asked for is only a number."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something has happened in another process, which can tell nobody."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "it has not happened"
        time.sleep(0.01)
