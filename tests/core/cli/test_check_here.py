"""What `tocsin check`, and `doctor` like it, say of a machine: secrets, plugins and a store that are not there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from support.shell import CONFIG, PIGEON, Shell

Install = Callable[[str, str], None]

SECRET = "hunter2-and-more"
URL = '[store]\nurl = { env = "PG_URL" }\n'

with_postgres = pytest.mark.skipif(importlib.util.find_spec("psycopg") is None, reason="needs psycopg")


def mistakes(shell: Shell, code: int = 2) -> list[tuple[str, int, str]]:
    """What `check --json` finds: the code, the line and the text with what would do; the plain form says the same."""
    found = shell.json("check", code=code)["problems"]
    plain = shell("check")
    assert plain.exit_code == code
    told = []
    for each in found:
        text = each["text"] + (f"; {each['suggestion']}" if each["suggestion"] else "")
        assert f"{each['file']}:{each['line']}:{each['column']} {each['code']} {text}" in plain.stdout
        told.append((each["code"], each["line"], text))
    return told


def failures(shell: Shell, area: str) -> list[str]:
    """What `doctor` says failed in an area, each with its remedy."""
    found = shell.json("doctor", code=1)["findings"]
    return [f"{each['text']}; {each['remedy']}" for each in found if (each["area"], each["level"]) == (area, "failed")]


# ---------------------------------------------------------------- the address of the store


@with_postgres
@pytest.mark.parametrize(("value", "reason"), [(None, "is not set"), ("", "is empty")])
def test_an_address_of_the_store_that_is_not_there_is_an_error(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, value: str | None, reason: str
) -> None:
    monkeypatch.delenv("PG_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("PG_URL", value)
    shell.write(URL + CONFIG)
    text = f"[store] url: environment variable 'PG_URL' {reason}"
    assert mistakes(shell) == [("E407", 2, text)]
    assert shell("check", "--no-secrets").exit_code == 0
    assert failures(shell, "config") == [f"tocsin.toml:2:7 E407 {text}; "]


@with_postgres
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (f"mysql://u:{SECRET}@h/db", "[store] url is of a kind that is not known: 'mysql'"),
        (f"postgresql://u:{SECRET}/x@h/db", "[store] url cannot be read"),
    ],
)
def test_an_address_of_the_store_that_cannot_be_meant_is_told_with_a_whole_example(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    monkeypatch.setenv("PG_URL", address)
    shell.write(URL + CONFIG)
    form = "write it as postgresql://user:password@host:5432/database, special characters of the password as %XX"
    assert mistakes(shell) == [("E110", 2, f"{reason}; {form}")]
    assert failures(shell, "store") == [f"{reason}; {form}; mend what [store] url refers to"]
    assert SECRET not in shell("check").output + shell("doctor").output
    assert form in shell("status").output


@with_postgres
def test_an_address_that_can_be_meant_is_right_though_no_server_is_asked(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_URL", f"postgresql://u:{SECRET}@127.0.0.1:1/db")
    shell.write(URL + CONFIG)
    assert mistakes(shell, code=0) == []


def test_a_store_that_cannot_be_used_is_told_at_the_line_that_names_it(shell: Shell) -> None:
    (shell.folder / "there").mkdir()
    shell.write('[store]\npath = "there"\n' + CONFIG)
    [(code, line, text)] = mistakes(shell)
    assert (code, line) == ("E110", 2)
    assert text.endswith("there' is not a file; name a file in a folder that can be written")


# ---------------------------------------------------------------- plugins


@pytest.mark.parametrize("key", ["allow", "block"])
def test_a_name_in_plugins_that_no_plugin_has_is_a_warning_with_the_nearest(
    shell: Shell, install: Install, key: str
) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write(f'[plugins]\n{key} = ["tocsin_pigoen", "tocsin_pigeon"]\n' + CONFIG)
    assert mistakes(shell, code=0) == [
        (
            "W918",
            2,
            f"[plugins] {key}: no plugin or package 'tocsin_pigoen' is installed; did you mean 'tocsin_pigeon'?",
        )
    ]
    warned = [each["text"] for each in shell.json("doctor")["findings"] if each["level"] == "warning"]
    assert [text for text in warned if "W918 [plugins]" in text]


def test_a_name_in_plugins_that_is_like_none_is_told_with_those_there_are(shell: Shell, install: Install) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write('[plugins]\nblock = ["fax"]\n' + CONFIG)
    [(_, _, text)] = mistakes(shell, code=0)
    assert text.startswith("[plugins] block: no plugin or package 'fax' is installed; installed plugins: ")
    assert "tocsin_pigeon" in text


def test_where_plugins_are_hidden_no_name_of_one_is_doubted(shell: Shell) -> None:
    shell.write('[plugins]\nblock = ["fax"]\n' + CONFIG)
    assert mistakes(shell, code=0) == []


@pytest.mark.parametrize(
    ("plugins", "cure"),
    [
        ('allow = ["x"]', "put 'tocsin_pigeon' into [plugins] allow (tocsin.toml:2:1)"),
        ('block = ["x", "tocsin_pigeon"]', "take it out of [plugins] block (tocsin.toml:2:15)"),
    ],
)
def test_a_channel_whose_plugin_the_config_does_not_allow_points_there(
    shell: Shell, install: Install, plugins: str, cure: str
) -> None:
    install("tocsin_pigeon", PIGEON)
    shell.write(f'[plugins]\n{plugins}\n{CONFIG}[channels.loft]\ntype = "pigeon"\n')
    errors = [text for code, _, text in mistakes(shell) if code == "E402"]
    assert errors == [f"[channels.loft] type = 'pigeon': the config does not allow its plugin; {cure}"]


def test_that_the_environment_does_not_allow_a_plugin_is_told_with_the_variable(
    shell: Shell, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("tocsin_pigeon", PIGEON)
    monkeypatch.setenv("TOCSIN__PLUGINS__ALLOW", "[]")
    shell.write(f'{CONFIG}[channels.loft]\ntype = "pigeon"\n')
    [text] = [text for code, _, text in mistakes(shell) if code == "E402"]
    assert text.endswith("put 'tocsin_pigeon' into [plugins] allow (TOCSIN__PLUGINS__ALLOW)")
