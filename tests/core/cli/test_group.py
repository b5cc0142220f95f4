from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

from support.shell import Shell
from tocsin.cli.group import COMMANDS
from tocsin_hooks.secrets import Secret

EVERY_COMMAND = [
    *([name] for name in COMMANDS),
    ["plugins", "show"],
    ["plugins", "hooks"],
    ["deliveries", "show"],
    ["deliveries", "retry"],
]

COMMAND_PLUGIN = """
import click
from tocsin_hooks import hookimpl

@click.command()
def greet():
    "Say hello."
    click.echo("hello")

@click.command()
def stopped():
    "Be stopped."
    raise KeyboardInterrupt

@click.command(name="run")
def taken():
    "Take a name."
    click.echo("taken")

@hookimpl
def tocsin_commands():
    return [greet, stopped, taken, "junk"]
"""


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=" ".join)
def test_every_command_has_help_with_an_example(empty: Shell, command: list[str]) -> None:
    result = empty(*command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.output
    assert f"tocsin {' '.join(command)}" in result.output.partition("Examples:")[2]


def test_the_help_of_the_group_names_every_command_and_imports_none() -> None:
    code = (
        "import sys; from tocsin.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert not end.code\n"
        "print('IMPORTED', *(n for n in sys.modules if n.startswith('tocsin.cli.') or n in ('pydantic', 'rich')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    help_text, _, imported = done.stdout.partition("IMPORTED")
    assert all(f"  {name} " in help_text for name in COMMANDS)
    assert not {"pydantic", "rich", "tocsin.cli.run", "tocsin.cli.check"} & set(imported.split())


def test_the_console_script_answers_for_its_version_and_its_exit_codes() -> None:
    def tocsin(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "tocsin.cli", *args], capture_output=True, text=True, check=False)

    assert tocsin("--version").stdout == "tocsin, version 0.1.0\n"
    wrong = tocsin("chekc")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "no such command 'chekc'; did you mean 'check'?" in wrong.stderr


def test_without_a_config_a_command_says_how_to_get_one(empty: Shell) -> None:
    for command in ("check", "inbox", "deliveries", "hub"):
        result = empty(command)
        assert result.exit_code == 2
        assert "'tocsin init' writes one" in result.stderr


def test_an_option_names_the_config_for_this_command_only(shell: Shell) -> None:
    (shell.folder / "tocsin.toml").rename(shell.folder / "other.toml")
    assert shell("--config", "other.toml", "check").exit_code == 0
    assert shell("check").exit_code == 2


def test_commands_of_plugins_are_listed_and_run(empty: Shell, install: Callable[[str, str], None]) -> None:
    install("tocsin_greeter", COMMAND_PLUGIN)
    assert "Say hello." in empty("--help").output.partition("Commands of plugins")[2]
    assert empty("greet").stdout == "hello\n"


def test_a_plugins_command_whose_name_is_taken_is_left_out_with_a_warning(
    empty: Shell, install: Callable[[str, str], None]
) -> None:
    install("tocsin_greeter", COMMAND_PLUGIN)
    result = empty("--help")
    assert "WARNING a plugin offers a command 'run', a name that is taken" in result.stderr
    assert "WARNING a plugin offers a str as a command" in result.stderr
    assert "Take a name." not in result.stdout


def test_ctrl_c_ends_with_130_and_no_traceback(empty: Shell, install: Callable[[str, str], None]) -> None:
    install("tocsin_greeter", COMMAND_PLUGIN)
    assert empty("stopped").exit_code == 130


def test_log_lines_hold_no_secret_and_nothing_that_controls_a_terminal(
    empty: Shell, install: Callable[[str, str], None]
) -> None:
    Secret.literal("hunter2-and-more").get_secret_value()
    install(
        "tocsin_logger",
        "import click, logging\n"
        "from tocsin_hooks import hookimpl\n"
        "@click.command()\n"
        "def speak():\n"
        "    'Speak.'\n"
        "    log = logging.getLogger('tocsin.speak')\n"
        "    log.info('quiet')\n"
        "    log.warning('the password hunter2-and-more\\x1b[2J')\n"
        "    try: 1 / 0\n"
        "    except ZeroDivisionError: log.exception('it broke')\n"
        "@hookimpl\n"
        "def tocsin_commands(): return [speak]\n",
    )
    lines = empty("speak").stderr.splitlines()
    assert lines == [
        "WARNING the password [secret]\\x1b[2J",
        "ERROR it broke: ZeroDivisionError: division by zero",
    ]
    assert logging.getLogger("tocsin").handlers == []
    verbose = empty.unchecked("-v", "speak").stderr
    assert "INFO quiet" in verbose
    assert 'File "' in verbose
