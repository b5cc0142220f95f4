"""The options in use, `tocsin.config`: one object for the whole process, filled when it is first looked into."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tocsin.options.reading import read
from tocsin.options.table import Options


class Config(Options):
    """The options of this process. Everybody shares the one object: it is never copied for a run or a task."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        object.__setattr__(self, "_table", None)
        object.__setattr__(self, "_lock", threading.RLock())

    def _values(self) -> dict[str, Any]:
        found: dict[str, Any] | None = self._table
        return found if found is not None else self._read()

    def _read(self, project: Path | None = None, *, anew: bool = False) -> dict[str, Any]:
        with self._lock:
            if self._table is None or anew:
                values = Options(read(os.environ, Path.cwd(), project))
                object.__setattr__(self, "_table", values._values())
            found: dict[str, Any] = self._table
            return found

    def reload(self, project: Path | None = None) -> None:
        """Read files and environment again; `project` is the tocsin.toml to read, wherever it is."""
        self._read(project, anew=True)

    def copy(self) -> Options:
        """The same options, in tables of their own, which nobody else sees."""
        return Options(self.to_dict())

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Options:
        return self.copy()

    def __reduce__(self) -> tuple[Any, ...]:
        return _config, ()  # in another process they are what that process is given


def _config() -> Config:
    return config


config = Config()


@contextmanager
def set_temporary_config(temp_config: Mapping[str, Any]) -> Iterator[Config]:
    """Set options for the length of a `with` block, for the whole process: meant for tests.

    Keys with dots name what is in tables: `{"tasks.defaults.max_retries": 3}`.
    """
    before = config._values()
    changed = config.copy()
    for path, value in temp_config.items():
        *tables, key = path.split(".")
        table: Options = changed
        for name in tables:
            if not isinstance(table.get(name), Options):
                table[name] = {}
            table = table[name]
        table[key] = value
    object.__setattr__(config, "_table", changed._values())
    try:
        yield config
    finally:
        object.__setattr__(config, "_table", before)
