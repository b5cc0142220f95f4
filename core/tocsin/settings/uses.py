"""Which part of a config names which other part, and which labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin.settings.document import Document
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File
from tocsin.settings.option_tables import EVERY_LABEL, GroupTable, MuteTable, Options, RouteTable, ThrottleTable
from tocsin.settings.paths import at, spoken

WORDS = {"channels": "channel", "templates": "template", "windows": "window", "escalations": "escalation"}
"""What one entry of each section that can be named is called."""

_VERBS = {"channels": "sends to", "templates": "uses", "windows": "names", "escalations": "escalates to"}


@dataclass(frozen=True, slots=True)
class Use:
    """A name of something in `section`, where it is written, and by whom."""

    section: str
    path: KeyPath
    who: str
    name: str

    @property
    def told(self) -> str:
        """The use as a sentence about something unknown."""
        return f"{self.who} {_VERBS[self.section]} unknown {WORDS[self.section]} '{self.name}'"


def route_names(file: File) -> list[str]:
    """The name of each route: as written, or `route 1` for the first.

    >>> route_names(File(routes=[{"name": "pages"}, {}]))
    ['pages', 'route 2']
    """
    return [route.name or f"route {index}" for index, route in enumerate(file.routes, 1)]


def written(document: Document, section: str) -> list[str]:
    """The names in a section, those included whose tables are wrong."""
    table = document.data.get(section)
    return [str(name) for name in table] if isinstance(table, dict) else []


def called(document: Document, path: KeyPath) -> str:
    """How messages call what stands at `path`."""
    if len(path) == 1:
        return f"[{path[0]}]"
    return " ".join(spoken(document.data, path)).strip()


def option_tables(file: File) -> Iterator[tuple[KeyPath, Options]]:
    """`[defaults]` and the routes, with their paths."""
    yield ("defaults",), file.defaults
    for index, route in enumerate(file.routes):
        yield ("routes", index), route


def uses(document: Document, file: File) -> Iterator[Use]:
    """Every name of a channel, template, window or escalation that the file writes down."""
    for section, path, name in _named(file):
        who = called(document, path[:1] if path[0] == "defaults" else path[:2])
        short = path[2:4] == ("mute", "windows") and isinstance(at(document.data, path[:3]), list)
        yield Use(section, (*path[:3], *path[4:]) if short else path, who, name)


def _named(file: File) -> Iterator[tuple[str, KeyPath, str]]:
    for path, options in option_tables(file):
        yield from _named_by_options(path, options)
    for name, escalation in file.escalations.items():
        own: KeyPath = ("escalations", name)
        for index, step in enumerate(escalation.steps):
            yield from _sent((*own, "steps", index, "send"), step.send)
        if escalation.outside is not None:
            yield "windows", (*own, "outside", "window"), escalation.outside.window
            yield from _sent((*own, "outside", "send"), escalation.outside.send)
    for index, watch in enumerate(file.watch):
        yield from _sent(("watch", index, "send"), watch.send)


def _named_by_options(path: KeyPath, options: Options) -> Iterator[tuple[str, KeyPath, str]]:
    yield from _sent((*path, "send"), options.send)
    if options.template is not None:
        yield "templates", (*path, "template"), options.template
    if options.escalate:
        yield "escalations", (*path, "escalate"), options.escalate
    if isinstance(options, RouteTable) and isinstance(options.mute, MuteTable):
        for index, name in enumerate(options.mute.windows):
            yield "windows", (*path, "mute", "windows", index), name


def _sent(path: KeyPath, names: tuple[str, ...] | None) -> Iterator[tuple[str, KeyPath, str]]:
    for index, name in enumerate(names or ()):
        yield "channels", (*path, index), name


def label_lists(file: File) -> Iterator[tuple[KeyPath, tuple[str, ...]]]:
    """Every list of labels in the file, with its path."""
    yield ("defaults", "key"), file.defaults.key
    for path, options in option_tables(file):
        if isinstance(options.group, GroupTable) and options.group.by is not None:
            yield (*path, "group", "by"), options.group.by
        if isinstance(options.throttle, ThrottleTable):
            yield (*path, "throttle", "per"), options.throttle.per
    for index, entry in enumerate(file.inhibit):
        yield ("inhibit", index, "equal"), entry.equal or ()


def stands_for_all(path: KeyPath, label: str) -> bool:
    """Whether `label`, at `path`, is no label but the word for all of them."""
    return path[-1] == "by" and label in EVERY_LABEL
