"""Routing: pure decisions over events."""
