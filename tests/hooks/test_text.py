"""Text on its way to a service: nothing in it may break the cut, the log or the JSON."""

from __future__ import annotations

import json

from hypothesis import given, strategies as st

from tocsin_hooks.secrets import Secret
from tocsin_hooks.text import cut, excerpt, one_line, to_json, whole


@given(st.text(), st.integers(1, 20))
def test_a_cut_keeps_to_its_limit_and_says_that_it_was_made(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short) <= limit
    if len(text) <= limit:
        assert short == text
    else:
        assert short[-1] == "…"
        assert text.startswith(short[:-1])


def test_a_cut_never_parts_a_letter_from_its_marks() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert cut(f"ab{family}cd", 5) == "ab…"
    assert cut("\U0001f44d\U0001f3fd" * 2, 2) == "…"


@given(st.text(alphabet=st.characters()) | st.text(alphabet=st.characters(categories=["Cs"])))
def test_any_text_fits_into_utf_8(text: str) -> None:
    assert json.loads(to_json({"t": text})) == {"t": whole(text)}
    assert len(whole(text)) <= len(text)


def test_what_json_cannot_hold_goes_as_its_text() -> None:
    deep: dict[str, object] = {}
    deep["self"] = [deep]
    value = {"inf": float("inf"), "object": ValueError("x"), "tags": {"b", "a"}, 3: (1, True, None), "deep": deep}
    decoded = json.loads(to_json(value), parse_constant=lambda name: f"not JSON: {name}")
    assert decoded["inf"] == "inf"
    assert decoded["object"] == "x"
    assert decoded["tags"] == ["a", "b"]
    assert decoded["3"] == [1, True, None]
    assert set(decoded["deep"]) == {"self"}


@given(st.text())
def test_one_line_is_one_line(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1


def test_a_quoted_answer_is_short_one_line_and_holds_no_secret() -> None:
    Secret.literal("tok-123456").get_secret_value()
    quoted = excerpt("a\x00b\r\n\x1b[1m tok-123456 https://u:p@h/T/x \ud83d " + "z" * 1000)
    assert quoted.startswith("ab [1m [secret] https://h/... zzz")
    assert len(quoted) == 500
    assert quoted.isprintable()
