"""One attempt to deliver a message by mail."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from tocsin_email.config import EmailConfig, Server
from tocsin_email.outcomes import Reply, judge
from tocsin_hooks.errors import SecretError
from tocsin_hooks.messages import Message, Reason, Receipt, SendError

if TYPE_CHECKING:
    import ssl

_MOST_REMEMBERED = 1000


class EmailChannel:
    """Sends each message as one mail, in one SMTP conversation of its own.

    Where a server takes a mail for some recipients and not yet for others, the next attempt goes to the others
    only. That is remembered here, not in the outbox: after a restart all get it again, with the same `Message-ID`.
    """

    def __init__(self, config: EmailConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._settled = Settled(_MOST_REMEMBERED)

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:  # noqa: ARG002  (a thread is known by its incident)
        """Send `message` once, or raise SendError."""
        from tocsin_email.compose import compose  # with smtplib, ssl and email: not for every start of tocsin
        from tocsin_email.session import conversation, transmit

        config = self._config
        mail = compose(message, config)
        settled = self._settled.of(message.id)
        remaining = [address for address in config.recipients() if address not in settled]
        server, seconds = self._server(), config.timeout.total_seconds()
        with conversation(server, lambda: self._tls, config.local_hostname, seconds, self._clock) as session:
            replies = transmit(session, server, seconds, config.sender.address, remaining, mail.as_bytes())
        replies = {**settled, **replies}
        self._settled.keep(message.id, replies)
        return judge(replies, str(mail["Message-ID"]))

    def _server(self) -> Server:
        try:
            return self._config.server()
        except (SecretError, ValueError) as error:
            raise SendError(Reason.CONFIG, str(error), permanent=isinstance(error, ValueError)) from None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._config.tls_context()


class Settled:
    """What is decided of mails that are still to reach somebody: a bounded memory, safe for threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._replies: OrderedDict[str, dict[str, Reply]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, message_id: str) -> Mapping[str, Reply]:
        """The final replies got so far, by recipient."""
        with self._lock:
            return dict(self._replies.get(message_id, {}))

    def keep(self, message_id: str, replies: Mapping[str, Reply]) -> None:
        """Remember the final ones of `replies` as long as there are others, and forget all once there are not."""
        final = {who: reply for who, reply in replies.items() if reply.accepted or reply.for_good}
        with self._lock:
            self._replies.pop(message_id, None)
            if final and len(final) < len(replies):
                self._replies[message_id] = final
                while len(self._replies) > self._limit:
                    self._replies.popitem(last=False)
