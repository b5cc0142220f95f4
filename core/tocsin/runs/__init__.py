"""How flows run: transitions, runners, executors."""

from tocsin.runs.executors import Executor, LocalExecutor, ThreadExecutor
from tocsin.runs.flow_runner import FlowRunner
from tocsin.runs.publishing import OnChange, Publisher
from tocsin.runs.run_flow import run_flow
from tocsin.runs.settling import call_state_handlers
from tocsin.runs.task_runner import TaskRunner

__all__ = [
    "Executor",
    "FlowRunner",
    "LocalExecutor",
    "OnChange",
    "Publisher",
    "TaskRunner",
    "ThreadExecutor",
    "call_state_handlers",
    "run_flow",
]
