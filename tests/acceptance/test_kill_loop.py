"""Runs and hubs that are killed again and again, at any moment, keep every promise."""

from __future__ import annotations

import os
import random
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from support.history import History, Journal, Sink
from support.nursery import Nursery, Spec
from support.postgres import shared_server
from tocsin.store.open import open_store

KILLS = 120 if os.environ.get("TOCSIN_LONG") else 8
"""How many, on each store."""
SEED = int(os.environ.get("TOCSIN_SEED") or random.randrange(2**32))


def names(life: int) -> list[str]:
    """What one run publishes: every other event is of a problem that goes on from run to run."""
    return [f"r{life}-{n}" if n % 2 else f"r{life}-{n}@t{n % 5}" for n in range(500)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_runs_and_hubs_that_are_killed_at_any_moment_keep_all_promises(kind: str, tmp_path: Path) -> None:
    print(f"TOCSIN_SEED={SEED}")
    chance, pause = random.Random(SEED), threading.Event()
    path = str(tmp_path / "tocsin.db") if kind == "sqlite" else None
    url = shared_server().url(tmp_path) if kind == "postgres" else None
    store = open_store(None if path is None else Path(path), url)
    assert store.deliveries() == []  # its tables are made: this is not about how that is killed
    with Nursery(tmp_path / "log") as nursery, Sink() as sink:
        spec = Spec("hub", str(tmp_path / "journal"), str(tmp_path / "spill"), sink.port, path, url, pace=0.004)
        history = History(sink, Journal(Path(spec.journal)), spec.channels)

        def start(role: str, life: int) -> int:
            publish = names(life) if role == "flow" else ()
            return nursery.start(replace(spec, role=role, publish=publish, forever=True))

        living = {"flow": start("flow", 0), "hub": start("hub", 0)}
        kills = 0
        while kills < KILLS:
            pause.wait(chance.uniform(0.01, 0.15))
            for role in chance.choice((["flow"], ["hub"], ["flow", "hub"])):
                assert nursery.kill(living.pop(role)) in (-signal.SIGKILL, 0), nursery.log.read_text()
                kills += 1
            history.died(store)
            living |= {role: start(role, kills) for role in {"flow", "hub"} - set(living)}
        while len(history.journal.said("returned")) <= KILLS:  # a busy machine may not have come to much yet
            pause.wait(0.05)
        for role in sorted(living):
            nursery.kill(living[role])
        history.died(store)
        assert nursery.run(replace(spec, role="hub")) == 0, nursery.log.read_text()
        history.check(store)
    store.close()
