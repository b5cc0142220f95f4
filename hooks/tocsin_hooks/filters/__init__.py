"""Filters: one expression language for the config, code and the command line.

`when` and `parse` read an expression, `F` builds the same tree in Python; a `Filter` matches events, explains itself
and can be written as text again.
"""

from tocsin_hooks.filters.builder import F
from tocsin_hooks.filters.explain import Explanation
from tocsin_hooks.filters.labels import FLAG_LABELS, KNOWN_LABELS, value_of
from tocsin_hooks.filters.lint import FilterWarning
from tocsin_hooks.filters.names import bind_all
from tocsin_hooks.filters.parser import parse, when
from tocsin_hooks.filters.tree import (
    EVERYTHING,
    And,
    Compare,
    Filter,
    Flag,
    LabelRef,
    Match,
    Not,
    Opaque,
    Or,
    Ref,
    all_of,
    any_of,
)

__all__ = [
    "EVERYTHING",
    "FLAG_LABELS",
    "KNOWN_LABELS",
    "And",
    "Compare",
    "Explanation",
    "F",
    "Filter",
    "FilterWarning",
    "Flag",
    "LabelRef",
    "Match",
    "Not",
    "Opaque",
    "Or",
    "Ref",
    "all_of",
    "any_of",
    "bind_all",
    "parse",
    "value_of",
    "when",
]
