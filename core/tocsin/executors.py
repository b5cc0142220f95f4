"""Executors, where pipeline authors look for them."""

from tocsin.runs.executors import Executor, LocalExecutor, ThreadExecutor

__all__ = ["Executor", "LocalExecutor", "ThreadExecutor"]
