"""Results in files of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from tocsin.clock import SystemClock
from tocsin.options import config
from tocsin_hooks.results import Location, Result
from tocsin_hooks.serializers import Serializer
from tocsin_hooks.states import run_context


class LocalResult(Result):
    """Keeps values in files below `dir`: `results` in tocsin's home folder, unless another is given.

    With `validate_dir` the folder is made now and named by its absolute path; without, it is taken as it stands.
    A value is written beside its place and then moved there, so that whoever reads finds all of it or nothing.
    """

    def __init__(
        self,
        dir: str | os.PathLike[str] | None = None,  # noqa: A002  (Prefect 1's name)
        validate_dir: bool = True,
        *,
        value: Any = None,
        location: Location = None,
        serializer: Serializer | None = None,
    ) -> None:
        super().__init__(value, location, serializer)
        folder = os.fspath(dir) if dir is not None else str(home_dir() / "results")
        if validate_dir:
            folder = str(Path(folder).expanduser().absolute())
            Path(folder).mkdir(parents=True, exist_ok=True)
        self.dir = folder

    @property
    def default_location(self) -> str:
        """A file in `dir` that nothing else has."""
        return str(Path(self.dir, super().default_location))

    def exists(self, location: str, **kwargs: Any) -> bool:
        """Whether there is such a file, below `dir` unless the location is absolute."""
        return self._path(location.format(**kwargs) if kwargs else location).exists()

    def read(self, location: str) -> Self:
        """A result with the value in that file; FileNotFoundError when there is none."""
        new = self.copy()
        new.location = location
        new.value = self.serializer.deserialize(self._path(location).read_bytes())
        return new

    def write(self, value_: Any, /, **kwargs: Any) -> Self:
        """Store a value; the location of the result returned is the absolute path of its file."""
        new = self.format(**kwargs)
        assert new.location is not None
        path = self._path(new.location)
        path.parent.mkdir(parents=True, exist_ok=True)
        put(path, self.serializer.serialize(value_))
        new.value = value_
        new.location = str(path)
        return new

    def _path(self, location: str) -> Path:
        return Path(self.dir, location)


def home_dir() -> Path:
    """The home folder of tocsin, as the config says."""
    return Path(run_context.get().get("config", config).home_dir).expanduser()


def put(path: Path, data: bytes) -> None:
    """Make `path` a file of these bytes, at once and so that it survives a crash; an earlier one is replaced."""
    beside = path.with_name(f".{SystemClock().new_id()}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
