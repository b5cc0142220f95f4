r"""How the command line speaks on stderr: one plain line for each thing to know, harmless to a terminal."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager


def visible(text: str, keep: str = "") -> str:
    r"""`text` with whatever could control a terminal shown, not obeyed; the characters in `keep` stay as they are.

    >>> visible("a\x1b[2Jb\nc"), visible("a\nb", keep="\n")
    ('a\\x1b[2Jb\\nc', 'a\nb')
    """
    return "".join(char if char.isprintable() or char in keep else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def report(level: str, text: str) -> None:
    """Say something on stderr, without secrets."""
    from tocsin_hooks.secrets import redact  # needs pydantic, which few commands have to say anything need

    line = f"{level} {visible(redact(text), keep=chr(10))}\n"
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except (OSError, ValueError):  # a stderr that is gone leaves nobody to tell
        return


class _Lines(logging.Handler):
    """Shows what tocsin logs; tracebacks only to those who asked for more."""

    def __init__(self, *, verbose: bool) -> None:
        super().__init__(logging.INFO if verbose else logging.WARNING)
        self._verbose = verbose

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except Exception:  # a record whose arguments do not fit its text must not end the command
            text = _told(record.msg)
        if record.exc_info and (error := record.exc_info[1]) is not None:
            told = _told(error)
            text += f": {type(error).__name__}" + (f": {told}" if told else "")
            if self._verbose:
                text += "\n" + "".join(traceback.format_exception(error)).rstrip()
        report(record.levelname, text)


def _told(thing: object) -> str:
    """The text of something, which may be of a class that has none: to log it must not end what goes on.

    >>> class Mute(Exception):
    ...     def __str__(self) -> str:
    ...         raise RuntimeError
    >>> _told(Mute()), _told(ValueError("no such row"))
    ('<a text that cannot be had>', 'no such row')
    """
    try:
        return str(thing)
    except Exception:
        return "<a text that cannot be had>"


@contextmanager
def log_lines(*, verbose: bool) -> Iterator[None]:
    """Show warnings of tocsin, and more if `verbose`, as lines on stderr for the length of a `with` block."""
    logger = logging.getLogger("tocsin")
    handler, level = _Lines(verbose=verbose), logger.level
    logger.addHandler(handler)
    logger.setLevel(handler.level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
