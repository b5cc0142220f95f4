"""Whether tocsin can do its work here: config, plugins, store, clock, permissions, libraries and the hub."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import BaseModel

from tocsin import __version__
from tocsin.assembly import Assembly, assemble, broken_plugins
from tocsin.clock import Clock
from tocsin.delivery.presence import hubs
from tocsin.errors import TocsinError
from tocsin.health.condition import STUCK
from tocsin.health.config import config_problems
from tocsin.health.examine_store import (
    CLOCK,
    PERMISSIONS,
    STORE,
    newest_findings,
    spill_findings,
    store_findings,
    store_permissions,
)
from tocsin.health.findings import Finding, failed, ok, warning
from tocsin.health.machine import Glance, glance, jump, too_open, versions
from tocsin.plugins.catalog import UNWANTED, installed
from tocsin.settings import Problem, Severity
from tocsin.settings.source import Source
from tocsin.store.records import Cell
from tocsin_hooks.secrets import Secret, redact

CONFIG, PLUGINS, VERSIONS, HUB = "config", "plugins", "versions", "hub"

NEEDED = ("click", "cloudpickle", "croniter", "jinja2", "pendulum", "pluggy", "pydantic", "python-dateutil", "rich")
"""The packages that tocsin cannot do without."""

_MOVED = timedelta(seconds=1)  # more than that between two looks is no mere correction


def examine(source: Source | None, clock: Clock) -> list[Finding]:
    """Look at everything. Nothing that is found out raises, nothing is changed."""
    first = glance(clock)
    found = [*config_findings(source), *plugin_findings(_broken_plugins(source))]
    assembly = None
    if source is not None:
        try:
            assembly = assemble(source, clock)
        except TocsinError:
            found.append(warning("store", "not looked at, since the config has mistakes"))
    if assembly is not None:
        found += assembly_findings(assembly, clock)
    found += clock_findings(first, glance(clock), "UTC" if assembly is None else assembly.config.timezone)
    return [*found, *version_findings(listens=assembly is not None and assembly.config.hub.listen is not None)]


def _broken_plugins(source: Source | None) -> Mapping[str, str]:
    return installed().broken() if source is None else broken_plugins(source)


def assembly_findings(assembly: Assembly, clock: Clock) -> Iterator[Finding]:
    """What is to be said of what a config makes."""
    path, now = assembly.config.store.path, clock.now()
    if assembly.config.store.url is not None:
        stored = list(database_findings(assembly))
    else:
        stored = [*store_findings(path, now), *store_permissions(path)]
    yield from stored
    yield from secret_findings(assembly)
    outbox = assembly.hub.outbox
    assert outbox is not None, "a hub made from a config has one"
    yield from spill_findings(outbox.spill)
    if assembly.config.store.is_there and not any(each.level == "failed" for each in stored):
        yield from hub_findings(assembly, clock)


def database_findings(assembly: Assembly) -> Iterator[Finding]:
    """Whether the PostgreSQL database answers, and can be written."""
    now = assembly.clock.now()
    try:
        assembly.store.transact(lambda tx: tx.put(Cell("doctor", "look", "{}")), keep=False)
        newest = assembly.store.summary(now=now).newest_event
    except TocsinError as error:
        text = redact(str(error))
        yield failed(STORE, text, database_remedy(text))
        return
    finally:
        assembly.store.close()
    yield ok(STORE, f"{assembly.config.store.place}: it answers, and can be written")
    yield from newest_findings(newest, now)


def database_remedy(text: str) -> str:
    """What would do where a database cannot be used, by what it, or the config, says of it.

    >>> database_remedy('FATAL: password authentication failed for user "ann"')
    'the server runs, and refuses user or password: mend what [store] url refers to'
    >>> database_remedy("connection refused")
    'start the server, or set [store] url to one that runs'
    """
    if text.startswith("[store] url"):
        return "mend what [store] url refers to"
    found = (remedy for sign, remedy in _DATABASE_REMEDIES.items() if sign in text)
    return next(found, "start the server, or set [store] url to one that runs")


_LOGIN = "the server runs, and refuses user or password: mend what [store] url refers to"
_DATABASE_REMEDIES = {
    "authentication failed": _LOGIN,
    "no password supplied": _LOGIN,
    'role "': _LOGIN,
    'database "': "the server runs, and has no such database: create it, or name another in what [store] url refers to",
    "permission denied": "let that user create tables, and write, in the database",
}
"""What would do, by a piece of what is said; the first that is found counts."""

# ---------------------------------------------------------------- config and plugins


def config_findings(source: Source | None) -> Iterator[Finding]:
    """What `tocsin check` says of the config, in short."""
    if source is None:
        yield failed(CONFIG, "there is none: nobody is notified", "'tocsin init' writes one")
        return
    found = config_problems(source)
    errors = [each for each in found if each.severity is Severity.ERROR]
    for each in errors:
        yield failed(CONFIG, _in_short(each))
    for each in found:
        if each.severity is not Severity.ERROR:
            yield warning(CONFIG, _in_short(each))
    if not errors:
        yield ok(CONFIG, f"'{source.name}' is right")


def _in_short(problem: Problem) -> str:
    return redact(problem.render().partition("\n")[0])


def plugin_findings(broken: Mapping[str, str]) -> Iterator[Finding]:
    """The plugins that are installed and cannot be used."""
    refused = {name: reason for name, reason in broken.items() if reason != UNWANTED}
    for name, reason in refused.items():
        yield warning(PLUGINS, f"'{name}' is not used: {redact(reason)}", "mend, upgrade or remove it")
    blocked = sorted(name for name, reason in broken.items() if reason == UNWANTED)
    if blocked:
        yield ok(PLUGINS, f"the config does not allow: {', '.join(blocked)}")
    if not refused:
        yield ok(PLUGINS, "all that are wanted can be used")


# ---------------------------------------------------------------- secrets


def secret_findings(assembly: Assembly) -> Iterator[Finding]:
    """The files of secrets that others may read."""
    holders: list[tuple[str, Any]] = [("[store] url", assembly.config.store.url)]
    holders += [(f"channel '{name}'", channel.config) for name, channel in assembly.config.channels.items()]
    for holder, settings in holders:
        for path in sorted({secret.path for secret in secrets_in(settings) if secret.path is not None}):
            try:
                mode = too_open(path)
            except OSError:
                continue  # that it cannot be read is said of the config
            if mode:
                text = f"the secret file '{path}' of {holder} has the mode {mode}: others may read it"
                yield warning(PERMISSIONS, text, f"chmod 600 '{path}'")


def secrets_in(value: Any) -> Iterator[Secret]:
    """All secrets in the settings of a channel, however deep.

    >>> [secret.name for secret in secrets_in({"a": [Secret("env", "A")], "b": Secret("file", "b")})]
    ['A', 'b']
    """
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from secrets_in(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secrets_in(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from secrets_in(each)


# ---------------------------------------------------------------- clock


def clock_findings(first: Glance, second: Glance, timezone: str) -> Iterator[Finding]:
    """What is to be said of the clocks, of two looks at them, and of the time zones."""
    moved = jump(first, second)
    sound = True
    if abs(moved) > _MOVED:
        sound = False
        text = f"the time of day was moved by {moved.total_seconds():+.1f} s while this was looked at"
        yield warning(CLOCK, text, "let NTP slew the clock instead of setting it")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        sound = False
        text = f"there are no data for the time zone '{timezone}'"
        yield failed(CLOCK, text, "install the system's tzdata, or: pip install tzdata")
    else:
        if not available_timezones():
            sound = False
            text = "there are no time zone data: windows and watches can only use UTC"
            yield warning(CLOCK, text, "install the system's tzdata, or: pip install tzdata")
    if sound:
        yield ok(CLOCK, f"{second.wall:%Y-%m-%d %H:%M:%S} UTC, steady; time zone '{timezone}' is known")


# ---------------------------------------------------------------- libraries


def version_findings(*, listens: bool, there: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Which versions there are, and what is missing. `listens`: whether a hub is to answer `/metrics`."""
    found = versions((*NEEDED, "prometheus-client")) if there is None else there
    python = platform.python_version()
    yield ok(VERSIONS, f"tocsin {__version__}, Python {python} on {sys.platform}, SQLite {sqlite3.sqlite_version}")
    missing = [name for name in NEEDED if not found.get(name)]
    if missing:
        yield failed(VERSIONS, f"not installed: {', '.join(missing)}", "pip install --force-reinstall tocsin")
    yield ok(VERSIONS, ", ".join(f"{name} {found[name]}" for name in NEEDED if found.get(name)))
    if listens and not found.get("prometheus-client"):
        text = "[hub] listen is set, and 'prometheus-client' is not installed: /metrics has nothing to tell"
        yield warning(VERSIONS, text, "pip install 'tocsin[metrics]'")


# ---------------------------------------------------------------- the hub


def hub_findings(assembly: Assembly, clock: Clock) -> Iterator[Finding]:
    """Whether a hub is there, and whether one is missed."""
    now = clock.now()
    try:
        seen = hubs(assembly.store, now)
        summary = assembly.store.summary(now=now)
    except TocsinError as error:
        yield failed(HUB, str(error))
        return
    finally:
        assembly.store.close()
    there = [hub for hub in seen if hub.there]
    for hub in there:
        process = "" if hub.pid is None else f", process {hub.pid}"
        yield ok(HUB, f"one runs on '{hub.host}'{process}")
    for hub in seen:
        if not hub.there:
            text = f"the one on '{hub.host}' has ended without a word, last seen {hub.seen_at:%Y-%m-%d %H:%M:%S} UTC"
            yield warning(HUB, text, "look into its log, and start it again")
    since = summary.timers_due_since
    if there or since is None or since >= now - STUCK:
        if not there:
            yield ok(HUB, "none runs, and nothing waits for one")
        return
    text = f"none runs, and {summary.timers_due} thing(s) are to be done since {since:%Y-%m-%d %H:%M:%S} UTC"
    yield warning(HUB, text, "run 'tocsin hub', or 'tocsin tick' from cron")
