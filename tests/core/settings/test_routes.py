"""Routes, templates and lint: E3xx, E8xx, W9xx."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined, TemplateError

from tocsin.settings import check, source_of_text
from tocsin_hooks.channels import ChannelConfig, ChannelType

Said = Callable[..., list[str]]

CHANNELS = "[channels.ops]\ntype='console'\n[channels.mail]\ntype='console'\n"


def errors(lines: list[str]) -> list[str]:
    return [line for line in lines if " E" in line]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[[routes]]\nname='p'\nsend=['ops','opss']",
            "7:13 E302 route 'p' sends to unknown channel 'opss'; did you mean 'ops'?",
        ),
        ("[[routes]]\nsend=['fax']", "6:7 E302 route 1 sends to unknown channel 'fax'; channels: mail, ops"),
        ("[defaults]\nsend=['fax']", "6:7 E302 [defaults] sends to unknown channel 'fax'; channels: mail, ops"),
        ("[[routes]]\ntemplate='t'", "6:10 E305 route 1 uses unknown template 't'; templates: none"),
        (
            "[[routes]]\nname='a'\n[[routes]]\nname='a'",
            "8:6 E301 two routes have the name 'a'; the first is at tocsin.toml:6:1",
        ),
        (
            "[[routes]]\nname='route 2'\n[[routes]]",
            "7:3 E301 two routes have the name 'route 2'; the first is at tocsin.toml:6:1",
        ),
        (
            "[[routes]]\nname='abcd'\n[[routes]]\nunder='abce'",
            "8:7 E303 route 2 is under unknown route 'abce'; did you mean 'abcd'?",
        ),
        ("[[routes]]\nname='a'\nunder='a'", "7:7 E304 routes are under each other in a circle: 'a' -> 'a'"),
        (
            "[[routes]]\nname='a'\nunder='b'\n[[routes]]\nname='b'\nunder='c'\n[[routes]]\nname='c'\nunder='a'",
            "7:7 E304 routes are under each other in a circle: 'a' -> 'b' -> 'c' -> 'a'",
        ),
    ],
)
def test_a_route_that_refers_to_nothing_says_what_there_is(said: Said, text: str, message: str) -> None:
    assert errors(said(CHANNELS + text)) == [message]


def test_what_is_there_but_broken_is_not_said_to_be_missing(said: Said) -> None:
    broken = "[channels.ops]\ntype='fax'\n[filters]\nf=3\n[templates]\nt=3\n"
    text = broken + "[[routes]]\nsend=['ops']\nwhen='@f'\ntemplate='t'"
    assert [line.split(" ")[1] for line in said(text)] == ["E401", "E107", "E107"]


def test_a_route_may_be_under_one_that_follows(said: Said) -> None:
    text = "[[routes]]\nunder='b'\nsend=['ops']\n[[routes]]\nname='b'\nsend=['mail']"
    assert said(CHANNELS + text) == []


def test_endless_nesting_of_routes_is_refused(said: Said) -> None:
    routes = "".join(f"[[routes]]\nname='r{n}'\nunder='r{n + 1}'\n" for n in range(400)) + "[[routes]]\nname='r400'\n"
    assert "E304 routes are more than 50 deep under each other" in errors(said(routes))[0]


# ---------------------------------------------------------------- templates


def braces(text: str) -> str | None:
    return "unclosed '{{'" if text.count("{{") != text.count("}}") else None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "1:12 E803 [templates.t] lacks 'text'; or give it a 'file'"),
        ("text='x'\nfile='y'", "3:1 E803 [templates.t] has both 'text' and 'file'; keep one"),
        ("file='no-such.j2'", "2:6 E802 [templates.t] file 'no-such.j2' cannot be read: No such file or directory"),
        ("file='latin'", "2:6 E802 [templates.t] file 'latin' cannot be read: it is not UTF-8 text"),
        ('file="a\\u0000b"', "2:6 E802 [templates.t] file 'a?b' cannot be read: it is not UTF-8 text"),
        ("text='{{ x'", "2:6 E801 [templates.t] text: unclosed '{{'"),
        ("title='{{ x'\ntext='{{ y'", "2:7 E801 [templates.t] title: unclosed '{{'"),
        ("file='bad'", "2:6 E801 [templates.t] file: unclosed '{{'"),
    ],
)
def test_a_template_that_cannot_be_used_is_told(said: Said, tmp_path: Path, body: str, message: str) -> None:
    (tmp_path / "bad").write_text("{{ flow")
    (tmp_path / "latin").write_bytes(b"\xe9")
    assert errors(said(f"[templates.t]\n{body}", check_template=braces))[0] == message


def known(template: str) -> str | None:
    """As the hub's own check: fields that events have, and what Jinja2 can read."""
    try:
        Environment(undefined=StrictUndefined, autoescape=True).from_string(template).render(flow="f", task="t")
    except TemplateError as error:
        return f"{error.message} (line {getattr(error, 'lineno', 1)})"
    return None


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("{{ flwo }}", ["2:10 E801 [templates.t] text: unknown field 'flwo'; did you mean 'flow'?"]),
        (
            "{{ flow }}{% if not task %}{{ tsk }}{% endif %}{{ zzz }}",
            [
                "2:37 E801 [templates.t] text: unknown field 'tsk'; did you mean 'task'?",
                "2:57 E801 [templates.t] text: unknown field 'zzz'",
            ],
        ),
        ("{% if rgn is defined %}{{ rgn }}{% endif %}{{ nte|default('-') }}", []),
        ("{% for each in flow %}{{ each }}{% endfor %}", []),
        ("{{ flow|uper }}", ["2:15 E801 [templates.t] text: No filter named 'uper' (line 1); did you mean 'upper'?"]),
        (
            "{% if task is strng %}{% endif %}",
            ["2:21 E801 [templates.t] text: No test named 'strng' found (line 1); did you"],
        ),
        ("a\\n{% if task %}\\n", ["2:13 E801 [templates.t] text: a '{% if %}' is never closed (line"]),
    ],
)
def test_what_a_template_asks_for_and_nobody_has_is_told_with_what_is_near(
    said: Said, text: str, lines: list[str]
) -> None:
    found = errors(said(f'[templates.t]\ntext="{text}"', check_template=known))
    assert [line[: len(start)] for line, start in zip(found, lines, strict=True)] == lines


