"""`tocsin backtest`: what another config would have sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from tocsin.assembly import Assembly, assemble, problems
from tocsin.backtest import Comparison, backtest, unkept
from tocsin.cli.check import summary
from tocsin.cli.configured import assembled, config_source, opened
from tocsin.cli.operating import moment_of
from tocsin.cli.output import count, json_option, print_json, say, show as line, styled, table, when
from tocsin.errors import TocsinError, did_you_mean
from tocsin.hub.turn import silences_of
from tocsin.routing.moments import utc
from tocsin.routing.router import DEFAULTS
from tocsin.settings import Config, Problem, Severity
from tocsin.settings.source import Source
from tocsin.simulate import Sent
from tocsin.store.reading import events_between
from tocsin_hooks.durations import parse_duration

_EXAMPLES = """\b
Examples:
  tocsin backtest new.toml --since 7d
  tocsin backtest new.toml --since 2026-03-01 --until 2026-03-08 --show
  tocsin backtest new.toml --channel pager --json
"""


@click.command(epilog=_EXAMPLES)
@click.argument("path", metavar="NEW.toml", type=click.Path(path_type=Path))
@click.option("--since", metavar="TIME", default="7d", show_default=True, help="From when, or how long ago.")
@click.option("--until", metavar="TIME", help="Up to when, or how long ago.  [default: now]")
@click.option("--route", metavar="NAME", help="Count only messages by this route.")
@click.option("--channel", metavar="NAME", help="Count only messages to this channel.")
@click.option(
    "--show", "messages", is_flag=True, help="Show the messages that only one of the configs would have sent."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context, /, path: Path, since: str, until: str | None, messages: bool, as_json: bool, **only: str | None
) -> None:
    """Replay the events in history through the present config and through NEW.toml, and compare what they send.

    Nothing is sent or stored, and no secret is read. The replay begins with no problem open; silences count for both.
    """
    source = config_source(path)
    found_wrong = problems(source, secrets=False)
    if any(each.severity is Severity.ERROR for each in found_wrong):
        _refuse(source, found_wrong, as_json=as_json)
        ctx.exit(2)
    assembly, new = assembled(), assemble(source).config
    _check_names(assembly.config, new, **only)
    now, zone = assembly.clock.now(), assembly.config.timezone
    start = _past(since, "--since", now, zone)
    end = utc(now) if until is None else _past(until, "--until", now, zone)
    if end <= start:
        raise click.UsageError(f"--until ({when(end)} UTC) is not after --since ({when(start)} UTC)", ctx)
    found = _compared(assembly, new, start, end, only)
    missing = unkept(assembly.config, new)
    if as_json:
        print_json(_as_data(found, start, end, missing, messages=messages))
    else:
        _show(found, start, end, missing, messages=messages)


def _refuse(source: Source, wrong: list[Problem], *, as_json: bool) -> None:
    """Say what is wrong with the new config, as `tocsin check` does."""
    if as_json:
        print_json({"file": source.name, "ok": False, "problems": [each.to_dict() for each in wrong]})
        return
    for problem in wrong:
        say(problem.render())
    say(summary(source.name, wrong, None))


def _check_names(present: Config, new: Config, *, route: str | None, channel: str | None) -> None:
    for name, option, known in (
        (route, "route", [DEFAULTS, *(each.name for config in (present, new) for each in config.routes)]),
        (channel, "channel", [*present.channels, *new.channels]),
    ):
        if name is not None and name not in known:
            raise TocsinError(f"neither config has a {option} '{name}'{did_you_mean(name, known)}")


def _past(text: str, option: str, now: datetime, timezone: str) -> datetime:
    """The time that an option names; a span is counted back from `now`, and so is a time of day.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 3, 8, 12, tzinfo=UTC)
    >>> for text in ("7d", "2026-03-01", "18:00"):
    ...     print(_past(text, "--since", noon, "UTC"))
    2026-03-01 12:00:00+00:00
    2026-03-01 00:00:00+00:00
    2026-03-07 18:00:00+00:00
    """
    try:
        return utc(now - parse_duration(text))
    except OverflowError:
        raise click.UsageError(f"{option}: '{text}' is longer ago than can be counted") from None
    except ValueError:
        return moment_of(text, option, after=now - timedelta(days=1), timezone=timezone)


def _compared(
    assembly: Assembly, new: Config, since: datetime, until: datetime, only: dict[str, str | None]
) -> Comparison:
    with opened(assembly) as store:
        if store is None:
            raise TocsinError(f"there is no history yet: the store '{assembly.config.store.place}' does not exist")
        silences = store.transact(silences_of, keep=False)
        events = events_between(store, since, until)
        return backtest(events, assembly.config, new, since=since, until=until, silences=silences, **only)


# ---------------------------------------------------------------- as data


def _as_data(
    found: Comparison, since: datetime, until: datetime, missing: list[str], *, messages: bool
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "since": since,
        "until": until,
        "events": found.events,
        "rows": [
            {
                "route": row.route, "channel": row.channel, "present": row.present, "new": row.new,
                "difference": row.difference,
            }
            for row in found.rows
        ],
        "totals": {
            "present": found.present,
            "new": found.new,
            "difference": found.new - found.present,
            "more": len(found.more),
            "less": len(found.less),
            "elsewhere": len(found.elsewhere),
            "at_another_time": found.retimed,
        },
        "may_lack_events_for": missing,
    }  # fmt: skip
    if messages:
        data["more"] = [_message(sent) for sent in found.more]
        data["less"] = [_message(sent) for sent in found.less]
        data["elsewhere"] = [{"present": _message(one), "new": _message(other)} for one, other in found.elsewhere]
    return data


def _message(sent: Sent) -> dict[str, Any]:
    return {
        "time": sent.time,
        "channel": sent.channel,
        "route": sent.route,
        "action": sent.action,
        "reason": sent.reason,
        "incident": sent.incident,
        "events": list(sent.events),
        "title": sent.message.title,
    }


# ---------------------------------------------------------------- for people


def _show(found: Comparison, since: datetime, until: datetime, missing: list[str], *, messages: bool) -> None:
    line(styled(f"{count(found.events, 'event')} from {when(since)} to {when(until)} UTC"))
    if missing:
        text = f"history may lack events that {_listed(missing)} of the new config would act on: it holds what the"
        line(styled(f'{text} present config asks for; [store] history = "all" keeps every event', "yellow"))
    if not found.rows:
        line(styled("neither config would have sent anything"))
        return
    say()
    rows = [(row.route, row.channel, str(row.present), str(row.new), _signed(row.difference)) for row in found.rows]
    totals = ("in all", "", str(found.present), str(found.new), _signed(found.new - found.present))
    table(("ROUTE", "CHANNEL", "PRESENT", "NEW", "DIFFERENCE"), [*rows, totals])
    say()
    line(styled(_summary(found)))
    if messages:
        for text, style in _messages(found):
            line(styled(text, style))


def _summary(found: Comparison) -> str:
    parts = [f"{len(found.more)} more", f"{len(found.less)} less", f"{len(found.elsewhere)} elsewhere"]
    timed = f"; {count(found.retimed, 'message')} at another time" if found.retimed else ""
    same = not (found.more or found.less or found.elsewhere)
    return f"both would have sent the same messages{timed}" if same else f"{', '.join(parts)}{timed}"


def _messages(found: Comparison) -> Iterator[tuple[str, str]]:
    """The messages that differ, in the order of time, each with a style."""
    told = [(sent.time, f"- {_where(sent)}", sent, "red") for sent in found.less]
    told += [(sent.time, f"+ {_where(sent)}", sent, "green") for sent in found.more]
    told += [(new.time, f"> {_where(one)} -> {_where(new)}", new, "yellow") for one, new in found.elsewhere]
    for time, where, sent, style in sorted(told, key=lambda each: each[:2]):
        yield f"{where[0]} {when(time)}  {where[2:]}  {sent.action}  {sent.message.title}", style


def _where(sent: Sent) -> str:
    return f"{sent.channel} ({sent.route})"


def _listed(names: list[str]) -> str:
    shown = names if len(names) <= 5 else [*names[:4], f"{len(names) - 4} others"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _signed(number: int) -> str:
    """A difference with its sign.

    >>> _signed(3), _signed(-2), _signed(0)
    ('+3', '-2', '0')
    """
    return f"{number:+d}" if number else "0"
