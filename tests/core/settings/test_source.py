from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.settings import ConfigError, Source, find, load


def put(path: Path, text: str = 'project = "x"\n') -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def project(source: Source | None) -> str:
    assert source is not None
    return load(source, channel_types={}).project


def test_the_nearest_claim_to_be_the_config_wins(tmp_path: Path) -> None:
    cwd = tmp_path / "work"
    home = put(tmp_path / "home/.tocsin/config.toml", 'project = "home"')
    environ = {"HOME": str(tmp_path / "home")}
    cwd.mkdir()
    assert project(find(environ=environ, cwd=cwd)) == "home"
    put(cwd / "pyproject.toml", '[tool.tocsin]\nproject = "pyproject"')
    assert project(find(environ=environ, cwd=cwd)) == "pyproject"
    put(cwd / "tocsin.toml", 'project = "here"')
    assert project(find(environ=environ, cwd=cwd)) == "here"
    put(cwd / "other.toml", 'project = "named"')
    environ["TOCSIN_CONFIG"] = "other.toml"
    assert project(find(environ=environ, cwd=cwd)) == "named"
    found = find(home, environ=environ, cwd=cwd)
    assert project(found) == "home"
    assert found is not None
    assert found.name == str(home)


def test_no_config_is_none(tmp_path: Path) -> None:
    assert find(environ={"HOME": str(tmp_path)}, cwd=tmp_path) is None
    assert find(environ={}, cwd=tmp_path) is None


@pytest.mark.parametrize("text", ["[tool.other]\nx = 1\n", "tool = 1", "not toml ["])
def test_a_pyproject_of_somebody_else_is_passed_over(tmp_path: Path, text: str) -> None:
    put(tmp_path / "pyproject.toml", text)
    assert find(environ={}, cwd=tmp_path) is None


def test_a_broken_pyproject_that_configures_tocsin_is_said_to_be_broken(tmp_path: Path) -> None:
    put(tmp_path / "pyproject.toml", "[tool.tocsin]\nproject = x\n")
    source = find(environ={}, cwd=tmp_path)
    assert source is not None
    with pytest.raises(ConfigError, match=r"^pyproject.toml:2:11 E103 not TOML: invalid value"):
        load(source, channel_types={})


def test_positions_in_a_pyproject_are_those_of_the_whole_file(tmp_path: Path) -> None:
    put(tmp_path / "pyproject.toml", "[project]\nname = 'x'\n\n[tool.tocsin.store]\npth = 'x'\n")
    source = find(environ={}, cwd=tmp_path)
    assert source is not None
    with pytest.raises(
        ConfigError, match=r"^pyproject.toml:5:1 E106 unknown key 'pth' in \[store\]; did you mean 'path'"
    ):
        load(source, channel_types={})


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"E101 the config file 'nope.toml' does not exist"):
        find("nope.toml", environ={}, cwd=tmp_path)
    with pytest.raises(ConfigError, match=r"E101 the config file 'nope.toml' does not exist"):
        find(environ={"TOCSIN_CONFIG": "nope.toml"}, cwd=tmp_path)
    with pytest.raises(ConfigError, match=r"E101 .* cannot be read: Is a directory"):
        find(tmp_path, environ={}, cwd=tmp_path)


def test_a_pyproject_named_as_the_config_must_configure_tocsin(tmp_path: Path) -> None:
    put(tmp_path / "pyproject.toml", "[project]\n")
    with pytest.raises(ConfigError, match=r"E101 .* has no table \[tool.tocsin\]"):
        find("pyproject.toml", environ={}, cwd=tmp_path)


def test_the_environment_overrides_what_the_file_says(tmp_path: Path) -> None:
    put(
        tmp_path / "tocsin.toml",
        'project = "file"\n[delivery]\nthreads = 2\n[Filters]\n'.replace(
            "[Filters]", '[filters]\nNight-Run = "flow=x"'
        ),
    )
    environ = {
        "TOCSIN__PROJECT": "production",
        "TOCSIN__DELIVERY__THREADS": "16",
        "TOCSIN__DELIVERY__DRAIN": "5s",
        "TOCSIN__DEFAULTS__RECOVER": "false",
        "TOCSIN__DEFAULTS__KEY": '["flow"]',
        "TOCSIN__FILTERS__NIGHT_RUN": "flow=y",
        "tocsin__store__retention": "1d",
        "TOCSIN_CONFIG": "",
    }
    source = find(environ=environ, cwd=tmp_path)
    assert source is not None
    config = load(source, channel_types={})
    assert config.project == "production"
    assert config.delivery.threads == 16
    assert config.delivery.drain.total_seconds() == 5
    assert not config.defaults.recover.notice
    assert config.defaults.key == ("flow",)
    assert config.filters["Night-Run"].to_text() == "flow=y"
    assert config.store.retention.days == 1


def test_without_a_file_there_are_the_defaults_and_the_environment(tmp_path: Path) -> None:
    source = Source.without_file(environ={"TOCSIN__STORE__PATH": "events.db"}, base=tmp_path)
    config = load(source, channel_types={})
    assert config.path is None
    assert config.store.path == tmp_path / "events.db"
    assert config.delivery.threads == 8


def test_an_override_is_named_by_its_variable(tmp_path: Path) -> None:
    environ = {
        "TOCSIN__DELIVERY__THREADS": "many",
        "TOCSIN__PROJECT": "12",
        "TOCSIN__DELIVERY__LEASE__X": "1",
        "TOCSIN__": "x",
        "TOCSIN__ROUTES": '[{ when = "@nope" }]',
    }
    with pytest.raises(ConfigError) as caught:
        load(
            Source.without_file(environ=environ, base=tmp_path),
            channel_types={},
        )
    assert str(caught.value).splitlines() == [
        "TOCSIN__ E109 names no key",
        'TOCSIN__DELIVERY__LEASE__X E107 [delivery] lease: expected a duration such as "10s" or "2m"',
        "TOCSIN__DELIVERY__THREADS E107 [delivery] threads: expects a whole number, found text",
        "TOCSIN__PROJECT E107 project = 12: expects text, found a number; put it in quotes to give it as text",
        "TOCSIN__ROUTES E203 unknown filter '@nope'",
    ]
    assert {problem.place.position.line for problem in caught.value.problems} == {None}
