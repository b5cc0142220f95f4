"""The guide and the config page do what they say: their configs, timelines and commands, section by section."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.pages import DOCS, Section, act, anchor, sections
from tocsin.plugins.catalog import look_again
from tocsin.simulate import Simulation
from tocsin_hooks.testing.http import Receiver

NIGHT_BATCH = "def is_night_batch(event):\n    return event.flow.startswith('night_')\n"

GUIDE, CONFIG = sections("alerting-guide.md"), sections("config.md")


def ids(section: Section) -> str:
    return section.heading


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in, with the package that the page on filters speaks of, and no home."""
    (tmp_path / "site" / "mypkg").mkdir(parents=True)
    (tmp_path / "site" / "mypkg" / "alerts.py").write_text(NIGHT_BATCH, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOCSIN_SPILL_DIR", str(tmp_path / "spill"))
    monkeypatch.delenv("TOCSIN_CONFIG", raising=False)
    look_again()
    yield tmp_path
    look_again()
    for name in ("mypkg.alerts", "mypkg"):
        sys.modules.pop(name, None)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the Python of a page finds: the simulation, and a server in the place of that of the channel `ops`."""
    with Receiver() as service:
        monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
        monkeypatch.setenv("OPS_HOOK", "https://ops.example.org/hook")
        yield {"Simulation": Simulation, "service": service}


@pytest.mark.parametrize("section", GUIDE, ids=ids)
def test_a_section_of_the_guide_holds(section: Section, folder: Path, names: dict[str, Any]) -> None:
    act(section, folder, names, commands=False)


@pytest.mark.parametrize("section", CONFIG, ids=ids)
def test_a_section_of_the_config_page_holds(
    section: Section, folder: Path, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "service." in section.text:
        monkeypatch.setenv("TOCSIN__CHANNELS__OPS__BASE_URL", names["service"].url)
    act(section, folder, names)


def test_every_section_of_the_guide_has_a_timeline_or_is_about_commands() -> None:
    assert [s.heading for s in GUIDE if not (s.bodies("python") or s.bodies("console"))] == []


def test_every_section_of_the_config_page_has_an_example_that_is_run() -> None:
    without = [s.heading for s in CONFIG if not (s.bodies("python") or s.bodies("console"))]
    assert without == ["Options of runs", "Feature by feature"]


def test_links_to_sections_of_the_config_page_lead_somewhere() -> None:
    known = {anchor(section.heading) for section in CONFIG}
    wanted = set(re.findall(r"\]\(#([^)]+)\)", (DOCS / "config.md").read_text(encoding="utf-8")))
    for page in [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]:
        wanted |= set(re.findall(r"\]\((?:docs/|\.\./)?config\.md#([^)]+)\)", page.read_text(encoding="utf-8")))
    assert wanted <= known
    assert len(wanted) > 20


def features() -> list[list[str]]:
    """The rows of the table of features: feature, link, tests."""
    lines = next(section for section in CONFIG if section.heading == "Feature by feature").text.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def test_the_table_of_features_names_sections_and_tests_that_exist() -> None:
    known = {anchor(section.heading) for section in CONFIG}
    assert len(features()) > 20
    for feature, link, tests in features():
        targets = re.findall(r"\]\(#([^)]+)\)", link)
        assert targets, feature
        assert set(targets) <= known, feature
        files = re.findall(r"`([^`]+)`", tests)
        assert files, feature
        for file in files:
            assert (DOCS.parent / file).exists(), f"{feature}: {file}"
