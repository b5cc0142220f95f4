"""`tocsin plugins`: what is installed, what each plugin provides, and why one cannot be used."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from tocsin.assembly import LOCAL, Facts, facts_here
from tocsin.cli.output import first_line, json_option, print_json, say, table
from tocsin.errors import TocsinError, did_you_mean
from tocsin.plugins.calls import Hooks
from tocsin.plugins.catalog import PluginInfo
from tocsin_hooks import specs
from tocsin_hooks.channels import ChannelConfig, ChannelType
from tocsin_hooks.durations import format_duration
from tocsin_hooks.secrets import redact

_EXAMPLES = """\b
Examples:
  tocsin plugins
  tocsin plugins show slack
  tocsin plugins hooks
"""
_SHOW_EXAMPLES = """\b
Examples:
  tocsin plugins show slack
  tocsin plugins show inbox --json
"""
_HOOKS_EXAMPLES = """\b
Examples:
  tocsin plugins hooks
"""


@click.group(epilog=_EXAMPLES, invoke_without_command=True)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show the installed plugins: what they provide, and why one is not used."""
    if ctx.invoked_subcommand is not None:
        return
    known = facts_here()
    rows = [_summary(known, info) for info in known.catalog.plugins.values()]
    if as_json:
        print_json(rows)
        return
    table(
        ("PLUGIN", "PACKAGE", "CHANNEL TYPES", "HOOKS", "STATE"),
        [
            (row["name"], f"{row['package']} {row['version']}".strip(), ", ".join(row["channel_types"]),
             ", ".join(_shortened(row["hooks"])), "not used" if row["error"] else "ok")
            for row in rows
        ],
    )  # fmt: skip
    for row in rows:
        if row["error"]:
            say(f"not used: {row['name']}: {row['error']}")


def _summary(known: Facts, info: PluginInfo) -> dict[str, Any]:
    types = [] if info.error else [kind.name for kind in Hooks(known.catalog).channel_types_of(info.name)]
    return {
        "name": info.name,
        "package": "tocsin" if info.name == LOCAL else info.package,
        "version": info.version,
        "module": info.module,
        "channel_types": types,
        "hooks": list(info.hooks),
        "error": redact(info.error) or None,
    }


def _shortened(hooks: list[str]) -> list[str]:
    return [hook.removeprefix("tocsin_") for hook in hooks if hook != "tocsin_channel_types"]


# ---------------------------------------------------------------- show


@command.command(epilog=_SHOW_EXAMPLES)
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show the plugin or channel type NAME: its settings, and a piece of config to start from."""
    known = facts_here()
    info, kinds = _found(known, name)
    if as_json:
        described = [_described(kind) for kind in kinds]
        print_json({"plugin": _summary(known, info) if info else None, "channel_types": described})
        return
    if info is not None:
        for line in _told(info):
            say(line)
    for kind in kinds:
        _show_type(kind)


def _found(known: Facts, name: str) -> tuple[PluginInfo | None, tuple[ChannelType, ...]]:
    """The plugin of that name with all its channel types, or the one that provides the channel type of that name."""
    hooks, plugins = Hooks(known.catalog), known.catalog.plugins
    provided = {each: () if info.error else hooks.channel_types_of(info.name) for each, info in plugins.items()}
    for each, kinds in provided.items():
        if named := tuple(kind for kind in kinds if kind.name == name):
            return plugins[each], named
    for each, info in plugins.items():
        if name in (each, info.package):
            return info, provided[each]
    names = {*plugins, *known.channel_types}
    raise TocsinError(f"no plugin or channel type '{name}' is installed{did_you_mean(name, names)}")


def _told(info: PluginInfo) -> Iterator[str]:
    version = f" {info.version}" if info.version else ""
    yield f"plugin '{info.name}'" + (f", of package {info.package}{version}" if info.package else "")
    yield f"  module: {info.module}"
    if info.error:
        yield f"  not used: {redact(info.error)}"
    if info.hooks:
        yield f"  hooks: {', '.join(info.hooks)}"


def _show_type(kind: ChannelType) -> None:
    say()
    say(f'channel type "{kind.name}"' + (f": {kind.summary}" if kind.summary else ""))
    if kind.capabilities:
        say(f"  can: {', '.join(sorted(kind.capabilities))}")
    rows = [
        (row["name"], row["type"], "required" if row["required"] else row["default"], row["description"])
        for row in settings(kind.config)
    ]
    if rows:
        say()
        table(("SETTING", "TYPE", "DEFAULT", "MEANING"), rows)
    say()
    say("[channels.NAME]")
    if not any(line.startswith("type") for line in kind.sample.splitlines()):
        say(f'type = "{kind.name}"')
    if kind.sample.strip():
        say(kind.sample.strip())


def _described(kind: ChannelType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "summary": kind.summary,
        "capabilities": sorted(kind.capabilities),
        "settings": settings(kind.config),
        "sample": kind.sample,
    }


def settings(config: type[ChannelConfig]) -> list[dict[str, Any]]:
    """The settings of a channel type: name, type, default and description, as text."""
    docs = _attribute_docs(config)
    return [
        {
            "name": info.alias or name,
            "type": type_name(info.annotation),
            "required": info.is_required(),
            "default": "" if info.is_required() else _default(info),
            "description": " ".join((info.description or docs.get(name, "")).split()),
        }
        for name, info in config.model_fields.items()
    ]


def _attribute_docs(config: type[ChannelConfig]) -> Mapping[str, str]:
    """The texts that stand below the fields of a class, where its source can be read."""
    import ast
    import textwrap

    try:
        [body] = ast.parse(textwrap.dedent(inspect.getsource(config))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    docs: dict[str, str] = {}
    field = ""
    for node in body.body if isinstance(body, ast.ClassDef) else ():
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))) if field:
                docs[field] = text
        field = node.target.id if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) else ""
    return docs


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None:
        return (
            "depends"
            if info.default_factory_takes_validated_data
            else _shown(info.get_default(call_default_factory=True))
        )
    return _shown(info.default)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if value in ("", (), [], {}, frozenset()):
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if hasattr(value, "total_seconds"):
        return format_duration(value.total_seconds())
    return first_line(str(value) if isinstance(value, str | int | float) else repr(value), 60)


def type_name(annotation: Any) -> str:
    """What a setting takes, in the words of somebody who writes TOML.

    >>> type_name(str | None), type_name(list[str]), type_name(bool), type_name(dict[str, str])
    ('text', 'list of text', 'true or false', 'table of text')
    """
    from typing import Annotated, Literal

    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(inner[0])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in inner)
    if inner and origin in (list, tuple, set, frozenset):
        return f"list of {type_name(inner[0])}"
    if inner and origin in (dict, Mapping):
        return f"table of {type_name(inner[-1])}"
    if inner:  # a union, however it was written
        return " or ".join(dict.fromkeys(type_name(part) for part in inner if part is not type(None)))
    return _PLAIN_TYPES.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation)))


_PLAIN_TYPES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "timedelta": "duration",
    "Path": "path",
    "Secret": "secret",
    "Any": "anything",
}


# ---------------------------------------------------------------- hooks


@command.command(epilog=_HOOKS_EXAMPLES)
@json_option
def hooks(as_json: bool) -> None:
    """List the hooks that a plugin can implement."""
    found = {
        name: first_line(inspect.getdoc(getattr(specs, name)) or "", 110)
        for name in vars(specs)
        if name in specs.spec_names()
    }
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in found.items()])
    else:
        table(("HOOK", "WHEN"), found.items())
