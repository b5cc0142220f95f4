"""Each side of each pair, for pytest-benchmark."""

import pytest

from . import alerting
from .pairs import PAIRS, Pair


@pytest.mark.parametrize("side", ["ours", "floor"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_bench(benchmark, pair: Pair, side: str) -> None:
    with pair.sides() as (ours, floor):
        benchmark.extra_info["units"] = pair.units
        benchmark.pedantic(ours if side == "ours" else floor, rounds=3, iterations=1)


def test_the_figures_of_alerting_can_be_taken() -> None:
    few = alerting.Crowd(routes=10, inhibitions=2, silences=3, incidents=5)
    assert "against 10 routes" in alerting.lines(few)
