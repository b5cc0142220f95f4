"""Secrets that code in a flow uses: where they are found, and the tasks that find them.

They stand in the table `[context.secrets]` of the options, in TOCSIN__CONTEXT__SECRETS__NAME variables, or in the
context of the run. Nothing here shows a value. The secrets of channels are another matter: `tocsin_hooks.secrets`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from tocsin.errors import SecretError, did_you_mean
from tocsin.flows.context import context
from tocsin.flows.task import Task
from tocsin_hooks.masking import remember


class SecretNotFoundError(SecretError, ValueError):
    """A secret that is nowhere."""


class Secret:
    """A secret by its name; its value is looked up when it is asked for.

    From then on it is masked in what this process logs, and in the texts of events.

    >>> with context(secrets={"TOKEN": "xoxb-1", "DB": '{"port": 5432}'}):
    ...     Secret("TOKEN").exists(), Secret("OTHER").exists(), Secret("DB").get()
    (True, False, {'port': 5432})
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<Secret: {self.name}>"

    def exists(self) -> bool:
        """Whether there is one."""
        return self.name in _secrets()

    def get(self) -> Any:
        """The value; that of a text that is JSON is what the JSON says.

        Raises ValueError when there is none, and inside a `with Flow` block, where it would end up in the flow.
        """
        if context.get("flow") is not None:
            raise ValueError(
                f"secret '{self.name}' is read while a flow is built; read it in a task, or use PrefectSecret"
            )
        secrets = _secrets()
        if self.name not in secrets:
            raise SecretNotFoundError(
                f"secret '{self.name}' was not found; set TOCSIN__CONTEXT__SECRETS__{self.name}, or put it under "
                f"[context.secrets] in ~/.tocsin/config.toml{did_you_mean(self.name, secrets)}"
            )
        value = _resolved(self.name, secrets[self.name])
        remember(value)
        try:
            read = json.loads(value)
        except (ValueError, TypeError):  # a text that is no JSON, or no text
            return value
        remember(read)
        return read


def _secrets() -> Mapping[str, Any]:
    found = context.get("secrets")
    return found if isinstance(found, Mapping) else {}


def _resolved(name: str, value: Any) -> Any:
    """What a secret that is written `{ env = "NAME" }` or `{ file = "PATH" }` refers to; any other is itself."""
    match value:
        case {"env": str() as variable} if len(value) == 1:
            if variable not in os.environ:
                raise SecretNotFoundError(f"secret '{name}': environment variable '{variable}' is not set")
            return os.environ[variable]
        case {"file": str() as path} if len(value) == 1:
            try:
                return Path(path).expanduser().read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not UTF-8 text"
                raise SecretNotFoundError(f"secret '{name}': file '{path}' cannot be read: {reason}") from None
    return value


class SecretBase(Task):
    """A task whose result is a secret: it is never written anywhere, whatever checkpointing says."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        from tocsin.results import SecretResult

        kwargs.setdefault("checkpoint", False)
        super().__init__(name=name, **kwargs)
        self.secret_name = name
        self.result = SecretResult(self)

    def run(self, name: str | None = None) -> Any:
        """The secret called `name`, or like the task."""
        raise NotImplementedError

    def _wanted(self, name: str | None) -> str:
        found = name or self.secret_name
        if not found:
            raise ValueError("a secret name must be given, to the task or when it is called")
        return found


class PrefectSecret(SecretBase):
    """A task that reads a local secret, as `Secret` does; tried again twice, a second apart, unless told otherwise."""

    def __init__(self, name: str | None = None, **kwargs: Any) -> None:
        if kwargs.get("max_retries") is None and kwargs.get("retry_delay") is None:
            kwargs["max_retries"], kwargs["retry_delay"] = 2, timedelta(seconds=1)
        super().__init__(name=name, **kwargs)

    def run(self, name: str | None = None) -> Any:
        """The secret called `name`, or like the task; ValueError when there is none."""
        return Secret(self._wanted(name)).get()


class EnvVarSecret(SecretBase):
    """A task that reads an environment variable, and has `cast` make of its text what is wanted."""

    def __init__(
        self,
        name: str | None = None,
        raise_if_missing: bool = False,
        cast: Callable[[str], Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.raise_if_missing = raise_if_missing
        self.cast = cast
        super().__init__(name=name, **kwargs)

    def run(self, name: str | None = None) -> Any:
        """The variable called `name`, or like the task; when it is not set None, or ValueError if asked for."""
        wanted = self._wanted(name)
        text = os.environ.get(wanted)
        if text is None:
            if self.raise_if_missing:
                raise SecretNotFoundError(f"environment variable '{wanted}' is not set")
            return None
        remember(text)
        return text if self.cast is None else self.cast(text)


SecretTask = PrefectSecret
"""`PrefectSecret` by what it is."""
