"""What went wrong beside the runs: counted, and said once."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from tocsin.masked import logger
from tocsin_hooks.secrets import redact

_log = logger("tocsin.hub")

_MOST = 20  # different words kept


@dataclass(slots=True)
class Counters:
    """What went wrong beside the runs, since the hub was started. Any thread may count."""

    spilled: int = 0
    """Events that the store refused and that wait in the spill file."""
    lost: int = 0
    """Events that neither the store nor the spill file took."""
    callbacks_failed: int = 0
    failures: list[str] = field(default_factory=list)
    """The first of them, in words."""
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    def note(self, text: str) -> None:
        """Remember what happened, once each, up to a bound."""
        with self.lock:
            if len(self.failures) < _MOST and text not in self.failures:
                self.failures.append(text)

    def say_once(self, text: str) -> None:
        """Remember what happened, and log it the first time."""
        with self.lock:
            known = text in self.failures
            self.note(text)
        if not known:
            _log.error("%s", text)

    def callback_failed(self, name: str, subject: str, error: Exception) -> None:
        """Count a notification callback that raised."""
        with self.lock:
            self.callbacks_failed += 1
            self.note(f"callback '{name}' of '{subject}' raised {type(error).__name__}: {redact(str(error))}")
