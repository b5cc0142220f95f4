"""Hooks know at every moment who listens, however the plugins change."""

from __future__ import annotations

from typing import Any

from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.testing import sample_event

FAILED = ("Failed", "Finished")


class Listener:
    """Hears failures of tasks, and what was delivered."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    def tocsin_task_failed(self, event: Any) -> None:
        """Hear."""
        self.heard.append(event.id)

    @hookimpl
    def tocsin_delivered(self, message: Any) -> None:
        """Hear."""


class Proposing:
    """Might replace any state."""

    @hookimpl
    def tocsin_propose_state(self, event: Any, state: Any) -> None:
        """Have no opinion."""


def test_who_listens_is_known_after_every_change_of_the_plugins() -> None:
    catalog, listener = Catalog(), Listener()
    hooks, second = Hooks(catalog), Hooks(catalog)

    def known() -> set[tuple[bool, bool, bool]]:
        found = [(each.observes("task", FAILED), each.observes("flow", FAILED), each.hears("tocsin_delivered"))
                 for each in (hooks, second, hooks)]  # fmt: skip
        return set(found)

    assert known() == {(False, False, False)}
    catalog.register(listener, "listener")
    assert known() == {(True, False, True)}
    catalog.register(Proposing(), "proposing")
    assert known() == {(True, True, True)}
    catalog.unregister("proposing")
    catalog.give_up("listener", "tocsin_delivered")
    assert known() == {(True, False, False)}
    catalog.give_up("listener", "tocsin_task_failed")
    assert known() == {(False, False, False)}
    catalog.unregister("listener")
    catalog.register(listener, "listener")
    assert known() == {(True, False, True)}
    hooks.observe(sample_event(id="e1"))
    assert listener.heard == ["e1"]


def test_a_catalog_keeps_nobody_who_is_not_needed_any_more() -> None:
    catalog = Catalog()
    hooks = Hooks(catalog)
    assert [each() for each in catalog.callers] == [hooks]
    del hooks
    assert not catalog.callers
    catalog.register(Listener(), "listener")
