"""How a flow is kept in a file, with all its code, and read again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tocsin.errors import FlowError
from tocsin.options import config

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow


def save(flow: Flow, path: str | Path | None = None) -> str:
    """Write a flow and return the file; a file that is there is replaced whole."""
    from importlib import import_module

    file = place_of(flow.name) if path is None else Path(path).expanduser()
    data: bytes = import_module("cloudpickle").dumps(flow)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(file.name + ".new")
    new.write_bytes(data)
    new.replace(file)
    return str(file)


def load(path: str | Path) -> Flow:
    """Read a flow from a file, or from where one of that name is saved."""
    from importlib import import_module

    from tocsin.flows.flow import Flow

    file = Path(path).expanduser()
    if not file.exists() and file.parent == Path():
        file = place_of(file.name.removesuffix(".flow"))
    if not file.exists():
        raise FlowError(f"no flow is saved at '{file}'")
    found = import_module("cloudpickle").loads(file.read_bytes())
    if not isinstance(found, Flow):
        raise FlowError(f"'{file}' holds a {type(found).__name__}, which is no flow")
    return found


def place_of(name: str) -> Path:
    """Where a flow is saved unless a file is named."""
    return Path(config.home_dir).expanduser() / "flows" / f"{slug_of(name)}.flow"


def slug_of(name: str) -> str:
    """A name as a file may have it.

    >>> slug_of("My Flow / 2")
    'my-flow-2'
    """
    return re.sub(r"[^\w]+", "-", name.lower()).strip("-") or "flow"
