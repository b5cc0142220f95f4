"""Branches of a flow, where Prefect 1 had them."""

from tocsin.flows.control_flow import CompareValue, FilterTask, Merge, case, ifelse, merge, switch

__all__ = ["CompareValue", "FilterTask", "Merge", "case", "ifelse", "merge", "switch"]
