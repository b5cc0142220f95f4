"""Whether the parts of a config fit together: channels, templates and parents exist, and every route can act."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tocsin.settings.document import Document
from tocsin.settings.expressions import DEEPEST, Expressions, circles, label_problem
from tocsin.settings.issues import Problem, listed, nearest
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File
from tocsin.settings.paths import route_name
from tocsin.settings.settings import TemplateSettings
from tocsin_hooks.filters import Filter
from tocsin_hooks.filters.labels import is_known
from tocsin_hooks.filters.tree import And, Or, Ref

CheckTemplate = Callable[[str], str | None]
"""Says what is wrong with the text of a template; None: nothing."""


def route_names(file: File) -> list[str]:
    """The name of each route: as written, or `route 1` for the first.

    >>> route_names(File(routes=[{"name": "pages"}, {}]))
    ['pages', 'route 2']
    """
    return [route.name or f"route {index}" for index, route in enumerate(file.routes, 1)]


# ---------------------------------------------------------------- references


def reference_problems(document: Document, file: File) -> list[Problem]:
    """What routes and defaults refer to and the config does not have."""
    return [
        *_unknown_channels(document, file),
        *_unknown_templates(document, file),
        *_name_problems(document, file),
        *_parent_problems(document, file),
        *_key_problems(document, file),
    ]


def _written(document: Document, section: str) -> list[str]:
    """The names in a section, those included whose tables are wrong."""
    table = document.data.get(section)
    return [str(name) for name in table] if isinstance(table, dict) else []


def _users(file: File) -> Iterator[tuple[KeyPath, str, Any]]:
    """Where channels and templates can be named: the path, its name for people, the options."""
    yield ("defaults",), "[defaults]", file.defaults
    for index, route in enumerate(file.routes):
        yield ("routes", index), route_name({"name": route.name}, index), route


def _unknown_channels(document: Document, file: File) -> Iterator[Problem]:
    known = _written(document, "channels")
    for path, who, options in _users(file):
        for index, name in enumerate(options.send or ()):
            if name not in known:
                hint = nearest(name, known) or f"channels: {listed(known)}"
                place = document.at((*path, "send", index))
                yield Problem("E302", f"{who} sends to unknown channel '{name}'", place, hint)


def _unknown_templates(document: Document, file: File) -> Iterator[Problem]:
    known = _written(document, "templates")
    for path, who, options in _users(file):
        if options.template is not None and options.template not in known:
            hint = nearest(options.template, known) or f"templates: {listed(known)}"
            place = document.at((*path, "template"))
            yield Problem("E305", f"{who} uses unknown template '{options.template}'", place, hint)


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
        if route.under not in index_of:
            who = route_name({"name": route.name}, index)
            hint = nearest(route.under, names) or f"routes: {listed(names)}"
            place = document.at(("routes", index, "under"))
            yield Problem("E303", f"{who} is under unknown route '{route.under}'", place, hint)
        elif _depth(names[index], parents) > DEEPEST:
            place = document.at(("routes", index, "under"))
            yield Problem("E304", f"routes are more than {DEEPEST} deep under each other", place)
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


def _key_problems(document: Document, file: File) -> Iterator[Problem]:
    for index, label in enumerate(file.defaults.key):
        if not is_known(label):
            yield label_problem(label, document.at(("defaults", "key", index)))


# ---------------------------------------------------------------- templates


def template_settings(
    document: Document, file: File, check_template: CheckTemplate | None
) -> tuple[dict[str, TemplateSettings], list[Problem]]:
    """The templates of the config, files read, and what is wrong with them."""
    settings, problems = {}, []
    for name, table in file.templates.items():
        path: KeyPath = ("templates", name)
        text, key = table.text, "text"
        if table.text is not None and table.file is not None:
            place = document.at((*path, "file"), key=True)
            problems.append(Problem("E803", f"[templates.{name}] has both 'text' and 'file'", place, "keep one"))
        elif table.file is not None:
            key = "file"
            text, reason = _file_text(document, table.file)
            if reason:
                text_ = f"[templates.{name}] file '{table.file}' cannot be read: {reason}"
                problems.append(Problem("E802", text_, document.at((*path, "file"))))
        elif table.text is None and table.title is None:
            place = document.at(path, key=True)
            problems.append(Problem("E803", f"[templates.{name}] lacks 'text'", place, "or give it a 'file'"))
        settings[name] = TemplateSettings(table.title, text)
        for part, words in (("title", table.title), (key, text)):
            if words is not None and check_template and (error := check_template(words)):
                place = document.at((*path, part))
                problems.append(Problem("E801", f"[templates.{name}] {part}: {error}", place))
    return settings, problems


def _file_text(document: Document, file: str) -> tuple[str | None, str]:
    try:
        return (document.source.base / file).read_text(encoding="utf-8"), ""
    except OSError as error:
        return None, error.strerror or type(error).__name__
    except ValueError:  # not UTF-8, or a null byte in the name
        return None, "it is not UTF-8 text"


# ---------------------------------------------------------------- lint


def lint(document: Document, file: File, found: Expressions) -> list[Problem]:
    """What in a config without errors does nothing."""
    return [*_unreachable(document, file, found), *_repeated(document, file, found), *_unused(document, file, found)]


def _unused(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    users = [options for _, _, options in _users(file)]
    if not file.routes and not file.defaults.send:
        place = document.at(("defaults", "send") if file.defaults.send == () else ())
        hint = "add a [[routes]] table, or say in [defaults] where to send"
        yield Problem("W905", "no route and no default channel: nothing is sent anywhere", place, hint)
    else:
        sent = {name for options in users for name in options.send or ()}
        yield from _unused_names(document, "W902", "channels", "channel", file.channels, sent)
    styles = {options.template for options in users if options.template}
    yield from _unused_names(document, "W903", "templates", "template", file.templates, styles)
    yield from _unused_names(document, "W901", "filters", "filter", file.filters, found.used)


def _unused_names(
    document: Document, code: str, section: str, word: str, names: Iterable[str], used: Iterable[str]
) -> Iterator[Problem]:
    for name in names:
        if name not in used:
            mark = "@" if section == "filters" else ""
            place = document.at((section, name), key=True)
            yield Problem(code, f"{word} '{mark}{name}' is not used", place)


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


def _unreachable(document: Document, file: File, found: Expressions) -> Iterator[Problem]:
    names = route_names(file)
    children: dict[str | None, list[int]] = {}
    for index, route in enumerate(file.routes):
        children.setdefault(route.under, []).append(index)
    for level in children.values():
        stops = [index for index in level if _always_stops(index, file, names, found.whens, children)]
        behind = [index for index in level if stops and index > stops[0]]
        if behind:
            shadowed = ", ".join(f"'{names[index]}'" for index in behind)
            text = f"route '{names[stops[0]]}' stops every event, so nothing reaches {shadowed}"
            place = document.at(("routes", behind[0]), key=True)
            yield Problem("W904", text, place, "move it to the end, or give it a 'when'")


def _always_stops(
    index: int,
    file: File,
    names: list[str],
    whens: tuple[Filter | None, ...],
    children: Mapping[str | None, list[int]],
) -> bool:
    when, route = whens[index], file.routes[index]
    if when is not None and not takes_everything(when):
        return False
    below = children.get(names[index], [])
    return route.stop or any(_always_stops(child, file, names, whens, children) for child in below)


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
