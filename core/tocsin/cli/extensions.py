"""Which further commands plugins bring, found without loading the plugins that bring none."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import click

from tocsin.cli.diagnostics import report
from tocsin.plugins.catalog import discovered, installed

_HOOK = b"tocsin_commands"


def commands_of_plugins(taken: Collection[str]) -> dict[str, click.Command]:
    """The commands that plugins add, by name; one whose name is taken is left out, with a warning."""
    if not any(mentions_hook(point) for point in discovered()):
        return {}
    from tocsin.plugins.calls import Hooks

    found: dict[str, click.Command] = {}
    for command in Hooks(installed()).commands():
        if not isinstance(command, click.Command) or not command.name:
            report("WARNING", f"a plugin offers a {type(command).__name__} as a command, which it is not; left out")
        elif command.name in taken or found.setdefault(command.name, command) is not command:
            report("WARNING", f"a plugin offers a command '{command.name}', a name that is taken; left out")
    return found


def mentions_hook(point: EntryPoint) -> bool:
    """Whether the source of a plugin names the hook for commands; True where its source cannot be looked at.

    To load a plugin takes much longer than to look through it, and most add no command.
    """
    try:
        spec = find_spec(point.module.partition(".")[0])
    except (ImportError, ValueError):
        return True
    if spec is None:
        return False  # it cannot be loaded at all
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    if not files and spec.origin is not None:
        files = [Path(spec.origin)]
    try:
        return not files or any(_HOOK in file.read_bytes() for file in files)
    except OSError:
        return True
