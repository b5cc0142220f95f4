"""Which channels an event goes to, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from tocsin.routing.index import RouteIndex
from tocsin.settings.alerts import RouteOptions
from tocsin_hooks.events import Event
from tocsin_hooks.filters import FLAG_LABELS, Filter, Opaque, Ref


@dataclass(frozen=True, slots=True)
class Route:
    """A filter, where to send what matches, and the routes nested under it. None inherits from the parent."""

    name: str
    filter: Filter | None = None
    """None matches everything."""
    send: tuple[str, ...] | None = None
    template: str | None = None
    stop: bool = False
    children: tuple[Route, ...] = ()
    options: RouteOptions = field(default_factory=RouteOptions)
    """How it sends, with all that it inherits."""
    respects: bool = False
    """Of a route from code: whether a route of the config that stops keeps it from acting."""
    problems_only: bool = False
    """Whether it tells incidents, and nothing said of it, or of those above it, asks for any other event."""


@dataclass(frozen=True, slots=True)
class Target:
    """One channel that an event goes to, by which route, and in which template's words."""

    channel: str
    route: str
    template: str = ""
    options: RouteOptions = field(default_factory=RouteOptions, compare=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a route made of an event: `acts`, `replaced` by a child, `no match` or `not reached`; and why."""

    route: str
    depth: int
    verdict: str
    reason: str
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Where an event goes. `matched` tells "no route claims it" from "a route says nowhere"."""

    targets: tuple[Target, ...] = ()
    matched: bool = False
    nowhere: tuple[str, ...] = ()
    """The routes that act, and send to nobody on purpose."""
    stopped: tuple[Target, ...] = ()
    """Where routes from code do not send it because a route of the config stops."""
    kept_back: tuple[Target, ...] = ()
    """Where it does not go because of a plugin."""
    plugin: str = ""
    """The plugin that has changed where it goes."""


DEFAULTS = "defaults"
"""The name under which `[defaults]` acts."""


STATE_LABELS = FLAG_LABELS - {"is_flow", "is_task", "has_cause", "will_retry"} | {"state", "old_state"}
"""What a filter reads that asks for states."""

_WORTH_AN_INDEX = 8  # routes; fewer are tried as fast as they are looked up


def asks_for(tree: Filter, labels: frozenset[str]) -> bool:
    """Whether a filter reads one of `labels`; nobody knows what Python reads.

    >>> from tocsin_hooks.filters import when
    >>> [asks_for(when(text), STATE_LABELS) for text in ("flow=etl and is_failed", "flow=etl")]
    [True, False]
    """
    return bool(tree.labels() & labels) or _is_partly_python(tree)


def _is_partly_python(tree: Filter) -> bool:
    return any(
        isinstance(node, Opaque)
        or (isinstance(node, Ref) and node.target is not None and _is_partly_python(node.target))
        for node in tree.walk()
    )


@dataclass(frozen=True, slots=True)
class _Acting:
    """A route that acts, with the options it ends up with."""

    route: Route
    send: tuple[str, ...]
    template: str


@dataclass(frozen=True)
class Router:
    """The routes of a config.

    All matching siblings act, in file order; a matching child acts in place of its parent; `stop` ends. One
    event reaches one channel once: by the first route that names it. What no route claims goes to `default_send`
    if it opens an incident, or has no state that could say so.
    """

    routes: tuple[Route, ...] = ()
    default_send: tuple[str, ...] = ()
    default_template: str = ""
    opens: Filter | None = None
    default_options: RouteOptions = field(default_factory=RouteOptions)

    @cached_property
    def _index(self) -> RouteIndex:
        return RouteIndex(self.routes)

    def _candidates(self, event: Event) -> Sequence[Route]:
        """The routes at the top that could match."""
        if len(self.routes) < _WORTH_AN_INDEX:
            return self.routes
        return [self.routes[place] for place in self._index.candidates(event)]

    def decide(self, event: Event, extra: Iterable[Route] = ()) -> Decision:
        """Where `event` goes; `extra` routes, from code, come after all others, and act whatever stopped.

        Those that respect the config do not.
        """
        acting, is_stopped = self._acting(self._candidates(event), event, self.default_send, self.default_template)
        if any(act.route.problems_only for act in acting) and not self._could_open(event):
            acting = [act for act in acting if not (act.route.problems_only and act.send)]
        elif not acting and self.default_send and self._could_open(event):
            acting.append(_Acting(self._defaults, self.default_send, self.default_template))
        wanted = [route for route in extra if route.filter is None or route.filter.matches(event)]
        stopped = [route for route in wanted if is_stopped and route.respects]
        acting += [
            _Acting(route, route.send or (), route.template or self.default_template)
            for route in wanted
            if route not in stopped
        ]
        targets: dict[str, Target] = {}
        for act in acting:
            for channel in act.send:
                targets.setdefault(channel, Target(channel, act.route.name, act.template, act.route.options))
        nowhere = tuple(act.route.name for act in acting if not act.send)
        left_out = tuple(
            Target(channel, route.name) for route in stopped for channel in route.send or () if channel not in targets
        )
        return Decision(tuple(targets.values()), bool(acting), nowhere, left_out)

    def stops(self, event: Event) -> bool:
        """Whether a route of the config keeps those of code from acting that respect it."""
        return self._acting(self._candidates(event), event, (), "")[1]

    def _could_open(self, event: Event) -> bool:
        """Whether an event opens an incident, or is of a sort of which `opens` says nothing."""
        if self.opens is None or (not event.state and self._opens_by_state):
            return True
        return self.opens.matches(event)

    @cached_property
    def _opens_by_state(self) -> bool:
        return self.opens is not None and self.opens.labels() <= STATE_LABELS and not _is_partly_python(self.opens)

    @cached_property
    def _defaults(self) -> Route:
        return Route(DEFAULTS, options=self.default_options)

    def filters(self) -> Iterator[Filter | None]:
        """The filters of all routes."""
        return (route.filter for route in self._every_route())

    @cached_property
    def options(self) -> dict[str, RouteOptions]:
        """The options of every route, by its name; of the defaults as well."""
        return {DEFAULTS: self.default_options} | {route.name: route.options for route in self._every_route()}

    def _acting(
        self, routes: Sequence[Route], event: Event, send: tuple[str, ...], template: str
    ) -> tuple[list[_Acting], bool]:
        """The routes that act, and whether one of them said stop."""
        acting: list[_Acting] = []
        for route in routes:
            if route.filter is not None and not route.filter.matches(event):
                continue
            own_send = send if route.send is None else route.send
            own_template = template if route.template is None else route.template
            below, stopped = self._acting(route.children, event, own_send, own_template)
            acting += below or [_Acting(route, own_send, own_template)]
            if route.stop or stopped:
                return acting, True
        return acting, False

    def explain(self, event: Event) -> list[Verdict]:
        """What each route makes of `event`, in file order, children below their parents."""
        verdicts: list[Verdict] = []
        self._explain(self.routes, event, self.default_send, 0, "", verdicts)
        if not self._could_open(event):
            verdicts = [self._of_no_problem(verdict) for verdict in verdicts]
        claimed = any(v.verdict == "acts" for v in verdicts)
        if claimed or not self.default_send:
            reason = "a route claims the event" if claimed else "no default channels"
            verdicts.append(Verdict(DEFAULTS, 0, "no match", reason))
        elif self.opens is not None and not self._could_open(event):
            verdicts.append(Verdict(DEFAULTS, 0, "no match", f"opens no incident: {self.opens.to_text()}"))
        else:
            verdicts.append(Verdict(DEFAULTS, 0, "acts", "no route claims the event", self.default_send))
        return verdicts

    def _of_no_problem(self, found: Verdict) -> Verdict:
        """A verdict on an event that opens no incident."""
        if found.verdict != "acts" or not found.channels or found.route not in self._problem_routes:
            return found
        reason = "the event opens no incident, and 'when' asks for no state; mode = \"event\" tells all events"
        return replace(found, verdict="no match", reason=reason, channels=())

    @cached_property
    def _problem_routes(self) -> frozenset[str]:
        return frozenset(route.name for route in self._every_route() if route.problems_only)

    def _every_route(self) -> Iterator[Route]:
        waiting = list(self.routes)
        while waiting:
            route = waiting.pop()
            waiting += route.children
            yield route

    def _explain(
        self,
        routes: tuple[Route, ...],
        event: Event,
        send: tuple[str, ...],
        depth: int,
        stopped_by: str,
        verdicts: list[Verdict],
    ) -> str:
        """Append the verdicts of `routes`; the name of the route that stopped, if one did."""
        for route in routes:
            if stopped_by:
                verdicts.append(Verdict(route.name, depth, "not reached", f"'{stopped_by}' stops"))
                continue
            matches = route.filter is None or route.filter.matches(event)
            text = "matches everything" if route.filter is None else route.filter.to_text()
            if not matches:
                verdicts.append(Verdict(route.name, depth, "no match", text))
                continue
            own_send = send if route.send is None else route.send
            place = len(verdicts)
            below = self._explain(route.children, event, own_send, depth + 1, "", verdicts)
            replaced = any(v.verdict == "acts" for v in verdicts[place:])
            verdict = (
                Verdict(route.name, depth, "replaced", "a route under it acts instead")
                if replaced
                else Verdict(route.name, depth, "acts", text, own_send)
            )
            verdicts.insert(place, verdict)
            stopped_by = below or (route.name if route.stop else "")
        return stopped_by
