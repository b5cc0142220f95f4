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
    Why(
        ("state change told to",),
        "A state change told to nobody",
        "what is left is one call and two look-ups in dictionaries, 0.06 us; raw pluggy calls in 0.6 us.",
    ),
    Why(
        ("durable append", "PostgreSQL: durable append"),
        "Durable append",
        "what one event writes is more than a row: the event and its delivery with their indices, 7.5 pages of the log "
        "beside 1.7. On SQLite, without the sync, it takes 66 us beside 14: 24 to write the pages, 15 for the "
        "statements, 27 in Python; a sync costs 100 to 250 us, and leaves the caches cold for what follows. Threads "
        "that publish together share a commit, but each event still takes some 50 us of the one interpreter, and 25 of "
        "the kernel that changes threads, where the plain side adds a row in 6 us.",
    ),
    Why(
        ("claim and settle", "PostgreSQL: claim and settle"),
        "Claim and settle",
        "a claim leaves a lease and a token behind and looks into its lane; a result is an attempt and a change of the "
        "delivery, where the plain side deletes a row. On SQLite, of 15 us each, a result takes 4.3 in the database (a "
        "row that stands in five indices, and one of history), a claim 2, the commit 1.4, and Python 7; the plain side "
        "takes 2.6 in all, and two syncs instead of one.",
    ),
    Why(
        ("a claim", "PostgreSQL: a claim"),
        "A claim out of many",
        "what must be passed over is not all passed over by an index.",
    ),
    Why(
        ("end to end",),
        "End to end",
        "the POST itself takes 170 us of processor time, less than the 260 of requests. But each delivery is also "
        "decided and written (190 us and a sync), read and composed (50), claimed and settled (20); all of it, and the "
        "service too (300), shares one interpreter, and whatever waited for the disk or for its turn goes on with cold "
        "caches: twice the sum of the parts.",
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
        "message is composed and settled by a thread of the same interpreter. A success costs 1 us. A failure takes "
        "some 1.5 ms of processor time: 0.2 to summarise the exception, 0.65 to publish it (0.25 where nothing else is "
        "in the caches), 0.65 to deliver and settle it; a hundred of them take longer than the 10,000 tasks. The goal "
        "leaves 0.3 ms for each, the sync included.",
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
    - **A state change told to nobody**: what is left is one call and two look-ups in dictionaries, 0.06 us; raw pluggy
      calls in 0.6 us.
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
