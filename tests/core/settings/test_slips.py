"""What somebody types at night that is no TOML, and what it is said to be."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tocsin.settings import Problem

Said = Callable[..., list[str]]
Checked = Callable[..., list[Problem]]

SECRET = "hunter2-and-more"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("größe = 1", '1:1 a key without quotes has only A to Z, 0 to 9, _ and -; put it in quotes: "größe"'),
        ("[channels.größe]", '1:11 a key without quotes has only A to Z, 0 to 9, _ and -; put it in quotes: "größe"'),
        ("a.ö = 1", '1:3 a key without quotes has only A to Z, 0 to 9, _ and -; put it in quotes: "ö"'),
        (
            "[defaults]\ns\u0435nd = ['ops']",
            (
                "2:1 's\u0435nd' has a letter in it that only looks like one of A to Z: CYRILLIC SMALL LETTER IE; "
                "type 'send' anew"
            ),
        ),
        ("project = \u201cx\u201d", "1:11 '\u201c' is no quotation mark of TOML; type \" instead"),
        ("max\u2013x = 1", "1:4 this is no '-' but EN DASH (U+2013); type '-' instead"),
        ("project \uff1d 'x'", "1:9 this is no '=' but FULLWIDTH EQUALS SIGN (U+FF1D); type '=' instead"),
        (
            "project\u00a0= 'x'",
            "1:8 here is an invisible NO-BREAK SPACE (U+00A0); delete it; what spaces there are must be plain ones",
        ),
        (
            "\u200bproject = 'x'",
            "1:1 here is an invisible ZERO WIDTH SPACE (U+200B); delete it; what spaces there are must be plain ones",
        ),
        ("project: 'x'", "1:8 between a key and its value stands '=', and no ':'; type '=' instead"),
        ("the project = 'x'", "1:5 a key of more than one word; join the words, or put them in quotes"),
        ("[delivery]\ndrain = 5m", '2:9 a span of time is a text; put it in quotes: "5m"'),
        ("[delivery]\ndrain = 1.5 h", '2:9 a span of time is a text; put it in quotes: "1.5h"'),
        ("[delivery]\ndrain =", "2:7 the value is missing"),
        ("[delivery]\ndrain = # later\nthreads = 1", "2:7 the value is missing"),
        ("[delivery]\ndrain = '5m',", "2:13 a comma at the end of a line; leave it out"),
        ("project = 'it's'", "1:15 the text ends before this; a text with a ' in it stands in double quotes"),
        ('project = "a "b" c"', '1:15 the text ends before this; inside a text a " is written \\"'),
        ("[[routes]", "1:9 the header is opened and closed by different numbers of brackets"),
        ("[routes]]", "1:9 the header is opened and closed by different numbers of brackets"),
        ("// what it is for", "1:1 invalid statement; a comment begins with '#'"),
        ("[[routes]]\nstop = yes", "2:8 invalid value; write true"),
        ("[[routes]]\nstop = False", "2:8 invalid value; write false"),
        ("[[routes]]\nunder = None", "2:9 invalid value; leave the key out where there is nothing to say"),
        ("[defaults]\nsend = [ops]", "2:9 invalid value; text stands in double quotes"),
    ],
)
def test_a_slip_is_told_where_it_is_and_what_would_do(said: Said, text: str, expected: str) -> None:
    place, _, message = expected.partition(" ")
    assert said(text) == [f"{place} E103 not TOML: {message}"]


def test_the_carets_stand_under_the_key_that_is_meant(checked: Checked) -> None:
    [problem] = checked("[channels.größe]\ntype = 'pager'\n")
    assert problem.render().splitlines()[1:] == ["    1 | [channels.größe]", "      |           ^^^^^"]
    [problem] = checked("größe = 'x'")
    assert problem.render().splitlines()[1:] == ["    1 | größe = ***", "      | ^^^^^"]


@pytest.mark.parametrize(
    "line",
    [
        f"path = postgresql://u:{SECRET}@h/db",
        f"url = postgresql://u:{SECRET}@h/db",
        f"url = u:{SECRET}@h/db",
        f"url: 'postgresql://u:{SECRET}@h/db'",
        f"path = host=db password={SECRET}",
        f"path = 'x' {SECRET}://u:{SECRET}@h",
    ],
)
def test_an_address_in_a_line_that_is_no_toml_is_not_shown(checked: Checked, line: str) -> None:
    [problem] = checked(f"[store]\n{line}\n")
    assert problem.code == "E103"
    assert SECRET not in problem.render() + str(problem.to_dict())
    assert problem.place.position.line == 2


def test_a_text_in_utf16_is_said_to_be_that(said: Said) -> None:
    assert said("version = 1\n".encode("utf-16")) == ["1:1 E102 the file is UTF-16 text; save it as UTF-8"]
