"""Whether what the routes and `[defaults]` of a config refer to exists, and what they ask for can be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from tocsin.settings.alerting import windows_of
from tocsin.settings.alerts import Window
from tocsin.settings.always import is_always_open, is_one_always_open
from tocsin.settings.document import Document
from tocsin.settings.expressions import DEEPEST, Expressions, circles
from tocsin.settings.inherit import Layer, layers, merged
from tocsin.settings.issues import Problem, listed, nearest
from tocsin.settings.known_labels import SeenLabels, label_problem
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File
from tocsin.settings.option_tables import DigestTable, GroupTable, MuteTable
from tocsin.settings.uses import called, label_lists, option_tables, route_names, stands_for_all, uses, written
from tocsin_hooks.durations import format_duration
from tocsin_hooks.filters import Filter
from tocsin_hooks.filters.tree import And, Or, Ref

_UNKNOWN = {
    ("channels", "defaults"): "E302",
    ("channels", "routes"): "E302",
    ("channels", "escalations"): "E604",
    ("channels", "watch"): "E510",
    ("templates", "defaults"): "E305",
    ("templates", "routes"): "E305",
    ("windows", "routes"): "E307",
    ("windows", "escalations"): "E605",
    ("escalations", "defaults"): "E308",
    ("escalations", "routes"): "E308",
}


def reference_problems(document: Document, file: File, *, seen: SeenLabels | None = None) -> list[Problem]:
    """What the config refers to and does not have, and lists of labels that cannot be."""
    return [
        *_unknown_names(document, file),
        *_name_problems(document, file),
        *_parent_problems(document, file),
        *_label_problems(document, file, seen),
    ]


def option_problems(document: Document, file: File, found: Expressions) -> list[Problem]:
    """What routes ask for that cannot be: reminders before the news, mutes of everything or nothing."""
    return [
        *_repeat_problems(document, file),
        *_mute_problems(document, file, found),
        *_digest_problems(document, file, found),
        *_unreachable(document, file, found),
    ]


# ---------------------------------------------------------------- references


def _unknown_names(document: Document, file: File) -> Iterator[Problem]:
    known = {section: written(document, section) for section in ("channels", "templates", "windows", "escalations")}
    for use in uses(document, file):
        if use.name not in known[use.section]:
            hint = _several(use.name, known[use.section]) or nearest(use.name, known[use.section])
            if use.section == "channels" and "://" in use.name:
                hint = "write the name of a channel, and its address into [channels.NAME]"
            hint = hint or f"{use.section}: {listed(known[use.section])}"
            code = _UNKNOWN[use.section, str(use.path[0])]
            yield Problem(code, use.told, document.at(use.path), hint)


def _several(name: str, known: Sequence[str]) -> str:
    """The names that are written as one, if they are: `["a, b"]` in the place of `["a", "b"]`.

    >>> _several("ops, mail", ["ops", "mail"]), _several("ops", ["mail"])
    ('write ["ops", "mail"]', '')
    """
    names = [each for each in re.split(r"[\s,;|]+", name) if each]
    if len(names) < 2 or not set(names) & set(known):
        return ""
    quoted = (f'"{each}"' for each in names)
    return f"write [{', '.join(quoted)}]"


def _name_problems(document: Document, file: File) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in enumerate(route_names(file)):
        if (earlier := first.setdefault(name, index)) != index:
            other = document.at(("routes", earlier, "name"), key=True).position
            text = f"two routes have the name '{name}'"
            yield Problem("E301", text, document.at(("routes", index, "name")), f"the first is at {other}")


def _parent_problems(document: Document, file: File) -> Iterator[Problem]:
    names = route_names(file)
    index_of = {name: index for index, name in reversed([*enumerate(names)])}
    parents = {name: [route.under] for name, route in zip(names, file.routes, strict=True) if route.under is not None}
    for index, route in enumerate(file.routes):
        if route.under is None:
            continue
        path: KeyPath = ("routes", index, "under")
        if route.under not in index_of:
            others = [name for name in names if name != names[index]]
            hint = nearest(route.under, others) or f"other routes: {listed(others)}"
            text = f"{called(document, path[:2])} is under unknown route '{route.under}'"
            yield Problem("E303", text, document.at(path), hint)
        elif _depth(names[index], parents) > DEEPEST:
            yield Problem("E304", f"routes are more than {DEEPEST} deep under each other", document.at(path))
    for circle in circles(parents):
        shown = " -> ".join(f"'{name}'" for name in (*circle, circle[0]))
        place = document.at(("routes", index_of[circle[0]], "under"))
        yield Problem("E304", f"routes are under each other in a circle: {shown}", place)


def _depth(name: str, parents: Mapping[str, list[str]]) -> int:
    """How many routes `name` is under, counted no further than past `DEEPEST`."""
    seen = [name]
    while len(seen) <= DEEPEST + 1 and (above := parents.get(seen[-1])) and above[0] not in seen:
        seen.append(above[0])
    return len(seen) - 1


def _label_problems(document: Document, file: File, seen: SeenLabels | None) -> Iterator[Problem]:
    for path, labels in label_lists(file):
        for index, label in enumerate(labels):
            place = document.at((*path, index))
            subject = called(document, path)
            if stands_for_all(path, label):
                if len(labels) > 1 and not any(stands_for_all(path, before) for before in labels[:index]):
                    yield Problem("E312", f"{subject}: '{label}' stands for all labels", place, "write it alone")
            elif label in labels[:index]:
                yield Problem("E312", f"{subject}: the label '{label}' stands in it twice", place, "keep one")
            elif seen is not None and (problem := label_problem(label, place, seen)) is not None:
                yield problem


# ---------------------------------------------------------------- options


def _repeat_problems(document: Document, file: File) -> Iterator[Problem]:
    """Reminders that would come before the news: told where the one of the two that is written last stands."""
    top = (Layer(("defaults",), file.defaults),)
    for line in (top, *layers(file.defaults, file.routes, route_names(file))):
        own, table = line[-1].options.group, merged(layer.options.group for layer in line)
        if not isinstance(own, GroupTable) or table is None:
            continue
        said = own.repeat or own.interval
        if said and table.interval and isinstance(table.repeat, timedelta) and table.repeat < table.interval:
            path = (*line[-1].path, "group", "repeat" if own.repeat else "interval")
            repeat, interval = (format_duration(span.total_seconds()) for span in (table.repeat, table.interval))
            text = f"{called(document, path)}: reminders ({repeat}) would come before the news ({interval})"
            yield Problem("E311", text, document.at(path), "'repeat' must not be shorter than 'interval'")


def _mute_problems(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    windows = windows_of(file.windows, "UTC")
    for index, route in enumerate(file.routes):
        if not isinstance(route.mute, MuteTable):
            continue
        path: KeyPath = ("routes", index, "mute")
        if not route.mute.windows:
            yield Problem("E313", f"{called(document, path)}: names no window, so it mutes nothing", document.at(path))
        named = [name for name in route.mute.windows if name in windows and _is_whole(document, file, name)]
        if always := _always_open([windows[name] for name in dict.fromkeys(named)]):
            text = f"{called(document, path)}: {always} always open, so everything is muted"
            yield Problem("E313", text, document.at(path), "'send = []' sends nothing")
        yield from _takes_all(document, (*path, "urgent"), found, "nothing is muted")


def _always_open(windows: Sequence[Window]) -> str:
    """Which of a route's windows leave no moment that is not muted; empty where some do."""
    alone = [window.name for window in windows if is_always_open(window)]
    if alone:
        return f"the window '{alone[0]}' is"
    names = listed(window.name for window in windows)
    return f"one of the windows {names} is" if is_one_always_open(windows) else ""


