"""Tasks that read secrets, where pipeline authors look for them."""

from tocsin.flows.secrets import EnvVarSecret, PrefectSecret, SecretBase, SecretTask

__all__ = ["EnvVarSecret", "PrefectSecret", "SecretBase", "SecretTask"]
