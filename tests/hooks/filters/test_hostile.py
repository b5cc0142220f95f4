"""Filters as a hostile reader writes them: each is taken for what it says, or refused where the fault is."""

import pytest

from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import parse
from tocsin_hooks.testing.samples import sample_event

EVENT = sample_event(
    parameters={"rows": 12, "limit": "1e1", "whole": 2.0, "nan": float("nan"), "odd name": 3, "flag": True},
    labels={"or": "and", "not": "x", "a": "1", "Σ 1": "é", "shard": "7", "back": "\\", "empty": ""},
    duration=90.0,
    map_index=0,
)
NO_TAGS = EVENT.replace(tags=frozenset())

HOLDS = r"""
{a=1}                                | yes
{a=1,}                               | yes
{ a = 1 , }                          | yes
a=1,                                 | yes
(a=1,)                               | yes
(a=2 or a=1,) and flow=etl,          | yes
{}                                   | yes
not ({})                             | no
{(a=1)}                              | yes
{(a=1 or a=2), not a=3}              | yes
"a"="1"                              | yes
"Σ 1"=é                              | yes
"\u03a3\x201"="\303\251"             | yes
a="\x31"                             | yes
a="\061"                             | yes
back="\\"                            | yes
back=~"\\\\"                         | yes
empty=""                             | yes
empty!=""                            | no
nothing=""                           | yes
nothing!=x                           | yes
nothing=x                            | no
nothing=~""                          | yes
nothing!~""                          | no
nothing=~".+"                        | no
nothing!~".+"                        | yes
nothing=~"|x"                        | yes
or=and                               | yes
or=or or or=and                      | yes
or=and and not not=y                 | yes
not=x and or=and                     | yes
not not=y                            | yes
not or=or                            | yes
not not or=and                       | yes
not a=2 or a=1 and a=2               | yes
not (a=2 or a=1) and a=2             | no
a=1 or flow=x, flow=y                | yes
flow=x or a=1, a=2                   | no
"is_failed"                          | yes
is_failed=true                       | yes
is_failed!=true                      | no
is_failed=false                      | no
is_failed="true", "is_failed"        | yes
not is_failed or not is_retrying     | yes
is_failed=~"true|false"              | yes
attempt>=2                           | yes
attempt>2                            | no
attempt<=max_attempts                | yes
attempt>="max_attempts"              | no
attempt="2"                          | yes
attempt=2.0                          | no
attempt<1e1                          | yes
attempt>-.5e1                        | yes
attempt<+3.                          | yes
map_index=0                          | yes
map_index>=0                         | yes
map_index<0                          | no
duration=90                          | yes
duration>89.99                       | yes
duration>=90s                        | yes
duration>"1m 29s"                    | yes
duration<1m31s                       | yes
duration<=max_attempts               | no
params.whole=2                       | yes
params.whole>=2                      | yes
params.rows>params.limit             | yes
params.rows<params.missing           | no
params.rows>=params.missing          | no
not params.rows<params.missing       | yes
attempt<"params.odd name"            | yes
params.nan<1                         | no
params.nan>=1                        | no
params.flag=true                     | yes
params.flag>0                        | no
shard>6                              | yes
shard<max_attempts                   | no
shard>context.a                      | yes
team>1                               | no
tags=prod                            | yes
tags="prod,nightly"                  | no
tags!=prod                           | no
tags!=x                              | yes
tags=""                              | no
tags!=""                             | yes
tags=~"prod|x"                       | yes
tags=~p                              | no
tags!~"p.*"                          | no
tags=~""                             | no
tags!~""                             | yes
state=Failed                         | yes
state=~"Failed|Success"              | yes
state!=Success, state!=Running       | yes
old_state=Running and state=Failed   | yes
flow=~ETL                            | no
flow=~(?i)ETL                        | yes
flow=~"e(?i)TL"                      | yes
flow=~"E(?i)TL"                      | no
flow=~"x|e(?i)T|TL|etl"              | yes
flow=~"(x(?i)y|ETL)"                 | yes
flow=~"(x(?i)y)?ETL"                 | no
flow=~"x|et"                         | no
flow=~"x|etl"                        | yes
flow=~"^x|etl$"                      | yes
flow=~"\\Aetl\\z"                    | yes
flow=~"\\pL+"                        | yes
flow=~"\\p{Lu}+"                     | no
flow=~"\\P{Lu}+"                     | yes
flow=~"[\\p{Ll}]{3}"                 | yes
flow=~"[^\\p{^L}]+"                  | yes
flow=~"[[:alpha:]]+"                 | yes
flow=~"[[:^alpha:]]+"                | no
flow=~"[[:digit:]e[:upper:]]tl"      | yes
flow=~"\\Qetl\\E"                    | yes
flow=~"\\Qe.l\\E"                    | no
flow=~"\\x{65}\\x74l"                | yes
flow=~"(?<first>e)(?P<rest>.*)"      | yes
flow=~"(?U)e.*"                      | yes
flow=~"(?s-i:E)tl"                   | no
flow=~"e{1}t{0,1000}l"               | yes
flow=~"[]e]tl"                       | yes
flow=~"[e[]tl"                       | yes
flow=~e.l                            | yes
flow=~(e|x)(t)l                      | yes
"""


