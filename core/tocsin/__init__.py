"""Notifications and state hooks for Python pipelines."""

__version__ = "0.1.0"
