"""`[store]`: a file, or a database whose address is a secret; and secrets that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin.settings import Problem

Said = Callable[..., list[str]]
Checked = Callable[..., list[Problem]]
Loaded = Callable[..., Any]

SECRET = "hunter2-and-more"
DATABASE = 'is the address of a database, and the path of a file is expected; write [store] url = { env = "NAME" }'
ADDRESS = "is an address, and the path of a file is expected"


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"postgresql://u:{SECRET}@h/db", DATABASE),
        (f" Postgres://u:{SECRET}@h/db", DATABASE),
        (f"postgresql+psycopg://u:{SECRET}@h/db", DATABASE),
        (f"postgresql:u:{SECRET}@h/db", DATABASE),
        (f"host=db dbname=alerts password={SECRET}", DATABASE),
        (f"user=ann password = {SECRET}", DATABASE),
        (f"ann:{SECRET}@db.example/alerts", DATABASE),
        (f"mysql://u:{SECRET}@h/db", f"{ADDRESS}; the store is a SQLite file ([store] path) or a PostgreSQL database"),
        (f"sqlite:///srv/{SECRET}.db", f"{ADDRESS}; write the path alone"),
        ("file:tocsin.db?mode=rwc", f"{ADDRESS}; write the path alone"),
        (":memory:", "':memory:' would be a file of that name; what waits has to outlive the process"),
    ],
)
def test_a_path_that_is_an_address_is_refused_and_not_shown(checked: Checked, path: str, expected: str) -> None:
    [problem] = [each for each in checked(f"[store]\npath = '{path}'") if each.code.startswith("E")]
    assert problem.render().startswith(f"tocsin.toml:2:8 E107 [store] path: {expected}")
    assert SECRET not in problem.render() + str(problem.to_dict())


def test_a_path_in_the_environment_that_is_an_address_is_not_shown_either(checked: Checked) -> None:
    found = checked("", env={"TOCSIN__STORE__PATH": f"postgresql://u:{SECRET}@h/db"})
    told = "".join(f"{each.render()} {each.to_dict()}" for each in found)
    assert f"TOCSIN__STORE__PATH E107 [store] path: {DATABASE}" in told
    assert SECRET not in told


@pytest.mark.parametrize("path", ["tocsin.db", "/srv/tocsin/a b.db", "me@home.db", "postgres.db", "~/t.db", "größe.db"])
def test_a_path_is_a_path(loaded: Loaded, path: str) -> None:
    assert loaded(f"[store]\npath = '{path}'").store.path.name == Path(path).name


@pytest.mark.parametrize(
    "url", [f"postgresql://u:{SECRET}@h/db", f"host=db password={SECRET}", f"{SECRET}", f"ann:{SECRET}@h"]
)
def test_an_address_that_is_written_down_is_refused_and_not_shown(checked: Checked, url: str) -> None:
    [problem] = [each for each in checked(f"[store]\nurl = '{url}'") if each.code.startswith("E")]
    assert problem.code == "E406"
    assert SECRET not in problem.render() + str(problem.to_dict())


def test_a_reference_is_shown_in_full(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_URL", raising=False)
    [problem] = [each for each in checked("[store]\nurl = { env = 'PG_URL' }") if each.code == "E407"]
    assert problem.place.shown == "url = { env = 'PG_URL' }"


def test_a_store_in_two_places_is_told_at_the_second(said: Said) -> None:
    assert errors(said("[store]\npath = 'a.db'\nurl = { env = 'PATH' }")) == [
        "3:7 E107 [store] url: stands beside a 'path'; keep one of the two"
    ]


# ---------------------------------------------------------------- secrets that are not there


@pytest.mark.parametrize(("value", "reason"), [(None, "is not set"), ("", "is empty"), (" \n", "is empty")])
def test_the_address_of_the_store_is_a_secret_that_has_to_be_there(
    said: Said, loaded: Loaded, monkeypatch: pytest.MonkeyPatch, value: str | None, reason: str
) -> None:
    monkeypatch.delenv("PG_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("PG_URL", value)
    text = "[store]\nurl = { env = 'PG_URL' }"
    assert errors(said(text)) == [f"2:7 E407 [store] url: environment variable 'PG_URL' {reason}"]
    assert errors(said(text, secrets=False)) == []
    assert loaded(text).store.url.name == "PG_URL"


def test_a_file_that_holds_the_address_has_to_be_there(said: Said, tmp_path: Path) -> None:
    text = "[store]\nurl = { file = 'pg.url' }"
    assert errors(said(text)) == [
        "2:7 E407 [store] url: secret file 'pg.url' cannot be read: No such file or directory"
    ]
    (tmp_path / "pg.url").write_text("postgresql:///alerts\n")
    assert errors(said(text)) == []


def test_beside_other_mistakes_it_is_told_too(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PG_URL", raising=False)
    lines = errors(said("[store]\nretention = 1\nurl = { env = 'PG_URL' }\n[channels.ops]\ntype = 'fax'"))
    assert [line.split()[1] for line in lines] == ["E107", "E407", "E401"]


def test_every_secret_of_a_channel_has_to_be_there_however_deep(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOPE", raising=False)
    text = "[channels.ops]\ntype = 'pager'\nurl = 'x'\nheaders = { A = { env = 'NOPE' }, B = 'b' }"
    assert errors(said(text)) == ["4:17 E407 [channels.ops] headers.A: environment variable 'NOPE' is not set"]
