"""Whether everything that is measured works: each side of each quick pair, and each figure, taken of few."""

import doctest
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from sqlite3 import connect
from types import ModuleType
from typing import Any

import pendulum
import pytest

from tocsin.store.sqlite import SqliteStore

from . import alerting, backlog as backlog_module, pair as pair_module, reasons as reasons_module
from .backlog import Backlog, backlog, fill, remembered
from .burst import burst
from .databases import POSTGRES, SQLITE
from .delivering import delivery_pair, latency_row
from .pair import Pair, Row
from .pairs import PAIRS
from .reasons import unmet
from .report import measured, measurements
from .running import alerts_pair
from .sink import Sink
from .storing import append_pair, busy_claim_pair, claim_pair, flat_claim_pair


@pytest.mark.parametrize("side", ["ours", "floor"])
@pytest.mark.parametrize("pair", [pair for pair in PAIRS if not pair.slow], ids=lambda pair: pair.name)
def test_bench(benchmark: Any, pair: Pair, side: str) -> None:
    with pair.sides() as (ours, floor):
        benchmark.extra_info["units"] = pair.units
        benchmark.pedantic(ours if side == "ours" else floor, rounds=3, iterations=1)


@pytest.mark.parametrize("module", [backlog_module, pair_module, reasons_module])
def test_the_examples_hold(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


SMALL = {
    f"{database.name}, {name}": sides
    for database in (SQLITE, POSTGRES)
    for name, sides in (
        ("alone", append_pair(database, 1, 1, 4, 1)),
        ("together", append_pair(database, 4, 4, 8, 1)),
        ("claims", claim_pair(database, 1)),
        ("flat", flat_claim_pair(database, 2000)),
        ("busy", busy_claim_pair(database, 2000)),
    )
} | {
    "a sink that answers late": delivery_pair(2, 4, lambda: Sink(0.01)),
    "a flow whose failures are told": alerts_pair(200),
}


@pytest.mark.parametrize("name", SMALL)
def test_what_takes_long_works_with_little(name: str) -> None:
    row = measured(Pair(name, "<= 1000000", "ours", "plain", SMALL[name], rounds=1))
    assert row.met is True


def test_the_figures_of_alerting_can_be_taken() -> None:
    few = alerting.Crowd(routes=10, inhibitions=2, silences=3, incidents=5)
    assert "against 10 routes" in alerting.lines(few, events=100)


def test_the_time_to_the_sink_can_be_taken() -> None:
    row = latency_row(3)
    assert "p99" in row.ours
    assert float(row.ratio) > 0


def test_a_backlog_can_be_measured() -> None:
    found = backlog(400, 20, decided=100)
    assert (found.deliveries, found.delivered) == (400, 20)
    assert 400 * 500 < found.payload < found.disk
    assert 0 < found.idle < found.delivering
    assert [row.goal for row in found.rows()] == ["<= 64 MiB", "<= 1.5"]
    assert "incident" in remembered(10)


def test_a_backlog_is_of_deliveries_that_differ(tmp_path: Path) -> None:
    fill(tmp_path, 300, decided=100)
    with closing(connect(tmp_path / "tocsin.db")) as db:
        for table in ("events", "deliveries"):
            assert db.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}").fetchone() == (300, 300)
        assert db.execute("SELECT count(DISTINCT event) FROM deliveries").fetchone() == (300,)
    store = SqliteStore(tmp_path / "tocsin.db")
    now = pendulum.now("UTC")
    leased = store.lease(now=now, ttl=timedelta(minutes=1), limit=300, owner="me")
    store.close()
    assert len({each.id for each in leased}) == len({each.event.id for each in leased}) == 300
    assert all(each.planned.events == (each.event.id,) for each in leased)


def test_a_burst_is_delivered_whole_and_once() -> None:
    found = burst(1200)
    assert found.whole
    assert "1,200 delivered; 0 keys sent twice" in found.line()


def test_every_row_has_a_name_of_its_own_and_every_goal_that_is_missed_a_reason() -> None:
    names = [name for name, _ in measurements()]
    assert len(set(names)) == len(names)
    goals = [
        *(pair.name for pair in PAIRS if pair.goal != "-"),
        *(row.name for row in Backlog(10**6, 1, 1, 1, 1, 1).rows()),
    ]
    for name in goals:
        assert "**" in unmet([Row(name, "", "", "", "", "<= 1", met=False)]), name
