"""What users get wrong, and what they are told: an error that names the thing, exit code 2, never a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.shell import CONFIG, FLOW, PIGEON, Shell

# The fixture `shell` itself asserts that no output holds a traceback.


def test_toml_that_cannot_be_read_is_shown_with_its_place(shell: Shell) -> None:
    shell.write('[channels.inbox]\ntype = "inbox\n')
    result = shell("check")
    assert result.exit_code == 2
    assert "tocsin.toml:2:" in result.stdout
    assert "E103" in result.stdout
    assert "^" in result.stdout
    assert "tocsin.toml: 1 error" in result.stdout


def test_an_unknown_key_is_named_with_the_nearest_one(shell: Shell) -> None:
    shell.write(CONFIG.replace("when =", "wehn ="))
    result = shell("check")
    assert result.exit_code == 2
    assert "unknown key 'wehn' in route 'problems'; did you mean 'when'?" in result.stdout


def test_an_unknown_channel_type_says_what_there_is_and_what_is_near(
    shell: Shell, install: Callable[[str, str], None]
) -> None:
    install("tocsin_pigeon", PIGEON)  # and with that, plugins are looked for
    shell.write(CONFIG.replace('type = "console"', 'type = "slak"'))
    result = shell("check")
    assert result.exit_code == 2
    assert "type = 'slak' is not installed; installed types: " in result.stdout
    assert "did you mean 'slack'" in result.stdout


def test_a_channel_type_that_is_missing_since_plugins_are_hidden_says_so(shell: Shell) -> None:
    shell.write(CONFIG.replace('type = "console"', 'type = "slack"'))
    result = shell("check")
    assert result.exit_code == 2
    said = "type = 'slack' is not there, for TOCSIN_DISABLE_PLUGIN_AUTOLOAD hides all installed plugins; unset it"
    assert said in result.stdout.splitlines()[0]
    assert "pip install" not in result.stdout


def test_a_missing_secret_is_named_and_can_be_passed_over(shell: Shell, install: Callable[[str, str], None]) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write(CONFIG + '[channels.loft]\ntype = "pigeon"\nring = { env = "NO_SUCH_RING" }\n')
    result = shell("check")
    assert result.exit_code == 2
    assert "[channels.loft] ring: environment variable 'NO_SUCH_RING' is not set" in result.stdout
    assert shell("check", "--no-secrets").exit_code == 0
    tested = shell("test", "loft")
    assert tested.exit_code == 2
    assert "environment variable 'NO_SUCH_RING' is not set" in tested.stderr


def test_a_bad_filter_has_its_caret_at_the_column(shell: Shell) -> None:
    shell.write(CONFIG.replace("is_failed or is_retrying", "is_failed and and task=a"))
    result = shell("check")
    assert result.exit_code == 2
    source, caret = result.stdout.splitlines()[1:3]
    assert source[caret.index("^") :].startswith("and task=a")
    retried = shell("deliveries", "retry", "--all-dead", "--when", "task=(a")
    assert retried.exit_code == 2


def test_a_cyclic_flow_is_told_with_its_circle(shell: Shell) -> None:
    shell.write(
        "from tocsin import Flow, Task\n"
        "a, b = Task(name='a'), Task(name='b')\n"
        "flow = Flow('etl')\n"
        "flow.add_edge(a, b)\n"
        "flow.add_edge(b, a)\n",
        "etl.py",
    )
    result = shell("run", "etl.py")
    assert result.exit_code == 2
    assert "error: flow 'etl' has a cycle: a -> b -> a" in result.stderr


def test_a_task_called_outside_a_flow_is_told_with_its_line(shell: Shell) -> None:
    shell.write("from tocsin import task\n\n@task\ndef lonely(): ...\n\nlonely()\n", "etl.py")
    result = shell("run", "etl.py")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: etl.py:6: ")
    assert "'lonely'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_parameter_without_a_json_form_is_refused_before_anything_runs(shell: Shell) -> None:
    shell.write(FLOW.replace("default=True", "default=object()"), "etl.py")
    result = shell("run", "etl.py")
    assert result.exit_code == 2
    assert "error: parameter 'ok' is of type 'object', which has no JSON form" in result.stderr
    assert "extracting" not in result.output


def test_a_plugin_that_fails_to_import_is_named_and_the_rest_load(
    shell: Shell, install: Callable[[str, str], None]
) -> None:
    install("tocsin_broken", "import no_such_library\n")
    install("tocsin_pigeon", PIGEON)
    result = shell("plugins")
    assert result.exit_code == 0
    assert "not used: tocsin_broken: " in result.stdout
    assert "No module named 'no_such_library'" in result.stdout
    assert "pigeon" in result.stdout
    checked = shell("check")
    assert checked.exit_code == 0
    assert "W910 plugin 'tocsin_broken' is not used" in checked.stdout
    assert "1 warning" in checked.stdout


def test_a_store_that_cannot_be_written_is_an_error_of_the_check(shell: Shell) -> None:
    shell.write("in the way", "file")
    shell.write(CONFIG + '[store]\npath = "file/tocsin.db"\n')
    result = shell("check")
    assert result.exit_code == 2
    assert "E110 [store] path: '" in result.stdout
    assert "file' is not a folder; name a file in a folder that can be written" in result.stdout


def test_a_file_that_is_no_database_is_an_error_of_the_check(shell: Shell) -> None:
    shell.write("no database at all, and longer than a header of one " * 50, "tocsin.db")
    result = shell("check")
    assert result.exit_code == 2
    assert "E110" in result.stdout


def test_a_run_whose_store_cannot_be_written_goes_on_and_loses_nothing(etl: Shell) -> None:
    etl.write("in the way", "file")
    etl.write(CONFIG + '[store]\npath = "file/tocsin.db"\n')
    result = etl("run", "etl.py", "--param", "ok=false")
    assert result.exit_code == 1, "as the flow, which failed for its own reason"
    assert "could not be stored and waits in" in result.stderr
    assert "wait" in result.stdout
    etl.write(CONFIG + '[store]\npath = "elsewhere.db"\n')
    assert len(list((etl.folder / "spill").iterdir())) == 1


def test_everything_wrong_is_told_at_once_whatever_the_command(shell: Shell) -> None:
    shell.write(CONFIG.replace("when =", "wehn =").replace('"console"', '"slack"'))
    result = shell("inbox")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error: the config has 2 mistakes" in result.stderr
    assert "E106" in result.stderr
    assert "E401" in result.stderr


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("flow = (\n", "is not valid Python"),
        ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def f():\n    return 1 / 0\nf()\n", "line 2, in f"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("x = 1\n", "holds no flow"),
    ],
)
def test_a_file_that_does_not_load_is_told_by_the_users_own_lines(shell: Shell, code: str, told: str) -> None:
    shell.write(code, "etl.py")
    result = shell("run", "etl.py")
    assert result.exit_code == 2
    assert "'etl.py'" in result.stderr
    assert told in result.stderr
    assert "importlib" not in result.stderr
    assert "flowfile.py" not in result.stderr
