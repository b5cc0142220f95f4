"""What a user can set for runs, where it is read, and how it is looked at."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tocsin.errors import TocsinError
from tocsin.options import Config, Options, OptionsError, SecretOptions, config, merged, set_temporary_config
from tocsin.options.reading import read


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".tocsin").mkdir(parents=True)
    return tmp_path / "home"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def options(work: Path, **environ: str) -> Options:
    return Options(read(environ, work))


# ---------------------------------------------------------------- where it is read


def test_without_files_there_are_the_defaults(work: Path) -> None:
    found = options(work)
    assert found.flows.checkpointing is False
    assert found.tasks.defaults.to_dict() == {"max_retries": 0, "retry_delay": None, "timeout": None}
    assert (found.logging.level, found.logging.log_attributes) == ("INFO", [])
    assert found.context.secrets.to_dict() == {}
    assert found.engine.executor.default_class == "tocsin.executors.LocalExecutor"


def test_the_users_file_wins_over_the_defaults_and_keeps_the_rest(home: Path, work: Path) -> None:
    (home / ".tocsin" / "config.toml").write_text("[flows]\ncheckpointing = true\n[mine]\ncolour = 'red'\n")
    found = options(work, HOME=str(home))
    assert found.flows.checkpointing is True
    assert found.flows.run_on_schedule is True
    assert found.mine.colour == "red"


def test_a_variable_names_another_users_file(home: Path, work: Path) -> None:
    (home / ".tocsin" / "config.toml").write_text("[mine]\ncolour = 'red'\n")
    (home / "other.toml").write_text("[mine]\nsize = 3\n")
    found = options(work, HOME=str(home), TOCSIN__USER_CONFIG_PATH="~/other.toml")
    assert found.mine.to_dict() == {"size": 3}


def test_a_users_file_that_was_named_must_be_there(work: Path) -> None:
    with pytest.raises(TocsinError, match=r"'gone\.toml', which TOCSIN__USER_CONFIG_PATH names, does not exist"):
        options(work, TOCSIN__USER_CONFIG_PATH="gone.toml")


def test_a_users_file_that_is_no_toml_says_where(home: Path, work: Path) -> None:
    (home / ".tocsin" / "config.toml").write_text("[context.secrets]\nTOKEN = xoxb-1\n")
    with pytest.raises(OptionsError, match=r"config\.toml' is not TOML: Invalid value \(at line 2") as caught:
        options(work, HOME=str(home))
    assert "xoxb-1" not in str(caught.value)


def test_the_hubs_file_brings_the_tables_of_runs_and_no_others(work: Path, home: Path) -> None:
    (home / ".tocsin" / "config.toml").write_text("[flows]\ncheckpointing = false\n")
    (work / "tocsin.toml").write_text(
        "project = 'x'\n[flows]\ncheckpointing = true\n[channels.ops]\ntype = 'console'\n"
        "[tasks.defaults]\ntimeout = 5\n"
    )
    found = options(work, HOME=str(home))
    assert found.flows.checkpointing is True
    assert found.tasks.defaults.timeout == 5
    assert "channels" not in found
    assert "project" not in found


def test_the_hubs_file_may_be_a_pyproject_or_named_by_a_variable(work: Path) -> None:
    (work / "pyproject.toml").write_text("[tool.tocsin.flows]\ncheckpointing = true\n[flows]\ncheckpointing = 3\n")
    assert options(work).flows.checkpointing is True
    (work / "prod.toml").write_text("[flows]\ncheckpointing = 'prod'\n")
    assert options(work, TOCSIN_CONFIG="prod.toml").flows.checkpointing == "prod"


def test_what_is_wrong_with_the_hubs_file_is_for_the_hub_to_tell(work: Path) -> None:
    (work / "tocsin.toml").write_text("[flows\n")
    assert options(work).flows.checkpointing is False


def test_the_environment_wins_over_files(work: Path) -> None:
    (work / "tocsin.toml").write_text("[tasks.defaults]\nmax_retries = 1\nretry_delay = 5\n")
    found = options(work, TOCSIN__TASKS__DEFAULTS__MAX_RETRIES="4")
    assert found.tasks.defaults.max_retries == 4
    assert found.tasks.defaults.retry_delay == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("TRUE", True),
        ("false", False),
        ("12", 12),
        ("1.5", 1.5),
        ("['a', 'b']", ["a", "b"]),
        ("{'a': 1}", {"a": 1}),
        ("12 monkeys", "12 monkeys"),
        (r"a\tb", "a\tb"),
        ("$DAY-x", "monday-x"),
        ("${DAY}", "monday"),
        ("$UNSET", "$UNSET"),
    ],
)
def test_a_variable_has_the_type_that_its_text_shows(work: Path, text: str, value: Any) -> None:
    assert options(work, TOCSIN__MY__SECTION__KEY=text, DAY="monday").my.section["key"] == value


def test_names_are_in_lower_case_but_those_of_secrets(work: Path) -> None:
    found = options(work, TOCSIN__CONTEXT__SECRETS__my_Key="007", TOCSIN__CONTEXT__Region="eu")
    assert found.context.secrets.to_dict() == {"my_Key": "007"}
    assert found.context.region == "eu"


def test_a_value_may_refer_to_others_and_to_the_environment(work: Path) -> None:
    (work / "tocsin.toml").write_text(
        """
        [flows]
        base = "/data"
        path = "${flows.base}/${NAME}"
        size = "${tasks.defaults.max_retries}"
        port = "${PORT}"
        nothing = "<${no.such.key}>"
        round = "${flows.round}"
        names = ["${flows.path}"]
        [context.secrets]
        TOKEN = "${PORT}"
        PRICE = "5$NAME"
        """
    )
    found = options(work, NAME="etl", PORT="8080")
    assert found.flows.path == "/data/etl"
    assert (found.flows["size"], found.flows.port) == (0, 8080)
    assert (found.flows.nothing, found.flows.round) == ("<>", "")
    assert found.flows.names == ["/data/etl"]
    assert found.context.secrets.TOKEN == "8080", "a secret stays the text it is"
    assert found.context.secrets.PRICE == "5$NAME"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("MAX_RETRIES", "many", "tasks.defaults.max_retries is 'many'; give a whole number"),
        ("RETRY_DELAY", "soon", "tasks.defaults.retry_delay is 'soon'; give seconds, or false for none"),
        ("TIMEOUT", "true", "tasks.defaults.timeout is True; give seconds, or false for none"),
    ],
)
def test_task_defaults_that_cannot_be_are_said(work: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(OptionsError) as caught:
        options(work, **{f"TOCSIN__TASKS__DEFAULTS__{name}": text})
    assert str(caught.value) == said


# ---------------------------------------------------------------- looking at it


def test_options_are_read_by_attribute_and_by_key() -> None:
    found = Options({"a": {"b": 1}}, c=2)
    assert (found.a.b, found["a"]["b"], found.c) == (1, 1, 2)
    assert found.get("a").get("x", 7) == 7
    assert "a" in found
    assert sorted(found) == ["a", "c"]
    assert found == {"a": {"b": 1}, "c": 2}
    assert {**found.a} == {"b": 1}


def test_options_can_be_set_and_deleted() -> None:
    found = Options()
    found.a = {"b": {"c": 1}}
    found.a.b.c = 2
    found["d"] = 3
    del found.d
    assert found.to_dict() == {"a": {"b": {"c": 2}}}
    with pytest.raises(AttributeError, match="no option 'd'"):
        del found.d


def test_a_missing_option_is_said_by_name() -> None:
    with pytest.raises(AttributeError, match="there is no option 'checkpoint'; did you mean 'checkpointing'"):
        config.flows.checkpoint  # noqa: B018
    with pytest.raises(KeyError):
        config["no such"]


def test_secrets_are_not_shown() -> None:
    found = Options({"context": {"secrets": {"TOKEN": "xoxb-1", "DB": {"password": "pw"}}}})
    assert repr(found) == "Options({'context': Options({'secrets': SecretOptions({'TOKEN': ***, 'DB': ***})})})"
    assert str(found.context) == "Options({'secrets': SecretOptions({'TOKEN': ***, 'DB': ***})})"
    assert f"{found.context.secrets}" == "SecretOptions({'TOKEN': ***, 'DB': ***})"
    assert found.context.secrets["DB"] == {"password": "pw"}


def test_copies_share_nothing() -> None:
    found = Options({"a": {"b": 1}, "secrets": {"X": "y"}})
    for other in (found.copy(), copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other == found
        assert isinstance(other.secrets, SecretOptions)
        other.a.b = 2
    assert found.a.b == 1


def test_merging_changes_neither_side() -> None:
    under, over = {"a": {"b": 1, "c": 2}, "d": 3}, Options({"a": {"c": {"e": 4}}, "d": {"f": 5}})
    assert merged(under, over) == {"a": {"b": 1, "c": {"e": 4}}, "d": {"f": 5}}
    assert (under, over.to_dict()) == ({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"c": {"e": 4}}, "d": {"f": 5}})


# ---------------------------------------------------------------- the one in use


def test_the_config_is_read_when_it_is_first_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Config()
    monkeypatch.setenv("TOCSIN__MY__KEY", "1")
    assert fresh.my.key == 1
    monkeypatch.setenv("TOCSIN__MY__KEY", "2")
    assert fresh.my.key == 1
    fresh.reload()
    assert fresh.my.key == 2


def test_reloading_can_take_the_options_of_another_file(tmp_path: Path) -> None:
    (tmp_path / "tocsin.toml").write_text("[context]\nregion = 'eu'\n")
    fresh = Config()
    fresh.reload(tmp_path / "tocsin.toml")
    assert fresh.context.region == "eu"


def test_importing_it_reads_nothing(tmp_path: Path) -> None:
    code = "import tocsin.options, tocsin.flows.flow; print('not read')"
    environ = {"TOCSIN__USER_CONFIG_PATH": str(tmp_path / "gone.toml"), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("not read\n", 0), done.stderr


def test_the_config_travels_as_the_one_of_the_place_where_it_arrives() -> None:
    assert pickle.loads(pickle.dumps({"config": config}))["config"] is config


def test_options_can_be_set_for_a_while() -> None:
    before = config.to_dict()
    with set_temporary_config({"tasks.defaults.max_retries": 3, "new.table.key": 1, "plain": "x"}) as temporary:
        assert temporary is config
        assert (config.tasks.defaults.max_retries, config.new.table.key, config.plain) == (3, 1, "x")
        assert config.flows.checkpointing is False
        config.flows.checkpointing = "changed inside"
    assert config.to_dict() == before


def test_options_are_put_back_after_an_error() -> None:
    with pytest.raises(RuntimeError), set_temporary_config({"flows.checkpointing": True}):
        raise RuntimeError
    assert config.flows.checkpointing is False
