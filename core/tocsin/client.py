"""Secrets, where Prefect 1 had them."""

from tocsin.flows.secrets import Secret

__all__ = ["Secret"]
