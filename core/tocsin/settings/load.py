"""How a config file becomes a config, or a list of everything that is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tocsin.settings.alerting import escalations_of, inhibitions_of, watches_of, windows_of
from tocsin.settings.channel_types import Installed
from tocsin.settings.channels import channel_settings, plain_keys, secret_problems
from tocsin.settings.check import option_problems, reference_problems
from tocsin.settings.check_alerts import alert_problems, unseen_flows
from tocsin.settings.check_inhibit import inhibition_problems
from tocsin.settings.check_templates import CheckTemplate, length_problems, template_settings
from tocsin.settings.document import Document
from tocsin.settings.expressions import Expressions, Predicate, expressions, written_filters
from tocsin.settings.include import read
from tocsin.settings.inherit import Layer, layers, resolved
from tocsin.settings.issues import ConfigError, Problem, Severity, in_order
from tocsin.settings.known_labels import SeenLabels
from tocsin.settings.lint import Damage, lint
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import FORMAT, File, PluginSettings, RecoverSettings
from tocsin.settings.secret_like import concealed
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
from tocsin.settings.uses import route_names
from tocsin_hooks.channels import ChannelType


def load(
    source: Source,
    *,
    channel_types: Mapping[str, ChannelType],
    filters: Mapping[str, Predicate] | None = None,
    broken_plugins: Mapping[str, str] | None = None,
    check_template: CheckTemplate | None = None,
    template_filters: Mapping[str, Callable[..., Any]] | None = None,
    any_label: bool = False,
) -> Config:
    """The config of `source`; raises ConfigError with everything that is wrong with it.

    `filters` and `template_filters` are those that plugins provide, `broken_plugins` the reasons why plugins could not
    be loaded. Secrets are not read: one that is missing shows when a message is sent, and breaks no pipeline. With
    `any_label` no label is unknown.
    """
    known = _Known(Installed(channel_types, broken_plugins or {}), filters or {}, check_template, any_label)
    parts, problems = _examine(source, known)
    errors = [problem for problem in in_order(map(_shown, problems)) if problem.severity is Severity.ERROR]
    if parts is None or errors:
        raise ConfigError(errors)
    return replace(parts.config(), template_filters=template_filters or {})


def check(
    source: Source,
    *,
    channel_types: Mapping[str, ChannelType],
    filters: Mapping[str, Predicate] | None = None,
    broken_plugins: Mapping[str, str] | None = None,
    check_template: CheckTemplate | None = None,
    seen_labels: Callable[[StoreSettings], frozenset[str]] | None = None,
    secrets: bool = True,
) -> list[Problem]:
    """Everything wrong with the config of `source`, in the order of the file.

    `seen_labels` says which labels events in history have. With `secrets`, those that cannot be read here and now are
    errors too. What does nothing is a warning; beside errors it is looked for in what could be read.
    """
    installed = Installed(channel_types, broken_plugins or {})
    known = _Known(installed, filters or {}, check_template, any_label=False, look=seen_labels)
    parts, problems = _examine(source, known)
    if parts is not None:
        refused = any(problem.severity is Severity.ERROR for problem in problems)
        problems += lint(
            parts.document,
            parts.file,
            parts.expressions,
            parts.templates,
            damage=Damage(parts.lost) if refused else None,
        )
        problems += unseen_flows(parts.document, parts.file, known.seen(_store(source, parts.file)))
        if secrets:
            problems += secret_problems(parts.document, parts.file, parts.channels)
    return in_order(map(_shown, problems))


def _shown(problem: Problem) -> Problem:
    """The problem as it may be shown: what stands where a name is expected may be a secret."""
    return replace(problem, text=concealed(problem.text), suggestion=concealed(problem.suggestion))


def plugin_settings(source: Source) -> PluginSettings:
    """Which plugins the config allows, read before there are plugins; the defaults where it has mistakes."""
    document, _ = read(source)
    try:
        return PluginSettings.model_validate(document.data.get("plugins", {}) if document else {})
    except ValidationError:
        return PluginSettings()


@dataclass(frozen=True, slots=True)
class _Known:
    """What a config can refer to beyond itself."""

    installed: Installed
    filters: Mapping[str, Predicate]
    check_template: CheckTemplate | None
    any_label: bool
    look: Callable[[StoreSettings], frozenset[str]] | None = None

    def seen(self, store: StoreSettings) -> SeenLabels:
        """The labels that the events in a store have."""
        look = self.look
        return SeenLabels() if look is None else SeenLabels(lambda: look(store))


@dataclass(frozen=True)
class _Parts:
    """A config taken apart; whole only where there are no errors."""

    document: Document
    file: File
    channels: dict[str, ChannelSettings]
    expressions: Expressions
    templates: dict[str, TemplateSettings]
    lost: tuple[KeyPath, ...] = ()
    """Where something had to be left out because it could not be read."""

    def config(self) -> Config:
        file, source, filters = self.file, self.document.source, self.expressions.at
        timezone = file.defaults.timezone or "UTC"
        return Config(
            path=source.path,
            version=file.version,
            project=file.project,
            defaults=self._defaults(),
            store=_store(source, file),
            delivery=file.delivery,
            hub=file.hub,
            plugins=file.plugins,
            filters=self.expressions.named,
            channels=self.channels,
            routes=self._routes(),
            templates=self.templates,
            windows=windows_of(file.windows, timezone),
            inhibitions=inhibitions_of(file.inhibit, filters),
            escalations=escalations_of(file.escalations),
            watches=watches_of(file.watch, filters, timezone),
            timezone=timezone,
        )

    def _defaults(self) -> DefaultSettings:
        defaults = self.file.defaults
        options = resolved((Layer(("defaults",), defaults),), self.expressions.at)
        return DefaultSettings(
            opens=self.expressions.opens,
            send=options.send,
            send_is_set=defaults.send is not None,
            template=options.template,
            key=defaults.key,
            recover=RecoverSettings(options.recover.notice),
            options=options,
        )

    def _routes(self) -> tuple[RouteSettings, ...]:
        names = route_names(self.file)
        lines = layers(self.file.defaults, self.file.routes, names)
        return tuple(
            RouteSettings(
                name=name,
                filter=when,
                send=route.send,
                stop=route.stop,
                under=route.under,
                template=route.template,
                position=self.document.at(("routes", index), key=True).position,
                options=resolved(lines[index], self.expressions.at),
            )
            for index, (name, route, when) in enumerate(
                zip(names, self.file.routes, self.expressions.whens, strict=True)
            )
        )


def _examine(source: Source, known: _Known) -> tuple[_Parts | None, list[Problem]]:
    document, problems = read(source)
    if document is None:
        return None, problems
    document = document.with_plain(plain_keys(document.data, known.installed.types))
    if newer := _newer_format(document):
        return None, [newer]
    file, found, lost = shape(document)
    problems += found
    inline_secrets = file.allow_inline_secrets
    channels, found = channel_settings(document, file.channels, known.installed, inline_secrets=inline_secrets)
    problems += found
    chosen = None if known.any_label or file.defaults.drop_unknown_labels else known.seen(_store(document.source, file))
    filters, found = expressions(document, file, known.filters, seen=chosen)
    problems += found
    templates, found = template_settings(document, file, known.check_template)
    kinds = {name: channel.type.name for name, channel in channels.items()}
    problems += [*found, *length_problems(document, file, templates, kinds)]
    problems += reference_problems(document, file, seen=chosen)
    problems += option_problems(document, file, filters)
    problems += alert_problems(document, file)
    problems += inhibition_problems(document, file, filters)
    unread = (path for path in written_filters(file) if path not in filters.at)
    return _Parts(document, file, channels, filters, templates, (*lost, *unread)), problems


def _newer_format(document: Document) -> Problem | None:
    """The only problem worth telling of a file whose format is newer than this tocsin."""
    version = document.data.get("version")
    if not isinstance(version, int) or version <= FORMAT:
        return None
    text = f"version = {version} is newer than this tocsin, which reads version {FORMAT}"
    return Problem("E105", text, document.at(("version",)), "update it: pip install --upgrade tocsin")


def shape(document: Document) -> tuple[File, list[Problem], list[KeyPath]]:
    """The file as far as its shape is right, the problems of what had to be left out for that, and where that was."""
    data = copy.deepcopy(document.data)
    inline = data.get("allow_inline_secrets") is True
    context = {"base": document.source.base, "inline_secrets": inline}
    problems: list[Problem] = []
    lost: list[KeyPath] = []
    while True:
        try:
            return File.model_validate(data, context=context), problems, lost
        except ValidationError as error:
            for each in translate(error, document, File):
                problems += [] if each.told else [each.problem]
                prune(data, each.path)
                lost.append(each.path)


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


def _store(source: Source, file: File) -> StoreSettings:
    given = file.store
    return StoreSettings(_absolute(source.base, given.path or "tocsin.db"), given.retention, given.history, given.url)


def _absolute(base: Path, text: str) -> Path:
    path = Path(text)
    try:
        path = path.expanduser()
    except RuntimeError:  # the home of a user that does not exist: then it is a name like any other
        path = Path(text)
    return base / path
