"""The traceback in an event is word for word what Python prints, however often the same failure is told."""

import gc
import sys
import traceback
import weakref
from collections.abc import Callable

import pytest

from tocsin.flows.events import summary_of


def deep(depth: int) -> None:
    if depth == 0:
        raise KeyError("first\nsecond")
    deep(depth - 1)


def in_another() -> None:
    try:
        deep(1)
    except KeyError:
        raise ValueError("é")  # noqa: B904


def because_of_another() -> None:
    try:
        deep(1)
    except KeyError as error:
        raise ValueError("no rows") from error


def in_place_of_another() -> None:
    try:
        deep(1)
    except KeyError:
        raise ValueError("no rows") from None


def with_notes() -> None:
    error = ValueError("no rows")
    error.add_note("asked\ntwice")
    raise error


def several() -> None:
    raise ExceptionGroup("both", [ValueError(1), KeyError(2)])


def no_python() -> None:
    compile("a b", "flow.py", "exec")


def on_a_part_of_a_line() -> object:
    rows = {"a": 1, "b": {}}
    return rows["a"] + rows["b"]["c"]


def without_source() -> None:
    exec("raise ValueError(3)")


def of_no_name() -> object:
    return raised_bi  # type: ignore[name-defined]  # noqa: F821


class Unprintable(Exception):
    def __str__(self) -> str:
        raise TypeError


def unprintable() -> None:
    raise Unprintable


def raised_by(function: Callable[[], object]) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("it was to raise")


@pytest.mark.parametrize(
    "function",
    [
        lambda: deep(0), lambda: deep(2), lambda: deep(3), lambda: deep(50), in_another, because_of_another,
        in_place_of_another, with_notes, several, no_python, on_a_part_of_a_line, without_source, unprintable,
        of_no_name,
    ],
)  # fmt: skip
def test_it_is_what_python_prints(function: Callable[[], object]) -> None:
    for _ in range(2):
        error = raised_by(function)
        summary = summary_of(error)
        assert summary is not None
        assert summary.traceback == "".join(traceback.format_exception(error))
        assert "Error" in summary.traceback or "Unprintable" in summary.traceback


def test_an_error_that_was_never_raised_has_no_frames() -> None:
    summary = summary_of(ValueError("no rows"))
    assert summary is not None
    assert summary.traceback == "ValueError: no rows\n"


def test_the_same_line_in_another_file_is_told_by_its_own_name() -> None:
    texts = []
    for name in ("one.py", "two.py"):
        code = compile("def load():\n    raise ValueError\n", name, "exec")
        names: dict[str, Callable[[], object]] = {}
        exec(code, names)
        summary = summary_of(raised_by(names["load"]))
        assert summary is not None
        texts.append(summary.traceback)
    assert 'File "one.py", line 2, in load' in texts[0]
    assert 'File "two.py", line 2, in load' in texts[1]


def test_how_deep_python_is_told_to_print_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "tracebacklimit", 1, raising=False)
    summary = summary_of(raised_by(lambda: deep(0)))
    assert summary is not None
    assert summary.traceback.count("File ") == 1


def test_nothing_is_kept_of_what_failed() -> None:
    class Rows:
        pass

    def load() -> weakref.ref[Rows]:
        rows = Rows()
        seen = weakref.ref(rows)
        error = raised_by(lambda: rows.missing)  # type: ignore[attr-defined]
        assert summary_of(error) is not None
        return seen

    seen = load()
    gc.collect()
    assert seen() is None
