"""A table of options: a dict with attributes whose tables have them too, and which never shows a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from tocsin.errors import did_you_mean

SECRETS = "secrets"
"""The key whose table holds secrets, wherever it stands."""


class Options(MutableMapping[str, Any]):
    """Options by key or by attribute, nested.

    >>> options = Options({"tasks": {"defaults": {"max_retries": 0}}})
    >>> options.tasks.defaults.max_retries = 3
    >>> options["tasks"].to_dict()
    {'defaults': {'max_retries': 3}}
    """

    __slots__ = ("_table",)

    def __init__(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:
        object.__setattr__(self, "_table", {})
        for key, value in {**(values or {}), **more}.items():
            self[key] = value

    def _values(self) -> dict[str, Any]:
        found: dict[str, Any] = self._table
        return found

    def __getitem__(self, key: str) -> Any:
        return self._values()[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self._values().get(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self._values()[key] = _held(key, value)

    def __delitem__(self, key: str) -> None:
        del self._values()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # asked by copy and pickle, also before there is a table
            raise AttributeError(name)
        values = self._values()
        try:
            return values[name]
        except KeyError:
            raise AttributeError(f"there is no option '{name}'{did_you_mean(name, values)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self:
            raise AttributeError(f"there is no option '{name}'{did_you_mean(name, self)}")
        del self[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __repr__(self) -> str:
        shown = ", ".join(f"{key!r}: {value!r}" for key, value in self.items())
        return f"{type(self).__name__}({{{shown}}})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """The options as plain dicts of their own."""
        return {key: value.to_dict() if isinstance(value, Options) else value for key, value in self.items()}

    def copy(self) -> Options:
        """The same options, in tables of their own."""
        return type(self)(self.to_dict())

    __copy__ = copy


class SecretOptions(Options):
    """A table of secrets: it tells their names, and a value only when asked for it.

    >>> SecretOptions({"TOKEN": "xoxb-1"})
    SecretOptions({'TOKEN': ***})
    """

    __slots__ = ()

    def __setitem__(self, key: str, value: Any) -> None:
        self._values()[key] = value  # also a dict stays what it is: it is one secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}({{{', '.join(f'{key!r}: ***' for key in self)}}})"


def _held(key: str, value: Any) -> Any:
    """The value as a table holds it: tables become tables of its kind."""
    if key == SECRETS and isinstance(value, Mapping):
        return value if isinstance(value, SecretOptions) else SecretOptions(value)
    return Options(value) if type(value) is dict else value


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """What two nested mappings say together: `over` wins, tables are merged; neither is changed.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    found = {key: merged(value, {}) if isinstance(value, Mapping) else value for key, value in under.items()}
    for key, value in over.items():
        below = found.get(key)
        if isinstance(value, Mapping):
            found[key] = merged(below if isinstance(below, dict) else {}, value)
        else:
            found[key] = value
    return found
