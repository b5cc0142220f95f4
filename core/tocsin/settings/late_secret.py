"""How a setting of pydantic's own type for secrets is given a reference: read when the channel asks, like any other."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, SecretStr

from tocsin_hooks.secrets import Secret

_KINDS = ("env", "file", "keyring")


class LateSecret(SecretStr):
    """A `SecretStr` that is known by where it is kept.

    >>> LateSecret(Secret.literal("hunter2")).get_secret_value(), LateSecret(Secret.literal("hunter2"))
    ('hunter2', LateSecret('**********'))
    """

    def __init__(self, secret: Secret) -> None:
        super().__init__("*")
        self.secret = secret

    def get_secret_value(self) -> str:
        """The value; raises SecretError, naming the reference, when there is none."""
        return self.secret.get_secret_value()


def with_late_secrets(
    own: Mapping[str, Any], config: type[BaseModel], context: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The settings with each reference for a `SecretStr` in its place, and the keys of those that are written plainly.

    >>> class Config(BaseModel):
    ...     token: SecretStr | None = None
    ...     room: str = ""
    >>> with_late_secrets({"token": {"env": "TOKEN"}, "room": "ops"}, Config, {})
    ({'token': LateSecret('**********'), 'room': 'ops'}, [])
    >>> with_late_secrets({"token": "hunter2"}, Config, {})[1]
    ['token']
    """
    settings, plain = dict(own), []
    for key in _secret_keys(config):
        match settings.get(key):
            case str():
                plain.append(key)
            case {**reference} if len(reference) == 1:
                [(kind, name)] = reference.items()
                if kind in _KINDS and isinstance(name, str) and name.strip():
                    settings[key] = LateSecret(Secret(kind, name, base=context.get("base")))
    return settings, plain


def _secret_keys(config: type[BaseModel]) -> Iterator[str]:
    for name, info in config.model_fields.items():
        if _is_secret(info.annotation):
            yield info.alias or name


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(map(_is_secret, typing.get_args(annotation)))
