"""Which plugins `[plugins]` lets be used, by name: whom it shuts out, and names that it has for nobody."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from tocsin.settings.document import Document
from tocsin.settings.include import read
from tocsin.settings.issues import Problem, listed, nearest
from tocsin.settings.paths import at
from tocsin.settings.source import Source

HIDING = "TOCSIN_DISABLE_PLUGIN_AUTOLOAD"
"""The environment variable with which no installed plugin is looked for."""
NOT_ALLOWED = "not loaded: the config does not allow it"
"""The reason why a plugin is not used that `[plugins]` shuts out."""


def are_hidden() -> bool:
    """Whether installed plugins are not looked for in this process."""
    return bool(os.environ.get(HIDING))


def cure_for_shut_out(document: Document, plugin: str) -> str:
    r"""What would let a plugin be used that the config does not allow.

    >>> from tocsin.settings.parsing import parse
    >>> from tocsin.settings.source import source_of_text
    >>> document, _ = parse(source_of_text('[plugins]\nblock = ["slack"]'))
    >>> cure_for_shut_out(document, "slack")
    'take it out of [plugins] block (tocsin.toml:2:10)'
    """
    for name in (plugin, plugin.replace("_", "-"), f"tocsin-{plugin}"):
        if name in (written := _written(document, "block")):
            place = document.at(("plugins", "block", written.index(name))).position
            return f"take it out of [plugins] block ({place})"
    return f"put '{plugin}' into [plugins] allow ({document.at(('plugins', 'allow'), key=True).position})"


def unknown_plugins(source: Source, installed: Collection[str]) -> list[Problem]:
    """A warning for each name in `[plugins]` that is none of the `installed`: names of plugins, and of packages."""
    document, _ = read(source)
    return [] if document is None or are_hidden() else [*_unknown(document, installed)]


def _unknown(document: Document, installed: Collection[str]) -> Iterator[Problem]:
    for key in ("allow", "block"):
        for index, name in enumerate(_written(document, key)):
            if name not in installed:
                text = f"[plugins] {key}: no plugin or package '{name}' is installed"
                hint = nearest(name, installed) or f"installed plugins: {listed(installed)}"
                yield Problem("W918", text, document.at(("plugins", key, index)), hint)


def _written(document: Document, key: str) -> list[str]:
    """The names under a key of `[plugins]`; where one of them is no text, others say so."""
    found = at(document.data, ("plugins", key))
    return [name for name in found if isinstance(name, str) and name.strip()] if isinstance(found, list) else []
