"""What a run does before it begins breaks it as little as what it does later."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tocsin.assembly import assemble
from tocsin.clock import ManualClock
from tocsin.settings.source import source_of_text
from tocsin.store.protocol import Transaction
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore

CONFIG = """
[channels.ops]
type = "inbox"
[[routes]]
name = "problems"
when = "is_failed"
send = ["ops"]
"""


class Failing(SqliteStore):
    """A store whose disk fails from a moment on that is told: with which question, and the how many-th of its kind."""

    def __init__(self, path: Path, question: str, after: int) -> None:
        super().__init__(path)
        self.question, self.after, self.asked = question, after, 0

    def _ask(self, question: str) -> None:
        self.asked += question == self.question
        if self.asked > self.after:
            raise StoreError(f"store '{self.path}': disk I/O error")

    def prune(self, *, before: datetime) -> int:
        self._ask("prune")
        return super().prune(before=before)

    def transact(self, work: Callable[[Transaction], Any], *, keep: bool = True) -> Any:
        self._ask("transact")
        return super().transact(work, keep=keep)

    def next_cell_due(self) -> datetime | None:
        self._ask("next_cell_due")
        return super().next_cell_due()

    def next_due(self, *, now: datetime, but: Any = ()) -> datetime | None:
        self._ask("next_due")
        return super().next_due(now=now, but=but)


@pytest.mark.parametrize(
    ("question", "after"),
    [("prune", 0), ("transact", 0), ("transact", 1), ("transact", 2), ("next_cell_due", 0), ("next_due", 0)],
)
def test_a_store_that_fails_while_a_run_begins_is_said_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, question: str, after: int
) -> None:
    assembly = assemble(source_of_text(CONFIG, base=tmp_path), ManualClock())
    outbox = assembly.hub.outbox
    assert outbox is not None
    store = Failing(tmp_path / "tocsin.db", question, after)
    assembly.store, assembly.hub.outbox = store, replace(outbox, store=store)
    assembly.start()
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    if store.asked > after:
        assert len(said) == 1
        assert f"store '{store.path}': disk I/O error; alerts wait in the spill file" in said[0]
    else:  # so many questions are not asked
        assert (question, said) == ("transact", [])
    store.close()
