"""Which file the config is read from, and what the environment overrides in it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tocsin.settings.issues import ConfigError, Place, Position, Problem
from tocsin.settings.locate import KeyPath

OVERRIDE = "TOCSIN__"
"""Environment variables that begin like this override settings: TOCSIN__DELIVERY__THREADS=4."""

_OPTIONS_FILE = f"{OVERRIDE}USER_CONFIG_PATH"  # names a file of options of runs, and overrides nothing
_PYPROJECT = "pyproject.toml"
_PYPROJECT_TABLE = ("tool", "tocsin")


@dataclass(frozen=True)
class Source:
    """A config as found: the bytes of a file, and the overrides of the environment.

    `name` is how messages call the file; `table` the table in it that holds the config; relative paths in the
    config start at `base`. A source without a file has no `path` and no data.
    """

    path: Path | None
    data: bytes
    name: str
    base: Path
    table: KeyPath = ()
    overrides: tuple[tuple[str, str], ...] = ()

    @classmethod
    def without_file(cls, *, environ: Mapping[str, str], base: Path) -> Source:
        """The config of somebody who has written none: the defaults, and what the environment overrides."""
        return cls(None, b"", "the environment", base, overrides=_overrides(environ))


def source_of_text(text: str, *, base: Path | None = None, name: str = "tocsin.toml") -> Source:
    """A config that is no file; relative paths in it start at `base`, by default the current folder."""
    return Source(None, text.encode("utf-8", "surrogatepass"), name, base or Path.cwd())


def find(
    path: str | Path | None = None, *, environ: Mapping[str, str], cwd: Path, beside: Path | None = None
) -> Source | None:
    """The config to use, or None when there is none.

    That is the file at `path`, else the one TOCSIN_CONFIG names, else `tocsin.toml` in `cwd`, else `[tool.tocsin]`
    of the `pyproject.toml` there, else the same two in the folder `beside`, else `~/.tocsin/config.toml`. Raises
    ConfigError when a file was named but cannot be read, or was found but cannot be read.
    """
    named = str(path or environ.get("TOCSIN_CONFIG", ""))
    if named:
        return _named(cwd / Path(named).expanduser(), environ, cwd)
    folders = [cwd] if beside is None else [cwd, beside]
    candidates = [folder / name for folder in folders for name in ("tocsin.toml", _PYPROJECT)]
    if home := environ.get("HOME"):
        candidates.append(Path(home) / ".tocsin" / "config.toml")
    for candidate in candidates:
        if candidate.is_file():
            source = _read(candidate, environ, cwd)
            if not source.table or _has_table(source.data):
                return source
    return None


def _named(path: Path, environ: Mapping[str, str], cwd: Path) -> Source:
    source = _read(path, environ, cwd)
    if source.table and not _has_table(source.data):
        raise _unreadable(source.name, "has no table [tool.tocsin]")
    return source


def _read(path: Path, environ: Mapping[str, str], cwd: Path) -> Source:
    name = str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _unreadable(name, "does not exist") from None
    except OSError as error:
        raise _unreadable(name, f"cannot be read: {error.strerror}") from None
    table = _PYPROJECT_TABLE if path.name == _PYPROJECT else ()
    return Source(path, data, name, path.parent.absolute(), table, _overrides(environ))


def _unreadable(name: str, reason: str) -> ConfigError:
    return ConfigError([Problem("E101", f"the config file '{name}' {reason}", Place(Position(name)))])


def _has_table(data: bytes) -> bool:
    """Whether a pyproject.toml configures tocsin; one that is no TOML does, if it mentions the table."""
    try:
        tool = tomllib.loads(data.decode("utf-8-sig")).get("tool")
    except (ValueError, RecursionError):
        return b"[tool.tocsin" in data
    return isinstance(tool, dict) and "tocsin" in tool


def _overrides(environ: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (name, value)
            for name, value in environ.items()
            if name.upper().startswith(OVERRIDE) and name != _OPTIONS_FILE
        )
    )


# ---------------------------------------------------------------- overrides


def typed(text: str) -> Any:
    """The value that the text of an override stands for: a TOML value where it is one, else the text itself.

    >>> typed("true"), typed("8"), typed('["ops"]'), typed("30s"), typed('"8"')
    (True, 8, ['ops'], '30s', '8')
    """
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if len(parsed) == 1 else text  # a line break could have brought further keys


def override(data: dict[str, Any], overrides: tuple[tuple[str, str], ...]) -> tuple[dict[KeyPath, str], list[Problem]]:
    """Put overrides into `data`; return which variable set which path, and the problems of those that do not fit.

    The parts of a name are matched with the keys that exist, whatever their case, `_` for `-` too; new keys are in
    lower case.

    >>> data = {"channels": {"Ops-Mail": {"type": "email"}}}
    >>> override(data, (("TOCSIN__CHANNELS__OPS_MAIL__TYPE", "console"), ("TOCSIN__VERSION", "1")))[1]
    []
    >>> data
    {'channels': {'Ops-Mail': {'type': 'console'}}, 'version': 1}
    """
    names: dict[KeyPath, str] = {}
    problems = []
    for name, text in overrides:
        parts = name.split("__")[1:]
        reason, path = _put(data, parts, typed(text)) if all(parts) else ("names no key", ())
        if reason:
            problems.append(Problem("E109", reason, Place(Position(name))))
        else:
            names[path] = name
    return names, problems


def _put(data: dict[str, Any], parts: list[str], value: Any) -> tuple[str, KeyPath]:
    """Set the value that `parts` name; return why it cannot be set, if so, and its path."""
    table = data
    path: tuple[str, ...] = ()
    for part in parts[:-1]:
        key = _matching(table, part)
        path = (*path, key)
        below = table.setdefault(key, {})
        if not isinstance(below, dict):
            return f"'{'.'.join(path)}' is not a table, so nothing in it can be overridden", path
        table = below
    key = _matching(table, parts[-1])
    table[key] = value
    return "", (*path, key)


def _matching(table: dict[str, Any], part: str) -> str:
    lower = part.lower()
    if lower in table:
        return lower
    return next((key for key in table if key.lower().replace("-", "_") == lower), lower)
