"""From the routes of a config, a flat list, to the router, a tree."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.routing.router import Route, Router
from tocsin.settings import Config, RouteSettings


def router_of(config: Config) -> Router:
    """The router that a config describes."""
    return Router(
        routes=_below(None, config.routes),
        default_send=tuple(config.defaults.send or ()),
        default_template=config.defaults.template or "",
        opens=config.defaults.opens,
        default_options=config.defaults.options,
    )


def _below(parent: str | None, routes: Sequence[RouteSettings]) -> tuple[Route, ...]:
    """The routes nested under `parent`, in file order; None: those at the top."""
    return tuple(
        Route(
            name=route.name,
            filter=route.filter,
            send=None if route.send is None else tuple(route.send),
            template=route.template,
            stop=route.stop,
            children=_below(route.name, routes),
            options=route.options,
        )
        for route in routes
        if route.under == parent
    )
