"""Which texts are filters, what they mean, and what is said about those that are none."""

import pytest

from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import (
    EVERYTHING,
    And,
    Compare,
    Filter,
    Flag,
    LabelRef,
    Match,
    Not,
    Or,
    Ref,
    parse,
    when,
)

A, B, C = Match("a", "=", "1"), Match("b", "=", "2"), Match("c", "=", "3")


def refusal(text: str, labels: set[str] | None = None) -> FilterError:
    with pytest.raises(FilterError) as caught:
        parse(text, labels=labels)
    return caught.value


# ---------------------------------------------------------------- Alertmanager's list of matchers


@pytest.mark.parametrize(
    ("text", "matchers"),
    [
        ("a=1", [A]),
        ("{a=1}", [A]),
        ("a=1,", [A]),
        ("{a=1,}", [A]),
        (" { a = 1 , b = 2 } ", [A, B]),
        ("a=1,b=2", [A, B]),
        ('"a"="1","b"="2"', [A, B]),
        ('x="",y!=z', [Match("x", "=", ""), Match("y", "!=", "z")]),
        ("x=~a.+,y!~b", [Match("x", "=~", "a.+"), Match("y", "!~", "b")]),
        ('x="{}!=~,\\\\\'` "', [Match("x", "=", "{}!=~,\\'` ")]),
        ('"foo bar"=x', [Match("foo bar", "=", "x")]),
        ("0-_.:/=0-_.:/", [Match("0-_.:/", "=", "0-_.:/")]),
        ("Σ=🙂, é!=ü", [Match("Σ", "=", "🙂"), Match("é", "!=", "ü")]),
        ("x=<3>", [Match("x", "=", "<3>")]),
        ("a=1\u2003,\u00a0b=2\n", [A, B]),
    ],
)
def test_a_comma_list_of_matchers_holds_when_all_of_them_do(text: str, matchers: list[Filter]) -> None:
    assert parse(text) == (matchers[0] if len(matchers) == 1 else And(tuple(matchers)))


@pytest.mark.parametrize("text", ["", " \n", "{}", "{ }"])
def test_an_empty_list_holds_for_everything(text: str) -> None:
    assert parse(text) == EVERYTHING


@pytest.mark.parametrize(
    ("text", "start", "part"),
    [
        ("{", 1, "found the end"),
        ("}", 0, "found '}'"),
        ("{a=1", 4, "'}', found the end"),
        ("a=1}", 3, "found '}'"),
        ("{a=1}}", 5, "found '}'"),
        ("{{a=1}}", 1, "found '{'"),
        ("{a=1},", 5, "found ','"),
        ("{a=1}{b=2}", 5, "found '{'"),
        (",", 0, "found ','"),
        ("{,}", 1, "found ','"),
        (",a=1", 0, "found ','"),
        ("a=1,,", 4, "found ','"),
        ("a=1 b=2", 4, "expected 'and', 'or', ',' or the end, found 'b'"),
        ("a", 0, "expected an operator after 'a', found the end"),
        ('"a"', 0, "expected an operator after 'a', found the end"),
        ("a=", 2, 'an empty one is written ""'),
        ("a=,b=2", 2, 'an empty one is written ""'),
        ("{a=}", 3, 'an empty one is written ""'),
        ("=1", 0, "expected a matcher, found '='"),
        ('""=1', 0, "cannot be empty"),
        ("a!1", 1, "'!' is no operator; expected '!=' or '!~'"),
        ("a==1", 1, "'==' is no operator; write '='"),
        ("a=!1", 2, "holds '!' must be in double quotes"),
        ("a= ~1", 3, "holds '~' must be in double quotes"),
        ("a=x\\n", 3, "holds '\\' must be in double quotes"),
        ("a=~x{2}", 4, "holds '{' must be in double quotes"),
        ("a='1'", 2, "double quotes, not with '"),
        ("a=`1`", 2, "double quotes, not with `"),
        ('a=1"2"', 3, "in the middle of a value"),
        ('a="1"2', 5, "found '2'"),
        ('"a"b=1', 0, "expected an operator after 'a', found 'b'"),
        ('a="1', 2, "closing '\"' is missing"),
        ('a="1\\', 4, "closing '\"' is missing"),
        ('a="x\ny"', 4, "a quoted text ends on the line"),
    ],
)
def test_what_breaks_the_matcher_list_is_refused_at_its_place(text: str, start: int, part: str) -> None:
    error = refusal(text)
    assert part in error.reason
    assert (error.start, error.text) == (start, text)


