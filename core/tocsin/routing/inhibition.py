"""Which open incidents keep an event from being sent.

An event whose incident is open stands under signatures: texts that say what the event has in common with those it
hides. The caller keeps them with the incident, replaces them when the next event of the incident comes, removes them
when it is over, and looks up those that an event asks for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tocsin.routing.index import FilterIndex
from tocsin.settings.alerts import Inhibition
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter, Ref, all_of
from tocsin_hooks.filters.labels import text_reader

_SIGNATURES = 2
"""Version of the form of signatures: counts in the digest."""


@dataclass(frozen=True, slots=True)
class TargetOf:
    """An inhibition whose target an event matches, and the signatures of which any one, standing, hides the event."""

    inhibition: Inhibition
    lookups: tuple[str, ...]


def realm(inhibition: Inhibition) -> str:
    """Within which signatures are told apart: those drawn from the task graph, mostly the same, are kept once."""
    return "" if inhibition.builtin else inhibition.name


class Inhibitors:
    """The inhibitions of a config, ready to be asked.

    An event never hides itself, nor another one of its incident: whoever looks signatures up leaves out those of the
    event's own incident, which they do not tell.
    """

    def __init__(self, inhibitions: Sequence[Inhibition]) -> None:
        self._inhibitions = [_Compiled(inhibition) for inhibition in inhibitions]
        self._sources = FilterIndex([inhibition.source for inhibition in inhibitions])
        self._targets = FilterIndex([inhibition.target for inhibition in inhibitions])

    def signatures(self, event: Event) -> dict[tuple[str, str], list[str]]:
        """The signatures under which `event` stands, by realm, with the names of the inhibitions whose source it is.

        An inhibition comes several times where the event can be looked for in several ways.
        """
        found: dict[tuple[str, str], list[str]] = {}
        for one in (self._inhibitions[place] for place in self._sources.candidates(event)):
            if one.is_source(event):
                for signature in one.signatures(event):
                    found.setdefault((realm(one.inhibition), signature), []).append(one.inhibition.name)
        return found

    def targets(self, event: Event) -> list[TargetOf]:
        """The inhibitions whose target `event` matches, in order, each with what to look up."""
        return [
            TargetOf(one.inhibition, tuple(one.lookups(event)))
            for one in (self._inhibitions[place] for place in self._targets.candidates(event))
            if one.is_target(event)
        ]

    def digest(self) -> str:
        """A short text that changes when signatures that were kept no longer fit the inhibitions."""
        parts = sorted(json.dumps(one.definition()) for one in self._inhibitions)
        return hashlib.sha256(json.dumps([_SIGNATURES, parts]).encode()).hexdigest()[:16]


class _Compiled:
    """One inhibition, everything looked up beforehand.

    A signature is the JSON text of whether the source matches both sides, its values of the labels in `equal`, and,
    for an inhibition drawn from the task graph, the subject that failed.
    """

    def __init__(self, inhibition: Inhibition) -> None:
        self.inhibition = inhibition
        self.is_source: Callable[[Event], bool] = inhibition.source.matches
        self.is_target: Callable[[Event], bool] = inhibition.target.matches
        self._equal = [text_reader(label) for label in inhibition.equal]
        both = all_of(inhibition.source, inhibition.target).required()
        self._may_match_both = all(both.values())

    def signatures(self, event: Event) -> Iterator[str]:
        """All signatures under which `event`, a source, stands."""
        matches_both = self._may_match_both and self.is_target(event)
        values = self._values(event)
        yield _signature(matches_both, values)
        if self.inhibition.builtin:
            yield _signature(matches_both, values, event.subject)
            if event.task and event.map_index is not None:
                yield _signature(matches_both, values, f"{event.flow}/{event.task}")  # what hangs on all of them

    def definition(self) -> list[object]:
        """All that signatures depend on."""
        one = self.inhibition
        return [one.name, _spelled(one.source), _spelled(one.target), one.equal, one.builtin]

    def lookups(self, event: Event) -> Iterator[str]:
        """The signatures that hide `event`, a target. What matches both sides is not hidden by what does so too."""
        one_sided_only = not self._may_match_both or self.is_source(event)
        values = self._values(event)
        causes: Sequence[str | None] = tuple(dict.fromkeys(event.causes)) if self.inhibition.builtin else ()
        for subject in causes or (None,):
            yield _signature(False, values, subject)
            if not one_sided_only:
                yield _signature(True, values, subject)

    def _values(self, event: Event) -> list[str]:
        return [read(event) for read in self._equal]


def _signature(matches_both: bool, values: Sequence[str], subject: str | None = None) -> str:
    """A signature; in ASCII, for values may hold what no database takes.

    >>> _signature(False, ["prod", ""], "etl/load"), _signature(True, [])
    ('[0,["prod",""],"etl/load"]', '[1,[]]')
    """
    parts: list[object] = [int(matches_both), values]
    return json.dumps(parts if subject is None else [*parts, subject], separators=(",", ":"))


def _spelled(filter_: Filter) -> list[str]:
    """The text of a filter, and of those it names."""
    texts = [filter_.to_text()]
    for node in filter_.walk():
        if isinstance(node, Ref) and node.target is not None:
            texts += _spelled(node.target)
    return texts
