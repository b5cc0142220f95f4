"""Whether the channels of a config fit the channel types that are installed."""

from __future__ import annotations

import datetime as dt
import enum
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from tocsin.settings.channel_types import Installed, type_problem
from tocsin.settings.document import Document
from tocsin.settings.issues import Problem, listed, nearest
from tocsin.settings.late_secret import LateSecret, with_late_secrets
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import CHANNEL_KEYS, File, Sending
from tocsin.settings.paths import data_path, spoken
from tocsin.settings.secret_like import is_on_this_machine, is_secret_setting
from tocsin.settings.settings import ChannelSettings
from tocsin.settings.translate import CHANNEL, translate
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.errors import SecretError
from tocsin_hooks.secrets import Secret

_REFERENCE = '{ env = "NAME" }, { file = "PATH" } or { keyring = "service/name" }'
_PLAIN = (str, int, float, bool, dt.timedelta, dt.datetime, dt.date, dt.time, type(None))
_NESTS = (list, tuple, set, frozenset)  # what a setting may hold several values in


def channel_settings(
    document: Document, channels: Mapping[str, Mapping[str, Any]], installed: Installed, *, inline_secrets: bool
) -> tuple[dict[str, ChannelSettings], list[Problem]]:
    """The settings of the channels that are right, and the problems of the others."""
    settings: dict[str, ChannelSettings] = {}
    problems: list[Problem] = []
    context = {"base": document.source.base, "inline_secrets": inline_secrets}
    for name, table in channels.items():
        path: KeyPath = ("channels", name)
        sending, found = _sending(document, path, table)
        problems += found
        problems += _fallback_problems(document, path, table.get("fallback"), channels)
        kind = table.get("type")
        if not isinstance(kind, str) or kind not in installed.types:
            problems.append(type_problem(document, path, table, installed))
            continue
        channel_type = installed.types[kind]
        config, found = _own_settings(document, path, table, channel_type, context)
        problems += found
        if config is not None:
            problems += () if inline_secrets else _written_secrets(document, path, config)
            settings[name] = ChannelSettings(name, channel_type, config, sending)
    return settings, problems


def _sending(document: Document, path: KeyPath, table: Mapping[str, Any]) -> tuple[Sending, list[Problem]]:
    own = {key: table[key] for key in Sending.model_fields if key in table}
    try:
        return Sending.model_validate(own), []
    except ValidationError as error:
        found = translate(error, document, Sending, codes=CHANNEL, prefix=path)
        return Sending(), [each.problem for each in found]


def _fallback_problems(
    document: Document, path: KeyPath, fallback: object, channels: Mapping[str, Any]
) -> Iterator[Problem]:
    if not isinstance(fallback, str) or not fallback.strip():
        return
    where = f"[channels.{path[1]}]"
    if fallback == path[1]:
        text = f"{where} falls back to itself, '{fallback}'"
        yield Problem("E405", text, document.at((*path, "fallback")), "name another channel, or leave it out")
    elif fallback not in channels:
        hint = nearest(fallback, list(channels)) or f"channels: {listed(channels)}"
        text = f"{where} falls back to unknown channel '{fallback}'"
        yield Problem("E405", text, document.at((*path, "fallback")), hint)


def _own_settings(
    document: Document, path: KeyPath, table: Mapping[str, Any], kind: ChannelType, context: dict[str, Any]
) -> tuple[ChannelConfig | None, list[Problem]]:
    given = {key: value for key, value in table.items() if key not in CHANNEL_KEYS}
    own, plain = with_late_secrets(given, kind.config, context)
    written = [] if context["inline_secrets"] else [key for key in plain if not is_on_this_machine(own[key])]
    if written:
        return None, [_written_secret(document, (*path, key), "a secret is never written here") for key in written]
    try:
        return kind.config.model_validate(own, context=context), []
    except ValidationError as error:
        found = translate(error, document, kind.config, codes=CHANNEL, prefix=path, also_known=CHANNEL_KEYS)
        return None, [each.problem for each in found]
    except Exception as error:  # a plugin's validator raises what it likes; its text may hold what it was given
        text = f"[channels.{path[1]}] the plugin of type '{kind.name}' failed on these settings: {type(error).__name__}"
        return None, [Problem("E402", text, document.at(path, key=True))]


# ---------------------------------------------------------------- secrets


def secret_problems(document: Document, file: File, channels: Mapping[str, ChannelSettings]) -> list[Problem]:
    """The secrets that cannot be read now, on this machine."""
    found = [(path, secret) for path, secret in _secrets(file)]
    found += [
        (("channels", name, *path), secret) for name, each in channels.items() for path, secret in _secrets(each.config)
    ]
    problems = []
    for path, secret in found:
        if reason := _unreadable(secret):
            written = data_path(document.data, path)  # a plugin may have made a list of it
            table, key = spoken(document.data, written)
            problems.append(Problem("E407", f"{table} {key}: {reason}", document.at(written)))
    return problems


def _written_secrets(document: Document, path: KeyPath, config: ChannelConfig) -> Iterator[Problem]:
    """Secrets that stand in settings which may be plain: an address lets in whoever knows it."""
    for inner, secret in _secrets(config):
        if secret.kind == "plain" and is_secret_setting(str(inner[0]), secret.get_secret_value()):
            written = data_path(document.data, (*path, *inner))
            yield _written_secret(document, written, "holds a secret, which is never written here")


def _written_secret(document: Document, path: KeyPath, what: str) -> Problem:
    table, key = spoken(document.data, path)
    return Problem("E406", f"{table} {key}: {what}; refer to it: {_REFERENCE}", document.at(path))


def _unreadable(secret: Secret) -> str:
    try:
        secret.get_secret_value()
    except SecretError as error:
        return str(error)
    except Exception as error:  # keyring backends raise errors of their own
        return f"{secret.where} cannot be read: {type(error).__name__}"
    return ""


def _secrets(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Secret]]:
    """Every secret that settings refer to, with its path; in a set, whose order tells nothing, with some index."""
    if isinstance(value, Secret):
        yield path, value
    elif isinstance(value, LateSecret):
        yield path, value.secret
    elif isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from _secrets(getattr(value, name), (*path, info.alias or name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secrets(inner, (*path, str(key)))
    elif isinstance(value, _NESTS):
        for index, inner in enumerate(value):
            yield from _secrets(inner, (*path, index))


def plain_keys(data: Mapping[str, Any], types: Mapping[str, ChannelType]) -> frozenset[KeyPath]:
    """The keys `("channels", NAME, KEY)` whose values are no secrets, as their plugins declare them."""
    channels = data.get("channels")
    found: set[KeyPath] = set()
    for name, table in channels.items() if isinstance(channels, dict) else ():
        kind = table.get("type") if isinstance(table, dict) else None
        if isinstance(kind, str) and kind in types:
            fields = types[kind].config.model_fields.items()
            found |= {("channels", name, info.alias or key) for key, info in fields if is_plain(info.annotation)}
    return frozenset(found)


def is_plain(annotation: Any) -> bool:
    """Whether a setting of this type holds no secret and no table: its text may be shown.

    >>> is_plain(str | None), is_plain(list[str]), is_plain(dict[str, str]), is_plain(Secret | None)
    (True, True, False, False)
    """
    if annotation in _PLAIN or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        return True
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return True
    inner = [part for part in typing.get_args(annotation) if part is not Ellipsis]
    if origin is typing.Annotated:
        return is_plain(inner[0])
    nests = origin in _NESTS or origin is typing.Union or isinstance(annotation, types.UnionType)
    return nests and bool(inner) and all(is_plain(part) for part in inner)
