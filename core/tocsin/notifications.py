"""Handlers that notify, where pipeline authors look for them.

`notify` is the durable way, along with routes in tocsin.toml; `slack_notifier` and `gmail_notifier` send at once, once.
"""

from tocsin.flows.handlers import callback_factory, callback_failures, notify
from tocsin.flows.notifiers import (
    email_message_formatter,
    gmail_notifier,
    slack_message_formatter,
    slack_notifier,
)

__all__ = [
    "callback_factory",
    "callback_failures",
    "email_message_formatter",
    "gmail_notifier",
    "notify",
    "slack_message_formatter",
    "slack_notifier",
]
