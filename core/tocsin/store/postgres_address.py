"""What a `[store] url` says: how to reach a PostgreSQL server, and how to name it without its password."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tocsin.store.records import StoreError

SCHEMA = "tocsin"
"""The schema that holds the tables, where the address names no other."""

_DEFAULTS = {
    "connect_timeout": "5",
    "application_name": "tocsin",
    # a server that is gone without a word is noticed within half a minute, not after two hours
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
_FORM = "write it as postgresql://user:password@host:5432/database, special characters of the password as %XX"
_SEARCH_PATH = re.compile(r'(?:-c\s*|--)search_path\s*=\s*"?((?:\\.|[^\s,"\\])+)')


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. `name` is how messages call it; the parameters, which may hold a password, are not shown."""

    name: str
    schema: str
    parameters: Mapping[str, str] = field(repr=False)


def read_address(url: str, environ: Mapping[str, str] = os.environ) -> Address:
    """Read a URL (`postgresql://...`) or a list of parameters (`host=... dbname=...`).

    Raises StoreError for one that cannot be meant. No part of it is repeated then: what was taken for a host may be
    half of a password.

    >>> address = read_address("postgresql://ann:secret@db.example/alerts", {})
    >>> address
    Address(name='postgresql://db.example:5432/alerts', schema='tocsin')
    >>> read_address("host=db dbname=x options='-c search_path=bell,public'", {}).schema
    'bell'
    >>> read_address("postgresql://ann:12/34@db.example/alerts", {})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tocsin.store.records.StoreError: [store] url cannot be read; write it as postgresql://...
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://)", url)
    if scheme and scheme[0] not in ("postgresql", "postgres"):
        raise StoreError(f"[store] url is of a kind that is not known: '{scheme[0]}'; {_FORM}")
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error:
        found = {}
    given = {name: str(value) for name, value in found.items() if value is not None}
    if not given or not _sound(given):
        raise StoreError(f"[store] url cannot be read; {_FORM}") from None
    in_options = _SEARCH_PATH.search(given.get("options", ""))
    schema = re.sub(r"\\(.)", r"\1", in_options[1]) if in_options else SCHEMA
    return Address(_name(given, environ), schema, {**_DEFAULTS, **given, "client_encoding": "utf8"})


def _sound(given: Mapping[str, str]) -> bool:
    """Whether nothing looks like a piece of a password that was not encoded."""
    if not re.fullmatch(r"[\d,]*", given.get("port", "")):
        return False
    return not any("@" in given.get(name, "").removeprefix("@") for name in ("host", "dbname"))


def _name(given: Mapping[str, str], environ: Mapping[str, str]) -> str:
    if "service" in given:
        return f"postgresql://?service={given['service']}"
    host = given.get("host") or given.get("hostaddr") or environ.get("PGHOST") or "localhost"
    port = given.get("port") or environ.get("PGPORT") or "5432"
    database = given.get("dbname") or environ.get("PGDATABASE") or given.get("user") or environ.get("PGUSER") or ""
    if host.startswith(("/", "@")):  # a socket
        return f"postgresql:///{database}?host={host}"
    return f"postgresql://{host}:{port}/{database}"
