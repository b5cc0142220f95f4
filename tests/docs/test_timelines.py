"""The configs of the guide and of the config page do what their timelines say."""

import re
from pathlib import Path

import pytest

from tocsin.simulate import Simulation

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("alerting-guide.md", "config.md")

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_SEND = re.compile(r"\bsend\s*=\s*\[(.*?)\]")
_CHANNEL = re.compile(r"^\[channels\.([\w-]+)\]", re.MULTILINE)


def timelines() -> list[object]:
    """Each timeline of the pages, with the config above it."""
    found = []
    for page in PAGES:
        text = (DOCS / page).read_text(encoding="utf-8")
        config = ""
        for block in _BLOCK.finditer(text):
            language, body = block.groups()
            if language == "toml":
                config = body
            elif language == "python" and "sim = Simulation(config" in body:
                heading = [match[1] for match in _HEADING.finditer(text, 0, block.start())][-1]
                found.append(pytest.param(config, body, id=f"{page}: {heading}"))
    return found


@pytest.mark.parametrize(("config", "timeline"), timelines())
def test_a_timeline_of_the_docs_holds(config: str, timeline: str) -> None:
    named = {name for names in _SEND.findall(config) for name in re.findall(r'"([\w-]+)"', names)}
    left_out = sorted(named - set(_CHANNEL.findall(config)))  # the pages show no channels where they do not matter
    config += "".join(f'\n[channels.{name}]\ntype = "inbox"\n' for name in left_out)
    exec(compile(timeline, "timeline", "exec"), {"Simulation": Simulation, "config": config})


def test_every_section_of_the_guide_has_a_timeline_or_is_about_commands() -> None:
    text = (DOCS / "alerting-guide.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    without = [section.partition("\n")[0] for section in sections if "```python" not in section and "```console" not in section]
    assert without == []
