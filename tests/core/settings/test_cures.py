"""What would do instead: keys and values that people bring along from elsewhere, or write in a hurry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.settings import Problem

Said = Callable[..., list[str]]
Checked = Callable[..., list[Problem]]
Loaded = Callable[..., Any]

SECRET = "hunter2-and-more"


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[store]\ndsn = {env='PG'}", "2:1 E106 unknown key 'dsn' in [store]; 'url' is the key for this"),
        ("[delivery]\nworkers = 4", "2:1 E106 unknown key 'workers' in [delivery]; 'threads' is the key for this"),
        ("[[routes]]\nchannels = []", "2:1 E106 unknown key 'channels' in route 1; 'send' is the key for this"),
        (
            "[[routes]]\ngroup_wait = '1m'",
            "2:1 E106 unknown key 'group_wait' in route 1; 'group' is the key for this: group = { wait = ... }",
        ),
        (
            "[escalations.e]\nsteps = [{wait='5m', send=[]}]",
            "2:11 E106 unknown key 'steps[0].wait' in [escalations.e]; 'after' is the key for this",
        ),
        ("[route]\nwhen = 'is_failed'", "1:2 E106 unknown table 'route'; did you mean [[routes]]?"),
        ("[[watches]]\nname = 'w'", "1:3 E106 unknown table 'watches'; did you mean [[watch]]?"),
        (
            "[tool.tocsin.defaults]",
            (
                "1:2 E106 unknown table 'tool'; only in a pyproject.toml do tables begin with 'tool.tocsin': "
                "leave that out here"
            ),
        ),
        ("[routes]\nstop = true", "1:2 E107 routes: expects a list, found a table; write [[routes]], for there may be"),
        (
            "[routes.pages]\nstop = true",
            '1:2 E107 routes: expects a list, found a table; write [[routes]], with name = "..." in it',
        ),
        (
            "[[channels]]\nname = 'ops'",
            "1:3 E107 channels: expects a table, found a list; write [channels.NAME], with a name of its own for each",
        ),
        (
            "[channels]\nops = 'pager'",
            '2:7 E107 [channels.ops]: expects a table, found text; such as { type = "inbox" }',
        ),
        (
            "[[routes]]\ngroup = 'flow'",
            '2:9 E107 route 1 group: expects a table, found text; such as { by = ["flow"], wait = "30s" }',
        ),
        ("[channels.'']\ntype = 'pager'", "1:11 E107 [channels] '': is empty"),
        (
            "[delivery]\nthreads = '4'",
            "2:11 E107 [delivery] threads: expects a whole number, found text; write 4, with",
        ),
        (
            "[delivery]\nthreads = 4.0",
            "2:11 E107 [delivery] threads = 4.0: expects a whole number, found a number; wri",
        ),
        ("[[routes]]\nstop = 'True'", "2:8 E107 route 1 stop: expects true or false, found text; write true, without"),
        (
            "[channels]\nops = {type='console'}\nmail = {type='console'}\n[defaults]\nsend = ['ops, mail']",
            '5:9 E302 [defaults] sends to unknown channel \'ops, mail\'; write ["ops", "mail"]',
        ),
        (
            "[[routes]]\nname = 'ops'\nunder = 'opz'",
            "3:9 E303 route 'ops' is under unknown route 'opz'; other routes: none",
        ),
        (
            "[channels.ops]\ntype = 'pager'\nurl = 'x'\nretry = 3\nfallback = 'opz'",
            "5:12 E405 [channels.ops] falls back to unknown channel 'opz'; did you mean 'ops'?",
        ),
        (
            "[channels.ops]\ntype = ' '",
            "2:8 E405 [channels.ops] type: is empty; installed types: console, fussy, pager",
        ),
        (
            "[channels.ops]\ntype = 'pager'\nurl = 'x'\nlevel = '${LEVEL}'",
            (
                "4:9 E405 [channels.ops] level: expects 'low' or 'high'; "
                'nothing is filled in here; write { env = "NAME" }'
            ),
        ),
        (
            "include = ['conf.d/*.toml']",
            "1:12 E111 the included file 'conf.d/*.toml' does not exist; there are no patterns here: name each file",
        ),
        ("include = ['.']", "1:12 E111 the included file '.' cannot be read: Is a directory; name each file of that"),
    ],
)
def test_a_key_or_value_from_elsewhere_is_told_with_what_would_do(said: Said, text: str, expected: str) -> None:
    assert [line for line in errors(said(text)) if line.startswith(expected)], errors(said(text))


def test_an_included_file_that_is_misspelt_is_told_with_the_one_that_is_there(said: Said, tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text("")
    [line] = errors(said("include = ['route.toml']"))
    assert line == "1:12 E111 the included file 'route.toml' does not exist; did you mean 'routes.toml'?"


# ---------------------------------------------------------------- spans of time


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("-5", " = -5: is negative, and time goes forwards only"),
        ("-5.5", " = -5.5: is negative, and time goes forwards only"),
        ("'-5d'", ": is negative, and time goes forwards only"),
        ("0", " = 0: must be longer than nothing"),
        ("30", ' = 30: write it with its unit: "30d"'),
        ("inf", ' = inf: expected a duration such as "10s" or "2m"'),
        ("-inf", ' = -inf: expected a duration such as "10s" or "2m"'),
        ("nan", ' = nan: expected a duration such as "10s" or "2m"'),
        ("true", ' = true: expected a duration such as "10s" or "2m"'),
        (str(10**40), f' = {10**40}: expected a duration such as "10s" or "2m"'),
        ("'30'", ': expected a duration such as "500ms", "10s", "2m" or "1h30m", found \'30\'; did you mean "30d"?'),
        (
            "'30 Days'",
            (': expected a duration such as "500ms", "10s", "2m" or "1h30m", found \'30 Days\'; did you mean "30d"?'),
        ),
        ("'1M'", ': expected a duration such as "500ms", "10s", "2m" or "1h30m", found \'1M\''),
    ],
)
def test_what_is_no_span_of_time_is_told_with_one_that_would_do(said: Said, value: str, expected: str) -> None:
    assert errors(said(f"[store]\nretention = {value}")) == [f"2:13 E107 [store] retention{expected}"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("-5", "E310 route 1 group.wait = -5: is negative, and time goes forwards only"),
        ("inf", 'E107 route 1 group.wait = inf: expected a duration such as "10s" or "2m"'),
        ("60", 'E107 route 1 group.wait = 60: write it with its unit: "60s"'),
        ("false", 'E107 route 1 group.wait = false: expected a duration such as "10s" or "2m"'),
    ],
)
def test_the_same_holds_where_nothing_is_allowed(said: Said, value: str, expected: str) -> None:
    assert errors(said(f"[[routes]]\ngroup = {{ wait = {value} }}")) == [f"2:18 {expected}"]


# ---------------------------------------------------------------- spans that do not go together


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("dead_after = '5s'", "2:14 E107 [delivery] dead_after: with 'dead_after' = 5 s and 'heartbeat' = 15 s, "),
        ("heartbeat = '1m'", "2:13 E107 [delivery] heartbeat: with 'dead_after' = 1 min and 'heartbeat' = 1 min, "),
        (
            "heartbeat = '1m'\ndead_after = '2m'",
            "3:14 E107 [delivery] dead_after: with 'dead_after' = 2 min and 'heartbeat' = 1 min, ",
        ),
    ],
)
def test_spans_that_do_not_go_together_are_told_at_the_key_with_both(said: Said, body: str, expected: str) -> None:
    [line] = errors(said(f"[delivery]\n{body}"))
    assert line.startswith(expected)
    assert "; 'dead_after' must be at least three times 'heartbeat', so " in line


def test_a_dead_after_of_just_three_heartbeats_is_right(loaded: Loaded) -> None:
    assert loaded("[delivery]\nheartbeat = '20s'").delivery.dead_after.total_seconds() == 60


def test_the_waits_of_a_retry_are_told_at_the_key_that_was_written(said: Said) -> None:
    ops = "[channels.ops]\ntype = 'pager'\nurl = 'x'\n"
    [line] = errors(said(f"{ops}retry = {{ max = '1s' }}"))
    assert line == (
        "4:17 E405 [channels.ops] retry.max: 'first' = 2 s is longer than 'max' = 1 s; "
        "the waits grow from 'first' to 'max'"
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "lease = '1ms'",
            "2:9 E107 [delivery] lease: must be at least 5 s, and is 1 ms: a send takes longer, and would",
        ),
        ("lease = '4999ms'", "2:9 E107 [delivery] lease: must be at least 5 s, and is 5 s: a send takes longer"),
        (
            "heartbeat = '1ms'",
            "2:13 E107 [delivery] heartbeat: must be at least 100 ms, and is 1 ms: each heartbeat is",
        ),
    ],
)
def test_a_lease_and_a_heartbeat_have_a_least_value(said: Said, body: str, expected: str) -> None:
    [line] = errors(said(f"[delivery]\n{body}"))
    assert line.startswith(expected)


def test_the_least_lease_and_heartbeat_are_right(loaded: Loaded) -> None:
    delivery = loaded("[delivery]\nlease = '5s'\nheartbeat = '100ms'").delivery
    assert (delivery.lease.total_seconds(), delivery.heartbeat.total_seconds()) == (5, 0.1)


# ---------------------------------------------------------------- what must not be repeated


@pytest.mark.parametrize(
    "body",
    [
        f"[defaults]\nsend = ['https://hooks.slack.com/services/T0/B0/{SECRET}']",
        f"[defaults]\nsend = 'https://hooks.slack.com/services/T0/B0/{SECRET}'",
        f"[defaults]\ntemplate = 'https://ops.example/{SECRET}?token=1'",
        f"[defaults]\nescalate = 'postgresql://u:{SECRET}@h/db'",
        f"include = ['https://u:{SECRET}@h/x.toml']",
        f"[[routes]]\nunder = 'https://ops.example/{SECRET}'",
        f"[channels.ops]\ntype = 'pager'\nurl = 'x'\nfallback = 'https://ops.example/{SECRET}'",
        f"[channels.ops]\ntype = 'pager'\nurl = 'x'\nrate = 'https://ops.example/{SECRET}'",
        f"[channels.ops]\ntype = 'pager'\nurl = 'x'\nretry = {{ first = 'https://ops.example/{SECRET}' }}",
        f"[store]\nretention = 'postgresql://u:{SECRET}@h/db'",
        f"[store]\nhistory = 'postgresql://u:{SECRET}@h/db'",
        f"[hub]\nlisten = 'http://u:{SECRET}@h:80'",
        f"[delivery]\nthreads = 'postgresql://u:{SECRET}@h/db'",
    ],
)
def test_an_address_where_something_else_is_expected_is_not_repeated(checked: Checked, body: str) -> None:
    problems = checked(body)
    assert [problem for problem in problems if problem.code.startswith("E")]
    told = "\n".join(f"{problem.render()} {problem.to_dict()}" for problem in problems)
    assert SECRET not in told
    assert "u:" not in told
