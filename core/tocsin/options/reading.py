"""Where the options of runs come from: defaults, files, the environment; each wins over those before it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tocsin.errors import TocsinError
from tocsin.options.defaults import TABLES, defaults
from tocsin.options.table import merged
from tocsin.options.values import from_environment, interpolated

USER_CONFIG = "TOCSIN__USER_CONFIG_PATH"
"""The environment variable that names the user's file of options, in place of ~/.tocsin/config.toml."""


class OptionsError(TocsinError, ValueError):
    """Options that cannot be read, or say what cannot be."""


def read(environ: Mapping[str, str], cwd: Path, project: Path | None = None) -> dict[str, Any]:
    """The options, from the user's file, the tocsin.toml in use, and TOCSIN__SECTION__KEY variables.

    `project` is that tocsin.toml; else it is the one TOCSIN_CONFIG names, or the one in `cwd`. Raises OptionsError.
    """
    found = defaults()
    if path := user_file(environ, cwd):
        found = merged(found, _table(path))
    found = merged(found, project_options(environ, cwd, project))
    found = merged(found, from_environment(environ))
    found = interpolated(found, environ)
    return _with_task_defaults(found)


def user_file(environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The user's file of options, if there is one; one that was named must exist."""
    if named := environ.get(USER_CONFIG):
        path = cwd / _at_home(named, environ)
        if not path.is_file():
            raise OptionsError(f"the config file '{named}', which {USER_CONFIG} names, does not exist")
        return path
    path = _at_home("~/.tocsin/config.toml", environ)
    return path if path.is_absolute() and path.is_file() else None


def _at_home(text: str, environ: Mapping[str, str]) -> Path:
    home = environ.get("HOME")
    return Path(home, text[2:]) if text.startswith("~/") and home else Path(text)


def project_options(environ: Mapping[str, str], cwd: Path, project: Path | None) -> dict[str, Any]:
    """The tables in the hub's file that are about runs. What is wrong with that file is for the hub to tell."""
    named = environ.get("TOCSIN_CONFIG")
    if project is not None:
        candidates = [project]
    elif named:
        candidates = [cwd / _at_home(named, environ)]
    else:
        candidates = [cwd / "tocsin.toml", cwd / "pyproject.toml"]
    for path in candidates:
        if not path.is_file():
            continue
        try:
            data = _table(path)
        except OptionsError:
            return {}
        if path.name == "pyproject.toml":
            data = data.get("tool", {}).get("tocsin")
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key in TABLES and isinstance(value, dict)}
    return {}


def _table(path: Path) -> dict[str, Any]:
    import tomllib  # only those who have a file need it

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise OptionsError(f"the config file '{path}' cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not UTF-8, or not TOML; the text shows a place and no value
        raise OptionsError(f"the config file '{path}' is not TOML: {error}") from None


def _with_task_defaults(found: dict[str, Any]) -> dict[str, Any]:
    tasks = found["tasks"] if isinstance(found["tasks"], dict) else {}
    given = tasks.get("defaults")
    given = given if isinstance(given, dict) else {}
    settled = {**given, **task_defaults(given)}
    return {**found, "tasks": {**tasks, "defaults": settled}}


def task_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults of tasks in the types that tasks take; `false` says None, for which TOML has no word.

    >>> task_defaults({"max_retries": 3, "retry_delay": 10, "timeout": False})
    {'max_retries': 3, 'retry_delay': datetime.timedelta(seconds=10), 'timeout': None}
    """
    retries, delay, timeout = (given.get(key) for key in ("max_retries", "retry_delay", "timeout"))
    if not (retries is None or isinstance(retries, int)) or (retries or 0) < 0:
        raise OptionsError(f"tasks.defaults.max_retries is {retries!r}; give a whole number")
    return {
        "max_retries": int(retries or 0),
        "retry_delay": _duration("retry_delay", delay),
        "timeout": timeout if isinstance(timeout, timedelta) else _seconds("timeout", timeout),
    }


def _duration(key: str, value: Any) -> timedelta | None:
    if isinstance(value, timedelta):
        return value
    seconds = _seconds(key, value)
    return None if seconds is None else timedelta(seconds=seconds)


def _seconds(key: str, value: Any) -> float | None:
    if value is None or value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise OptionsError(f"tasks.defaults.{key} is {value!r}; give seconds, or false for none")
    return value
