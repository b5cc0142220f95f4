from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from tocsin.settings.locate import DEEPEST, KeyPath, content_offsets, locate


def key_at(text: str, *path: str | int) -> tuple[int, int]:
    found = locate(text)
    return found.position(found.keys[path].start)


def value_at(text: str, *path: str | int) -> tuple[tuple[int, int], str]:
    found = locate(text)
    span = found.values[path]
    return found.position(span.start), text[span.start : span.end]


def test_a_key_and_its_value_have_places() -> None:
    text = '# first\n  name = "x" # last\n'
    assert key_at(text, "name") == (2, 3)
    assert value_at(text, "name") == ((2, 10), '"x"')


def test_a_dotted_key_has_a_place_for_each_part() -> None:
    text = "a . \"b.c\" .'d' = 1"
    assert [key_at(text, "a"), key_at(text, "a", "b.c"), key_at(text, "a", "b.c", "d")] == [(1, 1), (1, 5), (1, 12)]


def test_arrays_of_tables_are_counted_also_inside_each_other() -> None:
    text = "[[r]]\nx=1\n[[r]]\nx=2\n[[r.s]]\ny=1\n[[r.s]]\ny=2\n[r.t]\nz=3"
    assert key_at(text, "r", 1, "s", 1, "y") == (8, 1)
    assert key_at(text, "r", 1, "t", "z") == (10, 1)
    assert key_at(text, "r", 1) == (3, 3)


def test_values_inside_inline_tables_and_arrays_have_places() -> None:
    text = 'a = [ 1, {b = [2,\n  3, # three ]\n  ] } ]\nc = "after"'
    assert value_at(text, "a", 1, "b", 1) == ((2, 3), "3")
    assert key_at(text, "a", 1, "b") == (1, 11)
    assert key_at(text, "c") == (4, 1)


@pytest.mark.parametrize(
    "literal",
    ['"a # \\" ]"', "'c:\\'", '"""x\n"" y \\""""""', "'''it''s\n'''''", "1979-05-27 07:32:00", '""', "''", "-1.5e3"],
)
def test_a_value_ends_where_toml_says(literal: str) -> None:
    text = f"a = {literal} # note\nb = [{literal}]\n"
    assert tomllib.loads(text)["b"] == [tomllib.loads(text)["a"]]
    assert value_at(text, "a")[1] == literal
    assert value_at(text, "b", 0)[1] == literal


def test_a_column_inside_a_text_maps_to_the_file_whatever_is_escaped() -> None:
    text = 'f = """\nab \\\n    c\\u00e9\\t@x"""\n'
    decoded = tomllib.loads(text)["f"]
    span = locate(text).inside(("f",), decoded.index("@"), decoded.index("@") + 2)
    assert span is not None
    assert text[span.start : span.end] == "@x"
    assert locate(text).position(span.start) == (3, 14)


def test_nearest_is_the_closest_key_above_that_is_there() -> None:
    found = locate("[a.b]\nc = 1")
    span = found.nearest(("a", "b", "x", 3))
    assert span is not None
    assert found.position(span.start) == (1, 4)
    assert found.nearest(("z",)) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [("a = 1\nb = 2\na = 3", ("a",)), ("[t]\n[u]\n[t]", ("t",)), ("a = {b = 1, b = 2}", ("a", "b"))],
)
def test_what_stands_twice_is_found(text: str, path: KeyPath) -> None:
    (repeat,) = locate(text).repeats
    assert repeat.path == path
    assert repeat.again.start > repeat.first.start


def test_a_fault_keeps_what_was_seen_and_names_what_is_open() -> None:
    found = locate("a = 1\nb = [1, [2, 3]\n")
    assert ("a",) in found.paths()
    assert found.fault is not None
    assert found.fault.opener is not None
    assert found.position(found.fault.opener.start) == (2, 5)


def test_nesting_is_bounded() -> None:
    assert locate(f"a = {'[' * (DEEPEST - 1)}{']' * (DEEPEST - 1)}").fault is None
    fault = locate(f"a = {'[' * 5000}").fault
    assert fault is not None
    assert fault.too_deep


# ---------------------------------------------------------------- generated documents


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" if c in '"\\\n\t' else c for c in text) + '"'


_keys = st.one_of(st.sampled_from(["a", "b", "c-d", "1"]), st.text("ab.\" '\\é\t#]=", min_size=0, max_size=4))
_scalars = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["true", "1.5", "1979-05-27 07:32:00", "07:32:00"]),
    st.text('ab #]},="\\\n\té😀', max_size=6).map(_quoted),
    st.text('ab #]},="\\', max_size=6).map(lambda text: f"'{text}'"),
    st.text("ab #]},='\\\n", max_size=6).map(lambda text: '"""' + text.replace("\\", "\\\\") + '"""'),
)


def _table(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.lists(st.tuples(_keys, inner), max_size=3, unique_by=lambda pair: pair[0])
    return pairs.map(lambda found: "{ " + ", ".join(f"{_quoted(key)}= {value}" for key, value in found) + " }")


_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: "[ " + " ,\n# note ]\n".join(found) + " ]"), _table(inner)
    ),
    max_leaves=6,
)
_lines = st.one_of(
    st.tuples(st.lists(_keys, min_size=1, max_size=3), _values).map(
        lambda pair: ".".join(map(_quoted, pair[0])) + f" = {pair[1]}"
    ),
    st.lists(_keys, min_size=1, max_size=2).map(lambda keys: f"[{' . '.join(map(_quoted, keys))}]"),
    st.lists(_keys, min_size=1, max_size=2).map(lambda keys: f"[[{'.'.join(map(_quoted, keys))}]]"),
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = ""
    for line in draw(st.lists(_lines, max_size=8)):
        try:
            tomllib.loads(longer := f"{text}{line}\n")
        except tomllib.TOMLDecodeError:
            continue  # says something twice
        text = longer
    return text


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


@settings(max_examples=150, deadline=None)
@given(documents())
def test_the_locator_sees_what_tomllib_sees(text: str) -> None:
    found = locate(text)
    data = tomllib.loads(text)
    assert found.fault is None
    assert found.repeats == []
    assert found.paths() == set(_paths(data))
    for path, span in found.values.items():
        literal = text[span.start : span.end]
        value = tomllib.loads(f"value = {literal}")["value"]
        assert value == _reach(data, path)
        if isinstance(value, str):
            assert len(content_offsets(literal)) == len(value) + 1


def _reach(data: Any, path: KeyPath) -> Any:
    for part in path:
        data = data[part]
    return data
