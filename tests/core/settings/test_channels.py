"""Channels and their secrets: E4xx."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tocsin.settings import ConfigError, Problem
from tocsin.settings.issues import Severity

Said = Callable[..., list[str]]
Checked = Callable[..., list[Problem]]
Loaded = Callable[..., Any]

HIDDEN = "hunter2-and-more"


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


def pager(body: str) -> str:
    return f"[defaults]\nsend = ['ops']\n[channels.ops]\ntype = 'pager'\n{body}"


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "'paper'",
            (
                "4:8 E401 [channels.ops] type = 'paper' is not installed; "
                "installed types: console, fussy, pager; did you mean 'pager'?"
            ),
        ),
        ("'slack'", "4:8 E401 [channels.ops] type = 'slack' is not installed; pip install tocsin-slack"),
        ("'Email'", "4:8 E401 [channels.ops] type = 'Email' is not installed; pip install tocsin-email"),
        (
            "'slak'",
            (
                "4:8 E401 [channels.ops] type = 'slak' is not installed; "
                "installed types: console, fussy, pager; did you mean 'slack' (pip install tocsin-slack)?"
            ),
        ),
        (
            "'teams'",
            (
                "4:8 E401 [channels.ops] type = 'teams' is not installed; "
                "type = 'apprise' reaches it (pip install tocsin-apprise)"
            ),
        ),
        ("'fax'", "4:8 E401 [channels.ops] type = 'fax' is not installed; installed types: console, fussy, pager"),
        ("3", "4:8 E405 [channels.ops] type: expects text, found a number; installed types: console, fussy, pager"),
    ],
)
def test_an_unknown_type_says_what_there_is_and_what_to_install(said: Said, kind: str, message: str) -> None:
    assert said(f"[defaults]\nsend = ['ops']\n[channels.ops]\ntype = {kind}\n") == [message]


def test_a_channel_without_a_type_says_so_at_its_table(said: Said) -> None:
    assert errors(said("[channels.ops]\nurl = 'x'")) == [
        "1:11 E404 [channels.ops] lacks 'type'; installed types: console, fussy, pager"
    ]


@pytest.mark.parametrize("plugin", ["slack", "tocsin-slack", "tocsin_slack"])
def test_a_plugin_that_failed_to_load_is_not_said_to_be_missing(said: Said, plugin: str) -> None:
    broken = {plugin: "ImportError: cannot import name 'x'\nmore lines"}
    assert errors(said("[channels.ops]\ntype = 'slack'", broken_plugins=broken)) == [
        (
            "2:8 E402 [channels.ops] type = 'slack': its plugin is installed but cannot be used: "
            "ImportError: cannot import name 'x'"
        )
    ]
    [line] = errors(said("[channels.ops]\ntype = 'fax'", broken_plugins=broken))
    assert "plugins that cannot be used: " + plugin in line


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "3:11 E404 [channels.ops] lacks 'url'"),
        ("url='x'\nrom = 'y'", "6:1 E403 unknown key 'rom' in [channels.ops]; did you mean 'room'?"),
        ("url='x'\nretries = 3", "6:1 E403 unknown key 'retries' in [channels.ops]"),
        ("url='x'\nretyr = {}", "6:1 E403 unknown key 'retyr' in [channels.ops]; did you mean 'retry'?"),
        ("url='x'\nlevel = 'mid'", "6:9 E405 [channels.ops] level: expects 'low' or 'high'"),
        ("url='x'\npeople = 'me'", "6:10 E405 [channels.ops] people: expects a list, found text"),
        ("url='x'\npeople = ['me', 3]", "6:17 E405 [channels.ops] people[1] = 3: expects text, found a number"),
        ("url='x'\nroom = 'nowhere'", "6:8 E405 [channels.ops] room: 'nowhere' is no room"),
        ("url='x'\ntimeout = 10", '6:11 E405 [channels.ops] timeout = 10: write it with its unit: "10s"'),
        ("url='x'\nheaders = {A = 3}", "6:16 E405 [channels.ops] headers.A = 3: expected { env ="),
        ("url={envv='X'}", "5:5 E405 [channels.ops] url: expected { env ="),
        ("url={env='X', file='y'}", "5:5 E405 [channels.ops] url: expected { env ="),
        ("url='x'\nretry = {tries = 0}", "6:18 E405 [channels.ops] retry.tries = 0: must be at least 1"),
        ("url='x'\nretry = {trys = 4}", "6:10 E403 unknown key 'retry.trys' in [channels.ops]; did you mean 'tries'?"),
        ("url='x'\nretry = 3", "6:9 E405 [channels.ops] retry = 3: expects a table, found a number"),
        (
            "url='x'\nretry = {first='1h', max='1m'}",
            "6:16 E405 [channels.ops] retry.first: 'first' = 1 h is longer than 'max' = 1 min;",
        ),
        (f"url='x'\ntoken = '{HIDDEN}'", "6:9 E406 [channels.ops] token: a secret is never written here; refer to it:"),
    ],
)
def test_a_setting_that_its_plugin_refuses_is_told_at_its_place(said: Said, body: str, message: str) -> None:
    (line,) = said(pager(body))
    assert line.startswith(message)


def test_a_plugin_that_fails_on_settings_breaks_only_its_channel(said: Said) -> None:
    text = "[channels.a]\ntype='fussy'\npassword='boom'\n[channels.b]\ntype='pager'\n"
    assert errors(said(text)) == [
        "1:11 E402 [channels.a] the plugin of type 'fussy' failed on these settings: RuntimeError",
        "4:11 E404 [channels.b] lacks 'url'",
    ]


def test_accepted_settings_reach_the_plugin_and_retry_stays_with_tocsin(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t0ken\n")
    body = (
        "url = 'https://x.example'\ntoken = { file = 'token' }\ntimeout = '5s'\nretry = { tries = 3, first = '1s' }\n"
    )
    channel = loaded(pager(body)).channels["ops"]
    assert (channel.name, channel.type.name, channel.config.timeout) == ("ops", "pager", timedelta(seconds=5))
    assert channel.config.token.get_secret_value() == "t0ken"
    assert (channel.retry.tries, channel.retry.first, channel.retry.honor_retry_after) == (
        3,
        timedelta(seconds=1),
        True,
    )


def test_a_missing_secret_fails_the_check_but_not_the_run(
    checked: Checked, said: Said, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAGER_TOKEN", raising=False)
    text = pager("url = 'x'\ntoken = { env = 'PAGER_TOKEN' }\nheaders = { Key = { file = 'no-such' } }\n")
    assert said(text) == [
        "6:9 E407 [channels.ops] token: environment variable 'PAGER_TOKEN' is not set",
        "7:19 E407 [channels.ops] headers.Key: secret file 'no-such' cannot be read: No such file or directory",
    ]
    assert checked(text, secrets=False) == []
    assert loaded(text).channels["ops"].config.token.name == "PAGER_TOKEN"
    monkeypatch.setenv("PAGER_TOKEN", "  \n")
    assert said(text)[0] == "6:9 E407 [channels.ops] token: environment variable 'PAGER_TOKEN' is empty"


def test_secrets_may_be_written_into_the_file_by_those_who_ask_for_it(loaded: Loaded) -> None:
    config = loaded("allow_inline_secrets = true\n" + pager(f"url = 'x'\ntoken = '{HIDDEN}'"))
    assert config.channels["ops"].config.token.get_secret_value() == HIDDEN
    assert HIDDEN not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        pager(f"url='x'\ntoken = '{HIDDEN}'"),
        pager(f"url='x'\ntokn = '{HIDDEN}'"),
        pager(f"ulr = {{ env = 'X' }}  # moved\nhook = '{HIDDEN}'\n"),
        pager(f"url = ['{HIDDEN}']"),
        pager(f"url = {{ envv = '{HIDDEN}' }}"),
        pager(f"url = 'x'\nroom = 'https://hooks.example.org/{HIDDEN}' \nlevel='x'"),
        pager(f"url = '''\n{HIDDEN}\n''' \nurl2 = 1\ntoken='''{HIDDEN}'''"),
        f"channels = {{ ops = {{ type = 'pager', token = '{HIDDEN}', lvl = 1 }} }}",
        f"[channels]\nops = {{ type = 'nope', token = '{HIDDEN}' }}",
        f"[channels.ops]\ntype = 'fussy'\nlvl = 1\npin = {{ a = '{HIDDEN}' }}",
        f"[channels.ops]\ntype = 'fussy'\npin = {{ a = '{HIDDEN}', b = 1 }}",
        f"[channels.ops]\ntype = 'pager'\ntoken = {HIDDEN}\n",
        f"[channels.ops]\ntype = 'pager'\ntoken = '{HIDDEN}\n",
        f"[channels.ops]\ntype = 'pager'\ntoken = \"{HIDDEN}\\q\"\n",
        f"[channels.ops]\ntype = 'pager'\ntoken '{HIDDEN}'\n",
        f"[channels.ops]\ntype = 'pager'\ntoken = '{HIDDEN}' x\n",
        f"[channels.ops]\ntype = 'pager'\ntoken = '''\n{HIDDEN}\n",
        f'[channels.ops]\ntype = \'pager\'\ntoken = """\n{HIDDEN}\\q"""\n',
        f"[channels.ops]\ntype = 'pager'\ntoken = '{HIDDEN}'\ntoken = '{HIDDEN}'\n",
        f"channels.ops.token = '{HIDDEN}' nonsense",
        f"[chanels.ops]\ntype = 'pager'\ntoken = '{HIDDEN}",
        f"chanels = {{ ops = {{ token = '{HIDDEN}' }} }}",
        f"token = '{HIDDEN}'",
        f"token '{HIDDEN}'",
        f"= '{HIDDEN}'",
        f"[channels]ops = {{ token = '{HIDDEN}' }}",
        f"[channels ops = {{ token = '{HIDDEN}' }}",
        f'[templates]\ntext = ""\n{HIDDEN}\n"""',
        f"[store]\npath = [\n['{HIDDEN}'\n",
        f"[defaults]\ntoken = '{HIDDEN}'",
        f"[defaults]\nsend = ['https://hooks.example.org/{HIDDEN}', 3]",
        f"a = '\n[store]\ntoken = '{HIDDEN}' x",
        f"[tool]\nchannels = {{ ops = {{ token = '{HIDDEN}' x }} }}",
    ],
)
def test_no_mistake_makes_a_secret_appear(checked: Checked, loaded: Loaded, text: str) -> None:
    problems = checked(text)
    assert problems
    shown = "\n".join(problem.render() + str(problem.to_dict()) for problem in problems)
    assert HIDDEN not in shown
    assert HIDDEN[:8] not in shown
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    assert HIDDEN not in str(caught.value) + repr(caught.value)


