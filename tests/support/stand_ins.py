"""Stand-ins for Slack, PagerDuty, a webhook receiver and a mail server, on loopback.

Run as a script they print what they receive; tests use the class.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

HTTP_PORT, SMTP_PORT = 8901, 8925


@dataclass(frozen=True)
class Received:
    """One request or mail: which service it was meant for, and what it said."""

    service: str
    summary: str
    content: Any


@dataclass
class StandIns:
    """The stand-ins, as a context manager. `scripted` statuses are answered first, one a request."""

    http_port: int = 0
    smtp_port: int = 0
    tell: Callable[[Received], None] = lambda _: None
    received: list[Received] = field(default_factory=list)
    scripted: list[int] = field(default_factory=list)

    def __enter__(self) -> StandIns:
        self._arrived = threading.Condition()
        self._http = _HttpServer(("127.0.0.1", self.http_port), _handler(self))
        self.http_port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        self._smtp = _MailServer(_Mailbox(self), self.smtp_port)
        self.smtp_port = self._smtp.port
        self._smtp.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._smtp.stop()
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    def add(self, received: Received) -> None:
        with self._arrived:
            self.received.append(received)
            self._arrived.notify_all()
        self.tell(received)

    def wait(self, count: int, timeout: float = 20) -> list[Received]:
        """What was received, once there are `count` or the time is over."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self.received) >= count, timeout)
            return list(self.received)

    def of(self, service: str) -> list[Received]:
        return [received for received in self.received if received.service == service]


def answer(path: str, body: dict[str, Any]) -> tuple[str, str, int, str]:
    """The service that `path` belongs to, a summary of the request, and the status and body of its answer."""
    if path.startswith("/api/chat."):
        method = path.removeprefix("/api/")
        ts = body.get("ts") or "1700000000.000100"
        reply = {"ok": True, "channel": "C0STANDIN", "ts": ts}
        return "slack", f"{method}: {body.get('text')}", 200, json.dumps(reply)
    if path.startswith("/services/"):
        return "slack", f"incoming webhook: {body.get('text')}", 200, "ok"
    if path.startswith("/v2/enqueue"):
        summary = f"{body.get('event_action')} {body.get('dedup_key')}"
        reply = {"status": "success", "message": "Event processed", "dedup_key": body.get("dedup_key")}
        return "pagerduty", summary, 202, json.dumps(reply)
    return "webhook", f"{body.get('type')}: {body.get('data', {}).get('message', {}).get('title')}", 204, ""


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 128  # no connection is refused, or made a second later, while others are taken


def _handler(stand_ins: StandIns) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = json.loads(raw) if raw.startswith(b"{") else {"raw": raw.decode("utf-8", "replace")}
            service, summary, status, reply = answer(self.path, body)
            if stand_ins.scripted:
                status, reply = stand_ins.scripted.pop(0), ""
            else:
                content = {"path": self.path, "headers": dict(self.headers), "raw": raw, "body": body}
                stand_ins.add(Received(service, summary, content))
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Type", "application/json" if reply.startswith("{") else "text/plain")
                self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply.encode())

        do_PUT = do_PATCH = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: what arrives is told by the stand-ins."""

    return Handler


class _MailServer(Controller):
    """Has its port from the beginning: one that is only looked for may be somebody else's when it is taken."""

    def __init__(self, handler: Any, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        super().__init__(handler, "127.0.0.1", self._listener.getsockname()[1], ready_timeout=60)

    def _create_server(self) -> Awaitable[asyncio.AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)


class _Mailbox:
    def __init__(self, stand_ins: StandIns) -> None:
        self._stand_ins = stand_ins

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        self._stand_ins.add(Received("email", f"to {', '.join(envelope.rcpt_tos)}: {mail['Subject']}", mail))
        return "250 OK"


def _print(received: Received) -> None:
    print(f"\n== {received.service}: {received.summary}")
    if received.service == "email":
        body = received.content.get_body(("plain",))
        print("" if body is None else body.get_content().rstrip())
    else:
        print(json.dumps(received.content["body"], indent=2, ensure_ascii=False))
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http-port", type=int, default=HTTP_PORT)
    parser.add_argument("--smtp-port", type=int, default=SMTP_PORT)
    options = parser.parse_args()
    with StandIns(options.http_port, options.smtp_port, tell=_print) as stand_ins:
        print(f"Slack, PagerDuty and webhook at {stand_ins.url}, mail at 127.0.0.1:{stand_ins.smtp_port}")
        print("In another terminal: .venv/bin/tocsin run examples/etl.py\nCtrl-C ends.")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
