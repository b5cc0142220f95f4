"""How the value of a result becomes bytes and a value again."""

from __future__ import annotations

import datetime as dt
import importlib
import io
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tocsin.errors import did_you_mean
from tocsin_hooks.serializers import PickleSerializer, Serializer

if TYPE_CHECKING:
    import pendulum

__all__ = [
    "CompressedSerializer",
    "DateTimeSerializer",
    "JSONSerializer",
    "PandasSerializer",
    "PickleSerializer",
    "Serializer",
]

COMPRESSIONS = ("bz2", "gzip", "lzma", "zlib")
"""The modules of the standard library that `CompressedSerializer` knows by name."""


class JSONSerializer(Serializer):
    """Values as JSON in UTF-8; for plain data only.

    >>> JSONSerializer().serialize({"rows": [1, None]})
    b'{"rows": [1, null]}'
    """

    def serialize(self, value: Any) -> bytes:
        """The value's JSON text."""
        import json

        return json.dumps(value).encode()

    def deserialize(self, value: bytes) -> Any:
        """The value that the text stands for."""
        import json

        return json.loads(value)


class DateTimeSerializer(Serializer):
    """Times as people read them: ISO 8601. A time without zone is taken for UTC; of a zone the offset is kept.

    >>> DateTimeSerializer().serialize(dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC))
    b'2024-02-29T12:00:00+00:00'
    """

    def serialize(self, value: dt.datetime) -> bytes:
        """The time in ISO 8601."""
        aware = value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
        return aware.isoformat().encode()

    def deserialize(self, value: bytes) -> pendulum.DateTime:
        """The time that the text names."""
        import pendulum

        return pendulum.instance(dt.datetime.fromisoformat(value.decode()), tz="UTC")


class PandasSerializer(Serializer):
    """Data frames, in a format that pandas knows: csv, json, parquet, pickle and others.

    `file_type` stands for `DataFrame.to_<file_type>` and `pandas.read_<file_type>`; they are given `serialize_kwargs`
    and `deserialize_kwargs`. Raises ValueError for a type that pandas cannot both write and read.
    """

    def __init__(
        self,
        file_type: str,
        deserialize_kwargs: Mapping[str, Any] | None = None,
        serialize_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.file_type = file_type
        self.deserialize_kwargs = dict(deserialize_kwargs or {})
        self.serialize_kwargs = dict(serialize_kwargs or {})
        known = _formats(_pandas())
        if file_type not in known:
            raise ValueError(
                f"PandasSerializer: pandas cannot write and read '{file_type}'{did_you_mean(file_type, known)}"
            )

    def serialize(self, value: Any) -> bytes:
        """The frame in the format chosen."""
        write = getattr(value, f"to_{self.file_type}")
        try:
            buffer = io.BytesIO()
            write(buffer, **self.serialize_kwargs)
            return buffer.getvalue()
        except TypeError:  # some formats are written to text only
            text = io.StringIO()
            write(text, **self.serialize_kwargs)
            return text.getvalue().encode()

    def deserialize(self, value: bytes) -> Any:
        """The frame read back."""
        return getattr(_pandas(), f"read_{self.file_type}")(io.BytesIO(value), **self.deserialize_kwargs)


class CompressedSerializer(Serializer):
    """What another serializer makes, compressed.

    `format` is one of bz2, gzip, lzma and zlib. For others give `compress` and `decompress`, functions from bytes to
    bytes. `compress_kwargs` and `decompress_kwargs` go to them.

    >>> small = CompressedSerializer(JSONSerializer(), format="zlib", compress_kwargs={"level": 9})
    >>> small.deserialize(small.serialize([0] * 1000)) == [0] * 1000, len(small.serialize([0] * 1000)) < 100
    (True, True)
    """

    def __init__(
        self,
        serializer: Serializer,
        format: str | None = None,  # noqa: A002  (Prefect 1's name)
        compress: Callable[..., bytes] | None = None,
        decompress: Callable[..., bytes] | None = None,
        compress_kwargs: Mapping[str, Any] | None = None,
        decompress_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if format is not None:
            if format not in COMPRESSIONS:
                raise ValueError(f"CompressedSerializer: unknown format '{format}'{did_you_mean(format, COMPRESSIONS)}")
            module = importlib.import_module(format)
            compress, decompress = compress or module.compress, decompress or module.decompress
        if compress is None or decompress is None:
            raise ValueError("CompressedSerializer needs a format, or both compress and decompress")
        self._serializer = serializer
        self._compress = compress
        self._decompress = decompress
        self._compress_kwargs = dict(compress_kwargs or {})
        self._decompress_kwargs = dict(decompress_kwargs or {})

    def serialize(self, value: Any) -> bytes:
        """The value's bytes, compressed."""
        return self._compress(self._serializer.serialize(value), **self._compress_kwargs)

    def deserialize(self, value: bytes) -> Any:
        """The value whose bytes were compressed."""
        return self._serializer.deserialize(self._decompress(value, **self._decompress_kwargs))


def _pandas() -> ModuleType:
    try:
        return importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError(
            "PandasSerializer needs the package 'pandas'; install it with: pip install 'tocsin[pandas]'"
        ) from error


def _formats(pandas: ModuleType) -> set[str]:
    """What pandas both writes and reads."""
    written = {name.removeprefix("to_") for name in dir(pandas.DataFrame) if name.startswith("to_")}
    return {name for name in written if hasattr(pandas, f"read_{name}")}
