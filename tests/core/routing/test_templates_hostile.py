"""A template that cannot be rendered, for whatever reason, is a mistake of its author and no bug of tocsin."""

from __future__ import annotations

from pathlib import Path

import pytest

from tocsin.routing.templates import check_template, render
from tocsin.settings import ConfigError, load
from tocsin.settings.source import find

_HOPELESS = {
    "a macro without end": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "parentheses too deep": "{{ " + "(" * 1000 + "1" + ")" * 1000 + " }}",
    "blocks too deep": "{% if 1 %}" * 150 + "x" + "{% endif %}" * 150,
    "a number too long to show": "{{ 10 ** 5000 }}",
    "a division by zero": "{{ 1 / 0 }}",
    "a look inside": "{{ ''.__class__.__mro__ }}",
    "a look inside by format": "{{ '{0.__class__}'.format(flow) }}",
    "another file": "{% include '/etc/passwd' %}",
}


@pytest.mark.parametrize("name", _HOPELESS)
def test_a_template_that_cannot_be_rendered_raises_what_is_said_of_its_mistakes(name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        render(_HOPELESS[name], {"flow": "etl"})
    assert check_template(_HOPELESS[name])


@pytest.mark.parametrize("name", _HOPELESS)
def test_a_config_with_it_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    (tmp_path / "tocsin.toml").write_text(f"[templates.hopeless]\ntext = '''{_HOPELESS[name]}'''\n")
    source = find(tmp_path / "tocsin.toml", environ={}, cwd=tmp_path)
    assert source is not None
    with pytest.raises(ConfigError, match=r"tocsin\.toml:2.*\[templates\.hopeless\] text"):
        load(source, channel_types={}, check_template=check_template)
