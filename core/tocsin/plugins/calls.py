"""How core calls hooks: through these typed functions only, each implementation by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pluggy

from tocsin.plugins import answers, interrupts
from tocsin.plugins.answers import Bounded, JunkError, Predicate, Verdict
from tocsin.plugins.catalog import Catalog
from tocsin.plugins.guarded import Answer, GuardedCalls
from tocsin.plugins.watchdog import Watchdog, calls_plugins, watchdog
from tocsin_hooks.channels import Channel, ChannelType
from tocsin_hooks.decisions import RoutingDecision
from tocsin_hooks.events import Event
from tocsin_hooks.filters import Filter
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.specs import OBSERVED_STATES, observer_names
from tocsin_hooks.states import State

_log = logging.getLogger("tocsin.plugins")

_Call = tuple[str, Callable[..., Any], tuple[str, ...]]


_Observer = Callable[[Event], Any]


class Hooks(GuardedCalls):
    """The hooks of the plugins in use: no implementation can harm another, or the caller."""

    def __init__(self, catalog: Catalog, deadline: timedelta | None = None, *, watched_by: Watchdog = watchdog) -> None:
        super().__init__(catalog, deadline, watched_by)
        self._pm = catalog.pm
        self._calls: dict[str, tuple[_Call, ...]] = {}
        self._chains: dict[tuple[str, tuple[str, ...]], tuple[_Observer, ...]] = {}
        self._heard_of_flows: dict[tuple[str, ...], bool] = {}
        self._heard_of_tasks: dict[tuple[str, ...], bool] = {}
        self._whose: dict[_Observer, tuple[str, str]] = {}
        self._proposes = self._enriches = self._routes = False
        catalog.tell(self)
        if not self._pm.has_plugin("tocsin.channel"):
            self._pm.register(_AskTheChannel(), "tocsin.channel")

    def _fresh(self) -> None:
        if self._revision != (revision := self.catalog.revision):
            # new ones, for another thread may be filling those there are with what was true before
            self._calls, self._chains = {}, {}
            self._revision = revision
            self._proposes = bool(self._impls("tocsin_propose_state"))
            self._enriches = bool(self._impls("tocsin_enrich"))
            self._routes = bool(self._impls("tocsin_route"))

    def _impls(self, hook: str) -> tuple[_Call, ...]:
        """The implementations of `hook`, the one registered last first, as pluggy would call them."""
        self._fresh()
        known = self._calls
        if (calls := known.get(hook)) is None:
            impls = getattr(self._pm.hook, hook).get_hookimpls()
            hung = self.catalog.hung
            calls = tuple(
                (impl.plugin_name, impl.function, tuple(impl.argnames))
                for impl in reversed(impls)
                if (impl.plugin_name, hook) not in hung
            )
            known[hook] = calls
            if calls:
                self._watchdog.watch(self)
        return calls

    def _ask(self, hook: str, take: Callable[[Any], Answer], **given: Any) -> list[tuple[str, Answer]]:
        """What `take` makes of the answer of each implementation of `hook`, by plugin; those that fall are left out."""
        found: list[tuple[str, Answer]] = []
        for plugin, function, names in self._impls(hook):
            arguments = [given[name] for name in names]
            answer = self._made(plugin, hook, partial(_taken, take, function, arguments), None)
            if answer is not None:
                found.append((plugin, *answer))
        return found

    # ------------------------------------------------------------ state changes

    def observes(self, subject: str, state_family: tuple[str, ...]) -> bool:
        """Whether any plugin wants to hear, or replace, a change into such a state."""
        try:
            # emptied with each change: asked for every state of every task
            return (self._heard_of_tasks if subject == "task" else self._heard_of_flows)[state_family]
        except KeyError:
            return self._finds(subject, state_family)

    def _finds(self, subject: str, state_family: tuple[str, ...]) -> bool:
        # before looking: with a change meanwhile, this is what nobody asks any more
        known = self._heard_of_tasks if subject == "task" else self._heard_of_flows
        heard = bool(self._chain(subject, state_family) or self._impls("tocsin_propose_state") or self._routes)
        known[state_family] = heard
        return heard

    def refresh(self) -> None:
        """See `GuardedCalls.refresh`."""
        super().refresh()
        self._heard_of_flows, self._heard_of_tasks = {}, {}

    @property
    def proposes(self) -> bool:
        """Whether any plugin might replace a state."""
        if self._revision != self.catalog.revision:
            self._fresh()
        return self._proposes

    @property
    def routes(self) -> bool:
        """Whether any plugin might have an event sent elsewhere."""
        if self._revision != self.catalog.revision:
            self._fresh()
        return self._routes

    @property
    def enriches(self) -> bool:
        """Whether any plugin might add labels."""
        if self._revision != self.catalog.revision:
            self._fresh()
        return self._enriches

    def _chain(self, subject: str, state_family: tuple[str, ...]) -> tuple[_Observer, ...]:
        if self._revision != self.catalog.revision:
            self._fresh()
        known = self._chains
        chain = known.get((subject, state_family))
        if chain is None:
            chain = tuple(
                self._observer(plugin, hook, function, names)
                for hook in observer_names(subject, state_family)
                for plugin, function, names in self._impls(hook)
            )
            known[subject, state_family] = chain
        return chain

    def _observer(self, plugin: str, hook: str, function: _Observer, names: tuple[str, ...]) -> _Observer:
        """`function` as something that takes an event, is found on the stack, and is nothing but that hook."""
        whose = self._whose.setdefault(function, (plugin, hook)) if names and interrupts.code_of(function) else None
        if whose == (plugin, hook):
            return function

        def observer(event: Event) -> None:
            function(*(event for _ in names))

        self._whose[observer] = plugin, hook
        return observer

    def whose(self, function: _Observer) -> tuple[str, str]:
        """The plugin and the hook of an observer that `_chain` has given."""
        return self._whose[function]

    @calls_plugins
    def observe(self, event: Event) -> None:
        """Tell every observer of the event's state, of its ancestors, and of every change."""
        struck, kind = self._struck, ("task" if event.task else "flow", event.state_family)
        known = self._chains.get(kind) if self._revision == self.catalog.revision else None
        for function in self._chain(*kind) if known is None else known:
            try:
                try:
                    function(event)
                finally:
                    if struck:
                        self._watchdog.ended()
            except BaseException as error:
                self._fell(*self._whose[function], error)

    def propose(self, event: Event, state: State) -> State:
        """The state that the first plugin with an opinion wants in place of `state`, or `state` itself."""
        proposed = self._ask("tocsin_propose_state", answers.state, event=event, state=state)
        return next((answer for _, answer in proposed if answer is not None), state)

    def route(self, event: Event, decision: RoutingDecision) -> tuple[str, tuple[str, ...]] | None:
        """The first plugin with an opinion on where an event goes, and the channels that it names."""
        asked = self._ask("tocsin_route", answers.channels, event=event, decision=decision)
        return next(((plugin, channels) for plugin, channels in asked if channels is not None), None)

    def enrich(self, event: Event) -> dict[str, str]:
        """The labels that plugins add to an event."""
        labels: dict[str, str] = {}
        for _, answer in reversed(self._ask("tocsin_enrich", answers.labels, event=event)):
            labels.update(answer)
        return labels

    @property
    def observed_anywhere(self) -> bool:
        """Whether any plugin observes or proposes states at all."""
        suffixes = [suffix for suffix, _ in OBSERVED_STATES.values()]
        names = [f"tocsin_{subject}_{suffix}" for subject in ("flow", "task") for suffix in suffixes]
        return any(self._impls(name) for name in (*names, "tocsin_state_changed", "tocsin_propose_state"))

    # ------------------------------------------------------------ delivering

    def send(self, channel: Channel, message: Message, previous: Receipt | None) -> Receipt:
        """Make one attempt; whatever goes wrong comes out as a SendError."""
        try:
            receipt = self._pm.hook.tocsin_send(channel=channel, message=message, previous=previous)
        except SendError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            _log.exception("channel '%s' raised what is no SendError", message.channel)
            raise SendError(Reason.PLUGIN, f"{type(error).__name__}: {error}") from error
        if not isinstance(receipt, Receipt):
            raise SendError(Reason.PLUGIN, f"the channel returned {type(receipt).__name__}, not a Receipt")
        return receipt

    def delivered(self, message: Message, receipt: Receipt) -> None:
        """Tell that a message was accepted."""
        self._ask("tocsin_delivered", answers.anything, message=message, receipt=receipt)

    def delivery_failed(self, message: Message, error: SendError, retry_in: float) -> None:
        """Tell that an attempt failed and when the next is made, in seconds."""
        self._ask("tocsin_delivery_failed", answers.anything, message=message, error=error, retry_in=retry_in)

    def delivery_dead(self, message: Message, error: SendError) -> None:
        """Tell that nothing more will be tried."""
        self._ask("tocsin_delivery_dead", answers.anything, message=message, error=error)

    def hears(self, hook: str) -> bool:
        """Whether any plugin implements that hook."""
        return bool(self._impls(hook))

    @property
    def hears_suppressed(self) -> bool:
        """Whether any plugin wants to know what is not sent."""
        return self.hears("tocsin_suppressed")

    def suppressed(self, event: Event, stage: str, reason: str, *, route: str = "", channel: str = "") -> None:
        """Tell that something of an event is not sent."""
        self._ask(
            "tocsin_suppressed", answers.anything, event=event, stage=stage, reason=reason, route=route, channel=channel
        )

    # ------------------------------------------------------------ start-up

    def startup(self, version: str) -> None:
        """Tell plugins that a hub starts, once each; called by the thread that runs flows then."""
        interrupts.listen()
        for plugin, function, names in self._impls("tocsin_startup"):
            if plugin not in _started:
                _started.add(plugin)
                started = partial(_taken, answers.anything, function, [version] * len(names))
                self._made(plugin, "tocsin_startup", started, None)

    def channel_types(self) -> tuple[dict[str, ChannelType], dict[str, str]]:
        """The channel types by name; and, by name, what is wrong with those that two plugins provide.

        Those are not among the first: which of the two is meant, only the operator can say, and each is given the
        channel's secrets.
        """
        found: dict[str, ChannelType] = {}
        providers: dict[str, list[str]] = {}
        for plugin, answer in self._ask("tocsin_channel_types", answers.items):
            for kind in answer:
                if not isinstance(kind, ChannelType):
                    _log.error("plugin '%s': tocsin_channel_types %s", plugin, JunkError(kind, "ChannelType"))
                else:
                    found.setdefault(kind.name, kind)
                    providers.setdefault(kind.name, []).append(plugin)
        several = {name: [*dict.fromkeys(plugins)] for name, plugins in providers.items() if len(set(plugins)) > 1}
        clashes = {
            name: f"provided by both plugin '{first}' and plugin '{second}'; block one of them in [plugins]"
            for name, (first, second, *_) in several.items()
        }
        return {name: kind for name, kind in found.items() if name not in clashes}, clashes

    def channel_types_of(self, plugin: str) -> tuple[ChannelType, ...]:
        """The channel types that one plugin provides."""
        asked = self._ask("tocsin_channel_types", answers.items)
        return tuple(kind for name, answer in asked if name == plugin for kind in answer)

    def filters(self) -> dict[str, Predicate]:
        """The predicates that plugins give to expressions, by name; one that hangs says no from then on."""
        found: dict[str, Predicate] = {}
        for plugin, answer in reversed(self._ask("tocsin_filters", answers.filters)):
            for name, given in answer.items():
                found[name] = given if isinstance(given, Filter) else Bounded(given, self._judge(plugin, f"@{name}"))
        return found

    def template_filters(self) -> dict[str, Callable[..., Any]]:
        """The filters that plugins give to templates, by name; where two give the same, the last registered wins."""
        found: dict[str, Callable[..., Any]] = {}
        for plugin, answer in reversed(self._ask("tocsin_template_filters", answers.functions)):
            found.update({name: self._bounded(plugin, f"|{name}", function) for name, function in answer.items()})
        return found

    def _bounded(self, plugin: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, called so that it can neither hang nor end the process; raises what it raises."""
        hung = self.catalog.hung

        def call(*args: Any, **named: Any) -> Any:
            if (plugin, name) in hung:
                raise RuntimeError("it did not come back before")

            def outcome() -> tuple[Any, Exception | None]:
                try:
                    return function(*args, **named), None
                except Exception as error:  # for the template to say
                    return None, error

            otherwise: tuple[Any, Exception | None] = None, RuntimeError("it did not come back")
            answer, error = self._made(plugin, name, outcome, otherwise)
            if error is not None:
                raise error
            return answer

        return call

    def _judge(self, plugin: str, name: str) -> answers.Judge:
        hung = self.catalog.hung

        def ask(predicate: Callable[[], Verdict]) -> Verdict:
            if (plugin, name) in hung:
                return False, None
            no: Verdict = (False, None)
            return self._made(plugin, name, predicate, no)

        return ask

    def commands(self) -> list[Any]:
        """The sub-commands that plugins add to the command line."""
        return [command for _, answer in self._ask("tocsin_commands", answers.items) for command in answer]


_started: set[str] = set()


def _taken(take: Callable[[Any], Answer], function: Callable[..., Any], arguments: list[Any]) -> tuple[Answer]:
    """What is made of an answer, as one thing that is never None."""
    return (take(function(*arguments)),)


class _AskTheChannel:
    """tocsin's own way to send: the last implementation of `tocsin_send`."""

    @pluggy.HookimplMarker("tocsin")(trylast=True)
    def tocsin_send(self, channel: Channel, message: Message, previous: Receipt | None) -> Receipt:
        """Ask the channel."""
        return channel.send(message, previous)
