"""How a command comes by the config and the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tocsin.assembly import Assembly, assemble, locate
from tocsin.errors import TocsinError, did_you_mean
from tocsin.settings.source import Source
from tocsin.store.protocol import Store


class NoConfigError(TocsinError):
    """There is no config where one is needed."""


def config_source(path: Path | None = None) -> Source:
    """The config at `path`, or the one that this process would use. Raises NoConfigError when there is none."""
    source = locate(path)
    if source is None:
        raise NoConfigError(
            "no tocsin.toml here, no [tool.tocsin] in a pyproject.toml here and no ~/.tocsin/config.toml; "
            "'tocsin init' writes one, '--config PATH' names one"
        )
    return source


def assembled() -> Assembly:
    """What the config makes. Raises ConfigError with everything that is wrong with it."""
    return assemble(config_source())


@contextmanager
def opened(assembly: Assembly) -> Iterator[Store | None]:
    """The store, closed at the end of a `with` block; None when there is none yet, for looking makes none."""
    if not assembly.config.store.is_there:
        yield None
        return
    try:
        yield assembly.store
    finally:
        assembly.store.close()


def channel_known(assembly: Assembly, name: str) -> None:
    """Raise TocsinError, naming the nearest one, if the config has no channel `name`."""
    channels = assembly.config.channels
    if name not in channels:
        hint = did_you_mean(name, channels) if channels else "; it has none"
        raise TocsinError(f"the config has no channel '{name}'{hint}")
