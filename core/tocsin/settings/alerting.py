"""From the tables of windows, inhibitions, escalations and watches to what routing reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from tocsin.settings.alert_tables import EscalationTable, InhibitTable, WatchTable, WindowTable
from tocsin.settings.alerts import Escalation, EscalationStep, Inhibition, Watch, WatchKind, Window
from tocsin.settings.locate import KeyPath
from tocsin_hooks.filters import Filter, parse

BUILTIN = {
    "upstream": Inhibition(
        name="upstream",
        source=parse("is_failed and not has_cause"),
        target=parse("state=TriggerFailed or is_task and has_cause"),
        equal=("run_id", "flow"),
        mark=True,
        builtin=True,
    ),
    "flow": Inhibition(
        name="flow",
        source=parse("is_failed and is_task"),
        target=parse("is_failed and is_flow and not is_crashed"),
        equal=("run_id", "flow"),
        builtin=True,
    ),
}
"""The inhibitions that every config has unless it says otherwise."""


def windows_of(tables: Mapping[str, WindowTable], timezone: str) -> dict[str, Window]:
    """The windows; `timezone` is that of those that name none.

    >>> windows_of({"night": WindowTable(times=(["22:00", "06:00"],))}, "Europe/Berlin")["night"].times
    ((1320, 360),)
    """
    return {
        name: Window(
            name, table.times, table.weekdays, table.days, table.months, table.years, table.timezone or timezone
        )
        for name, table in tables.items()
    }


def inhibitions_of(tables: Sequence[InhibitTable], filters: Mapping[KeyPath, Filter]) -> tuple[Inhibition, ...]:
    """The inhibitions that are on: tocsin's own, as the file tunes or replaces them, then the others in its order.

    >>> [(each.name, each.hold.seconds) for each in inhibitions_of([InhibitTable(name="flow", hold="5s")], {})]
    [('upstream', 0), ('flow', 5)]
    >>> inhibitions_of([InhibitTable(name=name, enabled=False) for name in ("flow", "upstream")], {})
    ()
    """
    found: dict[str, Inhibition | None] = dict(BUILTIN)
    for index, table in enumerate(tables):
        name = inhibition_name(table, index)
        own = BUILTIN.get(name)
        source = filters.get(("inhibit", index, "source"), own.source if own else None)
        target = filters.get(("inhibit", index, "target"), own.target if own else None)
        if not table.enabled or source is None or target is None:
            found[name] = None
            continue
        tunes = own is not None and not replaces(table)
        found[name] = Inhibition(
            name=name,
            source=source,
            target=target,
            equal=table.equal if table.equal is not None else own.equal if own and tunes else (),
            hold=table.hold or timedelta(0),
            mark=table.mark if table.mark is not None else bool(own and tunes and own.mark),
            builtin=tunes,
        )
    return tuple(each for each in found.values() if each is not None)


def inhibition_name(table: InhibitTable, index: int) -> str:
    """The name of an inhibition: as written, or `inhibition 1` for the first."""
    return table.name or f"inhibition {index + 1}"


def replaces(table: InhibitTable) -> bool:
    """Whether an entry with the name of a built-in inhibition takes its place instead of tuning it."""
    return table.source is not None or table.target is not None


def escalations_of(tables: Mapping[str, EscalationTable]) -> dict[str, Escalation]:
    """The escalations by name.

    >>> escalations_of({"oncall": EscalationTable(steps=[{"send": ["pager"]}])})["oncall"].steps
    (EscalationStep(after=datetime.timedelta(0), send=('pager',), condition='always', say=''),)
    """
    return {name: _escalation(name, table) for name, table in tables.items()}


def _escalation(name: str, table: EscalationTable) -> Escalation:
    repeat, outside = table.repeat, table.outside
    return Escalation(
        name=name,
        steps=tuple(
            EscalationStep(step.after or timedelta(0), step.send or (), step.condition or "always", step.say)
            for step in table.steps
        ),
        repeat_every=repeat.every if repeat else None,
        repeat_times=repeat.times if repeat else 0,
        ack_lasts=table.ack_lasts,
        outside_window=outside.window if outside else None,
        outside_send=outside.send if outside else (),
    )


def watches_of(tables: Sequence[WatchTable], filters: Mapping[KeyPath, Filter], timezone: str) -> tuple[Watch, ...]:
    """The watches; `timezone` is that of those that name none.

    >>> watches_of([WatchTable(kind="missed", flow="ledger", cron="30 5 * * *", grace="1h")], {}, "UTC")[0].name
    'watch 1'
    """
    return tuple(_watch(table, index, filters, timezone) for index, table in enumerate(tables))


def _watch(table: WatchTable, index: int, filters: Mapping[KeyPath, Filter], timezone: str) -> Watch:
    after = table.after
    return Watch(
        name=watch_name(table, index),
        kind=WatchKind(table.kind or WatchKind.MISSED),
        flow=table.flow,
        filter=filters.get(("watch", index, "when")),
        cron=table.cron,
        every=table.every,
        grace=table.grace or timedelta(0),
        fixed=after.fixed if after else None,
        times_median=after.or_times_median if after else None,
        min_runs=after.min_runs if after else 10,
        timezone=table.timezone or timezone,
        send=table.send,
    )


def watch_name(table: WatchTable, index: int) -> str:
    """The name of a watch: as written, or `watch 1` for the first."""
    return table.name or f"watch {index + 1}"