def rows(table: str, columns: int) -> list[list[str]]:
    """The cells of a table, line by line."""
    return [[cell.strip() for cell in line.rsplit(" | ", columns - 1)] for line in table.strip().splitlines()]


@pytest.mark.parametrize(("text", "verdict"), rows(HOLDS, 2))
def test_a_filter_holds_for_what_it_says(text: str, verdict: str) -> None:
    tree = parse(text)
    assert tree.matches(EVENT) is (verdict == "yes")
    assert tree.explain(EVENT).verdict is (verdict == "yes")
    again = parse(tree.to_text())
    assert (again, again.to_text(), again.matches(EVENT)) == (tree, tree.to_text(), verdict == "yes")


@pytest.mark.parametrize(
    ("text", "verdict"),
    [('tags=""', True), ('tags!=""', False), ('tags=~"x|"', True), ("tags=~.+", False), ("tags!=x", True)],
)
def test_an_event_without_tags_has_the_empty_one_for_matchers(text: str, verdict: bool) -> None:
    assert parse(text).matches(NO_TAGS) is verdict


# the text, the part that is to blame (`$` for the end; the last such part of the text), what is said of it
REFUSED = r"""
{                      | $         | expected a matcher, found the end
}                      | }         | expected a matcher, found '}'
{,}                    | ,         | expected a matcher, found ','
,                      | ,         | expected a matcher, found ','
{a=1                   | $         | or '}', found the end
a=1}                   | }         | expected 'and', 'or', ',' or the end, found '}'
{a=bar}}               | }         | expected the end, found '}'
{{a=1}}                | {         | expected a matcher, found '{'
{a=1,,}                | ,         | expected a matcher, found ','
{a=1} or {b=2}         | or        | braces go around a whole expression
{} and a=1             | and       | braces go around a whole expression
not {a=1}              | {         | braces go around a whole expression
({a=1} or b=2)         | or        | expected ')', found 'or'
{a=1)                  | )         | found ')'
(a=1}                  | }         | found '}'
((a=1)                 | $         | or ')', found the end
()                     | )         | expected a matcher, found ')'
a                      | a         | expected an operator after 'a', found the end
"a" "b"=1              | "a"       | expected an operator after 'a', found '"'
a=                     | $         | an empty one is written ""
{a=}                   | }         | an empty one is written ""
a=,b=1                 | ,         | an empty one is written ""
a=~                    | $         | expected a value after '=~'
=a                     | =         | a label stands before an operator
!=a                    | !=        | a label stands before an operator
a==b                   | ==        | '==' is no operator
a!==b                  | =         | holds '=' must be in double quotes
a=~~b                  | ~         | holds '~' must be in double quotes
a ~= b                 | ~         | write '=~' to match a regex
a ! = b                | !         | expected '!=' or '!~'
a = b c                | c         | expected 'and', 'or', ',' or the end, found 'c'
a in (b, c)            | a         | expected an operator after 'a', found 'in'
'a'=b                  | 'a        | quotes are double quotes
a='b'                  | 'b        | quoted with double quotes, not with '
a=b"c"                 | "c"       | a quote in the middle of a value
a=b\c                  | \c        | holds '\' must be in double quotes
"a                     | "a        | the closing '"' is missing
a="b                   | "b        | the closing '"' is missing
a="b\                  | \         | a closing '"' is missing
a="\q"                 | \q        | unknown escape '\q'
a="\'"                 | \'        | unknown escape
a="\400"               | \400      | is no byte
a="\xc3"               | \xc3      | is not UTF-8
a="\uD83D\uDE42"       | \uD83D\uD | is no Unicode character
a="\U0011FFFF"         | \U0011FFF | is no Unicode character
and                    | and       | expected a matcher, found 'and'
or or or               | or or or  | expected a matcher, found 'or'
not                    | $         | expected a matcher, found the end
a=1, and b=2           | and       | expected a matcher, found 'and'
a=1 and, b=2           | ,         | expected a matcher, found ','
a=1 xor b=2            | xor       | expected 'and', 'or', ',' or the end, found 'xor'
a=1 And b=2            | And       | write 'and'
@                      | @         | the name of a filter right after '@'
@(a)                   | @(a)      | the name of a filter right after '@'
@a=1                   | @a        | it takes no operator
@a < 1                 | @a        | it takes no operator
failed                 | failed    | did you mean 'is_failed'?
Is_Failed              | Is_Failed | did you mean 'is_failed'?
is_faled and a=1       | is_faled  | did you mean 'is_failed'?
is_failed=True         | True      | is 'true' or 'false', never 'True'
is_failed=""           | ""        | never ''
is_failed<1            | is_failed | is true or false; '<' compares numbers
flow<1                 | flow      | 'flow' is text
tags>=a                | tags      | 'tags' is text
attempt<               | $         | expected a number or a label after '<', found the end
attempt<,              | ,         | expected a number or a label after '<', found ','
attempt<""             | ""        | compares numbers, and '' is none
attempt<nan            | nan       | 'nan' is none
attempt<inf            | inf       | 'inf' is none
attempt<0x1            | 0x1       | '0x1' is none
attempt<1_0            | 1_0       | '1_0' is none
attempt<٣              | ٣         | '٣' is none
attempt<flow           | flow      | 'flow' is none; it is text
attempt<is_failed      | is_failed | it is true or false
attempt<2m             | 2m        | only 'duration' is compared with a span of time
attempt<limit          | limit     | a label of your own is 'context.limit'
attempt<max_atempts    | max_atemp | did you mean 'max_attempts'?
attempt=>2             | =>        | '=>' is no operator; write '>='
attempt =< 2           | =<        | '=<' is no operator; write '<='
attempt<>2             | >2        | '>2' is none
2<attempt              | 2         | a label stands to the left of '<'; write 'attempt>2'
"1e3">=attempt         | "1e3"     | write 'attempt<=1e3'
duration>-1m           | -1m       | expected a duration
duration>2M            | 2M        | expected a duration
duration>2 m           | m         | found 'm'
state~Failed           | ~         | a label such as 'is_failed'
state=Faild            | Faild     | did you mean 'Failed'?
state=Failed,Success   | Success   | write 'state=Success', and 'or' between two of them
state=Failed|Success   | Failed|Su | did you mean 'state=~"Failed|Success"'?
state=A and state=B    | state=A a | this can never hold
state=A, state!=A      | state=A,  | this can never hold
state=A, not state=A   | state=A,  | this can never hold
state=A, state=~B|C    | state=A,  | this can never hold
state=A, (state=B)     | state=A,  | this can never hold
flow=a*                | a*        | did you mean 'flow=~"a.*"'?
flow=~*.a              | *.a       | any text is written '.*'
flow=~a**              | *         | multiple repeat
flow=~a++              | +         | possessive repeats
flow=~"x{2}+"          | +"        | possessive repeats
flow=~"a{1001}"        | {1001}    | a count above 1000
flow=~"a{2,99999999}"  | {2,999999 | a count above 1000
flow=~"ab(?=c)"        | (?=       | look-ahead and look-behind are not supported
flow=~"ab(?!c)"        | (?!       | look-ahead and look-behind are not supported
flow=~"ab(?<=c)"       | (?<=      | look-ahead and look-behind are not supported
flow=~"ab(?<!c)"       | (?<!      | look-ahead and look-behind are not supported
flow=~"(a)\\1"         | \\1       | references back
flow=~"(?P<x>a)(?P=x)" | (?P=      | references back
flow=~"a(?>b)"         | (?>       | atomic groups
flow=~"(a)?(?(1)b|c)"  | (?(       | conditional groups
flow=~"a(?x) b"        | (?x       | the flag 'x' is not supported
flow=~"a(?z)b"         | ?z        | unknown extension
flow=~"a\\p{Elvish}"   | \\p       | unknown class of characters '\p{Elvish}'
flow=~"a[[:elves:]]"   | [:elves   | unknown class of characters '[:elves:]'
flow=~"a\\x{110000}"   | \\x       | is no character
flow=~"[b-a]"          | b-a       | bad character range
flow=~"ab[c"           | [c        | unterminated character set
flow=~"(?i)ab("        | ("        | missing )
flow=~"a)"             | )"        | unbalanced parenthesis
"""


