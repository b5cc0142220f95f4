"""How flows and tasks log, and who shows it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.clock import ManualClock
from tocsin.flows import logs
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.task import Task, task
from tocsin.options import OptionsError, set_temporary_config
from tocsin.runs import run_flow


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The logger `tocsin` as it is before anybody asked for it."""
    logger = logging.getLogger("tocsin")
    level = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(level)


def python(code: str, folder: Path, **environ: str) -> tuple[str, str]:
    """What a program writes to stdout and stderr."""
    (folder / "program.py").write_text(code)
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"], **environ}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


FLOW = """
from tocsin import Flow, context, task
from tocsin.runs import run_flow

@task
def load():
    context.logger.info("3 rows")
    context.logger.debug("details")

with Flow("etl") as flow:
    load()
"""


def test_all_loggers_are_children_of_one(root: logging.Logger) -> None:
    assert logs.get_logger() is root
    assert logs.get_logger("stdout") is logging.getLogger("tocsin.stdout")
    assert Task("load").logger.name == "tocsin.load"
    assert Flow("etl").logger.name == "tocsin.etl"


def test_the_level_is_the_configs_unless_the_application_has_set_one(root: logging.Logger) -> None:
    with set_temporary_config({"logging.level": "warning"}):
        logs.get_logger("x")
        assert root.level == logging.WARNING
        root.setLevel(logging.DEBUG)
        logs.get_logger("x")
        assert root.level == logging.DEBUG


def test_a_level_that_there_is_not_is_said(root: logging.Logger) -> None:
    with (
        set_temporary_config({"logging.level": "LOUD"}),
        pytest.raises(OptionsError, match=r"logging\.level is 'LOUD'"),
    ):
        logs.get_logger("x")


def test_records_tell_the_run_in_which_they_are_made(caplog: pytest.LogCaptureFixture) -> None:
    @task(name="load")
    def load() -> None:
        context.logger.info("3 rows")

    flow = Flow("etl", tasks=[load])
    with caplog.at_level(logging.INFO, "tocsin"), set_temporary_config({"logging.log_attributes": ["region", "gone"]}):
        run_flow(flow, clock=ManualClock(), context={"flow_run_id": "r1", "region": "eu"})
        load.logger.info("outside")
    [inside] = [record for record in caplog.records if record.getMessage() == "3 rows"]
    [outside] = [record for record in caplog.records if record.getMessage() == "outside"]
    found = vars(inside)
    assert (found["flow_name"], found["flow_run_id"], found["task_name"]) == ("etl", "r1", "load")
    assert (found["region"], found["gone"]) == ("eu", None)
    assert "flow_name" not in vars(outside)


def test_attributes_that_a_record_has_stay() -> None:
    record = logging.LogRecord("tocsin.x", logging.INFO, "f.py", 1, "text", (), None)
    vars(record)["flow_name"] = "mine"
    with context(flow_name="etl", task_name="load"):
        assert logs.RunAttributes().filter(record) is True
    assert (vars(record)["flow_name"], vars(record)["task_name"]) == ("mine", "load")


def test_a_format_may_name_attributes_that_a_record_lacks() -> None:
    record = logging.LogRecord("tocsin.x", logging.INFO, "f.py", 1, "text", (), None)
    record.created = 0.0
    line = logs.formatter("%(asctime)s [%(flow_name)s] %(message)s").format(record)
    assert line == "1970-01-01 00:00:00+0000 [] text"


def test_a_format_that_is_none_is_said() -> None:
    with (
        set_temporary_config({"logging.format": "no field"}),
        pytest.raises(OptionsError, match=r"logging\.format is no"),
    ):
        logs.formatter()


def test_level_and_format_can_be_set_for_a_while(root: logging.Logger) -> None:
    handler = logging.NullHandler()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        with logs.temporary_logger_config("DEBUG", "%(message)s!"):
            assert root.level == logging.DEBUG
            assert handler.formatter is not None
            assert handler.format(logging.LogRecord("x", 10, "f", 1, "hello", (), None)) == "hello!"
        assert root.level == logging.INFO
        assert handler.formatter is None
    finally:
        root.removeHandler(handler)


def test_a_program_that_runs_a_flow_shows_its_logs_on_stderr(tmp_path: Path) -> None:
    out, err = python(FLOW + "run_flow(flow)\nrun_flow(flow)\n", tmp_path)
    lines = [line for line in err.splitlines() if "3 rows" in line]
    assert len(lines) == 2
    assert all(line.endswith("+0000] INFO - tocsin.load | 3 rows") for line in lines)
    assert "details" not in err
    assert out == ""


def test_config_says_level_format_and_whom_else_to_show(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text(
        "[logging]\nlevel = 'DEBUG'\nformat = '%(flow_name)s/%(task_name)s %(message)s'\nextra_loggers = ['mine']\n"
    )
    code = FLOW + "run_flow(flow)\nimport logging\nlogging.getLogger('mine.part').debug('also this')\n"
    _, err = python(code, tmp_path)
    assert "etl/load 3 rows\netl/load details\n" in err
    assert err.endswith("/ also this\n")


def test_an_application_that_logs_itself_is_left_alone(tmp_path: Path) -> None:
    code = "import logging, sys\nlogging.basicConfig(format='app %(message)s', stream=sys.stdout)\n"
    out, err = python(code + FLOW + "run_flow(flow)\n", tmp_path)
    assert "app 3 rows\n" in out
    assert "3 rows" not in err


def test_an_application_that_sets_up_logging_later_is_left_alone_from_then_on(tmp_path: Path) -> None:
    later = "import logging, sys\nlogging.basicConfig(format='app %(message)s', stream=sys.stdout)\n"
    out, err = python(FLOW + "run_flow(flow)\n" + later + "run_flow(flow)\n", tmp_path)
    assert (out.count("app 3 rows"), err.count("3 rows")) == (1, 1)


def test_importing_tocsin_sets_up_no_logging(tmp_path: Path) -> None:
    code = "import tocsin, logging\nfrom tocsin import Flow, Task, task\n"
    code += "print(logging.getLogger().handlers, logging.getLogger('tocsin').handlers, logging.getLoggerClass())\n"
    out, _ = python(code, tmp_path)
    assert out == "[] [] <class 'logging.Logger'>\n"
