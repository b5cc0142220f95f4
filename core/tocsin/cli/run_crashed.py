"""What is said, and announced, of a run whose process has died: by the one that outlives it."""

from __future__ import annotations

from pathlib import Path

from tocsin.assembly import Assembly, assemble, locate
from tocsin.cli.diagnostics import report
from tocsin.cli.flowfile import split
from tocsin.cli.output import print_json
from tocsin.cli.record import TaskRecord
from tocsin.cli.run_here import deliveries_of
from tocsin.cli.summary import Summary, as_data, by_channel, show
from tocsin.errors import TocsinError
from tocsin.supervision.announcing import announce
from tocsin.supervision.child import Ended
from tocsin.supervision.link import Told


def speak_for(ended: Ended, target: str, *, seconds: float, as_json: bool) -> int:
    """Announce what has to be announced, deliver what is left, print the summary; the code with which to end."""
    told, ending = ended.told, ended.ending
    if told.left:
        report("ERROR", f"the process was {ending.in_words()} after all was done")
        return ending.exit_code
    if not told.run_id:
        if ending.code < 0:
            report("ERROR", f"'{target}': {ending.in_words()} before its run began")
        return ending.exit_code
    if told.state:
        report("ERROR", f"the process was {ending.in_words()} after its run had ended; what was left is delivered now")
    words = ending.in_words(told.running)
    assembly, died = _told_of(ended, words, split(target)[0].absolute().parent)
    if not (died or told.state):
        told.state, told.message = "Finished", "its process died before it could say how"
    summary = _summary(told, words, seconds, ending.crash_code)
    if assembly is not None:
        summary.deliveries.update(by_channel(deliveries_of(assembly, told.run_id)))
    print_json(as_data(summary)) if as_json else show(summary)
    return summary.exit_code


def _told_of(ended: Ended, words: str, beside: Path) -> tuple[Assembly | None, bool]:
    """Announce, and deliver; what did it, and whether the run was under way when its process died.

    Nothing does it where there is no config, or none that can be used.
    """
    try:
        source = locate(beside=beside)
        assembly = None if source is None else assemble(source)
    except TocsinError as error:
        report("ERROR", f"nobody could be told: {error}")
        return None, not ended.told.state
    if assembly is None:
        return None, not ended.told.state
    assembly.start(buries=False)
    try:
        died = announce(assembly, ended, words)
    finally:
        assembly.finish()
    return assembly, died


def _summary(told: Told, words: str, seconds: float, code: int) -> Summary:
    return Summary(
        flow=told.flow,
        run_id=told.run_id,
        state=told.state or "Crashed",
        message=told.message if told.state else words,
        seconds=seconds,
        tasks=[TaskRecord(title, title, state=state) for title, state in told.tasks.items()],
        succeeded=False,
        exit_code=code,
    )
