"""Filter expressions in the config: E2xx."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tocsin_hooks.filters import parse
from tocsin_hooks.testing import sample_event

Said = Callable[..., list[str]]
Loaded = Callable[..., Any]


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ('[filters]\nx = "flow=a and and"', "2:17 E201 expected a matcher, found 'and'"),
        (
            "[filters]\nx = '''\nflow=a and\n  is_faild'''",
            "4:3 E201 expected an operator after 'is_faild'; did you mean",
        ),
        ('[filters]\nx = "flow=\\"a\\" and (task=b"', "2:28 E201 expected"),
        ("[defaults]\nopens = 'state=Faild'", "2:16 E201"),
        ("[[routes]]\nwhen = 'flow=~\"[\"'", "2:16 E201"),
        ('[filters]\nx = "stage=prod"', "2:6 E202 unknown label 'stage'; did you mean 'state', or a label of your own"),
        ("[defaults]\nkey = ['flow', 'tsk']", "2:16 E202 unknown label 'tsk'; did you mean 'task'"),
        ('[filters]\nx = "attempt < max_attempt"', "2:16 E20"),
        ("[[routes]]\nwhen = 'is_failed and not @x'", "2:27 E203 unknown filter '@x'"),
        ("[filters]\na = '@a'", "2:6 E204 filters that refer to each other in a circle: @a -> @a"),
        (
            "[filters]\nx='@c'\nc = 'flow=x or @d'\nd = '@c'",
            "3:16 E204 filters that refer to each other in a circle: @c -> @d -> @c",
        ),
        (
            "[filters]\nx = {python = 'os.path:jion'}",
            "2:15 E205 [filters] x: 'os.path:jion' cannot be loaded: AttributeError",
        ),
        (
            "[filters]\nx = {python = 'no_such_module:f'}",
            "2:15 E205 [filters] x: 'no_such_module:f' cannot be loaded: ModuleNotFound",
        ),
        ("[filters]\nx = {python = 'os:sep'}", "2:15 E205 [filters] x: 'os:sep' cannot be loaded: it cannot be called"),
    ],
)
def test_the_place_of_a_mistake_in_an_expression_is_that_in_the_file(said: Said, text: str, start: str) -> None:
    (line,) = errors(said(text))
    assert line.startswith(start)


def test_a_circle_is_reported_once_and_broken_expressions_hide_no_others(said: Said) -> None:
    text = "[filters]\na = '@b'\nb = '@a'\nc = 'flow='\n[[routes]]\nwhen = '@c and @zz'\n"
    assert [line.split(" ")[1] for line in errors(said(text))] == ["E204", "E201", "E203"]


def test_labels_of_other_peoples_making_are_no_errors(said: Said) -> None:
    lines = said("[defaults]\nsend=[]\n[[routes]]\nwhen = 'params.owner=x and context.stage=prod and region=eu'\n")
    assert lines == ["4:51 W906 label 'region' is none of tocsin's; it matches once something adds it"]


def test_filters_are_bound_to_the_filters_they_name_wherever_those_stand(loaded: Loaded) -> None:
    config = loaded(
        "[filters]\na = '@b or flow=x'\nb = 'task=t and @given'\n[[routes]]\nwhen = '@a'",
        filters={"given": lambda event: event.attempt == 2},
    )
    (route,) = config.routes
    assert route.filter.matches(sample_event(flow="x"))
    assert route.filter.matches(sample_event(flow="y", task="t", attempt=2))
    assert not route.filter.matches(sample_event(flow="y", task="t", attempt=1))
    assert config.filters["a"].matches(sample_event(flow="x"))
    assert config.filters["given"].matches(sample_event(attempt=2))


def test_a_name_of_the_config_beats_that_of_a_plugin(loaded: Loaded) -> None:
    config = loaded("[filters]\na = 'flow=mine'", filters={"a": parse("flow=theirs")})
    assert config.filters["a"].to_text() == "flow=mine"


def test_a_filter_written_in_python_is_called_with_the_event(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "night_batch_alerts.py").write_text(
        "class Night:\n    test = staticmethod(lambda event: event.flow == 'n')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    config = loaded('[filters]\nnight = { python = "night_batch_alerts:Night.test" }\n[[routes]]\nwhen = "not @night"')
    assert config.filters["night"].matches(sample_event(flow="n"))
    assert not config.routes[0].filter.matches(sample_event(flow="n"))
    sys.modules.pop("night_batch_alerts")


def test_a_module_that_exits_when_imported_ends_nothing_but_its_filter(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exiting_alerts.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    (line,) = errors(said('[filters]\nx = { python = "exiting_alerts:f" }'))
    assert line == "2:16 E205 [filters] x: 'exiting_alerts:f' cannot be loaded: SystemExit: 3"


def test_a_broken_filter_of_a_plugin_is_told_where_it_is_used(said: Said) -> None:
    lines = errors(said("[[routes]]\nwhen = '@theirs'", filters={"theirs": parse("@gone")}))
    assert [line.partition(";")[0] for line in lines] == ["2:8 E203 unknown filter '@gone'"]
    lines = errors(said("[[routes]]\nwhen = '@a'", filters={"a": parse("@b"), "b": parse("@a")}))
    assert "E204 filters that refer to each other in a circle: @a -> @b -> @a" in lines[0]


def test_filters_that_blow_up_when_put_together_are_refused(said: Said) -> None:
    doubling = "".join(f"f{n} = '@f{n - 1} or (@f{n - 1} and is_failed)'\n" for n in range(1, 40))
    lines = errors(said(f"[filters]\nf0 = 'flow=x'\n{doubling}"))
    assert lines
    assert all("E201 with the filters it names, the expression has" in line for line in lines)
    chain = "".join(f"f{n} = '@f{n + 1}'\n" for n in range(2000))
    assert "more than 50 deep" in errors(said(f"[filters]\n{chain}f2000 = 'flow=x'\n"))[0]


def test_what_is_probably_not_meant_is_a_warning(said: Said) -> None:
    lines = said("[defaults]\nsend=[]\n[[routes]]\nwhen = 'is_failed and attempt=one'")
    assert lines == ["4:23 W908 'attempt' is a number, which 'one' is not"]


def test_a_star_outside_of_a_regex_is_an_error(said: Said) -> None:
    lines = said("[defaults]\nsend=[]\n[[routes]]\nwhen = 'is_failed and flow=\"x*\"'")
    regex = "a regex is written 'flow=~\"x.*\"', and in it a '*' that is meant as '[*]'"
    assert lines == [f"4:23 E207 '*' stands for itself here; {regex}"]
    assert said("[defaults]\nsend=[]\n[[routes]]\nwhen = 'is_failed and flow=~\"x.*\"'") == []


def test_alternatives_of_a_state_outside_of_a_regex_are_an_error(said: Said) -> None:
    [line] = said("[defaults]\nsend=[]\n[[routes]]\nwhen = 'state=\"Failed|TimedOut\"'")
    assert line.startswith("4:9 E201 unknown state 'Failed|TimedOut'; known states: ")


def test_a_regex_that_matches_everything_is_an_error_and_others_are_none(said: Said) -> None:
    assert said("[defaults]\nsend=[]\n[[routes]]\nwhen = 'is_failed and flow=~\".*\"'") == [
        "4:23 E206 the regex matches everything, so this always holds"
    ]
    assert errors(said('[[routes]]\nwhen = \'flow!~".*" or task=~".+"\'')) == [
        "2:9 E206 the regex matches everything, so this never holds"
    ]


def test_a_label_that_nobody_knows_is_let_pass_where_that_is_wanted(said: Said, loaded: Loaded) -> None:
    text = "[[routes]]\nwhen = 'stat=x and region=eu'\nsend=[]\ngroup={by=['tsk']}\n"
    lines = said(text)
    assert [line.split(" ")[1] for line in lines] == ["E202", "W906", "E202", "W914"]
    assert said("[defaults]\nsend=[]\ndrop_unknown_labels=true\n" + text) == []
    assert loaded(text, any_label=True).routes[0].filter.to_text() == "stat=x and region=eu"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[[inhibit]]\nsource='@x'\ntarget='is_flow'", "2:9"),
        ("[[inhibit]]\nsource='is_flow'\ntarget='@x'", "3:9"),
        ("[[watch]]\nkind='too_long'\nafter={fixed='1h'}\nwhen='@x'", "4:7"),
        ("[[routes]]\ndigest={every='1h',urgent='@x'}", "2:28"),
        ("[defaults]\ndigest={every='1h',urgent='@x'}", "2:28"),
        ("[windows.w]\ndays=['1']\n[[routes]]\nmute={windows=['w'],urgent='@x'}", "4:29"),
    ],
)
def test_every_filter_of_the_file_is_read_bound_and_counted_as_a_use(said: Said, text: str, place: str) -> None:
    lines = errors(said(text))
    assert lines == [f"{place} E203 unknown filter '@x'"]
    defined = said("[filters]\nx='flow=a'\n" + text)
    assert errors(defined) == []
    assert not [line for line in defined if "W901" in line]
