"""From the routes of a config, a flat list, to the router, a tree."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.routing.router import STATE_LABELS, Route, Router, asks_for
from tocsin.settings import Config, RouteSettings
from tocsin.settings.alerts import Mode


def router_of(config: Config) -> Router:
    """The router that a config describes."""
    opens = config.defaults.opens
    telling = STATE_LABELS | (frozenset() if opens is None else opens.labels())
    return Router(
        routes=_below(None, config.routes, telling),
        default_send=tuple(config.defaults.send or ()),
        default_template=config.defaults.template or "",
        opens=opens,
        default_options=config.defaults.options,
    )


def _below(
    parent: str | None, routes: Sequence[RouteSettings], telling: frozenset[str], asked: bool = False
) -> tuple[Route, ...]:
    """The routes nested under `parent`, in file order; None: those at the top.

    `telling` are the labels by which a filter asks for more than problems, `asked` whether one above did.
    """
    found = []
    for route in routes:
        if route.under != parent:
            continue
        asks = asked or (route.filter is not None and asks_for(route.filter, telling))
        found.append(
            Route(
                name=route.name,
                filter=route.filter,
                send=None if route.send is None else tuple(route.send),
                template=route.template,
                stop=route.stop,
                children=_below(route.name, routes, telling, asks),
                options=route.options,
                problems_only=not (asks or _is_for_all(route)) and route.options.mode is Mode.INCIDENT,
            )
        )
    return tuple(found)


def _is_for_all(route: RouteSettings) -> bool:
    return route.filter is None and route.under is None
