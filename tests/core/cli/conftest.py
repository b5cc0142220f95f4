from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.shell import CONFIG, FLOW, Shell
from tocsin.plugins.catalog import look_again


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """A folder without a config, and no plugins but core's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])  # a flow's folder is put there
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOCSIN_SPILL_DIR", str(tmp_path / "spill"))
    monkeypatch.setenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    look_again()
    yield Shell(tmp_path)
    look_again()


@pytest.fixture
def shell(empty: Shell) -> Shell:
    """A folder with a config that has no mistakes."""
    empty.write(CONFIG)
    return empty


@pytest.fixture
def etl(shell: Shell) -> Shell:
    """A folder with a config and a flow: its first task needs two tries, its second fails with `ok=false`."""
    shell.write(FLOW, "etl.py")
    return shell


@pytest.fixture
def install(empty: Shell, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Installs a package with one module, which is a plugin of the same name, beside those that are there."""
    site = empty.folder / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    monkeypatch.delenv("TOCSIN_DISABLE_PLUGIN_AUTOLOAD")

    def install(name: str, code: str) -> None:
        (site / f"{name}.py").write_text(code, encoding="utf-8")
        info = site / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(f"[tocsin]\n{name} = {name}\n", encoding="utf-8")
        monkeypatch.delitem(sys.modules, name, raising=False)
        look_again()

    return install
