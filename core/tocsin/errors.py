"""The errors of core that a user can mend, and how they suggest what was meant.

All derive from `TocsinError`, so they print as one line. Those that Prefect 1 reports as `ValueError` are that too.
"""

from __future__ import annotations

from collections.abc import Iterable

from tocsin_hooks.errors import FilterError, PluginError, SecretError, TocsinError

__all__ = [
    "ArgumentError",
    "CycleError",
    "FilterError",
    "FlowError",
    "ParameterError",
    "PluginError",
    "SecretError",
    "TocsinError",
    "did_you_mean",
]


class FlowError(TocsinError, ValueError):
    """A flow that was put together, or is used, in a way that cannot work."""


class CycleError(FlowError):
    """Tasks that wait for one another.

    >>> str(CycleError("etl", ["a", "b", "a"]))
    "flow 'etl' has a cycle: a -> b -> a"
    """

    def __init__(self, flow: str, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"flow '{flow}' has a cycle: {' -> '.join(self.names)}")


class ArgumentError(FlowError, TypeError):
    """An argument that a task does not take, or that is missing. Prefect 1 reports these as `TypeError`."""


class ParameterError(FlowError):
    """A parameter that is missing, unknown to the flow or not of plain data."""


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest known name, else all of them when they are few, else nothing.

    >>> did_you_mean("ops-slak", ["ops-slack", "mail"])
    "; did you mean 'ops-slack'?"
    >>> did_you_mean("x", ["ops", "mail"])
    "; known: 'mail', 'ops'"
    """
    import difflib  # needed only once something is wrong

    names = sorted(set(known))
    if near := difflib.get_close_matches(found, names, n=1):
        return f"; did you mean '{near[0]}'?"
    if 0 < len(names) <= 8:
        return "; known: " + ", ".join(f"'{name}'" for name in names)
    return ""
