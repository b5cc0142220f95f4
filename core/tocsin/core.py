"""Flows, tasks and what ties them, where Prefect 1 had them."""

from tocsin.flows.edge import Edge
from tocsin.flows.flow import Flow
from tocsin.flows.parameter import DateTimeParameter, Parameter, no_default
from tocsin.flows.task import FunctionTask, Task

__all__ = ["DateTimeParameter", "Edge", "Flow", "FunctionTask", "Parameter", "Task", "no_default"]
