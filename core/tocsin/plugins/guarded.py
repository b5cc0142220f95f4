"""How one implementation of a hook is called: whatever comes of it, the caller goes on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from tocsin.plugins.answers import JunkError
from tocsin.plugins.catalog import Catalog
from tocsin.plugins.interrupts import HungError, is_from_outside
from tocsin.plugins.watchdog import VARIABLE, Watchdog, allowed, calls_plugins

_log = logging.getLogger("tocsin.plugins")

Answer = TypeVar("Answer")


def _nothing(text: str) -> None:
    """Do nothing."""


class GuardedCalls:
    """Calls implementations, each by itself.

    What one raises is logged with its plugin's name, even SystemExit; one that has not come back by the `deadline` is
    ended and not called again. Only what the handler of a signal raises meanwhile goes through, such as the user's
    KeyboardInterrupt.
    """

    def __init__(self, catalog: Catalog, deadline: timedelta | None, watched_by: Watchdog) -> None:
        self.catalog = catalog
        self.within = allowed(os.environ.get(VARIABLE, "")) if deadline is None else deadline.total_seconds()
        """Seconds that a call may take."""
        self.on_hung: Callable[[str], None] = _nothing
        """Called, in any thread, with what is to be told of an implementation that hung; it is logged already."""
        self._watchdog = watched_by
        self._struck = watched_by.struck
        self._revision = -1

    @calls_plugins
    def _made(self, plugin: str, hook: str, function: Callable[[], Answer], otherwise: Answer) -> Answer:
        """What `function`, which is the plugin's, returns; `otherwise` when it falls."""
        try:
            try:
                return function()
            finally:
                if self._struck:
                    self._watchdog.ended()
        except BaseException as error:
            self._fell(plugin, hook, error)
            return otherwise

    def _fell(self, plugin: str, hook: str, error: BaseException) -> None:
        """Say what left a call; raise it again if it is not the plugin's."""
        if self._struck:
            self._watchdog.ended()
        if isinstance(error, HungError):
            if self._watchdog.is_meant_for_another():
                raise error
        elif is_from_outside(error):
            raise error
        elif isinstance(error, JunkError):
            _log.error("plugin '%s': %s %s", plugin, hook, error)
        else:
            _log.error("plugin '%s' raised in %s; the run goes on", plugin, hook, exc_info=error)

    def give_up(self, plugin: str, hook: str) -> None:
        """Call that hook of the plugin no more."""
        self.catalog.give_up(plugin, hook)

    def said(self, text: str) -> None:
        """Tell that an implementation hung."""
        _log.error("%s", text)
        self.on_hung(text)

    def refresh(self) -> None:
        """Look anew at what there is to call."""
        self._revision = -1
