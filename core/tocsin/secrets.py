"""Secrets, where pipeline authors look for them."""

from tocsin.flows.secrets import EnvVarSecret, PrefectSecret, Secret, SecretBase, SecretTask

__all__ = ["EnvVarSecret", "PrefectSecret", "Secret", "SecretBase", "SecretTask"]
