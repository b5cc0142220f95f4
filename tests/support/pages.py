"""Pages as stories: what the blocks of a section say, done in their order in a folder of their own."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tocsin.cli.group import tocsin

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SEND = re.compile(r"\bsend\s*=\s*\[(.*?)\]")
_CHANNEL = re.compile(r"^\[channels\.([\w-]+)\]", re.MULTILINE)
_FILE = re.compile(r"# ([\w-]+\.toml)\n")
_COMMENT = re.compile(r"\s{2,}#.*")


@dataclass(frozen=True)
class Section:
    """A section of a page: its heading, its text, and its blocks, each a language and a body."""

    heading: str
    text: str

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """The blocks in their order."""
        return [(match[1], match[2]) for match in _BLOCK.finditer(self.text)]

    def bodies(self, language: str) -> list[str]:
        """The blocks in one language."""
        return [body for found, body in self.blocks if found == language]


def sections(page: str) -> list[Section]:
    """The sections of a page, the text above the first heading left out."""
    text = (DOCS / page).read_text(encoding="utf-8")
    outside = _BLOCK.sub(lambda match: re.sub(r"[^\n]", "-", match[0]), text)  # a comment in TOML is no heading
    starts = [match.start() for match in re.finditer(r"^## ", outside, re.MULTILINE)]
    parts = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [Section(part.partition("\n")[0].removeprefix("## "), part) for part in parts]


def anchor(heading: str) -> str:
    """What a link to a heading ends with.

    >>> anchor("Windows and mute"), anchor("Explain, check, backtest")
    ('windows-and-mute', 'explain-check-backtest')
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def complete(config: str) -> str:
    """The config with an inbox for each channel that it sends to and does not show."""
    named = {name for names in _SEND.findall(config) for name in re.findall(r'"([\w-]+)"', names)}
    left_out = sorted(named - set(_CHANNEL.findall(config)))
    return config + "".join(f'\n[channels.{name}]\ntype = "inbox"\n' for name in left_out)


def act(section: Section, folder: Path, names: dict[str, Any], *, commands: bool = True) -> None:
    """Do what the blocks of a section say: configs are written to `folder`, Python is run, commands are given."""
    for language, body in section.blocks:
        if language == "toml":
            _write(body, folder, names)
        elif language == "python":
            exec(compile(body, section.heading, "exec"), names)
        elif language == "console" and commands:
            for command, expected in _commands(body):
                _give(command, expected)


def _write(body: str, folder: Path, names: dict[str, Any]) -> None:
    if named := _FILE.match(body):
        (folder / named[1]).write_text(body, encoding="utf-8")
        return
    names["config"] = complete(body)
    (folder / "tocsin.toml").write_text(names["config"], encoding="utf-8")


def _commands(body: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]
    return [(_COMMENT.sub("", line), output) for line, _, output in (part.partition("\n") for part in parts)]


def _give(command: str, expected: str) -> None:
    name, *arguments = shlex.split(command)
    assert name == "tocsin", f"only tocsin is run here: {command}"
    result = CliRunner().invoke(tocsin, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    said = result.output.strip()
    if not expected.strip():
        assert result.exit_code == 0, f"$ {command}\n{said}"
        return
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    assert re.fullmatch(pattern, said, re.DOTALL), f"$ {command}\n{said}\n\ndoes not look like\n\n{expected}"