def test_a_template_too_long_for_a_channel_that_it_goes_to_is_refused(said: Said, tmp_path: Path) -> None:
    types = {name: ChannelType(name, ChannelConfig, lambda config: config) for name in ("slack", "console")}
    (tmp_path / "long").write_text("{{ flow }}" + "x" * 3000)
    start = "[channels.c]\ntype='%s'\n[defaults]\nsend=['c']\n"
    text = (
        start
        + "[templates.t]\nfile='long'\n[templates.u]\ntext='%s'\n[[routes]]\ntemplate='t'\n[[routes]]\ntemplate='u'"
    )

    def told(kind: str, words: str) -> list[str]:
        problems = check(
            source_of_text(text % (kind, words), base=tmp_path), channel_types=types, check_template=lambda _: None
        )
        return [each.render().partition("\n")[0] for each in problems if each.code.startswith("E")]

    file = "tocsin.toml:6:6 E804 [templates.t] file: has 3000 characters whatever the event; channel 'c' takes 3000"
    assert told("slack", "x" * 3000) == []
    (tmp_path / "long").write_text("{{ flow }}" + "x" * 3001)
    assert told("slack", "x" * 3000) == [file.replace("has 3000", "has 3001") + "; shorten it"]
    assert [line.split(" ")[:2] for line in told("slack", "x" * 3001)] == [
        ["tocsin.toml:6:6", "E804"],
        ["tocsin.toml:8:6", "E804"],
    ]
    assert told("slack", "{% if task %}" + "x" * 3001 + "{% endif %}") == [
        file.replace("has 3000", "has 3001") + "; shorten it"
    ]
    assert told("console", "x" * 3001) == []


def test_a_template_from_a_file_holds_its_text(loaded: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "rich.j2").write_text("{{ flow }}\n")
    config = loaded("[templates.rich]\ntitle='T'\nfile='rich.j2'\n[templates.short]\ntext='x'", check_template=braces)
    assert (config.templates["rich"].title, config.templates["rich"].text) == ("T", "{{ flow }}\n")
    assert (config.templates["short"].title, config.templates["short"].text) == (None, "x")


# ---------------------------------------------------------------- lint


def test_what_is_not_used_is_a_warning(said: Said) -> None:
    text = "[filters]\na='is_failed'\nb='@a'\n[templates.t]\ntext='x'\n[[routes]]\nsend=['ops']\nwhen='flow=x'\n"
    assert said(CHANNELS + text + "[defaults]\nsend=[]") == [
        "3:11 W902 channel 'mail' is not used",
        "7:1 W901 filter '@b' is not used",
        "8:12 W903 template 't' is not used",
    ]


def test_a_config_that_sends_nothing_anywhere_is_warned_of(said: Said) -> None:
    hint = "add a [[routes]] table, or say in [defaults] where to send"
    assert said("") == [f"tocsin.toml W905 no route and no default channel: nothing is sent anywhere; {hint}"]
    assert said(CHANNELS + "[defaults]\nsend = []")[0].startswith("6:8 W905")
    assert said(CHANNELS + "[defaults]\nsend = ['ops', 'mail']") == []
    assert said("[[routes]]\nsend = []") == []


