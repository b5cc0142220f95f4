"""Serializers give back what they were given."""

from __future__ import annotations

import base64
import bz2
import datetime as dt
import gzip
import json
import lzma
import pickle
import zlib
from collections.abc import Callable
from typing import Any

import cloudpickle
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from tocsin.serializers import (
    CompressedSerializer,
    DateTimeSerializer,
    JSONSerializer,
    PandasSerializer,
    PickleSerializer,
    Serializer,
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
zones = st.none() | st.timezones() | st.integers(-720, 720).map(lambda m: dt.timezone(dt.timedelta(minutes=m)))


@given(plain)
def test_json_gives_plain_data_back(value: Any) -> None:
    assert JSONSerializer().deserialize(JSONSerializer().serialize(value)) == value


@given(plain | st.sets(st.integers()) | st.binary() | st.decimals(allow_nan=False))
def test_pickle_gives_anything_back(value: Any) -> None:
    assert PickleSerializer().deserialize(PickleSerializer().serialize(value)) == value


@given(st.datetimes(timezones=zones))
def test_a_time_is_the_same_moment_afterwards(value: dt.datetime) -> None:
    found = DateTimeSerializer().deserialize(DateTimeSerializer().serialize(value))
    offset = dt.timedelta() if value.tzinfo is None else value.utcoffset()
    assert (found.replace(tzinfo=None), found.utcoffset()) == (value.replace(tzinfo=None), offset)


@given(plain, st.sampled_from(["bz2", "gzip", "lzma", "zlib"]))
def test_compression_changes_nothing(value: Any, name: str) -> None:
    serializer = CompressedSerializer(JSONSerializer(), format=name)
    assert serializer.deserialize(serializer.serialize(value)) == value


def test_pickle_takes_functions_made_on_the_spot() -> None:
    offset = 3
    again = PickleSerializer().deserialize(PickleSerializer().serialize(lambda x: x + offset))
    assert again(4) == 7


def test_pickle_reads_plain_pickles_and_those_in_base64() -> None:
    assert PickleSerializer().deserialize(pickle.dumps({"a": 1})) == {"a": 1}
    assert PickleSerializer().deserialize(base64.b64encode(cloudpickle.dumps({"a": 1}))) == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"no pickle", pickle.dumps([1, 2])[:-3]])
def test_pickle_refuses_what_is_none(data: bytes) -> None:
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        PickleSerializer().deserialize(data)


def test_json_is_text_that_others_read() -> None:
    assert json.loads(JSONSerializer().serialize({"ä": 1}).decode()) == {"ä": 1}
    with pytest.raises(TypeError):
        JSONSerializer().serialize(object())


def test_times_are_human_readable() -> None:
    time = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert DateTimeSerializer().serialize(time) == b"2024-02-29T12:30:00+02:00"
    assert DateTimeSerializer().deserialize(b"2024-02-29T12:30:00Z").utcoffset() == dt.timedelta()


@pytest.mark.parametrize(
    ("name", "decompress"),
    [("bz2", bz2.decompress), ("gzip", gzip.decompress), ("lzma", lzma.decompress), ("zlib", zlib.decompress)],
)
def test_the_usual_tools_can_unpack_it(name: str, decompress: Callable[[bytes], bytes]) -> None:
    assert decompress(CompressedSerializer(JSONSerializer(), format=name).serialize([1])) == b"[1]"


def test_compression_of_ones_own_gets_its_arguments() -> None:
    serializer = CompressedSerializer(
        JSONSerializer(),
        compress=lambda data, tail: data[::-1] + tail,
        decompress=lambda data, length: data[:-length][::-1],
        compress_kwargs={"tail": b"!!"},
        decompress_kwargs={"length": 2},
    )
    assert serializer.serialize([12]) == b"]21[!!"
    assert serializer.deserialize(b"]21[!!") == [12]


def test_an_unknown_compression_is_refused_with_what_is_known() -> None:
    with pytest.raises(ValueError, match="unknown format 'gz'; did you mean 'gzip'"):
        CompressedSerializer(JSONSerializer(), format="gz")
    with pytest.raises(ValueError, match="needs a format, or both"):
        CompressedSerializer(JSONSerializer(), compress=zlib.compress)


@pytest.mark.parametrize(
    ("name", "reading", "writing"),
    [
        ("csv", {"index_col": 0}, {}),
        ("csv", {}, {"index": False}),
        ("json", {}, {"orient": "records"}),
        ("pickle", {}, {}),
    ],
)
def test_frames_come_back_in_every_format(name: str, reading: dict[str, Any], writing: dict[str, Any]) -> None:
    frame = pd.DataFrame({"rows": [1, 2], "name": ["a", "ö"]})
    serializer = PandasSerializer(name, deserialize_kwargs=reading, serialize_kwargs=writing)
    pd.testing.assert_frame_equal(serializer.deserialize(serializer.serialize(frame)), frame)


def test_a_frame_in_csv_is_csv() -> None:
    assert PandasSerializer("csv", None, {"index": False}).serialize(pd.DataFrame({"a": [1]})) == b"a\n1\n"


def test_a_format_that_pandas_does_not_know_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="cannot write and read 'cvs'; did you mean 'csv'"):
        PandasSerializer("cvs")


def test_serializers_are_equal_when_made_alike_and_survive_pickling() -> None:
    made = [
        JSONSerializer(),
        PickleSerializer(),
        DateTimeSerializer(),
        PandasSerializer("csv"),
        CompressedSerializer(JSONSerializer(), format="gzip"),
    ]
    for index, one in enumerate(made):
        assert pickle.loads(pickle.dumps(one)) == one
        assert all(one != other for other in made[:index])
    assert PandasSerializer("csv") != PandasSerializer("csv", {"index_col": 0})
    assert CompressedSerializer(JSONSerializer(), format="gzip") != CompressedSerializer(JSONSerializer(), format="bz2")


def test_the_interface_alone_does_nothing() -> None:
    with pytest.raises(NotImplementedError):
        Serializer().serialize(1)
    with pytest.raises(NotImplementedError):
        Serializer().deserialize(b"")
