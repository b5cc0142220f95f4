"""Signals that end a task's work in a state of their choice, where pipeline authors look for them."""

from tocsin.flows.signals import *  # noqa: F403
