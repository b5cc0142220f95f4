"""What the end of a process means, in words and as an exit code."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

_NAMED = 3  # tasks named before the rest is only counted


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended."""

    code: int
    """As `subprocess` has it: below zero for a signal."""
    out_of_memory: bool = False
    """Whether the kernel killed something for want of memory meanwhile."""
    overdue: str = ""
    """Why it was killed by its own supervisor."""

    @property
    def exit_code(self) -> int:
        """With which code the supervisor ends, as shells have it for signals; 0 only if the process did.

        >>> Ending(-9).exit_code, Ending(3).exit_code
        (137, 3)
        """
        return 128 - self.code if self.code < 0 else self.code

    @property
    def crash_code(self) -> int:
        """The same where the work was not done: never 0."""
        return self.exit_code or 1

    def in_words(self, tasks: Sequence[str] = ()) -> str:
        """How it ended, for people, and what it was at.

        >>> Ending(-9, out_of_memory=True).in_words()
        'killed by SIGKILL, probably out of memory'
        >>> Ending(-11).in_words(["load"]), Ending(0).in_words()
        ("killed by SIGSEGV while 'load' was running", 'its process ended with code 0 before the run had ended')
        """
        at_work = f" while {_listed(tasks)} running" if tasks else ""
        if self.code >= 0:
            return f"its process ended with code {self.code} before the run had ended" + (
                f",{at_work}" if at_work else ""
            )
        memory = ", probably out of memory," if self.out_of_memory and self.code == -signal.SIGKILL else ""
        why = f": {self.overdue}" if self.overdue else ""
        return f"killed by {signal_name(-self.code)}{memory if at_work else memory.rstrip(',')}{at_work}{why}"


def signal_name(number: int) -> str:
    """The name of a signal.

    >>> signal_name(9), signal_name(99)
    ('SIGKILL', 'signal 99')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _listed(tasks: Sequence[str]) -> str:
    named = [f"'{task}'" for task in tasks[:_NAMED]]
    more = len(tasks) - _NAMED
    if more > 0:
        named.append(f"{more} more")
    text = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
    return f"{text} {'was' if len(tasks) == 1 else 'were'}"
