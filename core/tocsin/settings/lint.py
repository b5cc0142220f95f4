"""What in a config does nothing, or not what it seems to; beside errors, as far as it could be read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from tocsin.settings.alerts import Mode
from tocsin.settings.check_unclaimed import unclaimed
from tocsin.settings.document import Document
from tocsin.settings.expressions import Expressions
from tocsin.settings.implies import implies
from tocsin.settings.inherit import layers, resolved
from tocsin.settings.issues import Problem, near
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import RUN_TABLES, File
from tocsin.settings.secret_like import secret_in
from tocsin.settings.settings import TemplateSettings
from tocsin.settings.translate import texts_in
from tocsin.settings.uses import WORDS, called, route_names, uses

_MOST_PAIRS = 100_000
"""How many pairs of routes are compared: enough for any file that people write."""

_LONGEST_NAME, _MOST_NAMES = 100, 200
"""What of a config with errors is compared with the names that it gives."""

_UNUSED = {"channels": "W902", "templates": "W903", "windows": "W909", "escalations": "W911"}


@dataclass(frozen=True, slots=True)
class Damage:
    """Where something in a config could not be read. What depends on that is not judged."""

    lost: tuple[KeyPath, ...] = ()

    def touches(self, *path: str | int) -> bool:
        """Whether something at `path`, above it or in it, was lost."""
        return any(lost[: len(path)] == path[: len(lost)] for lost in self.lost)


NONE = Damage()


def lint(
    document: Document,
    file: File,
    found: Expressions,
    templates: dict[str, TemplateSettings],
    *,
    damage: Damage | None = None,
) -> list[Problem]:
    """What in a config does nothing, or not what it seems to. `damage` is that of a config with errors."""
    lost = damage or NONE
    meant = _perhaps_meant(document, file, found) if damage else frozenset()
    return [
        *([] if ("routes",) in lost.lost else _unused(document, file, found, meant)),
        *_shadowed(document, file, found),
        *_repeated(document, file, found),
        *_at_odds(document, file, lost),
        *_acknowledged_for_nothing(document, file, lost),
        *_without_zone(document, file, lost),
        *_secrets(document, templates),
        *([] if lost.touches("routes") or lost.touches("defaults") else _unclaimed(document, file, found)),
        *([] if lost.touches("routes") or lost.touches("defaults") else _without_send(document, file)),
    ]


def _perhaps_meant(document: Document, file: File, found: Expressions) -> frozenset[str]:
    """Names, filters with their `@`, that stand in what could not be read, or are nearly written somewhere."""
    data = {key: value for key, value in document.data.items() if key not in RUN_TABLES}
    texts = [*texts_in(data), *(use.name for use in uses(document, file))]
    names = {text for text in texts if len(text) <= _LONGEST_NAME}
    names |= {f"@{name}" for text in texts for name in re.findall(r"@\"?([\w.-]+)", text)}
    names |= {f"@{name}" for name in found.used}
    known = [*file.channels, *file.templates, *file.windows, *file.escalations, *(f"@{name}" for name in file.filters)]
    meant = {near(name, known) for name in sorted(names - set(known))[:_MOST_NAMES]}
    return frozenset(names | {name for name in meant if name is not None})


# ---------------------------------------------------------------- used by nobody


def _unused(document: Document, file: File, found: Expressions, meant: frozenset[str]) -> Iterator[Problem]:
    used: dict[str, set[str]] = {section: set() for section in _UNUSED}
    for use in uses(document, file):
        used[use.section].add(use.name)
    used["channels"] |= {str(table["fallback"]) for table in file.channels.values() if table.get("fallback")}
    sections: dict[str, Iterable[str]] = {
        "channels": file.channels,
        "templates": file.templates,
        "windows": file.windows,
        "escalations": file.escalations,
    }
    if not file.routes and not file.defaults.send and not (meant and "routes" in document.data):
        place = document.at(("defaults", "send") if file.defaults.send == () else ())
        hint = "add a [[routes]] table, or say in [defaults] where to send"
        yield Problem("W905", "no route and no default channel: nothing is sent anywhere", place, hint)
        sections.pop("channels")
    for section, names in sections.items():
        yield from _unused_names(document, _UNUSED[section], section, WORDS[section], names, used[section] | meant)
    named = found.used | {name.removeprefix("@") for name in meant if name.startswith("@")}
    yield from _unused_names(document, "W901", "filters", "filter", file.filters, named)


def _unused_names(
    document: Document, code: str, section: str, word: str, names: Iterable[str], used: Iterable[str]
) -> Iterator[Problem]:
    for name in names:
        if name not in used:
            mark = "@" if section == "filters" else ""
            place = document.at((section, name), key=True)
            yield Problem(code, f"{word} '{mark}{name}' is not used", place)


# ---------------------------------------------------------------- routes


def _repeated(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    names = route_names(file)
    first: dict[tuple[str | None, str], str] = {}
    for index, (route, when) in enumerate(zip(file.routes, found.whens, strict=True)):
        if when is None:
            continue
        earlier = first.setdefault((route.under, when.to_text()), names[index])
        if earlier != names[index]:
            text = f"route '{names[index]}' has the same filter as route '{earlier}'"
            yield Problem("W907", text, document.at(("routes", index, "when")), "one route can send to both's channels")


def _shadowed(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    """Routes whose every event an earlier sibling takes and stops."""
    names = route_names(file)
    told: set[int] = set()
    for stop, behind in islice(_behind_stops(file), _MOST_PAIRS):
        first, second = found.whens[stop], found.whens[behind]
        if behind in told or first is None or second is None or not implies(second, first):
            continue
        told.add(behind)
        text = f"route '{names[stop]}' stops every event of route '{names[behind]}', which never acts"
        yield Problem("W904", text, document.at(("routes", behind, "when")), "move it up, or take out the 'stop'")


def _behind_stops(file: File) -> Iterator[tuple[int, int]]:
    """Each route that stops, with each sibling behind it."""
    siblings: dict[str | None, list[int]] = {}
    for index, route in enumerate(file.routes):
        siblings.setdefault(route.under, []).append(index)
    for level in siblings.values():
        for place, stop in enumerate(level):
            if file.routes[stop].stop:
                yield from ((stop, behind) for behind in level[place + 1 :])


def _at_odds(document: Document, file: File, damage: Damage) -> Iterator[Problem]:
    """Options that mean nothing beside others."""
    for index, line in enumerate(layers(file.defaults, file.routes, route_names(file))):
        if any(damage.touches(*layer.path) for layer in line):
            continue
        route, options, path = file.routes[index], resolved(line, {}), ("routes", index)
        if options.mode is Mode.EVENT:
            for key in ("escalate", "flap", "open_after", "recover"):
                said = getattr(route, key)
                if said and getattr(said, "notice", True) is not False:
                    text = f"{called(document, path)} has '{key}', which needs mode = 'incident'"
                    yield Problem("W915", text, document.at((*path, key), key=True), "each event stands by itself here")
        if options.digest and options.escalate and (route.digest or route.escalate):
            key = "digest" if route.digest else "escalate"
            text = (
                f"{called(document, path)} has a digest and an escalation: the first message may come after the steps"
            )
            yield Problem("W915", text, document.at((*path, key), key=True), "one of the two can be 'false'")


# ---------------------------------------------------------------- the rest


def _acknowledged_for_nothing(document: Document, file: File, damage: Damage) -> Iterator[Problem]:
    for name, table in file.escalations.items():
        if damage.touches("escalations", name):
            continue
        if table.ack_lasts and not any(step.condition == "not acked" for step in table.steps):
            text = f"[escalations.{name}] ack_lasts: no step asks whether somebody has acknowledged"
            hint = 'give steps if = "not acked"'
            yield Problem("W916", text, document.at(("escalations", name, "ack_lasts"), key=True), hint)


def _without_zone(document: Document, file: File, damage: Damage) -> Iterator[Problem]:
    if file.defaults.timezone is not None or damage.touches("defaults", "timezone"):
        return
    hint = 'set timezone = "..." here or in [defaults]'
    timed: list[tuple[KeyPath, bool]] = [
        (("windows", name), table.timezone is None) for name, table in file.windows.items()
    ]
    timed += [
        (("watch", index), table.timezone is None and table.cron is not None) for index, table in enumerate(file.watch)
    ]
    for path, left_out in timed:
        if left_out and not damage.touches(*path):
            text = f"{called(document, path)} names no time zone, so it is read in UTC"
            yield Problem("W912", text, document.at(path, key=True), hint)


def _secrets(document: Document, templates: dict[str, TemplateSettings]) -> Iterator[Problem]:
    for name, template in templates.items():
        for key, words in (("title", template.title), ("text", template.text)):
            if words and secret_in(words):
                path: KeyPath = ("templates", name, key)
                if key == "text" and "text" not in document.data["templates"][name]:
                    path = ("templates", name, "file")
                text = (
                    f"[templates.{name}] {path[2]}: seems to hold a secret, and everybody who reads a message reads it"
                )
                yield Problem(
                    "W913", text, document.at(path, key=True), "take it out, and replace it where it is valid"
                )


def _unclaimed(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    if file.defaults.send is not None or not file.routes:
        return
    tops = [when for route, when in zip(file.routes, found.whens, strict=True) if route.under is None]
    if states := unclaimed(found.opens, tops):
        text = f"a problem that no route takes reaches nobody: {', '.join(states)}; [defaults] has no 'send'"
        hint = "say in [defaults] where it goes, or send = [] for nowhere"
        yield Problem("W914", text, document.at(("defaults",), key=True), hint)


def _without_send(document: Document, file: File) -> Iterator[Problem]:
    """Routes that act, and of which nobody has said where they send."""
    above, names = {route.under for route in file.routes}, route_names(file)
    for index, line in enumerate(layers(file.defaults, file.routes, names)):
        if file.channels and names[index] not in above and all(layer.options.send is None for layer in line):
            path: KeyPath = ("routes", index)
            text = f"{called(document, path)} says nothing of where it sends, nor does [defaults]: it reaches nobody"
            yield Problem("W919", text, document.at(path, key=True), 'add send = ["CHANNEL"], or send = [] for nowhere')
