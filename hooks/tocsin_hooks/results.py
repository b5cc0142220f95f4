"""The wrapper in which a state may carry its value."""

from typing import Any


class Result:
    """A value on its way from one task to the next.

    `State.result` unwraps it. Classes that also store the value derive from this one.
    """

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return bool(vars(self) == vars(other))

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.value!r}>"


class NoResultType(Result):
    """What a state carries that was given no result: tells "none given" from a given `None`."""

    _only: "NoResultType | None" = None

    def __new__(cls) -> "NoResultType":  # noqa: D102
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
