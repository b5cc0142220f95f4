"""Secrets that code in a flow uses."""

from __future__ import annotations

import logging
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin import client, secrets
from tocsin.clock import ManualClock
from tocsin.errors import SecretError
from tocsin.flows.context import context
from tocsin.flows.flow import Flow
from tocsin.flows.secrets import EnvVarSecret, PrefectSecret, Secret, SecretBase
from tocsin.flows.task import task
from tocsin.options import set_temporary_config
from tocsin.runs import run_flow
from tocsin.tasks import secrets as tasks


def test_secrets_stand_in_the_options() -> None:
    with set_temporary_config({"context.secrets": {"TOKEN": "xoxb-1"}}):
        assert Secret("TOKEN").exists()
        assert Secret("TOKEN").get() == "xoxb-1"
        assert not Secret("OTHER").exists()
    assert not Secret("TOKEN").exists()


def test_the_context_of_a_run_may_bring_its_own() -> None:
    with set_temporary_config({"context.secrets": {"TOKEN": "options"}}), context(secrets={"TOKEN": "mine"}):
        assert Secret("TOKEN").get() == "mine"


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a": [1, 2]}', {"a": [1, 2]}), ("42", 42), ("xoxb-1", "xoxb-1"), ({"a": 1}, {"a": 1}), (None, None)],
)
def test_a_secret_that_is_json_is_what_the_json_says(text: Any, value: Any) -> None:
    with context(secrets={"X": text}):
        assert Secret("X").get() == value


def test_a_secret_may_refer_to_a_variable_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("from file\n")
    monkeypatch.setenv("MY_TOKEN", "from env")
    found = {
        "A": {"env": "MY_TOKEN"},
        "B": {"file": str(tmp_path / "pw")},
        "C": {"env": "NO_SUCH"},
        "D": {"file": "/no"},
    }
    with set_temporary_config({"context.secrets": found}):
        assert (Secret("A").get(), Secret("B").get()) == ("from env", "from file")
        with pytest.raises(ValueError, match="secret 'C': environment variable 'NO_SUCH' is not set"):
            Secret("C").get()
        with pytest.raises(SecretError, match="secret 'D': file '/no' cannot be read: No such file or directory"):
            Secret("D").get()


def test_a_missing_secret_says_how_to_give_it() -> None:
    with context(secrets={"TOKEN": "xoxb-1"}), pytest.raises(ValueError, match="'TOKN' was not found") as caught:
        Secret("TOKN").get()
    assert "set TOCSIN__CONTEXT__SECRETS__TOKN, or put it under [context.secrets]" in str(caught.value)
    assert str(caught.value).endswith("did you mean 'TOKEN'?")
    assert "xoxb-1" not in str(caught.value)


def test_a_secret_is_not_read_while_a_flow_is_built() -> None:
    with context(secrets={"TOKEN": "xoxb-1"}), Flow("etl"), pytest.raises(ValueError, match="while a flow is built"):
        Secret("TOKEN").get()


def test_a_secret_does_not_show_its_value() -> None:
    with context(secrets={"TOKEN": "xoxb-1"}):
        secret = Secret("TOKEN")
        assert secret.get() == "xoxb-1"
        assert repr(secret) == str(secret) == "<Secret: TOKEN>"
        assert "xoxb-1" not in repr(context)


# ---------------------------------------------------------------- tasks


def run(work: SecretBase, **options: Any) -> Any:
    @task
    def use(value: Any) -> Any:
        return f"<{value}>"

    with Flow("etl") as flow:
        used = use(work)
    state = run_flow(flow, clock=ManualClock(), **options)
    return state.result[used].result


def test_a_task_reads_a_secret_while_it_runs(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert run(PrefectSecret("TOKEN"), context={"secrets": {"TOKEN": "xoxb-1"}}) == "<xoxb-1>"
    assert "xoxb-1" not in caplog.text


def test_a_secret_task_is_tried_again_twice_unless_told_otherwise() -> None:
    assert (PrefectSecret("A").max_retries, PrefectSecret("A").retry_delay) == (2, timedelta(seconds=1))
    assert PrefectSecret("A", max_retries=0).max_retries == 0
    assert PrefectSecret("A", max_retries=5, retry_delay=timedelta(minutes=1)).max_retries == 5


def test_a_secret_task_can_be_given_the_name_as_it_runs() -> None:
    with context(secrets={"A": "a", "B": "b"}):
        assert PrefectSecret("A").run() == "a"
        assert PrefectSecret("A").run(name="B") == "b"
        assert PrefectSecret().run(name="B") == "b"
        with pytest.raises(ValueError, match="a secret name must be given"):
            PrefectSecret().run()


def test_a_secret_is_never_written_whatever_checkpointing_says(tmp_path: Path) -> None:
    from tocsin.results import LocalResult, SecretResult

    work = PrefectSecret("TOKEN")
    assert isinstance(work.result, SecretResult)
    with Flow("etl", result=LocalResult(dir=str(tmp_path))) as flow:
        work.bind()
    with set_temporary_config({"flows.checkpointing": True}):
        state = run_flow(flow, clock=ManualClock(), context={"secrets": {"TOKEN": "xoxb-1"}})
    assert state.is_successful(), state.result[work]
    assert list(tmp_path.rglob("*")) == []


def test_a_variable_is_read_and_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PORT", "8080")
    assert EnvVarSecret("MY_PORT").run() == "8080"
    assert EnvVarSecret("MY_PORT", cast=int).run() == 8080
    assert EnvVarSecret(cast=int).run(name="MY_PORT") == 8080
    assert run(EnvVarSecret("MY_PORT", cast=int)) == "<8080>"


def test_a_variable_that_is_not_set_is_none_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_PORT", raising=False)
    assert EnvVarSecret("MY_PORT", cast=int).run() is None
    with pytest.raises(ValueError, match="environment variable 'MY_PORT' is not set"):
        EnvVarSecret("MY_PORT", raise_if_missing=True).run()


def test_secret_tasks_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PORT", "8080")
    found = pickle.loads(pickle.dumps(EnvVarSecret("MY_PORT", cast=int)))
    assert (found.name, found.run()) == ("MY_PORT", 8080)


def test_the_names_stand_where_authors_look_for_them() -> None:
    assert client.Secret is secrets.Secret is Secret
    assert tasks.PrefectSecret is secrets.PrefectSecret is PrefectSecret
    assert tasks.EnvVarSecret is EnvVarSecret
