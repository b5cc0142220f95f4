"""Each side of each pair, for pytest-benchmark."""

import pytest

from .pairs import PAIRS, Pair


@pytest.mark.parametrize("side", ["ours", "floor"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_bench(benchmark, pair: Pair, side: str) -> None:
    with pair.sides() as (ours, floor):
        benchmark.extra_info["units"] = pair.units
        benchmark.pedantic(ours if side == "ours" else floor, rounds=3, iterations=1)
