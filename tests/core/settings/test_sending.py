"""The keys of a channel that say how it is sent to: rate, deadline, fallback, isolate."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tocsin.delivery.destinations import destination
from tocsin.settings.rate import Limit, Rate

Said = Callable[..., list[str]]
Loaded = Callable[..., Any]


def pager(body: str) -> str:
    mail = "[defaults]\nsend = ['ops', 'mail']\n[channels.mail]\ntype = 'console'\n"
    return f"{mail}[channels.ops]\ntype = 'pager'\nurl = 'x'\n{body}"


def test_a_channel_says_how_it_is_sent_to(loaded: Loaded) -> None:
    body = "rate = '1/s, 20/m'\ndeadline = '5s'\nfallback = 'mail'\nisolate = true\nretry = { tries = 3 }\n"
    ops = destination(loaded(pager(body)).channels["ops"])
    assert ops.rate == Rate((Limit(1, timedelta(seconds=1)), Limit(20, timedelta(minutes=1))))
    assert (ops.deadline, ops.fallback, ops.backoff.attempts) == (timedelta(seconds=5), "mail", 3)


def test_the_deadline_leaves_a_channel_the_time_that_it_takes_itself(loaded: Loaded) -> None:
    assert destination(loaded(pager("")).channels["ops"]).deadline == timedelta(seconds=60)
    assert destination(loaded(pager("timeout = '2m'\n")).channels["ops"]).deadline == timedelta(seconds=130)


HOW = "; write it as '1/s' or '1/s, 20/m'"
NO_RATE = f"is no rate: how many in which time{HOW}"


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("fallback = 'mial'", 12, "E405 falls back to unknown channel 'mial'; did you mean 'mail'?"),
        (
            "fallback = 'ops'",
            12,
            "E405 falls back to itself, 'ops'; name another channel, or leave it out",
        ),
        ("isolate = 'yes'", 11, "E405 isolate: expects true or false, found text"),
        ("rate = 3", 8, f"E405 rate = 3: expects how many in which time, in quotes{HOW}"),
        ("rate = 'often'", 8, f"E405 rate: 'often' {NO_RATE}"),
        ("rate = '1/s, x'", 8, f"E405 rate: 'x' {NO_RATE}"),
        ("rate = '1/s,'", 8, f"E405 rate: '1/s,' {NO_RATE}"),
        (
            "rate = '1/fortnight'",
            8,
            f"E405 rate: '1/fortnight' is no rate: the units of time are ms, s, m, h and d{HOW}",
        ),
        (
            "rate = '0/s'",
            8,
            f"E405 rate: '0/s' lets nothing through; leave the channel out of 'send' instead{HOW}",
        ),
        ("deadline = '0s'", 12, "E405 deadline: must be longer than nothing"),
        (
            "deadline = '2h'",
            12,
            "E405 deadline: must be at most 1h: a send that hangs keeps a thread that long",
        ),
        ("deadlin = '2s'", 1, "E403 unknown key 'deadlin' in [channels.ops]; did you mean 'deadline'?"),
    ],
)
def test_what_cannot_be_says_where_and_what_would_do(said: Said, line: str, column: int, message: str) -> None:
    assert said(pager(line + "\n")) == [f"8:{column} {message}".replace("E405 ", "E405 [channels.ops] ")]


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("1/s", [(1, 1)]),
        ("20 / m", [(20, 60)]),
        ("5/10s,100/h", [(5, 10), (100, 3600)]),
        ("1/sec, 30/minutes", [(1, 1), (30, 60)]),
        ("2/day", [(2, 86400)]),
    ],
)
def test_rates_are_read_as_people_write_them(text: str, limits: list[tuple[int, float]]) -> None:
    assert Rate.parse(text) == Rate(tuple(Limit(count, timedelta(seconds=span)) for count, span in limits))
