"""What is shown while a flow runs: a table that changes on a terminal, else a line per change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tocsin.cli.output import STATE_STYLES, console, count, say, styled
from tocsin.cli.record import RunRecord, TaskRecord

if TYPE_CHECKING:
    from rich.table import Table

MARKS = {
    "Pending": "·",
    "Running": "▸",
    "Retrying": "↻",
    "Skipped": "-",
    "Success": "✓",
    "Cached": "✓",
    "Mapped": "✓",
}
_FAILED = "✗"
_ROWS = 20
_MANY = 500


def line(task: TaskRecord) -> str:
    """A task's change on one line.

    >>> line(TaskRecord("load", "load-1", state="Retrying", attempts=1, max_attempts=3))
    'Retrying  load  (attempt 1 of 3)'
    """
    tries = f"  (attempt {task.tries})" if task.max_attempts > 1 and task.attempts else ""
    return f"{task.state:<8}  {task.title}{tries}"


def print_line(task: TaskRecord) -> None:
    """Print a task's change, for output that is no terminal."""
    if not task.hidden:
        say(line(task))


@contextmanager
def live(record: RunRecord) -> Iterator[None]:
    """Show how far the run is, for the length of a `with` block."""
    from rich.live import Live

    often = 8 if len(record.tasks()) <= _MANY else 1  # a picture of many tasks takes time from the run itself
    with Live(
        get_renderable=lambda: picture(record.tasks()), console=console(), refresh_per_second=often, transient=True
    ):
        yield


def picture(tasks: list[TaskRecord]) -> Table:
    """The tasks as a table: all of them when they are few, else those under way and the last that failed."""
    from rich.table import Table

    tasks = [task for task in tasks if not task.hidden]
    done = sum(task.finished for task in tasks)
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for task in shown(tasks):
        mark = MARKS.get(task.state, _FAILED if task.finished else "·")
        tries = f"attempt {task.tries}" if task.max_attempts > 1 and task.attempts else ""
        style = STATE_STYLES.get(task.state, "")
        made.add_row(styled(mark, style), styled(task.title), styled(task.state, task.state), styled(tries, "dim"))
    made.add_row(styled(""), styled(f"{done} of {count(len(tasks), 'task')} done", "dim"))
    return made


def shown(tasks: list[TaskRecord]) -> list[TaskRecord]:
    """Which tasks to show of many: those that matter most, in their own order.

    >>> many = [TaskRecord(str(n), str(n), finished=True, state="Success") for n in range(99)]
    >>> many[50].state = "Running"
    >>> "50" in [task.name for task in shown(many)], len(shown(many))
    (True, 20)
    """
    if len(tasks) <= _ROWS:
        return tasks
    ranked = sorted(range(len(tasks)), key=lambda place: (_rank(tasks[place]), place))
    return [tasks[place] for place in sorted(ranked[:_ROWS])]


def _rank(task: TaskRecord) -> int:
    if task.state in ("Running", "Retrying"):
        return 0
    if task.finished and task.state not in MARKS:
        return 1
    return 3 if task.finished else 2
