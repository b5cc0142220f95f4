"""How flows and tasks log: through children of one logger, `tocsin`, which stays out of the application's way.

Importing tocsin sets up nothing. The first logger that is asked for sets the level of `tocsin`, unless the application
has set one. A flow that runs shows what is logged on stderr, as `tocsin.config.logging` says, unless the application
has set up logging: then its handlers show it.
"""

from __future__ import annotations

import ast
import logging
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from tocsin.masked import Masked
from tocsin.options import OptionsError, config
from tocsin_hooks.states import run_context

ROOT = "tocsin"

RUN_ATTRIBUTES = ("flow_name", "flow_run_id", "flow_run_name", "task_name", "task_slug", "task_run_id", "map_index")
"""What log records carry of the run in which they are made; `logging.log_attributes` names more keys of the context."""

_root = logging.getLogger(ROOT)
_loggers: dict[str | None, logging.Logger] = {}  # logging has them too, behind a lock; every task asks


def get_logger(name: str | None = None) -> logging.Logger:
    """The logger `tocsin.NAME`, or `tocsin` itself; its records carry what is known of the run."""
    if _root.level == logging.NOTSET:
        _root.setLevel(level_of(config.logging.level))
    logger = _loggers.get(name)
    if logger is None:
        logger = _loggers[name] = _root if name is None else _root.getChild(name)
        logger.addFilter(_attributes)
        logger.addFilter(_masked)
    return logger


def level_of(value: Any) -> int:
    """A level of logging, by number or by name.

    >>> level_of("debug"), level_of(30)
    (10, 30)
    """
    level = value if isinstance(value, int) else logging.getLevelNamesMapping().get(str(value).strip().upper())
    if level is None:
        raise OptionsError(f"logging.level is {value!r}; give DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return level


def names_in(value: Any) -> tuple[str, ...]:
    """Names, from a list or from a text that writes one.

    >>> names_in(["tags", "day"]), names_in("['urllib3']"), names_in("")
    (('tags', 'day'), ('urllib3',), ())
    """
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value) if value.strip() else ()
        except (ValueError, SyntaxError):
            value = [part.strip() for part in value.split(",")]
    if isinstance(value, str):
        value = (value,)
    return tuple(str(name) for name in value)


# ---------------------------------------------------------------- what records carry


class RunAttributes(logging.Filter):
    """Adds to each record what is known of the run in which it is made; lets all pass.

    For handlers of one's own, so that they know the run also of records that are not tocsin's.
    """

    def __init__(self) -> None:
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attributes; those that the record has stay."""
        values = run_context.get()
        if values:
            more = names_in(_logging(values).get("log_attributes", ()))
            for name in (*RUN_ATTRIBUTES, *more):
                value = values.get(name)
                if (value is not None or name in more) and not hasattr(record, name):
                    setattr(record, name, value)
        return True


def _logging(values: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = values.get("config", config).get("logging", {})
    return found


_attributes = RunAttributes()
_masked = Masked()


def formatter(fmt: str | None = None, datefmt: str | None = None) -> logging.Formatter:
    """What turns records into lines, in UTC, as config says; attributes of a run that a record lacks are empty."""
    options = config.logging
    names = (*RUN_ATTRIBUTES, *names_in(options.get("log_attributes", ())))
    try:
        found = logging.Formatter(
            fmt or options.get("format"), datefmt or options.get("datefmt"), defaults=dict.fromkeys(names, "")
        )
    except ValueError as error:
        raise OptionsError(f"logging.format is no format of Python's logging: {error}") from None
    found.converter = time.gmtime
    return found


# ---------------------------------------------------------------- showing them


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time, unless the application has set up logging since."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.addFilter(_attributes)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # where the base has an attribute
        """Where lines go now."""
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if not logging.getLogger().handlers:  # else the application shows it already
            super().emit(record)


_lock = threading.Lock()
_shown = False


def show_logs() -> None:
    """Show what flows log, on stderr, unless somebody else does; called when a flow runs.

    It decides once in a process: logging that is set up by the application before or after stays its own.
    """
    global _shown  # noqa: PLW0603  (logging is one for the process)
    if _shown:
        return
    with _lock:
        if not _shown:
            get_logger()
            if not _root.hasHandlers():
                handler = StderrHandler()
                handler.setFormatter(formatter())
                for name in (ROOT, *names_in(config.logging.get("extra_loggers", ()))):
                    logging.getLogger(name).addHandler(handler)
                    if name != ROOT:
                        logging.getLogger(name).setLevel(_root.level)
            _shown = True


@contextmanager
def temporary_logger_config(
    level: int | str | None = None, stream_fmt: str | None = None, stream_datefmt: str | None = None
) -> Iterator[None]:
    """Another level for the logger `tocsin`, and other formats for its handlers, for the length of a `with` block."""
    before, formatters = _root.level, [(handler, handler.formatter) for handler in _root.handlers]
    if level is not None:
        _root.setLevel(level_of(level))
    if stream_fmt or stream_datefmt:
        for handler in _root.handlers:
            handler.setFormatter(formatter(stream_fmt, stream_datefmt))
    try:
        yield
    finally:
        _root.setLevel(before)
        for handler, old in formatters:
            handler.setFormatter(old)
