"""Fixtures of the plugin test kit, for pytest."""