def _is_whole(document: Document, file: File, window: str) -> bool:
    """Whether the window says something, and all of it can be read: else that is told of where it stands."""
    written = document.data["windows"][window]
    return bool(written) and set(written) == file.windows[window].model_fields_set


def _digest_problems(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    for path, options in option_tables(file):
        if isinstance(options.digest, DigestTable):
            yield from _takes_all(document, (*path, "digest", "urgent"), found, "nothing is collected")


def _takes_all(document: Document, path: KeyPath, found: Expressions, so: str) -> Iterator[Problem]:
    if (tree := found.at.get(path)) is not None and takes_everything(tree):
        text = f"{called(document, path)}: takes every event, so {so}"
        yield Problem("E313", text, document.at(path))


# ---------------------------------------------------------------- behind a stop


def _unreachable(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    names = route_names(file)
    children: dict[str | None, list[int]] = {}
    for index, route in enumerate(file.routes):
        children.setdefault(route.under, []).append(index)
    for level in children.values():
        stops = next((index for index in level if _always_stops(index, file, names, found.whens, children)), None)
        behind = [index for index in level if stops is not None and index > stops]
        if stops is not None and behind:
            shadowed = ", ".join(f"'{names[index]}'" for index in behind)
            text = f"route '{names[stops]}' stops every event, so nothing reaches {shadowed}"
            place = document.at(("routes", behind[0]), key=True)
            yield Problem("E309", text, place, "move it to the end, or give it a 'when'")


def _always_stops(
    index: int,
    file: File,
    names: list[str],
    whens: tuple[Filter | None, ...],
    children: Mapping[str | None, list[int]],
    depth: int = 0,
) -> bool:
    when, route = whens[index], file.routes[index]
    takes_all = route.when is None if when is None else takes_everything(when)
    if depth > DEEPEST or not takes_all:
        return False
    below = children.get(names[index], [])
    return route.stop or any(_always_stops(child, file, names, whens, children, depth + 1) for child in below)


def takes_everything(tree: Filter) -> bool:
    """Whether the filter plainly holds for every event.

    >>> from tocsin_hooks.filters import parse
    >>> [takes_everything(parse(text)) for text in ("{}", "is_failed or ({})", "is_failed")]
    [True, True, False]
    """
    match tree:
        case And(terms):
            return all(takes_everything(term) for term in terms)
        case Or(terms):
            return any(takes_everything(term) for term in terms)
        case Ref(target=Filter() as target):
            return takes_everything(target)
    return False
