"""What the acceptance tests share: the command line in a process of its own, in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.stand_ins import StandIns

Tocsin = Callable[..., subprocess.CompletedProcess[str]]

PATIENCE = 300
"""Seconds that a test may take here: several processes begin in each, and a busy machine is slow at that."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENCE))


@pytest.fixture
def stand_ins() -> Iterator[StandIns]:
    with StandIns() as running:
        yield running


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has nothing set up."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN", "SLACK"))}
    return kept | {"HOME": str(tmp_path / "home"), "TOCSIN_SPILL_DIR": str(tmp_path / "spill"), "NO_COLOR": "1"}


@pytest.fixture
def tocsin(tmp_path: Path, environ: dict[str, str]) -> Tocsin:
    """Run `tocsin ARGUMENTS`, as installed, in the test's folder."""

    def run(*arguments: str, cwd: Path = tmp_path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tocsin.cli", *arguments],
            cwd=cwd,
            env=environ | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def python(tmp_path: Path, environ: dict[str, str]) -> Tocsin:
    """Run a Python file in the test's folder."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environ | more,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
