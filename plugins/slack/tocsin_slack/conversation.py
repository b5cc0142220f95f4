"""Which requests a message becomes, and which of Slack's refusals another request answers.

The order is chosen so that the next attempt after any failure doubles nothing: an edit, which may be repeated, comes
before the reply, which may not; and a reply that may be there already is looked for before it is made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tocsin_hooks.messages import Action, Message, Receipt, SendError
from tocsin_slack.answers import Answer, SlackError, api_outcome, webhook_outcome
from tocsin_slack.blocks import Layout, blocks, delivery_mark, plain, text
from tocsin_slack.config import SlackConfig
from tocsin_slack.names import BLOCK_ERRORS, FROZEN_MESSAGE_ERRORS, LOST_MESSAGE_ERRORS

Call = Callable[[str, dict[str, Any]], Answer]
"""Sends one request: the name of a method and its arguments go out, the answer comes back. Raises SendError."""

_SKEW = 300.0  # seconds by which the clocks of Slack and of the pipeline's host may differ
_NO_UNFURLING = {"unfurl_links": False, "unfurl_media": False}


class Conversation:
    """One attempt to tell one message, over `call`."""

    def __init__(self, config: SlackConfig, layout: Layout, message: Message, call: Call) -> None:
        self._config = config
        self._layout = layout
        self._message = message
        self._call = call
        names = {"username": config.username, "icon_emoji": config.icon_emoji}
        self._common: dict[str, Any] = {key: name for key, name in names.items() if name} | _NO_UNFURLING

    def through_webhook(self) -> Receipt:
        """Post the message to a webhook, which has one place for it and refers to nothing."""
        return _or_raise(self._tell("webhook", self._common, webhook_outcome))

    def post(self) -> Receipt:
        """Post the message by itself; the receipt refers to it."""
        arguments = {"channel": self._config.channel, **self._common}
        return _or_raise(self._tell("chat.postMessage", arguments, api_outcome))

    def go_on(self, root: Mapping[str, str]) -> Receipt:
        """Edit the message at `root`, reply to it, or both, as `updates` says; the receipt refers to `root` still.

        A reminder is always a reply that the channel sees, for an edit rings nobody; a silent message only ever edits.
        """
        silent = self._message.silent
        reminds = self._message.action is Action.REPEAT and not silent
        if reminds or self._config.how_to_update == "thread":
            return self._reply(root, "replied")
        edited = self._edit(root)
        if isinstance(edited, Receipt):
            with_reply = self._config.how_to_update == "edit+thread" and not silent
            return self._reply(root, "edited and replied") if with_reply else Receipt(f"{edited.detail}, edited", root)
        if silent and edited.name in LOST_MESSAGE_ERRORS | FROZEN_MESSAGE_ERRORS:
            return Receipt(f"silent, and the message cannot be edited ('{edited.name}')", root, sent=False)
        if edited.name in LOST_MESSAGE_ERRORS:
            return self.post()
        if edited.name in FROZEN_MESSAGE_ERRORS:
            return self._reply(root, f"replied, for the message cannot be edited any more ('{edited.name}')")
        raise edited

    def _edit(self, root: Mapping[str, str]) -> Receipt | SlackError:
        try:
            outcome = self._tell("chat.update", dict(root), api_outcome)
        except SendError as error:
            raise _repeatable(error) from None
        if isinstance(outcome, SlackError) and outcome.unknown:
            raise _repeatable(outcome)
        return outcome

    def _reply(self, root: Mapping[str, str], done: str) -> Receipt:
        if self._message.may_repeat and self._has_replied(root):
            return Receipt(f"ok, {done}; the reply was there already", root)
        arguments = {"channel": root["channel"], "thread_ts": root["ts"], **self._common}
        if self._message.is_alarm or self._message.action is Action.REPEAT:
            arguments["reply_broadcast"] = True
        replied = self._tell("chat.postMessage", arguments, api_outcome)
        if isinstance(replied, SlackError) and replied.name in LOST_MESSAGE_ERRORS:
            return self.post()
        _or_raise(replied)
        return Receipt(f"ok, {done}", root)

    def _has_replied(self, root: Mapping[str, str]) -> bool:
        """Whether the thread shows this delivery already. A bot that may not read the thread cannot tell: False."""
        since = self._message.time.timestamp() - _SKEW
        arguments = {"channel": root["channel"], "ts": root["ts"], "oldest": f"{since:.6f}", "limit": 100}
        try:
            found = (self._call("conversations.replies", arguments).data() or {}).get("messages")
        except SendError:
            return False
        mark = delivery_mark(self._message)
        return any(
            mark in json.dumps(reply, ensure_ascii=False) and reply.get("ts") != root["ts"]
            for reply in (found if isinstance(found, list) else [])
            if isinstance(reply, dict)
        )

    def _tell(
        self, method: str, arguments: dict[str, Any], outcome_of: Callable[[Answer], Receipt | SlackError]
    ) -> Receipt | SlackError:
        """Say it with blocks, and where Slack refuses those, once more in plain text."""
        shown = {"text": text(self._message, self._layout), "blocks": blocks(self._message, self._layout)}
        outcome = outcome_of(self._call(method, arguments | shown))
        if not (isinstance(outcome, SlackError) and outcome.name in BLOCK_ERRORS):
            return outcome
        bare: dict[str, Any] = {"text": plain(self._message, self._layout)}
        # An edit keeps the blocks that it is not told to drop, and knows no `mrkdwn`
        if method == "chat.update":
            bare["blocks"] = []
        else:
            bare["mrkdwn"] = False
        retold = outcome_of(self._call(method, arguments | bare))
        if isinstance(retold, Receipt):
            return Receipt(f"{retold.detail}, as plain text ('{outcome.name}')", retold.reference)
        return retold


def _or_raise(outcome: Receipt | SlackError) -> Receipt:
    if isinstance(outcome, SlackError):
        raise outcome
    return outcome


def _repeatable(error: SendError) -> SendError:
    """`error` of an edit: to edit twice is to edit once, so the next attempt doubles nothing, whatever arrived."""
    return SendError(
        error.reason,
        error.detail,
        retry_after=error.retry_after,
        permanent=error.permanent,
        disable=error.disable,
        unknown=False,
    )