def test_white_space_is_that_of_unicode_and_control_characters_are_not() -> None:
    assert parse("a=x\x1cy") == Match("a", "=", "x\x1cy")
    assert parse("a=x\u200by") == Match("a", "=", "x\u200by")
    assert refusal("a=x\x85y").start == 4


# ---------------------------------------------------------------- escapes


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"\" \\ \n \t \r", '" \\ \n \t \r'),
        (r"\a\b\f\v", "\a\b\f\v"),
        (r"\u00e9\U0001F642", "é🙂"),
        (r"\x41\101", "AA"),
        (r"\xc3\xa9\303\251", "éé"),
        (r"\\n", r"\n"),
        ("\t'`{}", "\t'`{}"),
    ],
)
def test_quoted_text_knows_the_escapes_of_go(written: str, meant: str) -> None:
    assert parse(f'a="{written}"') == Match("a", "=", meant)
    assert parse(f'"{written}"=1') == Match(meant, "=", "1")


@pytest.mark.parametrize(
    ("written", "start", "end", "part"),
    [
        (r"x\qy", 4, 6, r"unknown escape '\q'; a backslash is written '\\'"),
        (r"\'", 3, 5, "unknown escape"),
        (r"\d+", 3, 5, r"unknown escape '\d'"),
        (r"\xff", 3, 7, "is not UTF-8"),
        (r"a\xc3é", 4, 8, "is not UTF-8"),
        (r"\x4", 3, 7, "needs 2 hexadecimal digits"),
        (r"\u12", 3, 8, "needs 4 hexadecimal digits"),
        (r"\ud800", 3, 9, "is no Unicode character"),
        (r"\U00110000", 3, 13, "is no Unicode character"),
        (r"\18", 3, 7, "needs 3 octal digits"),
        (r"\777", 3, 7, "is no byte"),
        (r"\u+123", 3, 9, "needs 4 hexadecimal digits"),
    ],
)
def test_a_bad_escape_is_refused_at_its_place(written: str, start: int, end: int, part: str) -> None:
    error = refusal(f'a="{written}"')
    assert part in error.reason
    assert (error.start, error.end) == (start, end)


