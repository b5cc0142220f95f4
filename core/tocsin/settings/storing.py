"""`[store]`: where events and deliveries are kept, and for how long."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from tocsin.settings.secret_like import names_database
from tocsin.settings.tables import Table, Text, refused
from tocsin_hooks.durations import Duration
from tocsin_hooks.secrets import Secret

_SCHEME = re.compile(r"\s*(?:(?P<slashes>[a-z][a-z0-9+.-]*://)|file:)", re.IGNORECASE)
_FILES = ("sqlite", "file")  # how the address of a file begins


def _file(text: str) -> str:
    """The path of a file, as it is. An address is refused, without a word of it: there may be a password in it."""
    scheme = _SCHEME.match(text)
    if scheme and scheme[0].lower().lstrip().startswith(_FILES):
        raise refused("E107", "is an address, and the path of a file is expected", hint="write the path alone")
    if names_database(text):
        hint = 'write [store] url = { env = "NAME" }, and put the address into that variable'
        raise refused("E107", "is the address of a database, and the path of a file is expected", hint=hint)
    if scheme:
        hint = "the store is a SQLite file ([store] path) or a PostgreSQL database ([store] url)"
        raise refused("E107", "is an address, and the path of a file is expected", hint=hint)
    if text.strip().lower() == ":memory:":
        hint = "what waits has to outlive the process: name a file on a local disk"
        raise refused("E107", "':memory:' would be a file of that name", hint=hint)
    if "\0" in text:
        raise refused("E107", "has a null character in it, which no path can have")
    return text


class StoreTable(Table):
    """`[store]`."""

    path: Annotated[Text, AfterValidator(_file)] | None = None
    """A file on a local disk; `tocsin.db` where nothing is said."""
    url: Secret | None = None
    """A PostgreSQL database, in the place of a file."""
    retention: Duration = timedelta(days=30)
    history: Literal["routed", "all"] = "routed"

    @model_validator(mode="after")
    def _in_one_place(self) -> StoreTable:
        if self.path is not None and self.url is not None:
            raise refused("E107", "stands beside a 'path'", hint="keep one of the two", key="url")
        return self
