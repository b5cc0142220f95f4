"""What is wrong with a file as a file: E1xx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tocsin.settings import CODES, ConfigError, Problem, Severity

Said = Callable[..., list[str]]
Checked = Callable[..., list[Problem]]
Loaded = Callable[..., Any]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\na = 2", "2:1 E104 'a' stands in the file twice; it is first at tocsin.toml:1:1"),
        ("[store]\n\n[store]\n", "3:2 E104 'store' stands in the file twice; it is first at tocsin.toml:1:2"),
        ("project = x", "1:11 E103 not TOML: invalid value; text stands in double quotes"),
        ("project = 'x\nversion = 1", "1:11 E103 not TOML: this text has no closing quote"),
        ('project = """x\n\n', "1:11 E103 not TOML: this text has no closing quote"),
        ("[defaults]\nsend = [\n'ops',\n\n", "2:8 E103 not TOML: this array is never closed"),
        ("project 'x'", "1:9 E103 not TOML: expected '=' after a key in a key/value pair"),
        ("[store", "1:7 E103 not TOML: expected ']' at the end of a table declaration"),
        (
            r'project = "\q"',
            r"1:12 E103 not TOML: unescaped '\' in a string; in single quotes a backslash stands for itself",
        ),
    ],
)
def test_a_file_that_is_no_toml_says_where_it_stops_being_it(said: Said, text: str, expected: str) -> None:
    (line,) = said(text)
    assert line.startswith(expected)


def test_a_file_that_is_not_utf8_says_where(said: Said) -> None:
    assert said(b"version = 1\nproject = '\xe9'\n") == ["2:12 E102 the file is not UTF-8 text; save it as UTF-8"]


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(loaded: Loaded, said: Said) -> None:
    text = b'\xef\xbb\xbfversion = 1\r\nproject = "x"\r\n'
    assert loaded(text).project == "x"
    assert said(text + b"projct = 1\r\n")[0].startswith("3:1 E106 unknown key 'projct'; did you mean 'project'?")


@pytest.mark.parametrize("opening", ["[", "{a = "])
def test_nesting_without_end_is_refused(said: Said, opening: str) -> None:
    closing = {"[": "]", "{a = ": "}"}[opening]
    (line,) = said(f"project = {opening * 3000}1{closing * 3000}")
    assert "E103 arrays or tables stand more than 60 deep in each other" in line


def test_a_number_too_long_to_read_is_a_mistake_like_any_other(said: Said) -> None:
    (line,) = said("version = " + "1" * 5000)
    assert "E103" in line


def test_a_newer_format_is_refused_with_that_reason_only(said: Said) -> None:
    text = "version = 2\n[brand_new]\nx = 1\n"
    assert [line.partition("; ")[::2] for line in said(text)] == [
        (
            "1:11 E105 version = 2 is newer than this tocsin, which reads version 1",
            "update it: pip install --upgrade tocsin",
        )
    ]
    assert said("version = 0\n")[0] == "1:11 E107 version = 0: must be at least 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[chanels.ops]\ntype='console'", "1:2 E106 unknown table 'chanels'; did you mean 'channels'?"),
        ("[[inhibits]]\nsource='x'", "1:3 E106 unknown table 'inhibits'; did you mean [[inhibit]]?"),
        ("[store]\nretnetion='1d'", "2:1 E106 unknown key 'retnetion' in [store]; did you mean 'retention'?"),
        ("[[routes]]\nname='a'\nwen='x'", "3:1 E106 unknown key 'wen' in route 'a'; did you mean 'when'?"),
        ("[[routes]]\n[[routes]]\ndigset=1", "3:1 E106 unknown key 'digset' in route 2; did you mean 'digest'?"),
        ("[templates.a]\ntext='x'\ntitel='y'", "3:1 E106 unknown key 'titel' in [templates.a]; did you mean 'title'?"),
        (
            "[defaults.recover]\nnotise=true",
            "2:1 E106 unknown key 'recover.notise' in [defaults]; did you mean 'notice'?",
        ),
        (
            "[defaults]\nwhen='x'",
            "2:1 E306 'when' in [defaults]: this is for routes only; 'opens' says which events open an incident",
        ),
        ("store = 3", "1:9 E107 store = 3: expects a table, found a number"),
        ("[store]\nretention = 30", '2:13 E107 [store] retention = 30: write it with its unit: "30d"'),
        ("[store]\nretention = 'soon'", "2:13 E107 [store] retention: expected a duration such as"),
        ("[store]\nretention = '0s'", "2:13 E107 [store] retention: must be longer than nothing"),
        ("[store]\npath = ''", "2:8 E107 [store] path: is empty"),
        ("[delivery]\nthreads = 0", "2:11 E107 [delivery] threads = 0: must be at least 1"),
        ("[delivery]\nthreads = true", "2:11 E107 [delivery] threads = true: expects a whole number, found true"),
        ("[delivery]\nthreads = 1.5", "2:11 E107 [delivery] threads = 1.5: expects a whole number, found a number"),
        ("[defaults]\nsend = 'ops'", '2:8 E107 [defaults] send: expects a list, found text; write ["ops"]'),
        (
            "[[routes]]\nsend = ['a', 3]",
            "2:14 E107 route 1 send[1] = 3: expects text, found a number; put it in quotes",
        ),
        ("[[routes]]\nstop = 'yes'", "2:8 E107 route 1 stop: expects true or false, found text"),
        ("project = 1979-05-27", "1:11 E107 project: expects text, found a date or time"),
        ("[defaults]\nrecover = 'yes'", "2:11 E107 [defaults] recover: expects true, false or { notice = true }"),
        (
            "[filters]\nx = 3",
            '2:5 E107 [filters] x = 3: expects an expression in quotes, or { python = "module:function" }',
        ),
        ("[filters]\nx = { python = 'no' }", "2:5 E107 [filters] x: expects an expression in quotes, or"),
        ("routes = 'x'", "1:10 E107 routes: expects a list, found text"),
        ("channels = ['x']", "1:12 E107 channels: expects a table, found a list"),
        ("[plugins]\nallow = 'x'", '2:9 E107 [plugins] allow: expects a list, found text; write ["x"]'),
    ],
)
def test_a_key_or_value_that_does_not_belong_is_told_with_what_would(said: Said, text: str, expected: str) -> None:
    assert next(line for line in said(text) if " E" in line).startswith(expected)


