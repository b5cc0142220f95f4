"""What the options of runs are when nobody sets them."""

from __future__ import annotations

from typing import Any

TABLES = frozenset({"flows", "tasks", "logging", "context", "engine", "server"})
"""The tables that may stand in a tocsin.toml, beside those of the hub."""


def defaults() -> dict[str, Any]:
    """The options with their defaults; a dict of the caller's own."""
    return {
        "home_dir": "~/.tocsin",
        "logging": {
            "level": "INFO",
            "format": "[%(asctime)s] %(levelname)s - %(name)s | %(message)s",
            "datefmt": "%Y-%m-%d %H:%M:%S%z",
            "log_attributes": [],  # keys of the context that log records carry, beside those of the run
            "extra_loggers": [],  # loggers that are shown along with tocsin's
        },
        "flows": {
            "checkpointing": False,  # whether results are written
            "eager_edge_validation": False,  # whether each edge is checked for cycles as it is added
            "run_on_schedule": True,
            "defaults": {},
        },
        "tasks": {
            "defaults": {
                "max_retries": 0,
                "retry_delay": None,  # in TOML: seconds, or false
                "timeout": None,  # in TOML: seconds, or false
            },
        },
        "engine": {
            "executor": {"default_class": "tocsin.executors.LocalExecutor", "dask": {"address": ""}},
            "flow_runner": {"default_class": "tocsin.runs.FlowRunner"},
            "task_runner": {"default_class": "tocsin.runs.TaskRunner"},
        },
        "server": {"ui": {"url": ""}},  # where runs can be looked at; notifiers link there
        "cloud": {"use_local_secrets": True},  # Prefect 1's name for it; there are only local ones
        "context": {"secrets": {}},
    }
