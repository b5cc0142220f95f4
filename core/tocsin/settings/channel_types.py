"""Whether the type of a channel is one that is installed, and what to say of one that is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tocsin.settings.document import Document
from tocsin.settings.issues import Problem, listed, near, nearest
from tocsin.settings.locate import KeyPath
from tocsin.settings.plugin_names import HIDING, NOT_ALLOWED, are_hidden, cure_for_shut_out
from tocsin.settings.translate import described
from tocsin_hooks.channels import ChannelType
from tocsin_hooks.secrets import redact

PACKAGES = {name: f"tocsin-{name}" for name in ("slack", "email", "webhook", "pagerduty", "apprise")}
"""The packages that bring the channel types people ask for first."""
THROUGH_APPRISE = frozenset(
    ("discord", "googlechat", "gotify", "line", "matrix", "mattermost", "msteams", "ntfy", "opsgenie", "pushbullet",
     "pushover", "rocketchat", "signal", "sms", "sns", "teams", "telegram", "twilio", "webex", "zulip")
)  # fmt: skip
"""Services that a channel of type "apprise" reaches."""


@dataclass(frozen=True)
class Installed:
    """The channel types there are, and why the plugins that could not be loaded were not."""

    types: Mapping[str, ChannelType]
    broken: Mapping[str, str] = field(default_factory=dict)
    hidden: bool = field(default_factory=are_hidden)
    """Whether installed plugins were not even looked for."""

    def broken_for(self, name: str) -> str | None:
        """The plugin that would bring the channel type `name` and cannot be used, if there is one."""
        wanted = (name, f"tocsin-{name}")
        return next((plugin for plugin in self.broken if plugin.replace("_", "-") in wanted), None)


def type_problem(document: Document, path: KeyPath, table: Mapping[str, Any], installed: Installed) -> Problem:
    """What is wrong with the type of the channel at `path`, which is none of those that are installed."""
    types = f"installed types: {listed(installed.types)}"
    where = f"[channels.{path[1]}]"
    place = document.at((*path, "type"), key="type" not in table)
    if "type" not in table:
        return Problem("E404", f"{where} lacks 'type'", place, types)
    name = table["type"]
    if isinstance(name, str) and not name.strip():
        return Problem("E405", f"{where} type: is empty", place, types)
    if isinstance(name, str) and "://" in name:
        return Problem("E401", f"{where} has an address as its type", place, types)
    if not isinstance(name, str):
        return Problem("E405", f"{where} type: expects text, found {described(name)}", place, types)
    if (plugin := installed.broken_for(name)) is not None:
        reason = redact(installed.broken[plugin].strip().partition("\n")[0]) or "unknown reason"
        if reason == NOT_ALLOWED:
            text = f"{where} type = '{name}': the config does not allow its plugin"
            return Problem("E402", text, place, cure_for_shut_out(document, plugin))
        return Problem("E402", f"{where} type = '{name}': its plugin is installed but cannot be used: {reason}", place)
    if installed.hidden:
        text = f"{where} type = '{name}' is not there, for {HIDING} hides all installed plugins"
        return Problem("E401", text, place, _hint_while_hidden(name, installed))
    return Problem("E401", f"{where} type = '{name}' is not installed", place, _hint(name, installed, types))


def _hint_while_hidden(name: str, installed: Installed) -> str:
    meant = "" if name in PACKAGES else nearest(name, {*installed.types, *PACKAGES})
    return f"unset it; {meant}" if meant else "unset it"


def _hint(name: str, installed: Installed, types: str) -> str:
    lower = name.lower()
    if package := PACKAGES.get(lower):
        return types if lower in installed.types else f"pip install {package}"
    if lower in THROUGH_APPRISE:
        install = "" if "apprise" in installed.types else " (pip install tocsin-apprise)"
        return f"type = 'apprise' reaches it{install}"
    unusable = f"; plugins that cannot be used: {listed(installed.broken)}" if installed.broken else ""
    close = near(name, {*installed.types, *PACKAGES})
    package = "" if close is None or close in installed.types else f" (pip install {PACKAGES[close]})"
    return f"{types}{unusable}" + (f"; did you mean '{close}'{package}?" if close else "")
