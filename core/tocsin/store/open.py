"""Which outbox the config means: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tocsin.store.protocol import Store
from tocsin.store.records import StoreError
from tocsin.store.sqlite import SqliteStore
from tocsin_hooks.secrets import Secret


def open_store(path: Path | None = None, url: Secret | str | None = None) -> Store:
    """The outbox in the SQLite file at `path`, or in the PostgreSQL database at `url`. Nothing is opened yet.

    Raises StoreError when both are given, or none, or when what PostgreSQL takes is not installed.

    >>> open_store(Path("a.db"), "postgresql://ann:secret@db/alerts")
    Traceback (most recent call last):
    tocsin.store.records.StoreError: [store] has both a path and a url; keep one
    """
    if path is not None and url is not None:
        raise StoreError("[store] has both a path and a url; keep one")
    if path is not None:
        return SqliteStore(path)
    if url is None:
        raise StoreError("[store] has neither a path nor a url; give it one")
    return _postgres(url.get_secret_value if isinstance(url, Secret) else lambda: url)


def _postgres(url: Callable[[], str]) -> Store:
    try:
        from tocsin.store.postgres import PostgresStore  # psycopg is heavy, and not everybody has it
    except ImportError as error:
        raise StoreError(
            f"[store] url needs PostgreSQL's client, which cannot be loaded ({error}): pip install 'tocsin[postgres]'"
        ) from error
    return PostgresStore(url)
