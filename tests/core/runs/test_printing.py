"""What becomes of what a task prints."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout

import pytest

from tocsin.clock import ManualClock
from tocsin.flows.flow import Flow
from tocsin.flows.task import task
from tocsin.runs import ThreadExecutor, run_flow
from tocsin.runs.printing import redirected

LOGGER = logging.getLogger("tests.printing")


@pytest.fixture(autouse=True)
def _all_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO), caplog.at_level(logging.INFO, "tocsin"):
        yield


def test_each_line_that_is_printed_is_a_record(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with redirected(LOGGER):
        print("a", "b", 3)
        print("two\nlines")
        print()
        print("the end", end="")
    print("printed")
    assert caplog.messages == ["a b 3", "two", "lines", "the end"]
    assert {record.name for record in caplog.records} == {"tests.printing"}
    assert capsys.readouterr().out == "printed\n"


def test_stdout_is_as_before_when_nobody_redirects_it() -> None:
    before = sys.stdout
    with redirected(LOGGER), redirected(LOGGER):
        assert sys.stdout is not before
        assert sys.stdout.encoding == before.encoding
        sys.stdout.flush()
    assert sys.stdout is before


def test_an_error_ends_the_redirection(caplog: pytest.LogCaptureFixture) -> None:
    before = sys.stdout
    with contextlib.suppress(RuntimeError), redirected(LOGGER):
        print("half a line", end="")
        raise RuntimeError
    assert sys.stdout is before
    assert caplog.messages == ["half a line"]


def test_threads_do_not_mix(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(3)

    def work(name: str) -> None:
        with redirected(LOGGER.getChild(name)):
            print(f"{name} ", end="")
            together.wait(10)
            print("1")
            together.wait(10)
            sys.stdout.writelines([f"{name} ", "2\n"])

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    together.wait(10)
    print("mine")
    together.wait(10)
    for thread in threads:
        thread.join()
    assert capsys.readouterr().out == "mine\n"
    assert sorted((record.name[-1], record.getMessage()) for record in caplog.records) == [
        ("a", "a 1"),
        ("a", "a 2"),
        ("b", "b 1"),
        ("b", "b 2"),
    ]


def test_a_handler_that_writes_to_stdout_does_not_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print("seen:", record.getMessage())

    handler = Printing()
    LOGGER.addHandler(handler)
    try:
        with redirected(LOGGER):
            print("hello")
    finally:
        LOGGER.removeHandler(handler)
    assert capsys.readouterr().out == "seen: hello\n"


def test_a_redirection_inside_is_obeyed(caplog: pytest.LogCaptureFixture) -> None:
    before = sys.stdout
    with redirected(LOGGER):
        with redirect_stdout(io.StringIO()) as inner:
            print("inner")
        print("outer")
    assert inner.getvalue() == "inner\n"
    assert caplog.messages == ["outer"]
    assert sys.stdout is before


def test_tasks_log_what_they_print_if_they_are_told_to(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    @task(log_stdout=True, name="loud")
    def loud() -> None:
        print("for the log")

    @task(name="plain")
    def plain() -> None:
        print("for the screen")

    flow = Flow("etl", tasks=[loud, plain])
    assert run_flow(flow, clock=ManualClock(), executor=ThreadExecutor(2)).is_successful()
    [record] = [record for record in caplog.records if record.getMessage() == "for the log"]
    assert (record.name, record.levelname, vars(record)["task_name"]) == ("tocsin.loud", "INFO", "loud")
    assert capsys.readouterr().out == "for the screen\n"
