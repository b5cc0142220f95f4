"""What a supervised process tells its supervisor: lines of JSON through a pipe, each written whole.

It needs neither store nor network, so it says what is lost when both fail, and it tells a run that ended from one that
was cut off.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from typing import Any, BinaryIO

VARIABLE = "TOCSIN_SUPERVISOR"
"""The environment variable that names the pipe to a process that is supervised."""
_TITLE = 500  # characters of a task's name: a line is written whole only if it is short


@dataclass(slots=True)
class Told:
    """What the supervisor knows of its child."""

    flow: str = ""
    run_id: str = ""
    known: bool = False
    """Whether the store has heard of its beginning: if it has nothing of the run now, it has heard of its end."""
    state: str = ""
    """In which the run ended; empty while it has not."""
    message: str = ""
    left: bool = False
    """Whether the process went through its own end: then it has told all there is to tell."""
    tasks: dict[str, str] = field(default_factory=dict)
    """The state of each task, in the order in which they began."""

    @property
    def running(self) -> list[str]:
        """The tasks that are under way."""
        return [title for title, state in self.tasks.items() if state == "Running"]

    def take(self, line: bytes) -> None:
        """Take one line in; what is none, cut off by the end of its writer, is passed over."""
        try:
            said = json.loads(line)
        except ValueError:
            return
        match said:
            case {"task": str() as title, "state": str() as state}:
                self.tasks[title] = state
            case {"flow": str() as flow, "run_id": str() as run_id}:
                self.flow, self.run_id, self.state = flow, run_id, ""
            case {"known": True}:
                self.known = True
            case {"ended": str() as state, "message": str() as message}:
                self.state, self.message = state, message
            case {"left": True}:
                self.left = True

    def listen(self, pipe: BinaryIO) -> None:
        """Take in all that comes, until the other end is closed."""
        with pipe:
            for line in pipe:
                self.take(line)


class Link:
    """The end of the pipe in the process that is supervised. A supervisor that is gone is no reason to stop."""

    def __init__(self, handle: int) -> None:
        self._handle: int | None = handle
        self._pid = os.getpid()
        self._lock = threading.Lock()
        os.set_inheritable(handle, False)  # what the flow starts must not hold the pipe open

    def begins(self, flow: str, run_id: str) -> None:
        """Say that a run begins."""
        self._say(flow=flow[:_TITLE], run_id=run_id[:_TITLE])

    def known(self) -> None:
        """Say that the store has heard of the beginning of the run."""
        self._say(known=True)

    def task(self, title: str, state: str) -> None:
        """Say that a task entered a state."""
        self._say(task=title[:_TITLE], state=state)

    def ended(self, state: str, message: str) -> None:
        """Say that the run ended."""
        self._say(ended=state, message=message[:_TITLE])

    def left(self) -> None:
        """Say that this process goes through its own end."""
        self._say(left=True)

    def _say(self, **what: Any) -> None:
        data = json.dumps(what).encode() + b"\n"
        with self._lock:
            if self._handle is None or os.getpid() != self._pid:
                return
            try:
                os.write(self._handle, data)
            except OSError:
                self._handle = None


def link_of_this_process() -> Link | None:
    """The link to the supervisor that started this process, if one did. To be asked for once."""
    named = os.environ.pop(VARIABLE, "")  # processes that the flow starts are not supervised by it
    try:
        handle = int(named)
        os.fstat(handle)
    except (ValueError, OSError):
        return None
    return Link(handle)