# ---------------------------------------------------------------- beyond Alertmanager


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a=1 or b=2 and c=3", Or((A, And((B, C))))),
        ("a=1, b=2 or c=3", Or((And((A, B)), C))),
        ("(a=1 or b=2), c=3", And((Or((A, B)), C))),
        ("not a=1 and b=2", And((Not(A), B))),
        ("not (a=1 and b=2)", Not(And((A, B)))),
        ("not not a=1", Not(Not(A))),
        ("(a=1)and(b=2)or not(c=3)", Or((And((A, B)), Not(C)))),
        ("a=1 and (b=2 and c=3)", And((A, B, C))),
        ("a=1 or (b=2 or c=3)", Or((A, B, C))),
        ('a="1"and b=2', And((A, B))),
        ("{a=1 or b=2}", Or((A, B))),
        ("({a=1}) or ({b=2,})", Or((A, B))),
        ("a=1\nand\n\tb=2", And((A, B))),
        ("((((a=1))))", A),
        ("is_failed", Flag("is_failed")),
        ("not is_failed, will_retry", And((Not(Flag("is_failed")), Flag("will_retry")))),
        ("is_failed=true", Match("is_failed", "=", "true")),
        ("@prod and not @a.b-c", And((Ref("prod"), Not(Ref("a.b-c"))))),
        ('@"night shift"', Ref("night shift")),
        ("params.owner=x", Match("params.owner", "=", "x")),
    ],
)
def test_or_binds_loosest_then_and_then_not_then_parentheses(text: str, tree: Filter) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("not=1", Match("not", "=", "1")),
        ("not =1", Match("not", "=", "1")),
        ("not not=1", Not(Match("not", "=", "1"))),
        ("and=or or or=and", Or((Match("and", "=", "or"), Match("or", "=", "and")))),
        ("a=not and b=and", And((Match("a", "=", "not"), Match("b", "=", "and")))),
        ("state=or", Match("state", "=", "or")),
        ("nothing=1 and android=2", And((Match("nothing", "=", "1"), Match("android", "=", "2")))),
    ],
)
def test_words_are_keywords_only_where_an_operator_is_expected(text: str, tree: Filter) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("x=~(a|b)_.+ or b=2", Or((Match("x", "=~", "(a|b)_.+"), B))),
        ("(x=~(a|(b|c)).+)", Match("x", "=~", "(a|(b|c)).+")),
        ("(x=f(y)and a=1)", And((Match("x", "=", "f(y)and"), A))),
        ("x=(", Match("x", "=", "(")),
    ],
)
def test_a_bare_value_may_hold_balanced_parentheses(text: str, tree: Filter) -> None:
    if tree == And((Match("x", "=", "f(y)and"), A)):  # the word touches the value, so it is a part of it
        assert "found 'a'" in refusal(text).reason
    else:
        assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "start", "part"),
    [
        ("x=a)", 3, "an unbalanced ')' must be in double quotes"),
        ("x=)", 2, "expected a value after '='"),
        ("(a=1", 4, "',' or ')', found the end"),
        ("()", 1, "expected a matcher, found ')'"),
        ("a=1 and", 7, "expected a matcher, found the end"),
        ("a=1 and or b=2", 8, "expected a matcher, found 'or'"),
        ("not", 3, "expected a matcher, found the end"),
        ("a=1 AND b=2", 4, "write 'and'"),
        ("a=1 || b=2", 4, "write 'or'"),
        ("a=1 && b=2", 4, "write 'and'"),
        ("!is_failed", 0, "write 'not'"),
        ("NOT is_failed", 0, "write 'not'"),
        ("a=1 or {b=2}", 7, "braces go around a whole expression"),
        ("is_faild", 0, "did you mean 'is_failed'?"),
        ("a~b", 1, "write '=~' to match a regex"),
        ("state~Failed", 5, "'is_failed' for a state and those below it"),
        ("@", 0, "the name of a filter right after '@'"),
        ("@ prod", 0, "the name of a filter right after '@'"),
        ('@""', 0, "cannot be empty"),
        ("@prod=1", 0, "'@prod' is a filter; it takes no operator"),
        ("(" * 51 + "a=1" + ")" * 51, 50, "nested more than 50 deep"),
        ("not " * 5000 + "a=1", 200, "nested more than 50 deep"),
    ],
)
def test_what_breaks_the_grammar_is_refused_with_a_way_out(text: str, start: int, part: str) -> None:
    error = refusal(text)
    assert part in error.reason
    assert error.start == start


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("attempt>=3", Compare("attempt", ">=", 3)),
        ("attempt < -1.5e2", Compare("attempt", "<", -150.0)),
        ('attempt<="3"', Compare("attempt", "<=", 3)),
        ("attempt>=max_attempts", Compare("attempt", ">=", LabelRef("max_attempts"))),
        ('attempt>="max_attempts"', Compare("attempt", ">=", LabelRef("max_attempts"))),
        ('attempt>="params.at most"', Compare("attempt", ">=", LabelRef("params.at most"))),
        ("params.rows>params.limit", Compare("params.rows", ">", LabelRef("params.limit"))),
        ("shard<4", Compare("shard", "<", 4)),
        ("duration>90s", Compare("duration", ">", 90)),
        ("duration>2m", Compare("duration", ">", 120)),
        ('duration<"1h 30m"', Compare("duration", "<", 5400)),
        ("duration<500ms", Compare("duration", "<", 0.5)),
        ("duration<90", Compare("duration", "<", 90)),
    ],
)
def test_number_operators_compare_with_numbers_durations_and_labels(text: str, tree: Filter) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "start", "part"),
    [
        ("flow<3", 0, "'flow' is text; '<' compares numbers"),
        ("tags>=3", 0, "'tags' is text"),
        ("is_failed>0", 0, "'is_failed' is true or false"),
        ("attempt>three", 8, "'three' is none"),
        ("attempt>max_attempt", 8, "did you mean 'max_attempts'?"),
        ("attempt>90s", 8, "'90s' is none"),
        ("attempt>nan", 8, "'nan' is none"),
        ("attempt>1e999", 8, "'1e999' is none"),
        ("attempt>" + "9" * 5000, 8, "is none"),
        ("duration>90x", 9, "expected a duration"),
        ("attempt>", 8, "expected a number or a label after '>'"),
    ],
)
def test_a_comparison_of_what_is_no_number_is_refused(text: str, start: int, part: str) -> None:
    error = refusal(text)
    assert part in error.reason
    assert error.start == start


