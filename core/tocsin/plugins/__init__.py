"""Plugins: which are installed, and how core calls their hooks."""
