"""What becomes of text on its way to Slack."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, strategies as st

from tocsin_slack.text import clean, clusters, cut, cut_escaped, cut_start, escape, one_line

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1e9\U0001f1ea"
THUMB = "\U0001f44d\U0001f3fd"
KEYCAP = "1\ufe0f\u20e3"
ACCENT = "e\u0301\u0323"
HANGUL = "\u1112\u1161\u11ab"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

anything = st.text(st.characters(codec=None))


@pytest.mark.parametrize("whole", [FAMILY, FLAG, THUMB, KEYCAP, ACCENT, HANGUL, ENGLAND])
def test_what_is_seen_as_one_character_is_never_cut_apart(whole: str) -> None:
    text = whole * 10
    for limit in range(len(whole) + 1, len(text)):
        shown = cut(text, limit)
        assert len(shown) <= limit
        assert shown.endswith("…")
        kept = shown.removesuffix("…")
        assert kept
        assert kept == whole * (len(kept) // len(whole))


def test_text_that_fits_is_left_alone_and_one_more_is_cut() -> None:
    assert cut("x" * 150, 150) == "x" * 150
    assert cut("x" * 151, 150) == "x" * 149 + "…"


def test_only_three_characters_become_entities_and_once() -> None:
    assert escape("a & b < c > d \" ' * _ ~ ` é") == "a &amp; b &lt; c &gt; d \" ' * _ ~ ` é"


def test_an_entity_is_never_cut_apart() -> None:
    for limit in range(1, 60):
        shown = cut_escaped("<&>" * 10, limit)
        assert len(shown) <= limit
        assert set(shown.removesuffix("…").replace("&lt;", "").replace("&gt;", "").replace("&amp;", "")) == set()


def test_a_character_longer_than_the_limit_is_cut_where_it_must() -> None:
    shown = cut("a" + "\u0301" * 5000, 100)
    assert shown == "a" + "\u0301" * 98 + "…"


def test_the_end_of_a_traceback_is_what_stays() -> None:
    lines = [f"line {number}" for number in range(1000)]
    shown = cut_start("\n".join(lines), 50)
    assert len(shown) <= 50
    assert shown.startswith("…\nline ")
    assert shown.endswith("line 998\nline 999")


def test_the_end_of_one_long_line_is_kept_in_whole_characters() -> None:
    shown = cut_start("x" * 100 + FAMILY * 20, 33)
    assert len(shown) <= 33
    assert shown == "…" + FAMILY * 6


def test_colours_and_controls_go_and_lines_stay() -> None:
    assert clean("\x1b[1;31mred\x1b[0m\x00\x07\tb\r\nc\rd\x85e\u2028f\x7f") == "red\tb\nc\nd\ne\nf"
    assert one_line("a\r\nX-Evil: yes\n\n b") == "a X-Evil: yes b"


def test_half_a_surrogate_pair_becomes_a_mark_that_can_be_sent() -> None:
    assert clean("a\udc80b").encode() == b"a\xef\xbf\xbdb"


@given(anything, st.integers(1, 80))
def test_a_cut_stays_in_its_limit_whatever_the_text(text: str, limit: int) -> None:
    assert len(cut(text, limit)) <= limit
    assert len(cut_escaped(text, limit)) <= limit
    assert len(cut_start(text, limit)) <= limit


@given(anything)
def test_cleaned_text_can_always_be_sent(text: str) -> None:
    shown = clean(text)
    assert shown.encode().decode() == shown
    assert {unicodedata.category(character) for character in shown if character not in "\n\t"}.isdisjoint({"Cc", "Cs"})
    assert clean(shown) == shown


@given(anything)
def test_the_visible_characters_together_are_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text
