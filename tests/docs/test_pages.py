"""The documentation matches the code."""

import importlib
import importlib.util
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tocsin.hub.engine import TIMERS
from tocsin.hub.stages import STAGES
from tocsin_hooks.testing import sample_event

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["hooks.md", "config-errors.md", "labels.md", "event.schema.json"])
def test_generated_pages_are_fresh(page: str) -> None:
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == generator().PAGES[page](), "run 'make docs'"


def test_the_event_schema_names_every_field_of_an_event() -> None:
    schema = json.loads((ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8"))
    assert set(schema["properties"]) == set(sample_event().to_dict())


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "plugins").glob("*/README.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_toml_and_python_on_a_page_can_be_read(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
        tomllib.loads(block)
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        compile(block, str(page), "exec")


def test_architecture_names_only_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:[a-z_]+/)+[a-z_]+\.py)\b", text):
        assert source_of(name) is not None, name


def test_the_list_of_decisions_names_each_by_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^- \[(\d{4})\]\((.+?)\) (.+)$", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    pages = sorted(page.name for page in folder.glob("0*.md"))
    assert [name for _, name, _ in listed] == pages
    for number, name, title in listed:
        assert name.startswith(f"{number}-")
        assert (folder / name).read_text(encoding="utf-8").startswith(f"# {title}\n")


def source_of(name: str) -> Path | None:
    homes = (ROOT / "core" / "tocsin" / name, ROOT / "core" / name, ROOT / name)
    return next((home for home in homes if home.exists()), None)


def test_architecture_names_functions_where_they_stand() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"((?:[a-z_]+/)*[a-z_]+\.py): ([\w., ]+)`", text)
    assert len(named) > 20
    for file, names in named:
        source = source_of(file)
        assert source is not None, file
        code = source.read_text(encoding="utf-8")
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^\s*(def|class) {name}\b", code, re.MULTILINE), f"{file}: {name}"


def test_architecture_shows_the_stages_and_timers_that_there_are() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"STAGES = ({', '.join(stage.__name__ for stage in STAGES)})" in text
    section = text.partition("## What happens because time passes")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {kind for cell in cells for kind in re.findall(r"`([^`]+)`", cell)} == set(TIMERS)


def test_architecture_shows_the_layers_that_the_linter_checks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    block = text.partition("`make lint`):\n\n```\n")[2].partition("```")[0]
    shown = [re.split(r"\s{2,}", line)[0] for line in block.splitlines()]
    assert [layer for layer in layers if layer in shown] == shown
    assert len(shown) > 7


def test_every_module_that_a_prefect_1_user_is_sent_to_can_be_imported() -> None:
    text = (ROOT / "docs" / "prefect1.md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("| `prefect")]
    modules = {name for line in table for name in re.findall(r"`(tocsin(?:\.[a-z_]+)*)`", line.split("|")[2])}
    assert len(modules) > 12
    for name in modules:
        importlib.import_module(name)
