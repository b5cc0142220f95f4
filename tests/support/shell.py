"""The command line as a user meets it: a folder, a config and a flow to start from, and what commands print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from tocsin.cli.group import tocsin

CONFIG = """\
[defaults]
send = ["screen"]

[channels.inbox]
type = "inbox"

[channels.screen]
type = "console"

[[routes]]
name = "problems"
when = "is_failed or is_retrying"
send = ["inbox"]
"""

FLOW = """\
from datetime import timedelta
from tocsin import Flow, Parameter, task

calls = []

@task(max_retries=2, retry_delay=timedelta(milliseconds=1))
def extract():
    print("extracting")
    calls.append(1)
    if len(calls) == 1:
        raise ConnectionError("hung up")
    return 1

@task
def load(rows, ok):
    if not ok:
        raise OSError("disk full")

with Flow("etl") as flow:
    load(extract(), Parameter("ok", default=True))
"""

PIGEON = """
from tocsin_hooks import ChannelConfig, ChannelType, Receipt, Secret, hookimpl

class PigeonConfig(ChannelConfig):
    ring: Secret | None = None
    \"\"\"The number on its ring.\"\"\"
    loft: str = "roof"

class Pigeon:
    def __init__(self, config):
        self.config = config

    def send(self, message, previous=None):
        if self.config.ring is not None:
            self.config.ring.get_secret_value()
        return Receipt(f"flew from the {self.config.loft}")

@hookimpl
def tocsin_channel_types():
    return [ChannelType("pigeon", PigeonConfig, Pigeon, summary="By air")]
"""

WALL = """
from tocsin_hooks import ChannelConfig, ChannelType, Reason, SendError, hookimpl

class Wall:
    def __init__(self, config):
        pass

    def send(self, message, previous=None):
        raise SendError(Reason.AUTH, "HTTP 401 from https://wall.example.org/s3cr3t", permanent=True)

@hookimpl
def tocsin_channel_types():
    return [ChannelType("wall", ChannelConfig, Wall)]
"""


@dataclass
class Shell:
    """A folder, and the command line as used in it."""

    folder: Path

    def write(self, text: str, name: str = "tocsin.toml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def __call__(self, *args: str) -> Result:
        result = self.unchecked(*args)
        assert not any(line.startswith("Traceback") for line in result.output.splitlines()), result.output
        return result

    def unchecked(self, *args: str) -> Result:
        """As a call, with tracebacks allowed in the output."""
        result = CliRunner().invoke(tocsin, list(args), prog_name="tocsin")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *args: str, code: int = 0) -> Any:
        result = self(*args, "--json")
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)
