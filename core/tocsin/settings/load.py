"""How a config file becomes a config, or a list of everything that is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tocsin.settings.channels import Installed, channel_settings, plain_keys, secret_problems
from tocsin.settings.check import CheckTemplate, lint, reference_problems, route_names, template_settings
from tocsin.settings.document import Document, read
from tocsin.settings.expressions import Expressions, Predicate, expressions
from tocsin.settings.issues import ConfigError, Problem, Severity, in_order
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import FORMAT, File, PluginSettings
from tocsin.settings.settings import (
    ChannelSettings,
    Config,
    DefaultSettings,
    RouteSettings,
    StoreSettings,
    TemplateSettings,
)
from tocsin.settings.source import Source
from tocsin.settings.translate import translate
from tocsin_hooks.channels import ChannelType


def load(
    source: Source,
    *,
    channel_types: Mapping[str, ChannelType],
    filters: Mapping[str, Predicate] | None = None,
    broken_plugins: Mapping[str, str] | None = None,
    check_template: CheckTemplate | None = None,
) -> Config:
    """The config of `source`; raises ConfigError with everything that is wrong with it.

    `filters` are those that plugins provide, `broken_plugins` the reasons why plugins could not be loaded. Secrets
    are not read: one that is missing shows when a message is sent, and breaks no pipeline.
    """
    parts, problems = _examine(source, Installed(channel_types, broken_plugins or {}), filters or {}, check_template)
    errors = [problem for problem in in_order(problems) if problem.severity is Severity.ERROR]
    if parts is None or errors:
        raise ConfigError(errors)
    return parts.config()


def check(
    source: Source,
    *,
    channel_types: Mapping[str, ChannelType],
    filters: Mapping[str, Predicate] | None = None,
    broken_plugins: Mapping[str, str] | None = None,
    check_template: CheckTemplate | None = None,
    secrets: bool = True,
) -> list[Problem]:
    """Everything wrong with the config of `source`, in the order of the file.

    With `secrets`, those that cannot be read here and now are errors too. What does nothing is a warning, and is
    looked for once there are no errors.
    """
    parts, problems = _examine(source, Installed(channel_types, broken_plugins or {}), filters or {}, check_template)
    if parts is not None:
        if all(problem.severity is Severity.WARNING for problem in problems):
            problems += lint(parts.document, parts.file, parts.expressions)
        if secrets:
            problems += secret_problems(parts.document, parts.channels)
    return in_order(problems)


def plugin_settings(source: Source) -> PluginSettings:
    """Which plugins the config allows, read before there are plugins; the defaults where it has mistakes."""
    document, _ = read(source)
    try:
        return PluginSettings.model_validate(document.data.get("plugins", {}) if document else {})
    except ValidationError:
        return PluginSettings()


@dataclass(frozen=True)
class _Parts:
    """A config taken apart; whole only where there are no errors."""

    document: Document
    file: File
    channels: dict[str, ChannelSettings]
    expressions: Expressions
    templates: dict[str, TemplateSettings]

    def config(self) -> Config:
        file, source = self.file, self.document.source
        return Config(
            path=source.path,
            version=file.version,
            project=file.project,
            defaults=DefaultSettings(
                opens=self.expressions.opens,
                send=file.defaults.send or (),
                send_is_set=file.defaults.send is not None,
                template=file.defaults.template,
                key=file.defaults.key,
                recover=file.defaults.recover,
            ),
            store=StoreSettings(_absolute(source.base, file.store.path), file.store.retention),
            delivery=file.delivery,
            plugins=file.plugins,
            filters=self.expressions.named,
            channels=self.channels,
            routes=self._routes(),
            templates=self.templates,
        )

    def _routes(self) -> tuple[RouteSettings, ...]:
        return tuple(
            RouteSettings(
                name=name,
                filter=when,
                send=route.send,
                stop=route.stop,
                under=route.under,
                template=route.template,
                position=self.document.at(("routes", index), key=True).position,
            )
            for index, (name, route, when) in enumerate(
                zip(route_names(self.file), self.file.routes, self.expressions.whens, strict=True)
            )
        )


def _examine(
    source: Source,
    installed: Installed,
    provided: Mapping[str, Predicate],
    check_template: CheckTemplate | None,
) -> tuple[_Parts | None, list[Problem]]:
    document, problems = read(source)
    if document is None:
        return None, problems
    document = replace(document, plain=plain_keys(document.data, installed.types))
    if newer := _newer_format(document):
        return None, [newer]
    file, found = shape(document)
    problems += found
    channels, found = channel_settings(document, file.channels, installed, inline_secrets=file.allow_inline_secrets)
    problems += found
    filters, found = expressions(document, file, provided)
    problems += found
    templates, found = template_settings(document, file, check_template)
    problems += found
    problems += reference_problems(document, file)
    return _Parts(document, file, channels, filters, templates), problems


def _newer_format(document: Document) -> Problem | None:
    """The only problem worth telling of a file whose format is newer than this tocsin."""
    version = document.data.get("version")
    if not isinstance(version, int) or version <= FORMAT:
        return None
    text = f"version = {version} is newer than this tocsin, which reads version {FORMAT}"
    return Problem("E105", text, document.at(("version",)), "update it: pip install --upgrade tocsin")


def shape(document: Document) -> tuple[File, list[Problem]]:
    """The file as far as its shape is right, and the problems of what had to be left out for that."""
    data = copy.deepcopy(document.data)
    problems: list[Problem] = []
    while True:
        try:
            return File.model_validate(data), problems
        except ValidationError as error:
            for each in translate(error, document, File):
                problems.append(each.problem)
                prune(data, each.path)


def prune(data: dict[str, Any], path: KeyPath) -> None:
    """Take the value at `path` out of `data`, with the list it is an element of; everything, for the empty path.

    >>> data = {"version": 1, "defaults": {"send": ["ops", 3], "template": "t"}}
    >>> prune(data, ("defaults", "send", 1))
    >>> data
    {'version': 1, 'defaults': {'template': 't'}}
    """
    while path and not isinstance(path[-1], str):
        path = path[:-1]
    if not path:
        data.clear()
        return
    table: Any = data
    for part in path[:-1]:
        if isinstance(table, dict) and part not in table:
            return  # taken out before, with what it was in
        table = table[part]
    table.pop(path[-1], None)


def _absolute(base: Path, text: str) -> Path:
    path = Path(text)
    try:
        path = path.expanduser()
    except RuntimeError:  # the home of a user that does not exist: then it is a name like any other
        path = Path(text)
    return base / path
