"""The options of runs may stand in the hub's file: the hub lets them pass, and never shows them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.options.defaults import TABLES
from tocsin.settings import Problem, find, load
from tocsin.settings.models import RUN_TABLES

Checked = Callable[..., list[Problem]]
Loaded = Callable[..., Any]

FILE = """
project = "x"
[flows]
checkpointing = true
[tasks.defaults]
max_retries = 3
[logging]
level = "DEBUG"
log_attributes = ["region"]
[context.secrets]
TOKEN = "xoxb-1"
[engine.executor]
default_class = "tocsin.executors.LocalExecutor"
[server.ui]
url = "https://tocsin.example.org"
"""


def test_the_tables_of_runs_are_no_mistake(checked: Checked, loaded: Loaded) -> None:
    assert [problem.code for problem in checked(FILE)] == ["W905"], "that nothing is sent anywhere, and no more"
    assert loaded(FILE).project == "x"


def test_both_know_the_same_tables() -> None:
    assert frozenset(RUN_TABLES) == TABLES


def test_overrides_of_runs_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text("project = 'x'\n[flows]\ncheckpointing = true\n")
    environ = {
        "TOCSIN__FLOWS__CHECKPOINTING": "false",
        "TOCSIN__TASKS__DEFAULTS__MAX_RETRIES": "4",
        "TOCSIN__CONTEXT__SECRETS__TOKEN": "xoxb-1",
        "TOCSIN__USER_CONFIG_PATH": "/etc/tocsin/config.toml",
    }
    source = find(environ=environ, cwd=tmp_path)
    assert source is not None
    assert load(source, channel_types={}).project == "x"


@pytest.mark.parametrize("name", RUN_TABLES)
def test_what_is_no_table_is_still_a_mistake(checked: Checked, name: str) -> None:
    problem, _ = checked(f"{name} = 3")  # and that nothing is sent anywhere
    assert problem.render().startswith(f"tocsin.toml:1:{len(name) + 4} E107 {name} = 3: expects a table")


def test_a_secret_of_a_run_is_not_shown_beside_a_mistake(checked: Checked) -> None:
    problems = checked('[store]\nretnetion = "1d"\n[context.secrets]\nTOKEN = "xoxb-1" oops\n')
    assert problems
    assert all("xoxb-1" not in problem.render() for problem in problems)
    problems = checked('context = "xoxb-1"\n')
    assert problems
    assert all("xoxb-1" not in problem.render() for problem in problems)
