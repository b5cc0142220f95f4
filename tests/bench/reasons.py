"""Which goals are not met, and why."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import NamedTuple

from .pair import Row


class Why(NamedTuple):
    """Why the rows whose names start so may miss their goals."""

    starts: tuple[str, ...]
    title: str
    reason: str


_WHY = (
    Why(
        ("no-op task",),
        "A task with one subscriber",
        "each of its changes is told as an event, and building one costs several times what the plain loop does. The "
        "goal was set where that loop takes 4.2 us a task; in microseconds a task it is met, as a ratio to a faster "
        "loop it is not.",
    ),
    Why(("state change told to",), "A state change told to nobody", "what is left is one look-up in a dictionary."),
    Why(
        ("durable append", "PostgreSQL: durable append"),
        "Durable append",
        "threads that publish together share a commit, but what one event writes is more than a row: the event and its "
        "deliveries, each with its indices; and all of it is decided in Python inside the transaction.",
    ),
    Why(
        ("claim and settle", "PostgreSQL: claim and settle"),
        "Claim and settle",
        "a claim leaves a lease and a token behind and looks into its lane; a result is an attempt and a change of the "
        "delivery, where the plain side deletes a row.",
    ),
    Why(
        ("a claim", "PostgreSQL: a claim"),
        "A claim out of many",
        "what must be passed over is not all passed over by an index.",
    ),
    Why(
        ("end to end",),
        "End to end",
        "beside the POST each delivery is written, claimed, composed and settled; a lone publisher syncs for every "
        "event.",
    ),
    Why(
        ("state change to bytes",),
        "State change to bytes",
        "there are two commits before the request, one of the event and one of the claim, and the message is composed.",
    ),
    Why(
        ("10,000 tasks of which 1 % fail",),
        "Alerts in a flow",
        "each failure is decided in Python and committed with a sync of its own before its run goes on, and its "
        "message is composed and settled by a thread of the same interpreter. A success costs next to nothing.",
    ),
    Why(
        ("1,000,000 deliveries wait: memory",),
        "Memory of a hub",
        "what it takes to send is loaded with the first message, and what it has claimed is held.",
    ),
    Why(
        ("1,000,000 deliveries wait: disk",),
        "Room on disk",
        "an event and a delivery each have an id, which is random, and indices by it and by their times.",
    ),
    Why(("import",), "Import", "the classes of the API and of states are made when they are imported."),
    Why(("routing", "100,000 tasks"), "Growth", "the cost of one grows with how many there are."),
)


def unmet(rows: Sequence[Row]) -> str:
    """The text about the goals that `rows` do not meet.

    >>> print(unmet([Row("import", "1", "2", "0.5", "-", "<= 3", True)]))
    The goals are those of the design. All of them are met.
    <BLANKLINE>
    >>> print(unmet([Row("state change told to 0", "1", "2", "0.5", "-", "<= 0.1", False)]))
    The goals are those of the design. What is not met, and why:
    <BLANKLINE>
    - **A state change told to nobody**: what is left is one look-up in a dictionary.
    <BLANKLINE>
    """
    missed = [row.name for row in rows if row.met is False]
    reasons = [
        fill(f"- **{why.title}**: {why.reason}", 118, subsequent_indent="  ") + "\n"
        for why in _WHY
        if any(name.startswith(why.starts) for name in missed)
    ]
    if not missed:
        return "The goals are those of the design. All of them are met.\n"
    return "The goals are those of the design. What is not met, and why:\n\n" + "".join(reasons)
