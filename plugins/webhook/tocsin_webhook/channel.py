"""One message, one signed request to a webhook."""

from __future__ import annotations

import time
from collections.abc import Callable

from tocsin_hooks.http import HttpSender, host_of, refusal, reveal, said, user_agent
from tocsin_hooks.messages import Message, Reason, Receipt, SendError
from tocsin_hooks.secrets import Secret
from tocsin_webhook.config import WebhookConfig
from tocsin_webhook.payload import body_of
from tocsin_webhook.signing import key_of, signed_headers


class WebhookChannel:
    """Posts each message as JSON to one address.

    `clock` gives the seconds since 1970: the time of the attempt, which is signed.
    """

    def __init__(
        self, config: WebhookConfig, *, clock: Callable[[], float] = time.time, http: HttpSender | None = None
    ) -> None:
        self._config = config
        self._clock = clock
        self._reach = config.reach()
        self._approved = ""  # the address last found to be without objection
        self._http = http or config.sender(user_agent("tocsin-webhook"), guard=self._reach)

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:  # noqa: ARG002  (nothing to build on)
        """Post `message` once, or raise `SendError`. Any answer from 200 to 299 means that it was taken."""
        url = self._url()
        body = body_of(message, self._config.max_body)
        answer = self._http.send(self._config.method, url, body, self._headers(message, body))
        if not answer.ok:
            raise refusal(answer, url, self._clock())
        return Receipt(said(answer, url))

    def _url(self) -> str:
        """Where to post, if nothing in the address speaks against it; what its name leads to is seen on connecting."""
        url = reveal(self._config.url)
        if self._reach is None:
            return self._config.address(url)
        if url == self._approved:
            return url
        try:
            objection = self._reach.objection_to_url(url)
        except ValueError as error:
            raise SendError(Reason.CONFIG, f"url: {self._config.url.where}: {error}", permanent=True) from None
        if objection:
            raise SendError(Reason.CONFIG, f"no request to '{host_of(url)}': {objection}", permanent=True)
        self._approved = url
        return url

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        own = {
            name: reveal(value) if isinstance(value, Secret) else value for name, value in self._config.headers.items()
        }
        keys = [_key(secret) for secret in self._config.sign or ()]
        fixed = signed_headers(keys, message.id, int(self._clock()), body)
        return {"Content-Type": "application/json", **own, **fixed}


def _key(secret: Secret) -> bytes:
    try:
        return key_of(reveal(secret))
    except ValueError as error:
        raise SendError(Reason.CONFIG, f"sign: {secret.where} {error}", permanent=True) from None
