"""That a regex means what `re` means by it, and that none can stall a run."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings, strategies as st

from tocsin_hooks.filters.automaton import Automaton
from tocsin_hooks.filters.regex import Regex, compile_regex
from tocsin_hooks.filters.regex_syntax import RegexError
from tocsin_hooks.filters.regex_tree import parse_regex

LONG = "a" * 20_000
ATOMS = [
    "a",
    "b",
    ".",
    "[ab]",
    "[^a]",
    "^",
    "$",
    r"\b",
    r"\B",
    r"\A",
    r"\Z",
    r"\w",
    "\n",
    "(?i:A)",
    "[a-c]",
    r"[\d_-]",
    r"[^\s-]",
    "(?i:[^A])",
    "(?m:^)",
    "(?m:$)",
    "(?a:é|\\b)",
]


def patterns() -> st.SearchStrategy[str]:
    return st.recursive(
        st.sampled_from(ATOMS),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "*?", "{0,2}?"])).map(
                lambda part: f"(?:{part[0]}){part[1]}"
            ),
        ),
        max_leaves=6,
    )


@settings(max_examples=300, deadline=None)
@given(patterns(), st.text("abAé\n -", max_size=7).filter(bool))
def test_the_automaton_matches_what_re_matches(pattern: str, text: str) -> None:
    expected = re.compile(pattern, re.DOTALL).fullmatch(text) is not None
    assert Automaton(parse_regex(pattern)).fullmatch(text) is expected
    assert Regex(pattern).matches(text) is expected


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a*)*b", LONG),
        ("(a|a)*b", LONG),
        ("(a|aa)+b", LONG),
        ("(a+a+)+b", LONG),
        ("(.*a){12}b", LONG),
        (".*a.*a.*a.*a.*b", LONG),
        ("a*" * 12 + "b", LONG),
        ("(a?){30}a{30}b", LONG),
        ("((a{1,20}){1,20})b", LONG),
        (r"(.*\s)*\d+", "ab " * 7000),
        (r"^(\w+\s?)*$", "word " * 4000 + "!"),
        (r"([a-zA-Z0-9]+)*@", LONG),
    ],
)
def test_no_pattern_runs_away_on_a_long_value(pattern: str, text: str) -> None:
    regex = Regex(pattern)
    started = time.process_time()
    assert regex.matches(text) is False
    assert regex.matches(text[-max(regex.limit, 0) :]) is False  # the longest that `re` is trusted with
    assert time.process_time() - started < 2  # milliseconds, most of them; seconds to centuries with `re`


@pytest.mark.parametrize(
    "pattern",
    ["etl", "prod-.*", ".*timeout.*", "(ledger|invoice)_.+", r"\d{4}-\d\d-\d\d", "(?i).*error.*"],
)
def test_everyday_patterns_run_on_re_or_a_set_whatever_the_length(pattern: str) -> None:
    assert Regex(pattern).limit >= 1_000_000


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("Failed|TimedOut", {"Failed", "TimedOut"}),
        ("(dev|test)-[12]x?", {"dev-1", "dev-1x", "dev-2", "dev-2x", "test-1", "test-1x", "test-2", "test-2x"}),
        ("", {""}),
        ("(?i)Failed", None),
        ("a.", None),
        ("a+", None),
        ("[^a]", None),
        ("[0-9]{4}", None),
        ("[a-z][a-z][a-z]", None),
    ],
)
def test_a_pattern_that_lists_words_is_known_by_its_words(pattern: str, words: set[str] | None) -> None:
    assert Regex(pattern).words == words


@pytest.mark.parametrize(
    ("pattern", "part", "position"),
    [
        ("a(", "missing )", 1),
        ("a)", "unbalanced parenthesis", 1),
        ("*", "nothing to repeat", 0),
        ("a{2,1}", "min repeat greater than max repeat", 2),
        (r"ab\k", "bad escape", 2),
        ("x[a--b]", "a set inside a set", 3),
        ("x[[:alpha:]--b]", "a set inside a set", 11),
        ("(?=a)a", "look-ahead", 0),
        ("a(?!a)b", "look-ahead and look-behind are not supported", 1),
        (r"(a)\1", "references back", 3),
        ("(?>a*)b", "atomic groups", 0),
        ("a*+b", "possessive repeats", 2),
        ("(a)(?(1)b|c)", "conditional groups", 3),
        ("a{9999999999999}", "a count above 1000", 1),
        ("a{0,1001}", "a count above 1000", 1),
        (r"\Qa(\Eb(", "missing )", 7),
        (r"\pLx(", "missing )", 4),
        ("x(?i)a(", "missing )", 6),
        ("x(?#a", "the comment has no end", 1),
        (r"\p{Klingon}", "unknown class of characters", 0),
        ("x(?)", "unknown extension", 2),
        ("((a{1,99}b){1,99}c){1,99}", "counted repeats come to too many", None),
        ("(" * 3000 + ")" * 3000, "too deeply nested", None),
        ("a" * 10_001, "at most 10000", None),
    ],
)
def test_a_regex_that_cannot_be_used_is_refused_with_the_reason(pattern: str, part: str, position: int | None) -> None:
    with pytest.raises(RegexError) as caught:
        compile_regex(pattern)
    assert part in caught.value.reason
    assert caught.value.position == position


def test_an_automaton_forgets_what_it_remembers_in_time() -> None:
    automaton = Automaton(parse_regex("(.*a.{300})?.*b"))
    text = "".join("ab"[(i * i) % 7 % 2] for i in range(3000))
    assert automaton.fullmatch(text + "b")
    assert not automaton.fullmatch(text + "c")
    assert automaton._remembered <= 201_000


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (r"a\z", "a"),
        (r"\Qa.(b\E+", r"a\.\(b+"),
        (r"\Qa.b", r"a\.b"),
        (r"\Q\E", ""),
        (r"\x{e9}\x{1F642}?", "é🙂?"),
        (r"\pL\d", "[a-zA-Zé]\\d"),
        (r"\p{Lu}\P{Lu}", "[A-Z][^A-Z]"),
        (r"[^\pL\pN_]", r"[^\w]"),
        (r"[\P{L}a]", r"[^b-zA-Zé]"),
        (r"[[:upper:][:digit:]_]", "[A-Z0-9_]"),
        (r"[^[:^space:]]", "[\\t-\\r ]"),
        ("[a&&b]", "[ab&]"),
        ("[[a]", r"[a\[]"),
        ("a(?i)b|c", "a[bB]|[cC]"),
        ("(a(?i)b|c)d", "(a[bB]|[cC])d"),
        ("(?i)a(?-i)b", "[aA]b"),
        ("(?-s)a.b", "a[^\n]b"),
        ("(?U)a+b", "a+b"),
        ("(?iU:a+)b", "[aA]+b"),
        ("(?a:(?u:\\w))", r"\w"),
        ("(?<n>a)b", "ab"),
        ("a(?#b)c", "ac"),
        (r"\141", "a"),
        ("a{,2}", "a{0,2}"),
        ("a{", r"a\{"),
    ],
)
def test_what_re2_writes_otherwise_is_understood(written: str, same: str) -> None:
    texts = [
        "",
        *"abcABCDé1_-.& \n[{🙂",
        "ab",
        "aB",
        "Ab",
        "AB",
        "ac",
        "aC",
        "bc",
        "cd",
        "Cd",
        "abd",
        "aBd",
        "aa",
        "aab",
    ]
    texts += ["a.(b", "a.(bb", "a.b", "axb", "a\nb", "é🙂", "a1", "é1", "Aa", "A1", "a{"]
    expected = {text for text in texts if re.fullmatch(same, text, re.DOTALL)}
    assert expected
    assert set(filter(Regex(written).matches, texts)) == expected
    assert set(filter(Automaton(parse_regex(written)).fullmatch, texts)) == expected


def test_threads_that_share_a_pattern_do_not_disturb_each_other() -> None:
    regex = Regex("(.*a.{9})?.*b")
    texts = ["".join("ab"[(i * i * k) % 7 % 2] for i in range(400)) for k in range(1, 9)]
    automaton = Automaton(parse_regex("(.*a.{9})?.*b"), most=50)  # forgets all the time
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda text: automaton.fullmatch(text + "b"), texts * 8))
        assert not any(pool.map(lambda text: automaton.fullmatch(text + "c"), texts * 8))
        assert all(pool.map(lambda text: regex.matches(text + "b"), texts))
