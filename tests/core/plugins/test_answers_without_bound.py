"""What a plugin answers is bounded before it is kept, and its exceptions need no text."""

from __future__ import annotations

import logging

import pytest

from tocsin.cli.diagnostics import log_lines
from tocsin.plugins.answers import labels
from tocsin.plugins.catalog import Catalog


class _MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_of_labels_without_end_the_first_are_kept_and_of_each_the_beginning() -> None:
    kept = labels({f"label {n}": "x" * 1_000_000 for n in range(150)} | {"y" * 1_000: "late"})
    assert len(kept) == 100
    assert {len(value) for value in kept.values()} == {4_000}
    assert list(kept)[:2] == ["label 0", "label 1"]
    assert list(labels({"n" * 1_000: "v"})) == ["n" * 199 + "…"]


def test_an_exception_without_a_text_is_logged_by_its_name_and_ends_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = logging.getLogger("tocsin.plugins")
    with log_lines(verbose=False):
        log.error("plugin 'x' raised", exc_info=_MuteError())
    assert capsys.readouterr().err == "ERROR plugin 'x' raised: _MuteError: <a text that cannot be had>\n"


def test_a_plugin_whose_import_raises_what_has_no_text_is_named_and_the_rest_load() -> None:
    class Point:
        name, value, dist = "mute", "mute:plugin", None

        def load(self) -> object:
            raise _MuteError

    point: object = Point()
    catalog = Catalog()
    catalog.load([point])  # type: ignore[list-item]  # as much of an entry point as is asked for
    assert catalog.broken() == {"mute": "plugin 'mute' cannot be loaded from 'mute:plugin': _MuteError"}
