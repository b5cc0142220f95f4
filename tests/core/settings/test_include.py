"""A config of several files: E104, E111, E112."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Said = Callable[..., list[str]]
Loaded = Callable[..., Any]


def put(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/')}.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_the_tables_of_all_files_are_one_config(loaded: Loaded, tmp_path: Path) -> None:
    put(
        tmp_path,
        channels="[channels.ops]\ntype='console'\n[filters]\nb='flow=b'\n",
        team__routes="include=['more.toml']\nversion=1\n[[routes]]\nname='second'\nwhen='@b'\nsend=['ops']\n",
        team__more="[[routes]]\nname='third'\nunder='first'\n[defaults]\ntemplate='t'\n[templates.t]\ntext='x'\n",
    )
    config = loaded(
        "include=['channels.toml','team/routes.toml']\nversion=1\n[defaults]\nsend=['ops']\n[filters]\na='flow=a'\n"
        "[[routes]]\nname='first'\nwhen='@a'\n"
    )
    assert [route.name for route in config.routes] == ["first", "second", "third"]
    assert [route.options.send for route in config.routes] == [("ops",)] * 3
    assert (sorted(config.filters), config.defaults.template) == (["a", "b"], "t")
    assert [str(route.position) for route in config.routes] == [
        "tocsin.toml:7:3", "team/routes.toml:3:3", "team/more.toml:1:3",
    ]  # fmt: skip


def test_a_mistake_is_told_in_the_file_it_stands_in(said: Said, tmp_path: Path) -> None:
    put(
        tmp_path,
        a="[[routes]]\nwhen='@x'\n[[routes]]\nsend=['opz']\n[channels.ops]\ntype='pager'\nurl={env='NOPE_URL'}\nx='s3cr3t'\n",
        b="[defaults]\ngroup={wait=3}\n[[routes]]\nunder='nope'\n",
    )
    lines = said("include=['a.toml','b.toml']\n[[routes]]\nmode='x'\n[defaults]\nsend=['fax']\n", secrets=False)
    assert [line.split(" ")[:2] for line in lines] == [
        ["a.toml:2:7", "E203"], ["a.toml:4:7", "E302"], ["a.toml:8:1", "E403"], ["b.toml:2:13", "E107"],
        ["b.toml:4:7", "E303"], ["3:6", "E107"], ["5:7", "E302"],
    ]  # fmt: skip


def test_a_secret_in_an_included_file_is_not_shown(checked: Callable[..., Any], tmp_path: Path) -> None:
    put(
        tmp_path,
        a="[channels.ops]\ntype='pager'\nurl='plain-s3cr3t'\ntokne='x'\n[channels.o2]\ntype='pager'\ntoken='s3cr3t'\n",
    )
    problems = checked("include=['a.toml']")
    assert {problem.code for problem in problems} >= {"E403", "E406"}
    assert not any("s3cr3t" in problem.render() for problem in problems)


def test_a_key_in_two_files_is_an_error_that_names_both_places(said: Said, tmp_path: Path) -> None:
    put(
        tmp_path,
        a="project='a'\n[channels.ops]\ntype='console'\n",
        b="[channels.ops]\ntype='console'\n[defaults]\nsend=[]\n",
    )
    lines = said("include=['a.toml','b.toml']\nproject='x'\n[defaults]\nsend=[]\n")
    assert [line for line in lines if " E" in line] == [
        "a.toml:1:1 E104 'project' stands in two files; it is first at tocsin.toml:2:1",
        "b.toml:1:11 E104 'channels.ops' stands in two files; it is first at a.toml:2:11",
        "b.toml:4:1 E104 'defaults.send' stands in two files; it is first at tocsin.toml:4:1",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("include=['no.toml']", "1:10 E111 the included file 'no.toml' does not exist"),
        ("include=['folder']", "1:10 E111 the included file 'folder' cannot be read: Is a directory"),
        ("include=['tocsin.toml']", "1:10 E112 files include each other in a circle: 'tocsin.toml' -> 'tocsin.toml'"),
        (
            "include=['one.toml']",
            "two.toml:1:10 E112 files include each other in a circle: 'one.toml' -> 'two.toml' -> 'o",
        ),
        ("include=['bad.toml']", "bad.toml:2:5 E103 not TOML: invalid value"),
        ("include=['latin.toml']", "latin.toml:1:1 E102 the file is not UTF-8 text"),
        ("include='one.toml'", '1:9 E107 include: expects a list, found text; write ["one.toml"]'),
        ("include=[3]", "1:10 E107 include[0] = 3: expects text, found a number"),
    ],
)
def test_a_file_that_cannot_be_included_is_told(said: Said, tmp_path: Path, text: str, told: str) -> None:
    put(tmp_path, one="include=['two.toml']", two="include=['one.toml']", bad="a=1\nb = x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.toml").write_bytes(b"\xe9")
    lines = [line for line in said(text) if " E" in line]
    assert len(lines) == 1
    assert lines[0].startswith(told)


def test_a_file_that_two_files_include_is_read_once(loaded: Loaded, tmp_path: Path) -> None:
    put(tmp_path, a="include=['c.toml']", b="include=['c.toml','a.toml']", c="[[routes]]\nname='c'\n")
    assert [route.name for route in loaded("include=['a.toml','b.toml']").routes] == ["c"]


def test_the_environment_overrides_included_files(loaded: Loaded, tmp_path: Path) -> None:
    put(tmp_path, a="[delivery]\nthreads=3\ndrain='1s'\n")
    config = loaded("include=['a.toml']", env={"TOCSIN__DELIVERY__THREADS": "5"})
    assert (config.delivery.threads, config.delivery.drain.total_seconds()) == (5, 1)
