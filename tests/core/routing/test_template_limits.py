"""A template does no more than a message needs, however it is written: it neither loops on nor fills the memory."""

from __future__ import annotations

import pytest

from tocsin.routing.template_limits import LARGEST, STEPS
from tocsin.routing.templates import OUTPUT_CAP, check_template, render

DATA = {"flow": "etl", "message": "m" * 4000, "params": {"a": 1, "b": 2}}
DOUBLED = "{% set ns = namespace(s='0123456789') %}{% for i in range(40) %}{% set ns.s = ns.s SIGN ns.s %}{% endfor %}"

TOO_LONG = {
    "loops in loops": "{% for a in range(1000) %}{% for b in range(1000) %}{% endfor %}{% endfor %}",
    "loops over the same text": "{% for a in message %}{% for b in message %}{% endfor %}{% endfor %}",
    "ranges in a loop": "{% for a in range(100) %}{% set x = range(9000)|sum %}{% endfor %}",
    "macros that call themselves twice": (
        "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}"
    ),
}
TOO_LARGE = {
    "a text repeated": "{{ 'x' * 500000000 }}",
    "a list repeated": "{{ (message|list * 100000000)|length }}",
    "a power": "{{ 9 ** 999999 }}",
    "a power of a power": "{{ 9 ** 99999 ** 9 }}",
    "a width": "{{ '%500000000s' % flow }}",
    "a width that is given": "{{ '%*s' % (500000000, flow) }}",
    "a width of a number": "{{ '%500000000d'|format(1) }}",
    "a width in braces": "{{ '{:500000000}'.format(flow) }}",
    "a text adjusted": "{{ flow.ljust(500000000) }}",
    "a text in the middle": "{{ flow|center(500000000) }}",
    "a text indented": "{{ message|indent(500000000) }}",
    "a text doubled with +": DOUBLED.replace("SIGN", "+"),
    "a text doubled with ~": DOUBLED.replace("SIGN", "~"),
    "much put in the place of little": "{{ message|replace('m', 'x' * 100000) }}",
    "much put in the place of little by a method": "{{ message.replace('m', 'x' * 100000) }}",
    "much between many": "{{ message|join('x' * 100000) }}",
    "much between what is not counted": "{{ range(9000)|map('upper')|join('x' * 100000) }}",
}


@pytest.mark.timeout(20)  # seconds; without limits each takes hours, or the memory there is
@pytest.mark.parametrize("name", TOO_LONG)
def test_a_template_takes_a_bounded_number_of_steps(name: str) -> None:
    with pytest.raises(ValueError, match=f"takes more than {STEPS:,} steps; let it loop less"):
        render(TOO_LONG[name], DATA)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_value_in_a_template_is_bounded(name: str) -> None:
    with pytest.raises(ValueError, match=f"larger than {LARGEST:,}; make it smaller"):
        render(TOO_LARGE[name], DATA)


def test_what_a_template_writes_into_a_variable_is_bounded() -> None:
    block = "{% set ns = namespace(s='xx') %}{% for i in range(40) %}{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}"
    with pytest.raises(ValueError, match=f"writes more than {LARGEST:,} characters"):
        render(block + "{% endfor %}", DATA)


def test_what_it_writes_into_the_message_is_cut_and_not_refused() -> None:
    assert len(render("{% for i in range(9000) %}{{ message }}{% endfor %}", DATA)) == OUTPUT_CAP


def test_the_limits_are_told_when_a_config_is_read() -> None:
    assert "larger than" in (check_template("{{ 'x' * 500000000 }}") or "")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ 3 * 4 }} {{ 'a' ~ 1 ~ none }} {{ 7 % 3 }} {{ 2 ** 10 }}", "12 a1None 1 1024"),
        ("{{ 'ab' * 2 }} {{ [1] + [2] }}", "abab [1, 2]"),
        ("{{ '%05.1f' % 3.14159 }} {{ '%-5s|' % flow }} {{ '{:>5}'.format(flow) }}", "003.1 etl  |   etl"),
        ("{{ '%s-%s'|format(flow, 1) }} {{ 'a'|center(5) }}|", "etl-1   a  |"),
        ("{{ 'a\nb'|indent(2) }}", "a\n  b"),
        ("{{ params|join('; ') }} {{ 'xyx'|replace('x', '12') }} {{ 'xyx'.replace('x', '') }}", "a; b 12y12 y"),
        ("{% for i in [1, 2] %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}", "1/2,2/2"),
        ("{% for i in [] %}x{% else %}none{% endfor %}{% for i in range(3) if i %}{{ i }}{% endfor %}", "none12"),
        ("{% for k, v in params.items() %}{{ k }}={{ v }} {% endfor %}", "a=1 b=2 "),
        ("{{ range(3)|map('string')|join(',') }}", "0,1,2"),
    ],
)  # fmt: skip
def test_what_messages_need_is_as_jinja_has_it(template: str, text: str) -> None:
    assert render(template, DATA) == text


def test_each_message_has_limits_of_its_own() -> None:
    loop = "{% for a in range(60000) %}{% endfor %}"
    assert [render(loop, DATA) for _ in range(5)] == [""] * 5
