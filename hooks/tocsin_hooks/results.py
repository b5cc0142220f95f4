"""The wrapper in which a state carries its value, and what can be asked of one that is stored.

`Result` itself stores nothing. Classes that do derive from it and write `exists`, `read` and `write`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, Self

from tocsin_hooks.serializers import PickleSerializer, Serializer

if TYPE_CHECKING:
    import logging

Location = str | os.PathLike[str] | Callable[..., str] | None


class Result:
    """A value, and where and how it is stored. `State.result` unwraps it.

    `location` is text with places for `str.format`, or a function that is given the same values by name and returns
    the text. `serializer` turns values into bytes; `PickleSerializer()` unless another is given. Two results are
    equal when class, value, location and the other public attributes are.
    """

    def __init__(self, value: Any = None, location: Location = None, serializer: Serializer | None = None) -> None:
        self.value = value
        self.location: str | None = None
        self._formatter: Callable[..., str] | None = None
        if location is not None:
            self._place(location)
        self._serializer = serializer

    def _place(self, location: Any) -> None:
        if isinstance(location, str | os.PathLike):
            self.location = os.fspath(location)
        elif callable(location):
            self._formatter = location
        else:
            raise TypeError(f"the location of a result is {location!r}; give text or a function that returns text")

    @property
    def serializer(self) -> Serializer:
        """Turns values into bytes and back."""
        if self._serializer is None:
            self._serializer = PickleSerializer()
        return self._serializer

    @serializer.setter
    def serializer(self, serializer: Serializer | None) -> None:
        self._serializer = serializer

    @property
    def logger(self) -> logging.Logger:
        """The logger `tocsin.CLASS`."""
        import logging

        return logging.getLogger(f"tocsin.{type(self).__name__}")

    @property
    def default_location(self) -> str:
        """A place that nothing else has; used when no location was given."""
        import datetime as dt  # both needed only by results that are stored without a name
        import uuid

        return f"tocsin-result-{dt.datetime.now(dt.UTC):%Y-%m-%dt%H-%M-%S-%f}-{uuid.uuid4().hex[:12]}"

    def copy(self) -> Self:
        """A result like this one."""
        import copy  # kept out of `import tocsin`, as are the others here

        return copy.copy(self)

    def from_value(self, value: Any) -> Self:
        """A result like this one that holds `value`, which is not stored yet."""
        new = self.copy()
        new.location = None
        new.value = value
        return new

    def format(self, /, **kwargs: Any) -> Self:
        """A result like this one whose location is settled by `kwargs`.

        >>> Result(location="{task_name}/{today}.txt").format(task_name="load", today="2024-02-29").location
        'load/2024-02-29.txt'
        """
        new = self.copy()
        if self.location is not None:
            new.location = self.location.format(**kwargs)
        elif self._formatter is not None:
            new.location = os.fspath(self._formatter(**kwargs))
        else:
            new.location = self.default_location
        return new

    def exists(self, location: str, **kwargs: Any) -> bool:  # noqa: ARG002
        """Whether something is stored at `location`, a template when there are `kwargs`."""
        self._cannot("exists")

    def read(self, location: str) -> Self:  # noqa: ARG002
        """A result like this one with the value stored at `location`."""
        self._cannot("read")

    def write(self, value_: Any, /, **kwargs: Any) -> Self:  # noqa: ARG002
        """Store a value at the location, settled by `kwargs`; returns a result with that value and location."""
        self._cannot("write")

    def _cannot(self, method: str) -> NoReturn:
        raise NotImplementedError(
            f"{type(self).__name__} stores nothing and has no '{method}'; use LocalResult or another of tocsin.results"
        )

    def _public(self) -> dict[str, Any]:
        public = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        return public | {"serializer": self.serializer}

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        assert isinstance(other, Result)
        return bool(self._public() == other._public())

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.value!r}>"


class NoResultType(Result):
    """What a state carries that was given no result: tells "none given" from a given `None`."""

    _only: NoResultType | None = None

    def __new__(cls) -> NoResultType:  # noqa: D102
        if cls._only is None:
            cls._only = super().__new__(cls)
        return cls._only

    def __init__(self) -> None:
        super().__init__(None)

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return "<No result>"

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return NoResultType, ()


NoResult = NoResultType()
