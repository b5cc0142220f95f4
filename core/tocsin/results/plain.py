"""Results that need no place of their own: the location is the value, or the value is made anew."""

from __future__ import annotations

from typing import Any, NoReturn, Protocol, Self

from tocsin.serializers import JSONSerializer
from tocsin_hooks.results import Location, Result
from tocsin_hooks.serializers import Serializer


class PrefectResult(Result):
    """Keeps plain data in the location itself, as JSON.

    >>> PrefectResult().write([1, 2]).location
    '[1, 2]'
    """

    def __init__(self, value: Any = None, location: Location = None, serializer: Serializer | None = None) -> None:
        super().__init__(value, location, serializer or JSONSerializer())

    def exists(self, location: str, **kwargs: Any) -> bool:  # noqa: ARG002
        """Whether the location can be read as a value."""
        try:
            self.read(location)
        except Exception:  # a serializer of one's own may raise anything
            return False
        return True

    def read(self, location: str) -> Self:
        """A result with the value that the location stands for."""
        new = self.copy()
        new.value = self.serializer.deserialize(location.encode())
        new.location = location
        return new

    def write(self, value_: Any, /, **kwargs: Any) -> Self:  # noqa: ARG002
        """A result with the value, and the value's text as location; TypeError for what JSON cannot hold."""
        new = self.copy()
        new.value = value_
        new.location = self.serializer.serialize(value_).decode()
        return new


JSONResult = PrefectResult
"""`PrefectResult` by what it does."""


class ConstantResult(Result):
    """A value known beforehand: it is always there, and never written."""

    def exists(self, location: str, **kwargs: Any) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def read(self, location: str) -> Self:  # noqa: ARG002
        """The result itself."""
        return self

    def write(self, value_: Any, /, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise ValueError: a constant is not written."""
        raise ValueError("Cannot write values to 'ConstantResult'; its value is given when it is made")


class SecretTask(Protocol):
    """What `SecretResult` asks of a task."""

    name: str

    def run(self, name: str | None = None) -> Any:
        """The secret of that name."""
        ...


class SecretResult(Result):
    """A secret: its location is its name, and reading it runs the task that fetches it again. Never written.

    `repr` does not show the value.
    """

    def __init__(
        self,
        secret_task: SecretTask,
        *,
        value: Any = None,
        location: Location = None,
        serializer: Serializer | None = None,
    ) -> None:
        super().__init__(value, secret_task.name if location is None else location, serializer)
        self.secret_task = secret_task

    def read(self, location: str) -> Self:
        """A result with the secret of that name."""
        new = self.copy()
        new.value = self.secret_task.run(name=location)
        new.location = location
        return new

    def write(self, value_: Any, /, **kwargs: Any) -> NoReturn:  # noqa: ARG002
        """Raise ValueError: a secret is not written."""
        raise ValueError("Cannot write values to 'SecretResult'; secrets are kept where their task finds them")

    def __repr__(self) -> str:
        return f"<SecretResult: name {self.location!r}>"
