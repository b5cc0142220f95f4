"""Plugins are found, checked and kept from harming one another."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from tocsin.plugins.catalog import GROUP, Catalog
from tocsin_hooks.errors import PluginError
from tocsin_hooks.specs import hookimpl


class Observer:
    @hookimpl
    def tocsin_task_failed(self, event):
        pass


def entry_point(tmp_path: Path, name: str, code: str) -> EntryPoint:
    module = f"zoo_{tmp_path.name.replace('-', '_')}_{name}"
    (tmp_path / f"{module}.py").write_text(code)
    if str(tmp_path) not in sys.path:
        sys.path.append(str(tmp_path))
    return EntryPoint(name, module, GROUP)


GOOD = "from tocsin_hooks import hookimpl\n@hookimpl\ndef tocsin_task_failed(event): pass\n"


def test_a_misspelt_hook_is_refused_with_the_nearest_name() -> None:
    class Misspelt:
        @hookimpl
        def tocsin_task_faild(self, event):
            pass

    with pytest.raises(PluginError, match="'tocsin_task_faild', which is no hook; did you mean 'tocsin_task_failed'"):
        Catalog().register(Misspelt())


def test_an_argument_that_the_hook_does_not_give_is_refused_by_name() -> None:
    class Greedy:
        @hookimpl
        def tocsin_task_failed(self, event, task):
            pass

    with pytest.raises(PluginError, match="task"):
        Catalog().register(Greedy())


def test_only_sending_can_be_wrapped() -> None:
    class Wrapper:
        @hookimpl(wrapper=True)
        def tocsin_task_failed(self, event):
            return (yield)

    with pytest.raises(PluginError, match="only 'tocsin_send' can be wrapped"):
        Catalog().register(Wrapper())


def test_a_plugin_registered_twice_is_used_once() -> None:
    catalog, plugin = Catalog(), Observer()
    assert catalog.register(plugin) == catalog.register(plugin)
    assert len(catalog.pm.hook.tocsin_task_failed.get_hookimpls()) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_module_anywhere\n", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def broken(:\n", "SyntaxError"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        (
            "from tocsin_hooks import hookimpl\n@hookimpl\ndef tocsin_flow_retryin(event): pass\n",
            "tocsin_flow_retrying",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_and_the_rest_load(tmp_path: Path, code: str, reason: str) -> None:
    catalog = Catalog()
    catalog.load([entry_point(tmp_path, "broken", code), entry_point(tmp_path, "good", GOOD)])
    assert list(catalog.broken()) == ["broken"]
    assert "broken" in catalog.broken()["broken"]
    assert reason in catalog.broken()["broken"]
    assert catalog.plugins["good"].hooks == ("tocsin_task_failed",)


def test_of_two_plugins_with_one_name_the_second_is_left_out_and_listed(tmp_path: Path) -> None:
    catalog = Catalog()
    first, second = entry_point(tmp_path, "twin", GOOD), entry_point(tmp_path, "twin", GOOD + "x = 1\n")
    catalog.load([first, second])
    assert len(catalog.plugins) == 2
    [reason] = catalog.broken().values()
    assert "has a plugin of that name" in reason


def test_only_allowed_plugins_load_and_blocked_ones_do_not(tmp_path: Path) -> None:
    points = [entry_point(tmp_path, name, GOOD) for name in ("one", "two", "three")]
    allowed = Catalog()
    allowed.load(points, allow=["one", "two"], block=["two"])
    assert [name for name, info in allowed.plugins.items() if not info.error] == ["one"]
    assert set(allowed.broken()) == {"two", "three"}


def test_attributes_that_raise_when_looked_at_are_no_hooks() -> None:
    class Odd(Observer):
        @property
        def tocsin_anything(self):
            raise RuntimeError("do not look")

    assert Catalog().register(Odd())


def test_a_namespace_of_functions_can_be_a_plugin() -> None:
    @hookimpl
    def tocsin_flow_failed(event):
        pass

    catalog = Catalog()
    catalog.register(SimpleNamespace(tocsin_flow_failed=tocsin_flow_failed), "mine")
    assert catalog.plugins["mine"].hooks == ("tocsin_flow_failed",)
