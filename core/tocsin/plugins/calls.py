"""How core calls hooks: through these typed functions only, each implementation by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pluggy

from tocsin.plugins.catalog import Catalog
from tocsin_hooks.channels import Channel, ChannelType
from tocsin_hooks.events import Event
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.specs import OBSERVED_STATES, observer_names
from tocsin_hooks.states import State

_log = logging.getLogger("tocsin.plugins")

_Call = tuple[str, Callable[..., Any], tuple[str, ...]]


_Observer = tuple[Callable[[Event], Any], str, str]


def _without_event(function: Callable[[], Any]) -> Callable[[Event], Any]:
    return lambda _: function()


class Hooks:
    """The hooks of the plugins in use.

    No implementation can harm another or the caller: what it raises is logged with its plugin's name, even
    SystemExit. Only KeyboardInterrupt goes through, being the user's.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self._pm = catalog.pm
        self._calls: dict[str, tuple[_Call, ...]] = {}
        self._chains: dict[tuple[str, tuple[str, ...]], tuple[_Observer, ...]] = {}
        self._heard: dict[tuple[str, tuple[str, ...]], bool] = {}
        self._proposes = self._enriches = False
        self._revision = -1
        if not self._pm.has_plugin("tocsin.channel"):
            self._pm.register(_AskTheChannel(), "tocsin.channel")

    def _fresh(self) -> None:
        if self._revision != self.catalog.revision:
            self._calls.clear()
            self._chains.clear()
            self._heard.clear()
            self._revision = self.catalog.revision
            self._proposes = bool(self._impls("tocsin_propose_state"))
            self._enriches = bool(self._impls("tocsin_enrich"))

    def _impls(self, hook: str) -> tuple[_Call, ...]:
        """The implementations of `hook`, the one registered last first, as pluggy would call them."""
        self._fresh()
        if (calls := self._calls.get(hook)) is None:
            impls = getattr(self._pm.hook, hook).get_hookimpls()
            calls = tuple((impl.plugin_name, impl.function, tuple(impl.argnames)) for impl in reversed(impls))
            self._calls[hook] = calls
        return calls

    def _ask(self, hook: str, **given: Any) -> list[tuple[str, Any]]:
        """What each implementation of `hook` returns, with its plugin's name; those that raise are left out."""
        answers = []
        for plugin, function, names in self._impls(hook):
            try:
                answers.append((plugin, function(*[given[name] for name in names])))
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                _report(plugin, hook, error)
        return answers

    # ------------------------------------------------------------ state changes

    def observes(self, subject: str, state_family: tuple[str, ...]) -> bool:
        """Whether any plugin wants to hear, or replace, a change into such a state."""
        if self._revision != self.catalog.revision:
            self._fresh()
        heard = self._heard.get((subject, state_family))
        if heard is None:
            heard = bool(self._chain(subject, state_family) or self._impls("tocsin_propose_state"))
            self._heard[subject, state_family] = heard
        return heard

    @property
    def proposes(self) -> bool:
        """Whether any plugin might replace a state."""
        if self._revision != self.catalog.revision:
            self._fresh()
        return self._proposes

    @property
    def enriches(self) -> bool:
        """Whether any plugin might add labels."""
        if self._revision != self.catalog.revision:
            self._fresh()
        return self._enriches

    def _chain(self, subject: str, state_family: tuple[str, ...]) -> tuple[_Observer, ...]:
        if self._revision != self.catalog.revision:
            self._fresh()
        chain = self._chains.get((subject, state_family))
        if chain is None:
            chain = tuple(
                (function if names else _without_event(function), plugin, hook)
                for hook in observer_names(subject, state_family)
                for plugin, function, names in self._impls(hook)
            )
            self._chains[subject, state_family] = chain
        return chain

    def observe(self, event: Event) -> None:
        """Tell every observer of the event's state, of its ancestors, and of every change."""
        for function, plugin, hook in self._chain("task" if event.task else "flow", event.state_family):
            try:
                function(event)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                _report(plugin, hook, error)

    def propose(self, event: Event, state: State) -> State:
        """The state that the first plugin with an opinion wants in place of `state`, or `state` itself."""
        for plugin, answer in self._ask("tocsin_propose_state", event=event, state=state):
            if isinstance(answer, State):
                return answer
            if answer is not None:
                _log.error("plugin '%s': tocsin_propose_state returned %r, which is no State", plugin, answer)
        return state

    def enrich(self, event: Event) -> dict[str, str]:
        """The labels that plugins add to an event."""
        labels: dict[str, str] = {}
        for plugin, answer in reversed(self._ask("tocsin_enrich", event=event)):
            if isinstance(answer, Mapping):
                labels.update({str(name): str(value) for name, value in answer.items()})
            elif answer is not None:
                _log.error("plugin '%s': tocsin_enrich returned %r, which is no mapping", plugin, answer)
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
        self._ask("tocsin_delivered", message=message, receipt=receipt)

    def delivery_failed(self, message: Message, error: SendError, retry_in: float) -> None:
        """Tell that an attempt failed and when the next is made, in seconds."""
        self._ask("tocsin_delivery_failed", message=message, error=error, retry_in=retry_in)

    def delivery_dead(self, message: Message, error: SendError) -> None:
        """Tell that nothing more will be tried."""
        self._ask("tocsin_delivery_dead", message=message, error=error)

    @property
    def hears_suppressed(self) -> bool:
        """Whether any plugin wants to know what is not sent."""
        return bool(self._impls("tocsin_suppressed"))

    def suppressed(self, event: Event, stage: str, reason: str, *, route: str = "", channel: str = "") -> None:
        """Tell that something of an event is not sent."""
        self._ask("tocsin_suppressed", event=event, stage=stage, reason=reason, route=route, channel=channel)

    # ------------------------------------------------------------ start-up

    def startup(self, version: str) -> None:
        """Tell plugins that a hub starts, once each."""
        for plugin, function, names in self._impls("tocsin_startup"):
            if plugin not in _started:
                _started.add(plugin)
                try:
                    function(*[version] * len(names))
                except KeyboardInterrupt:
                    raise
                except BaseException as error:
                    _report(plugin, "tocsin_startup", error)

    def channel_types(self) -> tuple[dict[str, ChannelType], dict[str, str]]:
        """The channel types by name; and, by name, what is wrong with those that two plugins provide."""
        found: dict[str, ChannelType] = {}
        provider: dict[str, str] = {}
        clashes: dict[str, str] = {}
        for plugin, answer in self._ask("tocsin_channel_types"):
            for kind in answer or ():
                if not isinstance(kind, ChannelType):
                    _log.error("plugin '%s': tocsin_channel_types returned %r, no ChannelType", plugin, kind)
                elif kind.name in found:
                    clashes[kind.name] = f"provided by both plugin '{provider[kind.name]}' and plugin '{plugin}'"
                else:
                    found[kind.name], provider[kind.name] = kind, plugin
        return found, clashes

    def channel_types_of(self, plugin: str) -> tuple[ChannelType, ...]:
        """The channel types that one plugin provides."""
        answers = self._ask("tocsin_channel_types")
        return tuple(kind for name, answer in answers if name == plugin for kind in answer or ())

    def filters(self) -> dict[str, Callable[[Event], bool]]:
        """The predicates that plugins give to expressions, by name."""
        found: dict[str, Callable[[Event], bool]] = {}
        for _, answer in reversed(self._ask("tocsin_filters")):
            found.update(answer or {})
        return found

    def commands(self) -> list[Any]:
        """The sub-commands that plugins add to the command line."""
        return [command for _, answer in self._ask("tocsin_commands") for command in answer or ()]


_started: set[str] = set()


def _report(plugin: str, hook: str, error: BaseException) -> None:
    _log.error("plugin '%s' raised in %s; the run goes on", plugin, hook, exc_info=error)


class _AskTheChannel:
    """tocsin's own way to send: the last implementation of `tocsin_send`."""

    @pluggy.HookimplMarker("tocsin")(trylast=True)
    def tocsin_send(self, channel: Channel, message: Message, previous: Receipt | None) -> Receipt:
        """Ask the channel."""
        return channel.send(message, previous)
