"""What a plugin makes of where an event goes: it may keep it back, or send it elsewhere, and its name is the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tocsin.hub.policy import Policy
from tocsin.plugins.calls import Hooks
from tocsin.routing.router import Decision, Route, Target
from tocsin_hooks.decisions import RoutingDecision
from tocsin_hooks.events import Event


@dataclass(frozen=True, slots=True)
class Rerouting:
    """That a plugin wants an event to go to these channels only, in the place of those that the routes name."""

    plugin: str
    channels: tuple[str, ...]


def rerouting(
    hooks: Hooks, policy: Policy, event: Event, extra: Sequence[Route], complain: Callable[[str], None]
) -> Rerouting | None:
    """What the first plugin with an opinion wants; None where it is what the routes say. Of junk it is complained."""
    decision = policy.router.decide(event, extra)
    told = RoutingDecision(
        tuple(target.channel for target in decision.targets),
        {target.channel: target.route for target in decision.targets},
    )
    wanted = hooks.route(event, told)
    if wanted is None:
        return None
    plugin, channels = wanted
    known = tuple(channel for channel in channels if channel in policy.capabilities)
    for channel in channels:
        if channel not in known:
            complain(f"plugin '{plugin}' sends to unknown channel '{channel}'")
    if (channels and not known) or set(known) == set(told.channels):
        return None
    return Rerouting(plugin, known)


def rerouted(decision: Decision, wanted: Rerouting | None, policy: Policy) -> Decision:
    """Where the event goes then.

    >>> from tocsin.routing.router import Router
    >>> policy = Policy(Router(default_send=("ops",)))
    >>> decision = Decision((Target("ops", "pages"), Target("mail", "pages")), matched=True)
    >>> now = rerouted(decision, Rerouting("night", ("mail", "chat")), policy)
    >>> [(target.channel, target.route) for target in now.targets], [target.channel for target in now.kept_back]
    ([('mail', 'pages'), ('chat', 'plugin:night')], ['ops'])
    """
    if wanted is None:
        return decision
    named, router = {target.channel: target for target in decision.targets}, policy.router
    fresh = (f"plugin:{wanted.plugin}", router.default_template, router.default_options)
    targets = tuple(named.get(channel) or Target(channel, *fresh) for channel in wanted.channels)
    kept_back = tuple(target for target in decision.targets if target.channel not in wanted.channels)
    matched = decision.matched or bool(targets)
    return replace(decision, targets=targets, matched=matched, kept_back=kept_back, plugin=wanted.plugin)
