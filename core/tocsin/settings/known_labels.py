"""What is said of a label that events may not have: what was probably meant, also by what history has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from tocsin.settings.issues import Place, Problem, listed, near
from tocsin_hooks.events import Event
from tocsin_hooks.filters.labels import KNOWN_LABELS, is_known

_PARAMS = "params."
_FLOW = "flow="


def _nothing() -> frozenset[str]:
    return frozenset()


@dataclass(frozen=True)
class SeenLabels:
    """The labels that events in history have beside tocsin's own; looked up when first needed.

    >>> SeenLabels(lambda: frozenset({"params.owner", "region"})).params
    ['params.owner']
    """

    look: Callable[[], frozenset[str]] = _nothing

    @cached_property
    def _found(self) -> frozenset[str]:
        return self.look()

    @cached_property
    def names(self) -> frozenset[str]:
        """All of them; parameters as `params.NAME`."""
        return frozenset(name for name in self._found if not name.startswith(_FLOW))

    @cached_property
    def flows(self) -> frozenset[str]:
        """The flows that the events are of."""
        return frozenset(name.removeprefix(_FLOW) for name in self._found if name.startswith(_FLOW))

    @property
    def params(self) -> list[str]:
        """The parameters among them."""
        return sorted(name for name in self.names if name.startswith(_PARAMS))


def labels_of(events: Iterable[Event]) -> frozenset[str]:
    """The labels of events beside tocsin's own: `params.NAME` for parameters, the others by their names.

    And their flows, as `flow=NAME`.
    """
    return frozenset(
        name
        for event in events
        for name in (
            *event.labels,
            *(f"{_PARAMS}{key}" for key in event.parameters),
            *([f"{_FLOW}{event.flow}"] if event.flow else []),
        )
    )


def label_problem(label: str, place: Place, seen: SeenLabels) -> Problem | None:
    """What to say of a label: an error where a known one was nearly written, None where nothing is odd.

    Labels that plugins or pipelines add cannot be known here, so any other name is but a warning; none at all where
    history has it.
    """
    if label.startswith(_PARAMS):
        return _parameter_problem(label, place, seen)
    if is_known(label):
        return None
    if close := near(label, KNOWN_LABELS):
        hint = f"did you mean '{close}', or a label of your own, 'context.{label}'?"
        return Problem("E202", f"unknown label '{label}'", place, hint)
    own = {name.removeprefix("context.") for name in seen.names}
    if label in own:
        return None
    text = f"label '{label}' is none of tocsin's; it matches once something adds it"
    bare = {name.removeprefix(_PARAMS): name for name in sorted(own)}  # a parameter may have been meant, too
    meant = bare[label] if label in bare else bare.get(near(label, bare) or "", "")
    return Problem("W906", text, place, f"did you mean '{meant}'?" if meant else "")


def _parameter_problem(label: str, place: Place, seen: SeenLabels) -> Problem | None:
    first = label.removeprefix(_PARAMS).partition(".")[0]
    params = seen.params
    if not params or label in params or f"{_PARAMS}{first}" in params:
        return None
    close = near(f"{_PARAMS}{first}", params)
    hint = f"did you mean '{close}'?" if close else f"those in history: {listed(params)}"
    return Problem("W906", f"no event in history has the parameter '{label}'", place, hint)
