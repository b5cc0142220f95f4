"""The page on reliability names tests that there are, one for each fault or a reason why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tocsin.crashpoints import VARIABLE, Point

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|plugins)/[\w/]+\.py)::(\w+)`", PAGE)))


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_every_test_that_is_named_exists(file: str, test: str) -> None:
    assert re.search(rf"^def {test}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), test


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_every_fault_has_a_test_or_a_reason_why_not(row: list[str]) -> None:
    fault, test, result = row
    assert fault
    assert "::test_" in test or test.startswith("no test")
    assert (result == "-") == test.startswith("no test")


def test_the_variables_are_named_and_every_point_is_described() -> None:
    assert VARIABLE in PAGE
    code = (ROOT / "core" / "tocsin" / "crashpoints.py").read_text(encoding="utf-8")
    for point in Point:
        assert re.search(rf'{point.name} = "{re.escape(point)}"\n    """\w.*', code), point
