"""How any text gets into PostgreSQL and comes back as it was, though PostgreSQL takes no NUL."""

from __future__ import annotations

import re

from psycopg.abc import AdaptContext, Buffer
from psycopg.types.string import StrDumperUnknown, TextLoader

from tocsin.store.records import storable

_MARK = "\ufffe"  # a code that no text uses: it will never be a character
_MARK_BYTES = _MARK.encode()
_PLAIN = re.compile(f"[^\0{_MARK}]*")
_MEANINGS = {"0": "\0", "1": _MARK}


def escaped(text: str) -> str:
    r"""`text` as PostgreSQL takes it; half characters become `?`, as in the other outbox.

    >>> escaped("Grüße"), escaped("a\0b\udce9")
    ('Grüße', 'a\ufffe0b?')
    """
    text = storable(text)
    if _PLAIN.fullmatch(text):
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
        return super().dump(escaped(obj))


class Loader(TextLoader):
    """Reads what `Dumper` wrote."""

    def load(self, data: Buffer) -> str:
        """The text, as it was."""
        text = str(data, "utf-8")
        return unescaped(text) if _MARK_BYTES in bytes(data) else text


def register(context: AdaptContext) -> None:
    """Have all texts of a connection written and read like this."""
    context.adapters.register_dumper(str, Dumper)
    context.adapters.register_loader("text", Loader)
