"""The one composition root: a config becomes a hub, a worker and a store; a flow becomes a run."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tocsin
from tocsin import runs
from tocsin.clock import Clock, SystemClock
from tocsin.delivery.destinations import destinations
from tocsin.delivery.local import LocalChannels
from tocsin.delivery.presence import attended
from tocsin.delivery.sender import Sender
from tocsin.delivery.timekeeper import Timekeeper
from tocsin.delivery.worker import Worker, WorkerSettings
from tocsin.hub.heart import Heart
from tocsin.hub.hub import Hub
from tocsin.hub.policy import Policy
from tocsin.hub.rounds import Rounds
from tocsin.masked import logger
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog, installed
from tocsin.routing.compose import Template
from tocsin.routing.templates import check_template, template_filters
from tocsin.runs import stopping
from tocsin.settings import (
    Config,
    PluginSettings,
    Problem,
    check as check_config,
    load,
    plugin_settings,
)
from tocsin.settings.known_labels import labels_of
from tocsin.settings.settings import StoreSettings
from tocsin.settings.source import Source, find
from tocsin.store.checkup import newest_events
from tocsin.store.open import open_store
from tocsin.store.protocol import Store
from tocsin.store.records import StoreError
from tocsin_hooks.channels import ChannelType

if TYPE_CHECKING:
    from tocsin.flows.flow import Flow
    from tocsin_hooks.states import State

_log = logger("tocsin")

_LAST_WORDS = timedelta(seconds=1)  # for what has ended to be recorded
LOCAL = "tocsin.local"
"""The name under which core's own channels are registered."""


class Assembly:
    """What a config makes: the store, the sender, the worker and the hub, each made when first needed."""

    def __init__(self, config: Config, catalog: Catalog, clock: Clock) -> None:
        self.config = config
        self.clock = clock
        self.hooks = Hooks(catalog, config.plugins.deadline)
        chosen = config.store
        self.store: Store = open_store(url=chosen.url) if chosen.url is not None else open_store(chosen.path)
        self.sender = Sender(destinations(config), self.hooks, clock, templates(config), config.timezone)
        settings = WorkerSettings(config.delivery.threads, config.delivery.lease)
        self.worker = Worker(self.store, self.sender, clock, settings)
        self.hub = Hub.from_config(config, hooks=self.hooks, store=self.store, clock=clock, wake=self.worker.wake)
        self.timekeeper = Timekeeper(self.hub, clock)
        self.hub.on_timer = self.timekeeper.wake
        self.heart = heart(config, self.store, clock)
        self.hub.live_by(self.heart)
        self.rounds = Rounds(self.hub)

    def start(self, *, buries: bool = True) -> None:
        """Tell the plugins, take up what an earlier process left, and look whether the store can be written.

        A store that cannot is said at ERROR: its events go to the spill file, and the run goes on. With `buries`,
        runs are announced as dead whose processes are gone.
        """
        _start_plugins(self.hooks)
        try:
            self.store.prune(before=self.clock.now() - self.config.store.retention)
            self.hub.prepare()
            self.hub.replay_spill()
            if buries:
                self.rounds.look()
            if self.hub.next_due() is not None:
                self.timekeeper.wake()
            if self.store.next_due(now=self.clock.now()) is not None:
                self.worker.wake()
        except StoreError as error:
            _log.error("%s; alerts wait in the spill file '%s' until it can be written", error, self.hub.spill_path)

    def finish(self, within: timedelta | None = None) -> int | None:
        """Deliver what is due within a bound, then let go of everything; how many deliveries are left.

        None where the store does not tell. Groups that wait are told now, where no hub is there to do it later.
        """
        later: datetime | None = None
        left: int | None = None
        try:
            self.heart.stop()
            self.timekeeper.stop()
            later = self._flush()
            left = self.worker.drain(self.config.delivery.drain if within is None else within)
        except StoreError as error:
            _log.error("it cannot be told what is left to deliver; the next run or 'tocsin hub' takes it up: %s", error)
        finally:
            # what hangs has had its time; whoever comes next finds its lease, and that its owner is gone
            self.worker.stop(_LAST_WORDS * 5 if left == 0 else _LAST_WORDS)
            self.store.close()
        if left:
            _log.warning("%d message(s) are not delivered yet; the next run or 'tocsin hub' takes them up", left)
        if later is not None:
            at = later.strftime("%Y-%m-%d %H:%M:%S UTC")
            _log.warning(
                "more is to be told at %s, and no hub is there to do it: run 'tocsin hub', or 'tocsin tick' from cron",
                at,
            )
        return left

    def _flush(self) -> datetime | None:
        """Tell the groups that wait; when there is more to tell that only a hub can do, at its time."""
        try:
            now = self.clock.now()
            if attended(self.store, now):
                return None
            self.hub.tick()
            self.hub.end_of_run()
            return self.hub.owed_at()
        except StoreError as error:
            _log.error("groups wait: %s", error)
            return None

    def adopt(self, config: Config) -> None:
        """Go on with another config: routes, channels, templates and all else but the store and the worker's threads.

        What is under way ends as it began. Raises StoreError where the store cannot be brought in line.
        """
        self.hub.adopt(Policy.of(config))
        self.sender.adopt(destinations(config), templates(config), config.timezone)
        self.config = config


def heart(config: Config, store: Store, clock: Clock) -> Heart:
    """What tells others of the runs of this process, as often as the config says."""
    given = config.delivery
    return Heart(store, clock, every=given.heartbeat, dead_after=given.dead_after, kept=config.store.retention)


