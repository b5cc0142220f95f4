"""From the channels of a config to where a sender can send."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import partial
from pathlib import Path

from tocsin.clock import SystemClock
from tocsin.delivery.backoff import Backoff
from tocsin.delivery.isolation import IsolatedChannel, Reference
from tocsin.delivery.local import LocalChannels
from tocsin.delivery.sender import Destination
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import installed
from tocsin.settings import ChannelSettings, Config, ConfigError, RetryPolicy, load, plugin_settings
from tocsin.settings.source import find
from tocsin.store.open import open_store
from tocsin.store.protocol import Store
from tocsin_hooks.channels import Channel

DEADLINE = timedelta(seconds=60)
"""How long a send may take in all where the config does not say."""

_BESIDE = timedelta(seconds=10)  # what a send may take beside the time for which the channel itself waits


def destinations(config: Config) -> dict[str, Destination]:
    """A destination for each channel of the config; channels are made when they are first needed."""
    return {name: destination(settings, config.path) for name, settings in config.channels.items()}


def destination(settings: ChannelSettings, path: Path | None = None) -> Destination:
    """Where the messages of one channel go. `path` is the config, for a channel that reads it in its own process."""
    sending = settings.sending
    deadline = sending.deadline or default_deadline(getattr(settings.config, "timeout", None))
    isolated = sending.isolate or settings.type.isolate
    return Destination(
        partial(_isolated, settings.name, path, deadline) if isolated else partial(_made, settings),
        backoff(sending.retry),
        rate=sending.rate,
        deadline=deadline,
        fallback=sending.fallback or "",
        isolated=isolated,
    )


def _made(settings: ChannelSettings) -> Channel:
    return settings.type.channel(settings.config)


def _isolated(name: str, path: Path | None, deadline: timedelta) -> Channel:
    given = {"name": name, "path": None if path is None else str(path)}
    return IsolatedChannel(Reference("tocsin.delivery.destinations:configured", given), deadline)


def configured(name: str, path: str | None) -> Channel:
    """The channel of that name in the config at `path`, or in the one that this process would use."""
    source = find(path, environ=os.environ, cwd=Path.cwd())
    if source is None:
        raise ConfigError([])
    wanted = plugin_settings(source)
    catalog, clock = installed(wanted.allow, wanted.block), SystemClock()
    stores: list[Store] = []
    catalog.register(LocalChannels(lambda: stores[0], clock), "tocsin.local")
    hooks = Hooks(catalog)
    types, _ = hooks.channel_types()
    config = load(source, channel_types=types, filters=hooks.filters())
    stores.append(open_store(url=config.store.url) if config.store.url else open_store(config.store.path))
    return _made(config.channels[name])


def backoff(retry: RetryPolicy) -> Backoff:
    """When failed deliveries are tried again, as the config says."""
    return Backoff(
        first=retry.first,
        cap=retry.max,
        attempts=retry.tries,
        give_up=retry.give_up,
        honor_retry_after=retry.honor_retry_after,
    )


def default_deadline(timeout: object) -> timedelta:
    """How long a send may take where the config does not say: longer than the channel itself waits for its service.

    >>> default_deadline(timedelta(seconds=30)), default_deadline(timedelta(minutes=2)), default_deadline(None)
    (datetime.timedelta(seconds=60), datetime.timedelta(seconds=130), datetime.timedelta(seconds=60))
    """
    if isinstance(timeout, int | float) and not isinstance(timeout, bool):
        timeout = timedelta(seconds=timeout)
    return max(DEADLINE, timeout + _BESIDE) if isinstance(timeout, timedelta) else DEADLINE
