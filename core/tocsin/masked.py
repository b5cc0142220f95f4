"""What is logged or printed of a run, without secrets, whatever the exception or the text."""

from __future__ import annotations

import logging
from functools import lru_cache

from tocsin_hooks.masking import known, mask_head, mask_tail, without_known

_traces = logging.Formatter()
_LOGGED = 200_000  # characters of a record; to look for secrets in a text of 30 MB would hold a run for ten seconds


class Masked(logging.Filter):
    """Masks what is or looks like a secret in records that warn or carry an exception; lets all pass.

    In records that only inform, what a pipeline says of itself is left as it is, but for secrets that were revealed in
    this process: looking at every such line for what may be one would cost a run more than the line itself.

    >>> record = logging.makeLogRecord({"msg": "no route to %s", "args": ("amqp://u:pw@mq",), "levelno": logging.ERROR})
    >>> Masked().filter(record), record.getMessage()
    (True, 'no route to amqp://u:***@mq')
    """

    def __init__(self) -> None:
        super().__init__()

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the secrets out of a record."""
        thorough = record.levelno >= logging.WARNING or bool(record.exc_info)
        if not (thorough or known):
            return True
        try:
            text = record.getMessage()
        except Exception:  # arguments that do not fit: logging itself reports that, with their place
            return True
        if (shown := mask_head(text, _LOGGED) if thorough else without_known(text)) != text:
            record.msg, record.args = shown, None
        if isinstance(record.exc_info, tuple) and record.exc_info[0] is not None and not record.exc_text:
            trace = _traces.formatException(record.exc_info)
            record.exc_text = mask_tail(trace, _LOGGED)  # formatters take it as it is
        return True


_masked = Masked()


def logger(name: str) -> logging.Logger:
    """The logger of that name, which shows no secrets."""
    found = logging.getLogger(name)
    found.addFilter(_masked)  # logging adds a filter once
    return found


_SHOWN = 4000  # characters of which the secrets are looked for; no line shows as many


def masked(text: str | None) -> str:
    """The beginning of what a state says, for people to read, without what is or looks like a secret.

    >>> masked("denied: Authorization: Bearer abc123"), masked(None)
    ('denied: Authorization: ***', '')
    """
    return _masked_text(text[: 4 * _SHOWN], len(known)) if text else ""


@lru_cache(1024)  # most states of a run say the same
def _masked_text(text: str, secrets_known: int) -> str:  # noqa: ARG001  (a secret revealed since makes another answer)
    return mask_head(text, _SHOWN)
