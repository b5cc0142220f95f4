"""How any text gets into PostgreSQL and comes back as it was, though PostgreSQL takes no NUL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from psycopg.abc import AdaptContext, Buffer
from psycopg.types.string import StrDumperUnknown, TextLoader

from tocsin.store.records import storable

Value: TypeAlias = "str | int | bool | None"

_MARK = "\ufffe"  # a code that no text uses: it will never be a character
_MARK_BYTES = _MARK.encode()
_MEANINGS = {"0": "\0", "1": _MARK}


def escaped(text: str) -> str:
    r"""`text` as PostgreSQL takes it; half characters become `?`, as in the other outbox.

    >>> escaped("Grüße"), escaped("a\0b\udce9")
    ('Grüße', 'a\ufffe0b?')
    """
    text = storable(text)
    if "\0" not in text and _MARK not in text:
        return text
    return text.replace(_MARK, f"{_MARK}1").replace("\0", f"{_MARK}0")


def unescaped(text: str) -> str:
    r"""What `escaped` was given.

    >>> unescaped(escaped("a\0b\ufffe0")) == "a\0b\ufffe0"
    True
    """
    first, *rest = text.split(_MARK)
    return first + "".join(_MEANINGS.get(part[:1], part[:1]) + part[1:] for part in rest)


class Dumper(StrDumperUnknown):
    """Writes any text."""

    def dump(self, obj: str) -> Buffer | None:
        """The bytes of `obj`, as PostgreSQL takes them."""
        try:
            data = obj.encode()
        except UnicodeEncodeError:
            return escaped(obj).encode()
        return escaped(obj).encode() if b"\0" in data or _MARK_BYTES in data else data


class Loader(TextLoader):
    """Reads what `Dumper` wrote."""

    def load(self, data: Buffer) -> str:
        """The text, as it was."""
        text = str(data, "utf-8")
        return unescaped(text) if _MARK in text else text


def register(context: AdaptContext) -> None:
    """Have all texts of a connection written and read like this."""
    context.adapters.register_dumper(str, Dumper)
    context.adapters.register_loader("text", Loader)


def array(values: Sequence[Value]) -> str:
    r"""An array as PostgreSQL reads it: sooner made than by psycopg, which looks for a type of its own for each.

    Its texts are not `escaped`: whatever writes the whole sees to that.

    >>> array([1, None, True]), array([7]), array([]), array(['a "b" \\', ""])
    ('{1,NULL,t}', '{7}', '{}', '{"a \\"b\\" \\\\",""}')
    >>> array(["a", None, "NULL"]), array(["\0", "a"]) == '{"\0","a"}'
    ('{"a",NULL,"NULL"}', True)
    """
    try:
        whole = "\0".join(values)  # type: ignore[arg-type]  # mostly a column of texts, quoted all at once
    except TypeError:
        return _item_by_item(values)
    if whole.count("\0") != len(values) - 1:
        return _item_by_item(values)
    return '{"' + whole.replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","') + '"}'


def _item_by_item(values: Sequence[Value]) -> str:
    return f"{{{','.join(map(_item, values))}}}"


def _item(value: Value) -> str:
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{text}"'
    if value is None:
        return "NULL"
    return str(value) if value is not True and value is not False else "t" if value else "f"


def arrays(rows: Sequence[Sequence[Value]], columns: int) -> list[str]:
    """The columns of rows, each as an array.

    >>> arrays([(1, "a"), (2, "b")], 2), arrays([], 2)
    (['{1,2}', '{"a","b"}'], ['{}', '{}'])
    """
    return [array(column) for column in zip(*rows, strict=True)] if rows else ["{}"] * columns