@pytest.mark.parametrize("when", ["", "when=''' '''", "when='{}'", "when='@all'", "when='flow=x or (@all)'"])
def test_routes_behind_one_that_stops_everything_are_named(said: Said, when: str) -> None:
    text = (
        f"[filters]\nall = '{{}}'\n[[routes]]\nname='first'\nsend=['ops']\n[[routes]]\nname='wall'\n{when}\nstop=true\n"
        "[[routes]]\nname='lost'\nsend=['mail']\nwhen='@all'\n"
        "[[routes]]\nname='under wall'\nunder='wall'\nwhen='flow=a'\n"
        "[[routes]]\nwhen='flow=b'"
    )
    (line,) = [line for line in said(CHANNELS + text) if "E309" in line]
    assert line == (
        "14:3 E309 route 'wall' stops every event, so nothing reaches 'lost', 'route 5'; "
        "move it to the end, or give it a 'when'"
    )


def test_a_child_that_stops_every_event_of_its_parent_stops_for_the_parent(said: Said) -> None:
    text = "[[routes]]\nname='a'\nsend=['ops','mail']\n[[routes]]\nname='b'\nunder='a'\nstop=true\n"
    text += "[[routes]]\nname='c'\nsend=[]\n"
    assert [line.partition(";")[0] for line in said(CHANNELS + text)] == [
        "12:3 E309 route 'a' stops every event, so nothing reaches 'c'"
    ]


def test_a_stop_with_a_filter_hides_nobody(said: Said) -> None:
    text = "[[routes]]\nwhen='is_failed'\nstop=true\nsend=['ops']\n[[routes]]\nsend=['mail']"
    assert said(CHANNELS + text) == []


def test_two_routes_with_the_same_filter_are_warned_of(said: Said) -> None:
    routes = (
        "when='is_failed'\nsend=[]",
        "when='flow=a, is_failed'\nsend=['ops']",
        "when='flow=a  and is_failed'\nsend=['mail']",
    )
    text = "".join(f"[[routes]]\n{route}\n" for route in routes)
    assert [line.partition(";")[0] for line in said(CHANNELS + text)] == [
        "12:6 W907 route 'route 3' has the same filter as route 'route 2'"
    ]


def test_lint_is_told_beside_errors(said: Said) -> None:
    lines = [line.split(";")[0] for line in said(CHANNELS + "[[routes]]\nwhen='is_failed'\nsend=['opz']")]
    assert lines == ["3:11 W902 channel 'mail' is not used", "7:7 E302 route 1 sends to unknown channel 'opz'"]


def test_a_route_that_nobody_has_told_where_to_send_is_warned_of(said: Said) -> None:
    text = "[[routes]]\nname='a'\nwhen='is_failed'\n"
    told = "5:3 W919 route 'a' says nothing of where it sends, nor does [defaults]: it reaches nobody"
    assert [line.partition(";")[0] for line in said(CHANNELS + text) if "W919" in line] == [told]
    for more in ("send=[]", "send=['ops']", "[defaults]\nsend=['ops']", "[[routes]]\nunder='a'\nsend=['ops']"):
        assert not [line for line in said(CHANNELS + text + more) if "W919" in line]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("is_failed", "state=Failed"),
        ("is_failed", "state=TimedOut and flow=a"),
        ("is_finished", "is_failed or is_successful"),
        ("not is_finished", "is_running"),
        ('flow=~"led.+"', "flow=ledger"),
        ("flow!=a", "flow=b and is_failed"),
        ('tags=~"p.*"', "tags=prod"),
        ("state!=Failed", "state=Firing"),
    ],
)
def test_a_route_is_seen_to_be_hidden_by_what_states_and_values_mean(said: Said, first: str, second: str) -> None:
    text = f"[[routes]]\nwhen='{first}'\nsend=['ops']\nstop=true\n[[routes]]\nwhen='{second}'\nsend=['mail']\n"
    assert [line for line in said(CHANNELS + text) if "W904" in line]
    turned = f"[[routes]]\nwhen='{second}'\nsend=['ops']\nstop=true\n[[routes]]\nwhen='{first}'\nsend=['mail']\n"
    assert not [line for line in said(CHANNELS + turned) if "W904" in line]


def test_tags_are_a_set_that_hides_nothing_by_what_it_lacks(said: Said) -> None:
    text = "[[routes]]\nwhen='tags!=a'\nsend=['ops']\nstop=true\n[[routes]]\nwhen='tags=b'\nsend=['mail']\n"
    assert not [line for line in said(CHANNELS + text) if "W904" in line]
