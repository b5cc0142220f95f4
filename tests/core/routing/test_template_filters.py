"""Filters that plugins give to templates: they work, and open no way out of the sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

import tocsin
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import Catalog
from tocsin.routing.templates import Filters, render, template_filters
from tocsin.settings import Config, load, source_of_text
from tocsin.simulate import Simulation
from tocsin_hooks import hookimpl

CONFIG = """
[channels.ops]
type = "inbox"
[[routes]]
when = "is_failed"
send = ["ops"]
template = "own"
[templates.own]
text = "{{ flow|shout }} for {{ params|size }}"
"""


class Shouting:
    def __init__(self, filters: Any) -> None:
        self._filters = filters

    @hookimpl
    def tocsin_template_filters(self) -> Any:
        return self._filters


def provided(filters: Any) -> dict[str, Callable[..., Any]]:
    catalog = Catalog()
    catalog.register(Shouting(filters), "shouting")
    return Hooks(catalog).template_filters()


def simulation(filters: dict[str, Callable[..., Any]]) -> Simulation:
    from tocsin.assembly import facts
    from tocsin.clock import ManualClock
    from tocsin.settings import plugin_settings

    source = source_of_text(CONFIG)
    known = facts(ManualClock(), lambda: None, plugin_settings(source))  # type: ignore[arg-type,return-value]
    config: Config = load(source, channel_types=known.channel_types, template_filters=provided(filters))
    return Simulation(config)


def using(function: Callable[..., Any]) -> Filters:
    return template_filters({"f": function})


def test_a_filter_of_a_plugin_works_in_a_template() -> None:
    sim = simulation({"shout": lambda text: text.upper() + "!", "size": len})
    sim.publish(state="Failed", flow="etl")
    assert sim.sent[0].message.text == "ETL! for 0"


def test_a_filter_takes_arguments_by_place_and_by_name() -> None:
    assert render(
        "{{ 1999|f(' EUR', places=1) }}", {}, using(lambda c, unit, places: f"{c / 100:.{places}f}{unit}")
    ) == ("20.0 EUR")


def test_a_filter_that_raises_sends_the_message_in_the_usual_words() -> None:
    def broken(text: str) -> str:
        raise KeyError(f"no {text}")

    sim = simulation({"shout": broken, "size": len})
    sim.publish(state="Failed", flow="etl")
    text = sim.sent[0].message.text
    assert "filter 'shout': KeyError: 'no etl'" in text
    assert sim.sent[0].message.title == "Failed: etl"
    assert not sim.sent[0].message.templated


def test_a_filter_that_exits_ends_nothing() -> None:
    def exits(text: str) -> str:
        raise SystemExit(text)

    sim = simulation({"shout": exits, "size": len})
    sim.publish(state="Failed", flow="etl")
    assert "filter 'shout': RuntimeError" in sim.sent[0].message.text


@pytest.mark.parametrize("leak", [os, object(), len, type, b"x", (x for x in "ab"), [{"a": os}]])
def test_what_is_no_plain_value_comes_out_of_no_filter(leak: Any) -> None:
    with pytest.raises(ValueError, match="is no plain value"):
        render("{{ (1|f) }}", {}, using(lambda _: leak))


def test_a_text_of_a_class_of_its_own_comes_out_as_plain_text() -> None:
    class Sly(str):
        def secret(self) -> str:
            return "leaked"

    assert render("{{ 1|f }}", {}, using(lambda _: Sly("hello"))) == "hello"
    with pytest.raises(ValueError, match="secret"):
        render("{{ (1|f).secret() }}", {}, using(lambda _: Sly("hello")))


def test_what_a_filter_does_to_its_arguments_stays_with_it() -> None:
    def greedy(values: dict[str, Any]) -> int:
        values.clear()
        return 0

    data = {"params": {"day": "mon"}}
    assert render("{{ params|f }} {{ params.day }}", data, using(greedy)) == "0 mon"
    assert data == {"params": {"day": "mon"}}


def test_a_filter_is_given_neither_context_nor_environment() -> None:
    import jinja2

    seen: list[Any] = []

    @jinja2.pass_context
    def nosy(*args: Any) -> str:
        seen.extend(args)
        return "x"

    assert render("{{ 'a'|f }}", {}, using(nosy)) == "x"
    assert seen == ["a"]


def test_an_undefined_value_fails_the_template_as_without_a_filter() -> None:
    with pytest.raises(ValueError, match="'nothing' is undefined"):
        render("{{ nothing|f }}", {}, using(str))


def test_jinjas_own_filters_keep_their_meaning() -> None:
    assert render("{{ 'A'|lower }}", {}, template_filters({"lower": lambda _: "replaced"})) == "a"


def test_endless_values_are_refused() -> None:
    deep: list[Any] = []
    deep.append(deep)
    with pytest.raises(ValueError, match="more values than a template can use"):
        render("{{ 1|f }}", {}, using(lambda _: deep))


@pytest.mark.parametrize("junk", [["shout"], {"no-name": len}, {3: len}, {"shout": "len"}])
def test_junk_leaves_out_the_filters_of_one_plugin_only(junk: Any, caplog: pytest.LogCaptureFixture) -> None:
    catalog = Catalog()
    catalog.register(Shouting(junk), "junk")
    catalog.register(Shouting({"fine": len}), "fine")
    assert list(Hooks(catalog).template_filters()) == ["fine"]
    assert "plugin 'junk': tocsin_template_filters returned" in caplog.text


def test_check_knows_the_filters_of_plugins_and_names_others() -> None:
    from tocsin.assembly import problems
    from tocsin.plugins import catalog

    plugin = Shouting({"shout": int, "size": len})
    found = [each.code for each in problems(source_of_text(CONFIG)) if "shout" in each.text]
    assert found == ["E801"]
    tocsin.register(plugin)
    try:
        assert [each.code for each in problems(source_of_text(CONFIG)) if each.code == "E801"] == []
    finally:
        catalog._registered.remove(plugin)
        catalog.look_again()