def test_a_mistake_is_shown_in_its_line_with_carets(checked: Checked) -> None:
    problem = checked('[filters]\ncritical = "tags=tier1"\n[[routes]]\n\twhen = "@critcal and is_failed"\n')[0]
    assert problem.render().splitlines() == [
        "tocsin.toml:4:10 E203 unknown filter '@critcal'; did you mean '@critical'?",
        '    4 | \twhen = "@critcal and is_failed"',
        "      | \t        ^^^^^^^^",
    ]


def test_carets_stand_below_wide_letters(checked: Checked) -> None:
    lines = checked('[[routes]]\nname = "早鐘"\nwhen = "flow=早鐘 and @x"')[0].render().splitlines()
    assert lines[1] == '    3 | when = "flow=早鐘 and @x"'
    assert lines[2] == "      | " + " " * 22 + "^^"


def test_a_long_line_is_shown_around_the_mistake(checked: Checked) -> None:
    text = "filters = { " + ", ".join(f'f{i} = "flow=x{i}"' for i in range(200)) + ', bad = "@nope" }'
    problem = next(problem for problem in checked(text) if problem.code == "E203")
    _, line, carets = problem.render().splitlines()
    assert len(line) < 130
    assert line[carets.index("^") : carets.rindex("^") + 1] == "@nope"


def test_a_control_character_never_reaches_the_terminal(checked: Checked) -> None:
    text = '"a\\u001b[2J" = 1\n# \x1b[2J\nprojct = 1 # \x85\n'.replace("# \x1b[2J\n", "")
    for problem in checked(text):
        assert problem.render().replace("\n", "").isprintable()


def test_a_problem_is_plain_data_too(checked: Checked) -> None:
    assert checked("[delivery]\nthread = 3\n[defaults]\nsend=[]")[0].to_dict() == {
        "code": "E106",
        "severity": "error",
        "text": "unknown key 'thread' in [delivery]",
        "suggestion": "did you mean 'threads'?",
        "file": "tocsin.toml",
        "line": 2,
        "column": 1,
        "length": 6,
        "source": "thread = 3",
    }


TEN = """\
version = "1"
projct = "x"
[defaults]
send = "ops"
opens = "is_failed and and"
[filters]
late = "attemt > 3"
[channels.ops]
type = "pager"
url = "x://y"
[channels.mail]
type = "emial"
[[routes]]
when = "@lat"
send = ["opss"]
[[routes]]
under = "nope"
template = "nope"
[templates.t]
"""


def test_ten_mistakes_are_ten_problems_in_the_order_of_the_file(checked: Checked, loaded: Loaded) -> None:
    problems = checked(TEN)
    assert [(p.place.position.line, p.code) for p in problems] == [
        (1, "E107"), (2, "E106"), (4, "E107"), (5, "E201"), (7, "E202"), (12, "E401"), (14, "E203"), (15, "E302"),
        (17, "E303"), (18, "E305"), (19, "E803"),
    ]  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        loaded(TEN)
    assert list(caught.value.problems) == problems
    assert str(caught.value) == "\n".join(problem.render() for problem in problems)


def test_every_code_that_can_be_reported_is_explained(checked: Checked) -> None:
    assert {problem.code for problem in checked(TEN)} <= CODES.keys()
    assert all(code[0] in "EW" and text for code, text in CODES.items())
    assert {str(problem.severity) for problem in checked(TEN)} == {str(Severity.ERROR)}
