"""Handlers that notify, where pipeline authors look for them."""

from tocsin.flows.handlers import callback_factory, notify

__all__ = ["callback_factory", "notify"]
