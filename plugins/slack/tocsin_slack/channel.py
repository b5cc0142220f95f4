"""How a channel with `type = "slack"` reaches Slack: by its webhook, or as a bot."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from tocsin_hooks.errors import SecretError
from tocsin_hooks.messages import Action, Message, Reason, Receipt, SendError
from tocsin_hooks.secrets import Secret
from tocsin_slack.answers import Answer
from tocsin_slack.blocks import Layout
from tocsin_slack.config import SlackConfig, is_http_url, rebased
from tocsin_slack.conversation import Call, Conversation
from tocsin_slack.wire import Wire

SLACK_API = "https://slack.com/api/"


class SlackChannel:
    """Posts messages to one Slack channel; with a bot token it edits them, or replies, as an incident goes on."""

    def __init__(self, config: SlackConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._layout = Layout(config.mention, ZoneInfo(config.timezone))

    def send(self, message: Message, previous: Receipt | None = None) -> Receipt:
        """Deliver `message` in one attempt, or raise SendError.

        With a token, a message whose incident has one already edits it or replies to it, as `updates` says; a
        failed edit is followed by a new message only if Slack says that the old one no longer exists. A message
        that is silent is never posted, for Slack rings for every post: it edits, or is left out.
        """
        try:
            call = self._call()
        except SecretError as error:
            raise SendError(Reason.CONFIG, str(error)) from None
        conversation = Conversation(self._config, self._layout, message, call)
        root = _root(previous)
        goes_on = bool(root) and message.action not in (Action.EVENT, Action.TEST)
        edits = goes_on and "edit" in self._config.how_to_update
        if message.silent and not edits and message.action is not Action.TEST:
            return Receipt("silent, and there is no message to edit", root, sent=False)
        if self._config.webhook_url is not None:
            return conversation.through_webhook()
        if goes_on and self._config.how_to_update != "new":
            return conversation.go_on(root)
        return conversation.post()

    def _call(self) -> Call:
        """Sends a request of this attempt; all of them together have the time that one attempt has."""
        from tocsin_slack.clients import call_method, post_to_webhook

        config, wire = self._config, self._wire()
        if config.webhook_url is not None:
            url = rebased(_address(config.webhook_url), config.base_url)

            def post(_: str, payload: dict[str, Any]) -> Answer:
                return post_to_webhook(wire, url, payload)

            return post
        assert config.token is not None  # the settings see to it
        token = config.token.get_secret_value()

        def call(method: str, arguments: dict[str, Any]) -> Answer:
            return call_method(wire, config.base_url or SLACK_API, token, method, arguments)

        return call

    def _wire(self) -> Wire:
        return Wire(
            deadline=self._clock() + self._config.timeout.total_seconds(),
            clock=self._clock,
            tls=lambda: self._tls,
            proxy=_address(self._config.proxy) if self._config.proxy else "",
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._config.ca_file)
        except OSError as error:
            why = error.strerror or "no certificates in it"
            raise SendError(Reason.CONFIG, f"ca_file '{self._config.ca_file}' cannot be used: {why}") from None


def _address(secret: Secret) -> str:
    """The address that `secret` holds. Raises SecretError, SendError when it is none."""
    value = secret.get_secret_value()
    if not is_http_url(value):
        raise SendError(Reason.CONFIG, f"{secret.where} holds no address that begins with 'http://' or 'https://'")
    return value


def _root(previous: Receipt | None) -> dict[str, str]:
    """Where the message of an incident is, if its last receipt tells."""
    reference = previous.reference if previous is not None else {}
    found = {key: reference[key] for key in ("channel", "ts") if reference.get(key)}
    return found if len(found) == 2 else {}