def test_no_mistake_in_the_environment_makes_a_secret_appear(checked: Checked) -> None:
    problems = checked(pager("url = 'x'"), env={"TOCSIN__CHANNELS__OPS__TOKEN": HIDDEN})
    assert [problem.code for problem in problems] == ["E406"]
    assert HIDDEN not in problems[0].render() + str(problems[0].to_dict())
    assert problems[0].place.position.file == "TOCSIN__CHANNELS__OPS__TOKEN"


def test_the_line_is_shown_with_the_secret_masked_and_the_caret_in_place(checked: Checked) -> None:
    line = f"ops = {{ token = '{HIDDEN}', type = 'pagr', url='x' }}"
    (problem,) = (each for each in checked(f"[channels]\n{line}") if each.severity is Severity.ERROR)
    assert problem.render().splitlines()[1:] == [
        "    2 | ops = { token = '***', type = 'pagr', url='***' }",
        "      |                               ^^^^^^",
    ]
    assert problem.place.position.column == line.index("'pagr'") + 1


@pytest.mark.parametrize(
    ("comment", "shown"),
    [
        (f'# token = "{HIDDEN}"', "#***"),
        (f"# {HIDDEN[:4]}xoxb-123456-abcdef", "#***"),
        ("# the new one", "# the new one"),
    ],
)
def test_a_comment_beside_a_mistake_shows_no_secret(checked: Checked, comment: str, shown: str) -> None:
    for line in ("url = '#'", "retries = [1]"):
        problem = checked(pager(f"{line}\nurl2 = 'x' {comment}"))[-1]
        assert problem.render().splitlines()[1] == f"    6 | url2 = '***' {shown}"


FULL = f"""\
project = "x"
[store]
path = "a.db"
[channels.ops]
type = "pager"
url = "https://me:{HIDDEN}@x.example/{HIDDEN}"
token = "{HIDDEN}"
headers = {{ Auth = "{HIDDEN}", B = {{ env = "X" }} }}
retry = {{ tries = 3 }}
[channels]
inline = {{ url = "{HIDDEN}", level = "low", type = "pager" }}
[channels.long]
type = "fussy"
password = \"\"\"
{HIDDEN}
\"\"\"
"""


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, len(FULL) - 1),
    instead=st.sampled_from([*"\"'[]{}=\n#.,\\x1\0", "", '"""', "'''", "[[", "\n[x]\n"]),
    keep=st.booleans(),
    inline=st.booleans(),
)
def test_no_slip_of_the_pen_makes_a_secret_appear(
    checked: Checked, at: int, instead: str, keep: bool, inline: bool
) -> None:
    slipped = FULL[:at] + instead + FULL[at if keep else at + 1 :]
    for problem in checked(("allow_inline_secrets = true\n" if inline else "") + slipped):
        shown = problem.render() + str(problem.to_dict())
        assert not any(HIDDEN[start : start + 8] in shown for start in range(len(HIDDEN) - 7))
