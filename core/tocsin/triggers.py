"""Triggers, where pipeline authors look for them."""

from tocsin.flows.triggers import *  # noqa: F403
