"""System calls that fail, or kill their process, at the very one that is asked for: by strace, without any code."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from support.nursery import Nursery, Spec

INJECTED = "(INJECTED)"


@dataclass(frozen=True)
class Fault:
    """What happens to the `when`th call of each thread; to all from there on, with a plus behind the number.

    `what` is `signal=KILL`, or `error=` with the name of one.
    """

    call: str
    what: str
    when: int | str

    def __str__(self) -> str:
        return f"{self.call}:{self.what}:when={self.when}"


@dataclass(frozen=True)
class Run:
    """How a process ended, whether the fault struck it, and how often it opened its store."""

    code: int
    struck: bool
    opened: int


@cache
def cannot_trace() -> str:
    """Why system calls cannot be made to fail here; empty where they can."""
    strace = shutil.which("strace")
    if strace is None:
        return "no strace, so no system call can be made to fail: apt-get install strace"
    command = [strace, "-f", "-e", "inject=fdatasync:error=EIO:when=1", "-o", os.devnull, "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace may not trace here: {tried.stderr.strip()[:200]}"


def needs_strace() -> None:
    """Skip where there is none, or it is not permitted."""
    if reason := cannot_trace():
        pytest.skip(reason)


@contextmanager
def traced(pid: int, log: Path, *options: str) -> Iterator[None]:
    """Trace a process, and those that it starts meanwhile, into `log`."""
    command = ["strace", "-f", *options, "-o", str(log), "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        try:
            yield
        finally:
            strace.terminate()  # it lets go of those that it traces
            strace.stderr.read()


def struck(nursery: Nursery, spec: Spec, fault: Fault) -> Run:
    """Run one process of a nursery, and let the fault strike it."""
    log = nursery.log.with_name("syscalls")
    with traced(nursery._mother.pid, log, "-e", f"trace=openat,{fault.call}", "-e", f"inject={fault}"):
        code = nursery.run(spec)
    said = log.read_text()
    return Run(code, INJECTED in said or "killed by SIGKILL" in said, said.count(f'"{spec.path}"'))


def counted(nursery: Nursery, spec: Spec, *calls: str) -> list[str]:
    """The calls of these names that one process of a nursery made, each as the name and the path of its file."""
    log = nursery.log.with_name("syscalls")
    with traced(nursery._mother.pid, log, "-y", "-e", f"trace={','.join(calls)}"):
        assert nursery.run(spec) == 0, nursery.log.read_text()
    return [line for line in log.read_text().splitlines() if any(f"{call}(" in line for call in calls)]
