"""`tocsin demo`: a flow that retries, fails and recovers, and where its messages go. Needs no account, no network."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click

from tocsin import runs
from tocsin.assembly import assemble, facts_here
from tocsin.cli.flowfile import load_flow
from tocsin.cli.output import count, say, show, styled
from tocsin.cli.progress import print_line
from tocsin.cli.record import RunRecord
from tocsin.clock import SystemClock
from tocsin.flows.flow import Flow
from tocsin.settings import find
from tocsin.settings.source import Source
from tocsin_hooks.messages import Message, Receipt
from tocsin_hooks.specs import hookimpl
from tocsin_hooks.states import State

_EXAMPLES = """\b
Examples:
  tocsin demo
  tocsin demo --into my-first-flow
"""

FLOW = '''\
"""A flow that has a bad day: extract has to try twice, and load fails until the warehouse is open."""

from datetime import timedelta
from pathlib import Path

from tocsin import Flow, task

WAREHOUSE = Path(__file__).with_name("warehouse")
calls = []


@task(max_retries=2, retry_delay=timedelta(seconds=1))
def extract():
    calls.append("extract")
    if len(calls) == 1:
        raise ConnectionError("the source hung up")
    return [1, 2, 3]


@task
def load(rows):
    if not WAREHOUSE.exists():
        raise OSError("the warehouse is closed")
    return len(rows)


with Flow("etl") as flow:
    load(extract())
'''

CONFIG = """\
version = 1

[channels.inbox]
type = "inbox"
{webhook}
[[routes]]
name = "problems"
when = "is_failed or is_retrying"
send = [{send}]

[plugins]
allow = ["webhook"]   # so that the demo has no effect beyond itself
"""

WEBHOOK = """
[channels.hook]
type = "webhook"
url = "http://127.0.0.1:{port}/"
allow_http = true                    # by default a webhook posts to public addresses, over https
allow_private = ["127.0.0.1/32"]
allow_ports = [{port}]
"""


@click.command(epilog=_EXAMPLES)
@click.option(
    "--into",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep the flow and its config there, to play with.  [default: a folder that is removed at the end]",
)
@click.pass_context
def command(ctx: click.Context, folder: Path | None) -> None:
    """Watch a flow retry, fail and, run again, recover; and its messages as they arrive.

    Needs no account and no network: the messages go to the inbox of a store of its own and to a webhook on this host.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        ctx.exit(0 if _demo(folder) else 1)
    with tempfile.TemporaryDirectory(prefix="tocsin-demo-") as temporary:
        well = _demo(Path(temporary))
    ctx.exit(0 if well else 1)


def _demo(folder: Path) -> bool:
    arrivals = Arrivals()
    with _webhook(arrivals) as port:
        source = _written(folder, port)
        flow = load_flow(str(folder / "etl.py"))
        _tell_of_channels(port)
        _heading("First run: extract has to try twice, then load fails")
        first = _run(flow, source, arrivals)
        (folder / "warehouse").touch()
        _heading("The warehouse opens. Second run: everything goes well, and whoever heard of a problem hears so")
        second = _run(flow, source, arrivals)
    _farewell(arrivals)
    return first.is_failed() and second.is_successful()


def _written(folder: Path, port: int | None) -> Source:
    """The config, written with the flow into `folder`; what the environment would override does not count."""
    (folder / "warehouse").unlink(missing_ok=True)
    (folder / "etl.py").write_text(FLOW, encoding="utf-8")
    webhook = "" if port is None else WEBHOOK.format(port=port)
    send = '"inbox"' if port is None else '"inbox", "hook"'
    path = folder / "tocsin.toml"
    path.write_text(CONFIG.format(webhook=webhook, send=send), encoding="utf-8")
    source = find(path.absolute(), environ={}, cwd=folder)
    assert source is not None, "a config that is named is found, or an error"
    return source


def _run(flow: Flow, source: Source, arrivals: Arrivals) -> State:
    clock = SystemClock()
    assembly = assemble(source, clock)
    plugins = assembly.hooks.catalog.pm
    plugins.register(arrivals, "tocsin.demo")
    try:
        assembly.start()
        record = RunRecord(flow, clock, print_line)
        try:
            return runs.run_flow(flow, publisher=assembly.hub, clock=clock, on_change=record.change)
        finally:
            assembly.finish()
    finally:
        plugins.unregister(arrivals)


# ---------------------------------------------------------------- what arrives


@dataclass
class Arrivals:
    """Shows each message as it arrives, and counts."""

    inbox: int = 0
    webhook: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @hookimpl
    def tocsin_delivered(self, message: Message, receipt: Receipt) -> None:  # noqa: ARG002
        """Show what has reached the inbox."""
        if message.channel == "inbox":
            with self._lock:
                self.inbox += 1
                _arrived("inbox", message.severity, message.title)

    def posted(self, body: dict[str, Any]) -> None:
        """Show what has reached the webhook."""
        told = body["data"]["message"]
        with self._lock:
            self.webhook += 1
            _arrived("webhook", str(told["severity"]), str(told["title"]))


def _arrived(where: str, severity: str, title: str) -> None:
    show(styled(f"    -> {where:<8}", "dim"), styled(f"[{severity}]", severity), styled(f" {title}"))


@contextmanager
def _webhook(arrivals: Arrivals) -> Iterator[int | None]:
    """A webhook on this host for the length of a `with` block: its port; None where the plugin for it is missing."""
    if "webhook" not in facts_here().channel_types:
        yield None
        return

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(204)
            self.end_headers()
            try:
                arrivals.posted(json.loads(body))
            except (ValueError, LookupError, TypeError):
                return  # not from this demo

        def log_message(self, *args: Any) -> None:
            """Say nothing of each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ---------------------------------------------------------------- words


def _heading(text: str) -> None:
    say()
    show(styled(text, "bold"))


def _tell_of_channels(port: int | None) -> None:
    say("A flow of two tasks, extract and load. Its route: is_failed or is_retrying.")
    if port is None:
        say("Its channel: the inbox. With the plugin tocsin-webhook installed, a webhook as well.")
    else:
        say(f"Its channels: the inbox, and a webhook at http://127.0.0.1:{port}/.")


def _farewell(arrivals: Arrivals) -> None:
    say()
    hook = f", {count(arrivals.webhook, 'request')} at the webhook" if arrivals.webhook else ""
    say(f"{count(arrivals.inbox, 'message')} in the inbox{hook}.")
    _heading("Next")
    steps = (
        ("tocsin init", "write a tocsin.toml of your own"),
        ("tocsin check", "find its mistakes"),
        ("tocsin explain --state Failed", "see which routes act, and what is sent"),
        ("tocsin test NAME", "send one test message to a channel"),
        ("tocsin run FILE.py", "run a flow and deliver its messages"),
        ("tocsin plugins", "see the channel types; pip install tocsin-slack brings another"),
    )
    for example, meaning in steps:
        say(f"  {example:<31}{meaning}")
