"""What the stages may know of one event, looked up in the store when first asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime

from tocsin.hub.stages import Case, Hidden
from tocsin.hub.turn import Turn, join
from tocsin.routing import flap, open_after
from tocsin.routing.flap import CalmVerdict, FlapMemory, FlapStep, FlapVerdict
from tocsin.routing.inhibition import Inhibitors, TargetOf, realm
from tocsin.routing.open_after import Counted, OpenAfterMemory
from tocsin.routing.silences import Silence, resumes_at
from tocsin.routing.windows import all_closed_at, covering
from tocsin.settings.alerts import Inhibition
from tocsin.store.records import Cell, Incident
from tocsin_hooks.events import Event

FLAP, AFTER, SOURCE = "flap", "after", "source"
"""The names of the documents of flapping, of failures counted, and of what inhibits."""


def standing(inhibitors: Inhibitors, event: Event, incident: Incident) -> list[Cell]:
    """The documents by which an incident is found by what its newest event hides: one for each signature."""
    return [
        Cell(SOURCE, f"{incident.number} {place}", json.dumps([incident.number, *names]), join(*parent), incident.key)
        for place, (parent, names) in enumerate(inhibitors.signatures(event).items())
    ]


@dataclass
class StoredFacts:
    """The facts about one event. What flapping and counting remember is written by `keep`."""

    turn: Turn
    event: Event
    _flaps: dict[str, FlapStep | None] = field(default_factory=dict)
    _counts: dict[str, Counted | None] = field(default_factory=dict)
    _sources: list[tuple[TargetOf, list[Incident]]] | None = None
    _silence: list[tuple[Silence, datetime | None] | None] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """The one time of this turn."""
        return self.turn.now

    # ------------------------------------------------------------ inhibition

    def hidden_by(self, case: Case) -> Hidden | None:
        """See `Facts.hidden_by`. What the task graph explains is hidden only from whom its source is for."""
        for target, sources in self._found():
            for source in sources:
                if source.key == case.key or (case.incident is not None and source.number == case.incident.number):
                    continue  # nothing hides itself
                if not target.inhibition.builtin or case.target.channel in source.channels:
                    return Hidden(target.inhibition, source)
        return None

    def awaited(self, case: Case) -> Inhibition | None:
        """See `Facts.awaited`."""
        return next((t.inhibition for t, _ in self._found() if t.inhibition.hold and not self._known(t, case)), None)

    def _known(self, target: TargetOf, case: Case) -> bool:
        return any(t is target and any(s.key != case.key for s in sources) for t, sources in self._found())

    def _found(self) -> list[tuple[TargetOf, list[Incident]]]:
        if self._sources is None:
            self._sources = [(target, self._open(target)) for target in self.turn.policy.inhibitors.targets(self.event)]
        return self._sources

    def _open(self, target: TargetOf) -> list[Incident]:
        found = []
        for lookup in target.lookups:
            for cell in self.turn.tx.cells(SOURCE, parent=join(realm(target.inhibition), lookup)):
                number, *names = json.loads(cell.body)
                incident = self.turn.tx.incident_numbered(number) if target.inhibition.name in names else None
                if incident is not None and incident.closed_at is None:
                    found.append(incident)
        return found

    # ------------------------------------------------------------ silences and windows

    def silence(self, case: Case) -> tuple[Silence, datetime | None] | None:  # noqa: ARG002  (as of Facts)
        """See `Facts.silence`."""
        if not self._silence:
            found = self.turn.silences.matching(self.event, self.now)
            self._silence.append(None if found is None else (found, resumes_at(found, self.now)))
        return self._silence[0]

    def window(self, case: Case) -> tuple[str, datetime | None] | None:
        """See `Facts.window`."""
        mute, windows = case.target.options.mute, self.turn.policy.windows
        if mute is None or (name := covering(windows, mute.windows, self.now)) is None:
            return None
        if mute.urgent is not None and mute.urgent.matches(case.event):
            return None
        return name, all_closed_at(windows, mute.windows, self.now)

    # ------------------------------------------------------------ what is counted

    def flap(self, case: Case) -> FlapStep | None:
        """See `Facts.flap`."""
        option, route = case.target.options.flap, case.target.route
        if option is None or case.incident is None:
            return None
        if route not in self._flaps:
            memory = self.turn.memory(FlapMemory, FLAP, join(route, case.key))
            step: FlapStep | None = None
            if case.opening:
                step = flap.change(memory, option, opens=True, now=self.now)
            elif (calm := flap.calm(memory, option, self.now)).verdict is CalmVerdict.WAITS and memory is not None:
                step = FlapStep(memory, FlapVerdict.QUIET, calm.reason, calm.calm_at)
            self._flaps[route] = step
        return self._flaps[route]

    def failures(self, case: Case) -> Counted | None:
        """See `Facts.failures`. A retry is no failure yet, and is told of only when the incident is."""
        option, route = case.target.options.open_after, case.target.route
        if option is None or case.incident is None:
            return None
        if route not in self._counts:
            memory = self.turn.memory(OpenAfterMemory, AFTER, join(route, case.key))
            if case.event.is_a("Retrying") or case.held:
                told = memory is not None and memory.reached_at is not None
                after = f"{0 if memory is None else memory.total} of {option.failures} failures"
                reason = after if case.held else f"a retry, after {after}"  # what was held was counted when it came
                self._counts[route] = Counted(memory or OpenAfterMemory(), told, reason)
            else:
                self._counts[route] = open_after.count(memory, option, self.now)
        return self._counts[route]

    def keep(self, key: str) -> None:
        """Write down what was counted for the incident of that key."""
        for route, step in self._flaps.items():
            if step is not None:
                self.turn.remember(FLAP, join(route, key), step.memory, due=step.calm_at, parent=route, subject=key)
        for route, counted in self._counts.items():
            if counted is not None:
                self.turn.remember(AFTER, join(route, key), counted.memory, parent=route, subject=key)
