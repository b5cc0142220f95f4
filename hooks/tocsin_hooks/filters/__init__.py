"""Filters: one expression language for the config, code and the command line."""
