"""The secrets of a config are found nowhere: not in the store, nor in what is printed, logged, spilled or dumped."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.postgres import shared_server
from support.stand_ins import StandIns

FLOW = """
import faulthandler, logging
from tocsin import Flow, Parameter, task, hookimpl
import tocsin

faulthandler.enable(open("crash.txt", "w"))
logging.basicConfig(filename="log.txt", level=logging.DEBUG)
logging.getLogger("urllib3").setLevel(logging.WARNING)

@task
def fails():
    raise RuntimeError("bad row")

@task
def keep(value):
    pass

@task
def dies(die):
    if die:
        faulthandler._sigsegv()

with Flow("etl") as flow:
    day = Parameter("day", default="monday")
    fails(); keep(day); dies(Parameter("die", default=False))
"""

CONFIG = """
[channels.hook]
type = "webhook"
url = {{ env = "HOOK_URL" }}
sign = {{ env = "HOOK_KEY" }}
allow_http = true
allow_private = ["127.0.0.1/32"]
allow_ports = [{port}]
headers = {{ X-Token = {{ file = "token" }} }}

[channels.hook.retry]
tries = 2
first = "10ms"

[channels.inbox]
type = "inbox"

[[routes]]
when = "is_failed"
send = ["hook", "inbox"]
"""

HOOK_KEY = "whsec_Y2FuYXJ5LXNpZ25pbmcta2V5LTVkNWQ1ZDVkNWQ1ZDVk"
CANARIES = {
    "the address of a channel": "canary-url-b2b2",
    "the key that signs": HOOK_KEY.removeprefix("whsec_"),
    "the secret file of a header": "canary-file-8c8c",
}


@pytest.fixture
def echo() -> Iterator[int]:
    """A service that refuses, and repeats all that it was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = f"denied: {self.path} {dict(self.headers)}".encode()
            self.send_response(401)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def test_no_secret_of_a_channel_is_found_anywhere_though_the_service_repeats_all_of_them(
    tmp_path: Path, echo: int, tocsin: Any
) -> None:
    environ = {"HOOK_URL": f"http://127.0.0.1:{echo}/hook/canary-url-b2b2", "HOOK_KEY": HOOK_KEY}
    (tmp_path / "tocsin.toml").write_text(CONFIG.format(port=echo))
    (tmp_path / "token").write_text("canary-file-8c8c")
    (tmp_path / "flow.py").write_text(FLOW)
    commands = [
        ["-v", "run", "flow.py"],
        ["run", "flow.py", "-p", "die=true"],
        ["hub", "--once"],
        ["deliveries"],
        ["deliveries", "--json"],
        ["incidents"],
        ["inbox"],
        ["status"],
        ["status", "--json"],
        ["doctor"],
        ["check"],
        ["test", "hook"],
        ["explain", "--state", "Failed", "--flow", "etl"],
        ["plugins"],
    ]
    said = []
    for command in commands:
        ended = tocsin(*command, **environ)
        said.append((" ".join(command), ended.stdout + ended.stderr))
    (tmp_path / "file").write_text("")
    (tmp_path / "tocsin.toml").write_text(CONFIG.format(port=echo) + '\n[store]\npath = "file/tocsin.db"\n')
    ended = tocsin("run", "flow.py", **environ)  # to the spill file
    said.append(("a run without a store", ended.stdout + ended.stderr))

    planted = {tmp_path / "token", tmp_path / "flow.py"}
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path not in planted and path.suffix != ".pyc"]
    assert {"tocsin.db", "log.txt", "crash.txt"} <= {path.name for path in written}, said
    assert [path for path in written if path.parent.name == "spill"], "nothing was spilled"
    assert any("401" in text for _, text in said), said
    places = said + [(path.name, path.read_bytes().decode("utf-8", "replace")) for path in written]
    with sqlite3.connect(tmp_path / "tocsin.db") as db:
        places.append(("the store", "\n".join(db.iterdump())))
    db.close()
    found = [f"{what} in {where}" for what, canary in CANARIES.items() for where, text in places if canary in text]
    assert not found, "\n".join(found)


