"""`tocsin check`: every mistake in the config, in one go."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from tocsin.assembly import Assembly, assemble, broken_plugins
from tocsin.cli.configured import config_source
from tocsin.cli.output import count, json_option, print_json, say
from tocsin.health.config import config_problems
from tocsin.plugins.catalog import UNWANTED
from tocsin.settings import Place, Position, Problem, Severity
from tocsin.settings.include import read
from tocsin.settings.settings import StoreSettings
from tocsin.settings.source import Source
from tocsin.store.checkup import check_up
from tocsin.store.records import StoreError
from tocsin_hooks.secrets import Secret, redact

_EXAMPLES = """\b
Examples:
  tocsin check
  tocsin check deploy/tocsin.toml --no-secrets
"""


@click.command(epilog=_EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--no-secrets", is_flag=True, help="Do not read the secrets: for where they are not at hand.")
@json_option
@click.pass_context
def command(ctx: click.Context, path: Path | None, no_secrets: bool, as_json: bool) -> None:
    """Show every mistake in the config: where it is, what was found, and what would do.

    Without PATH, the config that the other commands would use. Exits with 2 if there are errors, else with 0.
    """
    source = config_source(path)
    found = config_problems(source, secrets=not no_secrets)
    assembly = None
    if not _errors(found):
        try:
            assembly = assemble(source)
        except StoreError as error:  # the client of its database is not installed
            found.append(Problem("E110", str(error), _place(source, "url")))
        else:
            found += store_problems(assembly.config.store, source, secrets=not no_secrets)
    found += plugin_problems(broken_plugins(source))
    if as_json:
        print_json({"file": source.name, "ok": not _errors(found), "problems": [each.to_dict() for each in found]})
    else:
        for problem in found:
            say(problem.render())
        say(summary(source.name, found, assembly))
    ctx.exit(2 if _errors(found) else 0)


def _errors(found: Sequence[Problem]) -> int:
    return sum(problem.severity is Severity.ERROR for problem in found)


def summary(name: str, found: Sequence[Problem], assembly: Assembly | None) -> str:
    """The last line: how much was found, or what there is in a config that is right."""
    errors = _errors(found)
    if errors or assembly is None:
        warnings = f", {count(len(found) - errors, 'warning')}" if len(found) > errors else ""
        return f"{name}: {count(errors, 'error')}{warnings}"
    config = assembly.config
    warnings = f", {count(len(found), 'warning')}" if found else ""
    return f"ok: {count(len(config.channels), 'channel')}, {count(len(config.routes), 'route')}{warnings}"


def plugin_problems(broken: Mapping[str, str]) -> list[Problem]:
    """A warning for each plugin that cannot be used; those that the config blocks are not meant to be."""
    return [
        Problem("W910", f"plugin '{name}' is not used: {redact(reason)}", Place(Position("plugins")))
        for name, reason in broken.items()
        if reason != UNWANTED
    ]


def store_problems(store: StoreSettings, source: Source, *, secrets: bool = True) -> list[Problem]:
    """What keeps the store from being used; one that does not exist yet is not made, and no server is asked."""
    if store.url is not None:
        reason = _of_address(store.url) if secrets else ""
        return [Problem("E110", reason, _place(source, "url"))] if reason else []
    reason = _existing(store.path) if store.path.exists() else _folder(store.path.parent)
    if not reason:
        return []
    text = f"[store] path: {reason}"
    return [Problem("E110", text, _place(source, "path"), "name a file in a folder that can be written")]


def _place(source: Source, key: str) -> Place:
    document, _ = read(source)
    return Place(Position(source.name)) if document is None else document.at(("store", key))


def _of_address(url: Secret) -> str:
    from tocsin.store.postgres_address import read_address  # psycopg is heavy, and not everybody has it

    try:
        read_address(url.get_secret_value())
    except StoreError as error:
        return str(error)
    return ""


def _existing(path: Path) -> str:
    if not path.is_file():
        return f"'{path}' is not a file"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"'{path}' cannot be written"
    try:
        found = check_up(path)
    except (sqlite3.Error, OSError) as error:
        return f"store '{path}' cannot be read: {error}"
    if found.damage:
        return f"store '{path}' is damaged: {found.damage}; it is set aside when it is next used"
    if found.schema > found.known:
        return f"store '{path}' was written by a newer tocsin (schema {found.schema}, this one knows {found.known})"
    return ""


def _folder(folder: Path) -> str:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not there.is_dir():
        return f"'{there}' is not a folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"the folder '{there}' cannot be written"