@pytest.mark.parametrize(("text", "part", "reason"), rows(REFUSED, 3))
def test_a_fault_is_named_where_it_is(text: str, part: str, reason: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    error = caught.value
    assert reason in error.reason
    assert error.start == (len(text) if part == "$" else text.rindex(part))
    assert error.start < error.end <= len(text) + 1
    assert not error.reason.endswith(".")
    assert set(error.caret().splitlines()[1].strip()) == {"^"}


@pytest.mark.parametrize(
    ("text", "start", "reason"),
    [
        ("\ufeffflow=etl", 0, "begins with a byte order mark"),
        ("flow=caf\udce9", 8, r"'\udce9' is no character; the text was not UTF-8"),
        ('flow="\ud83d\ude42"', 6, "is no character"),
    ],
)
def test_what_is_no_text_is_refused(text: str, start: int, reason: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert reason in caught.value.reason
    assert caught.value.start == start
    assert str(caught.value).encode()  # an error about it can be printed


@pytest.mark.parametrize("given", [None, 3, b"flow=etl", parse("flow=etl")])
def test_only_text_can_be_read(given: object) -> None:
    with pytest.raises(TypeError, match="a filter is written as text, not as"):
        parse(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "duration>" + "1" * 300_000 + "x",
        "duration>" + "1h" * 100_000,
        "attempt>" + "maxat" * 100_000,
        "state=" + "Fail" * 100_000 + "|",
        "is_" + "failed" * 100_000,
        "@" + "x" * 300_000 + "=",
        "flow=" + "*" * 300_000,
        "flow=a, " * 40_000 + "}",
        "\n" * 300_000 + "}",
    ],
)
def test_what_is_said_of_a_long_text_is_short(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert len(str(caught.value)) < 1000
    assert caught.value.caret().count("^") >= 1


def test_an_error_deep_in_a_long_line_shows_what_is_around_it() -> None:
    with pytest.raises(FilterError) as caught:
        parse("flow=a, " * 50 + "flow= , flow=b" + ", flow=c" * 50)
    line, carets = caught.value.caret().splitlines()
    assert line.startswith("...")
    assert line.endswith("...")
    assert line[carets.index("^") - 6 : carets.index("^") + 1] == "flow= ,"


def test_carets_stand_under_the_part_where_characters_are_wide_or_invisible() -> None:
    with pytest.raises(FilterError) as caught:
        parse('flow="世界\te\u0301\x1b" and state=Faild')
    line, carets = caught.value.caret().splitlines()
    assert line == 'flow="世界 e\u0301\ufffd" and state=Faild'
    assert carets == " " * len('flow="....' + " e." + '" and state=') + "^" * len("Faild")
