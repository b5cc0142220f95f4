"""What a route ends up with: its own options, those of the routes it is under, and those of `[defaults]`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tocsin.settings.alerts import (
    Digest,
    Flap,
    Grouping,
    Mode,
    Mute,
    OpenAfter,
    Recover,
    RouteOptions,
    Throttle,
)
from tocsin.settings.locate import KeyPath
from tocsin.settings.option_tables import (
    EVERY_LABEL,
    DigestTable,
    FlapTable,
    GroupTable,
    MuteTable,
    OpenAfterTable,
    Options,
    RouteTable,
    ThrottleTable,
)
from tocsin_hooks.filters import Filter

Filters = Mapping[KeyPath, Filter]


@dataclass(frozen=True, slots=True)
class Layer:
    """The options that one table of the file says, and where it stands."""

    path: KeyPath
    options: Options


def layers(defaults: Options, routes: Sequence[RouteTable], names: Sequence[str]) -> list[tuple[Layer, ...]]:
    """For each route, what it inherits from, the furthest first: `[defaults]`, the routes it is under, itself.

    A route that is under itself, or under one that does not exist, ends the line: `check` tells of it.

    >>> routes = [RouteTable(name="child", under="top"), RouteTable(name="top")]
    >>> [[layer.path for layer in line] for line in layers(Options(), routes, ["child", "top"])]
    [[('defaults',), ('routes', 1), ('routes', 0)], [('defaults',), ('routes', 1)]]
    """
    index_of = {name: index for index, name in reversed([*enumerate(names)])}
    top = Layer(("defaults",), defaults)
    found = []
    for start in range(len(routes)):
        line: dict[int, Layer] = {}
        index: int | None = start
        while index is not None and index not in line:
            line[index] = Layer(("routes", index), routes[index])
            above = routes[index].under
            index = index_of.get(above) if above is not None else None
        found.append((top, *reversed(line.values())))
    return found


def resolved(line: Sequence[Layer], filters: Filters) -> RouteOptions:
    """The options of the last table of `line`, everything that it inherits filled in.

    >>> top = Layer(("defaults",), Options(send=("ops",), group=GroupTable(by=("flow",), wait="1m"), flap={}))
    >>> route = Layer(("routes", 0), RouteTable(group={"wait": "0s"}, flap=False))
    >>> options = resolved((top, route), {})
    >>> options.send, options.group.by, options.group.wait, options.flap
    (('ops',), ('flow',), datetime.timedelta(0), None)
    """
    last = line[-1].options
    return RouteOptions(
        send=_nearest(line, "send") or (),
        template=_nearest(line, "template"),
        mode=_nearest(line, "mode") or Mode.INCIDENT,
        silent=bool(_nearest(line, "silent")),
        group=grouping(layer.options.group for layer in line),
        digest=_digest(line, filters),
        throttle=_throttle(_nearest(line, "throttle")),
        flap=_flap(_nearest(line, "flap")),
        open_after=_open_after(_nearest(line, "open_after")),
        mute=_mute(last.mute, line[-1].path, filters) if isinstance(last, RouteTable) else None,
        escalate=_nearest(line, "escalate") or None,
        recover=_recover(layer.options for layer in line),
    )


def _nearest(line: Sequence[Layer], name: str) -> Any:
    """What the closest table that says anything of `name` says; None where none does."""
    return next((said for layer in reversed(line) if (said := getattr(layer.options, name)) is not None), None)


# ---------------------------------------------------------------- key by key


def merged(tables: Iterable[GroupTable | bool | None]) -> GroupTable | None:
    """The keys of `group` that were written, the later ones in place of the earlier; None where it is off.

    >>> merged([GroupTable(wait="1m"), None, GroupTable(repeat=False)]).model_dump(exclude_none=True)
    {'wait': datetime.timedelta(seconds=60), 'repeat': False}
    """
    found: GroupTable | None = None
    for table in tables:
        if isinstance(table, GroupTable):
            known = {} if found is None else found.model_dump(exclude_none=True)
            found = GroupTable.model_construct(**{**known, **table.model_dump(exclude_none=True)})
        elif table is False:
            found = None
    return found


def grouping(tables: Iterable[GroupTable | bool | None]) -> Grouping | None:
    """How events share messages. An interval or a repeat that nobody wrote gives way to one that somebody did.

    >>> grouping([GroupTable(by=("...",), repeat="30s")])
    Grouping(by=('*',), wait=datetime.timedelta(seconds=10), interval=datetime.timedelta(seconds=30), \
repeat=datetime.timedelta(seconds=30))
    """
    table = merged(tables)
    if table is None:
        return None
    usual = Grouping()
    interval, repeat = table.interval, table.repeat
    if interval is None:
        interval = min(usual.interval, repeat) if isinstance(repeat, timedelta) else usual.interval
    if repeat is None:
        repeat = max(usual.repeat or interval, interval)
    return Grouping(
        by=usual.by if table.by is None else _labels(table.by),
        wait=usual.wait if table.wait is None else table.wait,
        interval=interval,
        repeat=repeat or None,
    )


def _labels(by: tuple[str, ...]) -> tuple[str, ...]:
    return ("*",) if by and all(label in EVERY_LABEL for label in by) else by


def _recover(tables: Iterable[Options]) -> Recover:
    notice, on = Recover().notice, Recover().on
    for table in tables:
        if table.recover is not None:
            notice = notice if table.recover.notice is None else table.recover.notice
            on = on if table.recover.on is None else frozenset(table.recover.on)
    return Recover(notice, on)


# ---------------------------------------------------------------- as a whole


def _digest(line: Sequence[Layer], filters: Filters) -> Digest | None:
    for layer in reversed(line):
        table = layer.options.digest
        if isinstance(table, DigestTable):
            return Digest(table.every, table.max, filters.get((*layer.path, "digest", "urgent")))
        if table is False:
            return None
    return None


def _throttle(table: ThrottleTable | bool | None) -> Throttle | None:
    if not isinstance(table, ThrottleTable):
        return None
    return Throttle(table.limit.count, table.limit.within, table.per, table.over)


def _flap(table: FlapTable | bool | None) -> Flap | None:
    return Flap(table.changes, table.within, table.calm) if isinstance(table, FlapTable) else None


def _open_after(table: OpenAfterTable | bool | None) -> OpenAfter | None:
    return OpenAfter(table.failures, table.within) if isinstance(table, OpenAfterTable) else None


def _mute(table: MuteTable | bool | None, path: KeyPath, filters: Filters) -> Mute | None:
    if not isinstance(table, MuteTable):
        return None
    return Mute(table.windows, table.then, filters.get((*path, "mute", "urgent")))