PIPELINE = """
import os, sys
from tocsin import Flow, Parameter, task, signals
from tocsin.client import Secret

DSN = f"postgres://etl:{os.environ['DB_PASSWORD']}@db:5432/rows"

@task(max_retries=1, retry_delay=__import__("datetime").timedelta(0))
def connects(dsn):
    raise ConnectionError(f"no route to {dsn}")

@task
def asks(token):
    raise signals.FAIL(f"denied: Authorization: Bearer {token}")

@task
def reads():
    raise RuntimeError(f"refused {Secret('WAREHOUSE').get()}")

with Flow("etl") as flow:
    asks(Parameter("api_token")); connects(DSN); reads()
"""

CONFIG_OF_PIPELINE = """
[channels.hook]
type = "webhook"
url = {{ env = "HOOK" }}
allow_http = true
allow_private = ["127.0.0.1/32"]
allow_ports = [{port}]

[channels.inbox]
type = "inbox"

[[routes]]
when = "is_failed or state=Retrying"
send = ["hook", "inbox"]

"""

PIPELINE_CANARIES = {
    "the password in an address": "canary-dsn-77aa",
    "a parameter that is called a token": "canary-token-88bb",
    "a secret of the context": "canary-secret-99cc",
    "the password of the store": "canary-store-66dd",
}


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_secret_of_a_pipeline_is_found_in_what_tocsin_writes_prints_or_sends(
    tmp_path: Path, kind: str, tocsin: Any, stand_ins: StandIns
) -> None:
    environ = {
        "DB_PASSWORD": "canary-dsn-77aa",
        "TOCSIN__CONTEXT__SECRETS__WAREHOUSE": "canary-secret-99cc",
        "HOOK": f"{stand_ins.url}/hook",
    }
    config = CONFIG_OF_PIPELINE.format(port=stand_ins.http_port)
    if kind == "postgres":
        environ["STORE"] = shared_server().url(tmp_path, password="canary-store-66dd")
        config += '[store]\nurl = { env = "STORE" }\n'
    (tmp_path / "tocsin.toml").write_text(config)
    (tmp_path / "flow.py").write_text(PIPELINE)
    commands = [
        ["-v", "run", "flow.py", "-p", "api_token=canary-token-88bb"],
        ["hub", "--once"],
        ["deliveries", "--json"],
        ["incidents", "--json"],
        ["inbox", "--json"],
        ["status", "--json"],
        ["doctor"],
        ["check"],
        ["explain", "--state", "Failed", "--flow", "etl", "--task", "connects"],
    ]
    places = []
    for command in commands:
        ended = tocsin(*command, **environ)
        places.append((" ".join(command[:2]), ended.stdout + ended.stderr))
    assert "no route to postgres://" in places[0][1], places[0]
    places += [("the webhook", str(each.content)) for each in stand_ins.received]
    assert len(stand_ins.received) >= 3
    planted = {tmp_path / "flow.py"}
    for path in tmp_path.rglob("*"):
        if path.is_file() and path not in planted and path.suffix != ".pyc":
            places.append((path.name, path.read_bytes().decode("utf-8", "replace")))
    places.append(("the store", dump(kind, tmp_path, environ)))
    assert "no route to" in places[-1][1]
    found = [
        f"{what} in {where}" for what, canary in PIPELINE_CANARIES.items() for where, text in places if canary in text
    ]
    assert not found, "\n".join(found)


def dump(kind: str, folder: Path, environ: dict[str, str]) -> str:
    """All that is in the store."""
    if kind == "sqlite":
        with closing(sqlite3.connect(folder / "tocsin.db")) as db:
            return "\n".join(db.iterdump())
    import psycopg

    with psycopg.connect(environ["STORE"]) as db:
        tables = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()").fetchall()
        assert tables
        return "\n".join(str(row) for (table,) in tables for row in db.execute(f'SELECT t::text FROM "{table}" AS t'))