def templates(config: Config) -> dict[str, Template]:
    """The operator's templates by name."""
    filters = template_filters(config.template_filters)
    return {name: Template(each.title or "", each.text or "", filters) for name, each in config.templates.items()}


# ---------------------------------------------------------------- reading the config


@dataclass(frozen=True, slots=True)
class Facts:
    """What the installed plugins say that a config can refer to."""

    catalog: Catalog
    channel_types: Mapping[str, ChannelType]
    filters: Mapping[str, Any]
    broken: Mapping[str, str]
    template_filters: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def check_template(self, template: str) -> str | None:
        """What is wrong with a template, of those who may use these filters."""
        return check_template(template, template_filters(self.template_filters))


def facts(clock: Clock, store: Callable[[], Store], wanted: PluginSettings) -> Facts:
    """Ask the plugins that are `wanted`. `store` is called when an inbox is made."""
    catalog = installed(wanted.allow, wanted.block)
    catalog.unregister(LOCAL)  # of an earlier config, with another store
    catalog.register(LocalChannels(store, clock), LOCAL)
    hooks = Hooks(catalog, wanted.deadline)
    types, clashes = hooks.channel_types()
    broken = {**catalog.broken(), **clashes}
    return Facts(catalog, types, hooks.filters(), broken, hooks.template_filters())


def locate(path: str | Path | None = None, *, beside: Path | None = None) -> Source | None:
    """The config that this process would use; None when there is none. `beside` is a folder to look in, too."""
    return find(path, environ=os.environ, cwd=Path.cwd(), beside=beside)


def assemble(source: Source, clock: Clock | None = None) -> Assembly:
    """Put together what the config at `source` asks for. Raises ConfigError with every problem found."""
    clock = clock or SystemClock()
    made: list[Assembly] = []
    known = facts(clock, lambda: made[0].store, plugin_settings(source))
    made.append(Assembly(_config(source, known), known.catalog, clock))
    return made[0]


def read_config(source: Source, assembly: Assembly) -> Config:
    """The config at `source`, for an assembly to go on with. Raises ConfigError with every problem found."""
    return _config(source, facts(assembly.clock, lambda: assembly.store, plugin_settings(source)))


def _config(source: Source, known: Facts) -> Config:
    return load(
        source,
        channel_types=known.channel_types,
        filters=known.filters,
        broken_plugins=known.broken,
        check_template=known.check_template,
        template_filters=known.template_filters,
    )


def problems(source: Source, *, secrets: bool = True) -> list[Problem]:
    """Everything that is wrong, or odd, with the config at `source`."""
    known = facts(SystemClock(), _no_store, plugin_settings(source))
    return check_config(
        source,
        channel_types=known.channel_types,
        filters=known.filters,
        broken_plugins=known.broken,
        check_template=known.check_template,
        seen_labels=_seen_labels,
        secrets=secrets,
    )


_MOST_SEEN = 1000  # events


def _seen_labels(settings: StoreSettings) -> frozenset[str]:
    """The labels of the newest events in a file; none where it cannot be read, which others tell of."""
    if settings.url is not None or not settings.path.is_file():
        return frozenset()
    try:
        return labels_of(newest_events(settings.path, _MOST_SEEN))
    except (sqlite3.Error, OSError, ValueError):
        return frozenset()


def facts_here() -> Facts:
    """What the plugins say that this process would use, config or none, right or wrong."""
    source = locate()
    return facts(SystemClock(), _no_store, PluginSettings() if source is None else plugin_settings(source))


def broken_plugins(source: Source) -> Mapping[str, str]:
    """Why each plugin that is installed but not used is not, by name."""
    return facts(SystemClock(), _no_store, plugin_settings(source)).broken


def _no_store() -> Store:
    raise StoreError("no config, so there is no store")


# ---------------------------------------------------------------- running flows


_said: set[str] = set()


def _say_once(level: int, text: str) -> None:
    if text not in _said:
        _said.add(text)
        _log.log(level, "%s", text)


def _start_plugins(hooks: Hooks) -> None:
    """Tell the plugins that a hub starts, and the user which of them cannot be used: they would not be missed else."""
    for name, reason in hooks.catalog.refused().items():
        _say_once(logging.ERROR, f"plugin '{name}' is not used: {reason}")
    hooks.startup(tocsin.__version__)


@contextmanager
def hub_for_runs(clock: Clock, *, beside: Path | None = None) -> Iterator[tuple[Hub | None, Assembly | None]]:
    """The hub that a run publishes to, for the length of a `with` block; what is due is delivered at its end.

    Without a config there is none, unless plugins observe states; that is said once.
    """
    source = locate(beside=beside)
    if source is None:
        _say_once(logging.WARNING, "no tocsin.toml found: the flow runs, nobody is notified; 'tocsin init' writes one")
        hooks = Hooks(installed())
        _start_plugins(hooks)
        yield (Hub(hooks, clock) if hooks.observed_anywhere else None), None
        return
    assembly = assemble(source, clock)
    assembly.start()
    within: timedelta | None = None
    try:
        yield assembly.hub, assembly
    except BaseException as error:
        within = timedelta(0) if stopping.is_at_once(error) else None
        raise
    finally:
        assembly.finish(within)


def run_flow(flow: Flow, parameters: Mapping[str, Any] | None = None, **options: Any) -> State:
    """Run `flow` with the hub that the config describes: what `flow.run()` does.

    Raises ConfigError before anything runs when there is a config with mistakes in it.
    """
    clock = options.pop("clock", None) or SystemClock()
    with hub_for_runs(clock) as (hub, _):
        return runs.run_flow(flow, parameters, publisher=hub, clock=clock, **options)
