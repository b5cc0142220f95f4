"""What is logged shows no secrets, whoever shows it."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from tocsin import states
from tocsin.clock import ManualClock
from tocsin.flows.flow import Flow
from tocsin.flows.notes import email_message_formatter, slack_message_formatter
from tocsin.flows.task import task
from tocsin.masked import Masked, logger, masked
from tocsin.runs import run_flow
from tocsin_hooks.masking import remember
from tocsin_hooks.secrets import Secret

DSN = "postgres://etl:canary-pw@db:5432/rows"


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    """What a handler of an application's own writes."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


def test_the_log_of_a_run_shows_its_exceptions_without_their_secrets(shown: io.StringIO) -> None:
    @task
    def load() -> None:
        try:
            raise ConnectionError(f"no route to {DSN}")
        except ConnectionError as error:
            raise RuntimeError("password='canary-pw'") from error

    with Flow("etl") as flow:
        load()
    assert run_flow(flow, clock=ManualClock()).is_failed()
    text = shown.getvalue()
    assert "canary-pw" not in text
    assert "ConnectionError: no route to postgres://etl:***@db:5432/rows" in text
    assert "RuntimeError: password='***'" in text
    assert 'File "' in text, "the place of the error is what logs are for"


def test_what_a_task_warns_of_is_masked_and_what_it_informs_of_is_its_own(shown: io.StringIO) -> None:
    @task
    def load() -> None:
        from tocsin import context

        context["logger"].warning("retrying %s", DSN)
        context["logger"].info("reading %s", "postgres://etl:public@db")

    with Flow("etl") as flow:
        load()
    run_flow(flow, clock=ManualClock())
    assert "WARNING retrying postgres://etl:***@db:5432/rows\n" in shown.getvalue()
    assert "INFO reading postgres://etl:public@db\n" in shown.getvalue()


def test_a_secret_that_was_revealed_is_masked_at_every_level(shown: io.StringIO) -> None:
    secret = Secret.literal("canary-of-its-own").get_secret_value()
    for level in (logging.INFO, logging.WARNING, logging.ERROR):
        logger("tocsin.test").log(level, "it is %s", secret)
    lines = [line for line in shown.getvalue().splitlines() if "it is" in line]
    assert lines == ["INFO it is ***", "WARNING it is ***", "ERROR it is ***"]


def test_a_record_without_secrets_keeps_its_message_and_arguments() -> None:
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "%s of %s", (1, "tea"), None)
    assert Masked().filter(record) is True
    assert (record.msg, record.args) == ("%s of %s", (1, "tea"))


@pytest.mark.parametrize("args", [(), (1, 2)])
def test_arguments_that_do_not_fit_are_left_to_logging(args: tuple[object, ...]) -> None:
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "%d", args or ("x",), None)
    assert Masked().filter(record) is True
    assert record.args == (args or ("x",))


def test_a_logger_masks_once_however_often_it_is_asked_for() -> None:
    assert logger("tocsin.test") is logger("tocsin.test")
    assert sum(isinstance(each, Masked) for each in logger("tocsin.test").filters) == 1


def test_an_exception_that_is_no_longer_handled_is_no_trace() -> None:
    record = logging.LogRecord("n", logging.ERROR, "f", 1, "m", (), (None, None, None))
    assert Masked().filter(record) is True
    assert record.exc_text is None
    assert sys.exc_info()[0] is None


def test_notifiers_say_what_went_wrong_without_its_secrets() -> None:
    @task
    def load() -> None:
        """Never run here."""

    with Flow("etl"):
        load()
    raised = states.Failed(result=ValueError(f"no route to {DSN}"))
    told = states.Failed(message=f"no route to {DSN}")
    for state in (raised, told):
        said = str(slack_message_formatter(load, state)) + email_message_formatter(load, state, "ops@example.org")
        assert "canary-pw" not in said
        assert "no route to" in said


@pytest.mark.timeout(20)  # seconds; to look at all of it takes longer
def test_of_a_text_without_measure_little_is_logged_and_no_secret_that_is_cut_in_two(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = logger("tocsin.measure")
    remember("hunter2-and-more")
    try:
        raise ValueError("hunter2-and-more " * 2_000_000)
    except ValueError:
        log.exception("hunter2-and-more " * 2_000_000)
    [record] = caplog.records
    assert record.exc_text is not None
    for text in (record.getMessage(), record.exc_text):
        assert 90_000 < len(text) <= 200_000
        assert "***" in text
        assert "hunt" not in text
        assert "more " not in text


def test_of_what_a_state_says_no_secret_is_shown_that_is_cut_in_two() -> None:
    remember("hunter2-and-more")
    shown = masked("hunter2-and-more " * 10_000)
    assert 1_000 < len(shown) <= 4_000
    assert "***" in shown
    assert "hunt" not in shown