# ---------------------------------------------------------------- sense


@pytest.mark.parametrize(
    ("text", "start", "part"),
    [
        ("state=Faild", 6, "unknown state 'Faild'; did you mean 'Failed'?"),
        ("old_state!=runing", 11, "did you mean 'Running'?"),
        ("state=failed", 6, "did you mean 'Failed'?"),
        ("flow=prod-*", 5, "did you mean 'flow=~\"prod-.*\"'?"),
        ("flow!=prod.*", 6, "did you mean 'flow!~\"prod.*\"'?"),
        ("is_failed=yes", 10, "'is_failed' is 'true' or 'false', never 'yes'"),
        ("state=Failed and state=Success", 0, "this can never hold: 'state' has one value; write 'or'"),
        ("a=1 or state=Failed, (state=Running or state=Success)", 7, "this can never hold"),
        ('x=~"a("', 5, "bad regex: missing )"),
        ('x=~"\\\\d+("', 8, "bad regex: missing )"),
        ("x=~a|*", 5, "bad regex: nothing to repeat"),
    ],
)
def test_a_matcher_that_cannot_be_meant_is_refused(text: str, start: int, part: str) -> None:
    error = refusal(text)
    assert part in error.reason
    assert (error.start, error.code) == (start, "E201")


@pytest.mark.parametrize(
    "text",
    [
        "state=~Faild.*",
        "state=Failed or state=Success",
        'old_state=""',
        'flow="prod-*"',
        "team=a, team=b",
        "state=Firing",
    ],
)
def test_what_could_be_meant_is_accepted(text: str) -> None:
    assert isinstance(parse(text), Filter)


def test_a_label_that_no_event_has_is_refused_when_the_labels_are_known() -> None:
    assert parse("teem=data") == Match("teem", "=", "data")
    error = refusal("flow=etl and teem=data", labels={"team"})
    assert error.reason == "unknown label 'teem'; did you mean 'team'?"
    assert (error.start, error.end, error.code) == (13, 17, "E202")
    assert "did you mean 'severity'?" in refusal("severty=x", labels=set()).reason
    parse("team=data, flow=x, params.any=1, context.any=1, exception.message=x, sequence>1, is_task", labels={"team"})


def test_an_error_shows_the_line_and_points_at_the_part() -> None:
    error = refusal("flow=etl\nand state=Faild")
    assert str(error) == "unknown state 'Faild'; did you mean 'Failed'?\n  and state=Faild\n            ^^^^^"


def test_every_node_knows_where_it_stands_in_the_text() -> None:
    text = " a=1 and (not is_failed or attempt>=3), @x"
    spans = {type(node).__name__: text[slice(*node.span)] for node in parse(text).walk() if node.span}
    assert spans == {
        "And": "a=1 and (not is_failed or attempt>=3), @x",
        "Match": "a=1",
        "Or": "not is_failed or attempt>=3",
        "Not": "not is_failed",
        "Flag": "is_failed",
        "Compare": "attempt>=3",
        "Ref": "@x",
    }


def test_reading_the_same_text_again_gives_the_same_filter() -> None:
    assert when("a=1 and b=2") is when("a=1 and b=2")
