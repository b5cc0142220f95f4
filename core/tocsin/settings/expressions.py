"""Whether the filter expressions of a config can be read, and what they refer to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from tocsin.settings.document import Document
from tocsin.settings.issues import Problem, listed, nearest
from tocsin.settings.known_labels import SeenLabels, label_problem
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File, PythonFilter
from tocsin.settings.option_tables import Options, RouteTable
from tocsin.settings.paths import spoken
from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import Filter, parse
from tocsin_hooks.filters.labels import STATE_LABELS
from tocsin_hooks.filters.lint import warnings_of
from tocsin_hooks.filters.tree import EVERYTHING, Compare, Flag, LabelRef, Match, Opaque, Ref

LARGEST = 20_000
"""How many parts an expression may have once the filters it names are put in."""
DEEPEST = 50
"""How many filters may stand behind each other, each naming the next."""

Predicate = Filter | Callable[[Any], object]

_UNREAD = Opaque(lambda _: False, "a filter that cannot be read")
"""What stands for a broken filter where others name it: nothing can be told of what it holds for."""


@dataclass(frozen=True)
class Expressions:
    """The filters of a config, each with every `@name` bound; without those that are broken."""

    named: Mapping[str, Filter]
    opens: Filter
    whens: tuple[Filter | None, ...]
    """The filter of each route, in order; None where it has none, or one that is broken."""
    at: Mapping[KeyPath, Filter] = field(default_factory=dict)
    """Every filter of the file by its path; without those that are broken."""
    used: frozenset[str] = field(default_factory=frozenset)
    """The names that some expression refers to."""


def expressions(
    document: Document, file: File, provided: Mapping[str, Predicate], *, seen: SeenLabels | None = None
) -> tuple[Expressions, list[Problem]]:
    """The filters of `file`, with those that plugins have `provided`, and what is wrong with them.

    Without labels that were `seen`, those that nobody knows are none of it.
    """
    trees, problems = _read_all(document, file)
    named: dict[str, Filter] = {name: _as_filter(name, given) for name, given in provided.items()}
    for name, given in file.filters.items():
        if isinstance(given, PythonFilter):
            named[name], found = _python_filter(document, ("filters", name), given.python)
            problems += found
        else:
            named[name] = trees.get(("filters", name), _UNREAD)
    written = document.data.get("filters")
    named = {**dict.fromkeys(written if isinstance(written, dict) else (), _UNREAD), **named}
    faults = _circles(document, trees, named)
    for path, tree in trees.items():
        faults += _unknown_names(document, path, tree, named)
        problems += [] if seen is None else _label_problems(document, path, tree, seen)
        problems += _suspicions(document, path, tree)
    bound, found = _bound(document, trees, _without_unsound(named, file.filters))
    faults += found
    found_expressions = Expressions(
        named={name: bound.get(("filters", name), tree) for name, tree in named.items()},
        opens=bound.get(("defaults", "opens"), EVERYTHING),
        whens=tuple(bound.get(("routes", index, "when")) for index in range(len(file.routes))),
        at=bound,
        used=frozenset[str]().union(*(tree.refs() for tree in trees.values())),
    )
    return found_expressions, problems + faults


def _read_all(document: Document, file: File) -> tuple[dict[KeyPath, Filter], list[Problem]]:
    """Every expression of the file that can be read, as a tree, and the problems of the others."""
    trees: dict[KeyPath, Filter] = {}
    problems = []
    for path, text in written_filters(file).items():
        try:
            trees[path] = parse(text)
        except FilterError as error:
            problems.append(Problem(error.code, error.reason, document.within(path, error.start, error.end)))
    return trees, problems


def written_filters(file: File) -> dict[KeyPath, str]:
    """Every filter expression of the file, by its path.

    >>> list(written_filters(File(routes=[{"when": "flow=a", "mute": {"windows": ["w"], "urgent": "tags=x"}}])))
    [('defaults', 'opens'), ('routes', 0, 'when'), ('routes', 0, 'mute', 'urgent')]
    """
    found: dict[KeyPath, str | None] = {("defaults", "opens"): file.defaults.opens}
    found |= {("filters", name): text for name, text in file.filters.items() if isinstance(text, str)}
    found |= _urgent(("defaults",), file.defaults)
    for index, route in enumerate(file.routes):
        found["routes", index, "when"] = route.when
        found |= _urgent(("routes", index), route)
    for index, entry in enumerate(file.inhibit):
        found["inhibit", index, "source"] = entry.source
        found["inhibit", index, "target"] = entry.target
    found |= {("watch", index, "when"): entry.when for index, entry in enumerate(file.watch)}
    return {path: text for path, text in found.items() if text is not None}


def _urgent(path: KeyPath, options: Options) -> dict[KeyPath, str | None]:
    """What leaves at once in spite of a digest or a mute."""
    found: dict[KeyPath, str | None] = {}
    if options.digest:
        found[*path, "digest", "urgent"] = options.digest.urgent
    if isinstance(options, RouteTable) and options.mute:
        found[*path, "mute", "urgent"] = options.mute.urgent
    return found


def _as_filter(name: str, given: Predicate) -> Filter:
    return given if isinstance(given, Filter) else Opaque(given, name)


def _python_filter(document: Document, path: KeyPath, reference: str) -> tuple[Filter, list[Problem]]:
    """The filter that `module:function` names. Imports the module, whatever that does."""
    module_name, _, attribute = reference.partition(":")
    suggestion = ""
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            if not hasattr(found, part):
                suggestion = nearest(part, dir(found))
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # importing runs the module, which may raise anything
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
    else:
        if callable(found):
            return found if isinstance(found, Filter) else Opaque(found, reference), []
        reason = "it cannot be called"
    text = f"{' '.join(spoken(document.data, path))}: '{reference}' cannot be loaded: {reason}"
    return _UNREAD, [Problem("E205", text, document.at((*path, "python")), suggestion)]


# ---------------------------------------------------------------- names


def _refs(tree: Filter) -> Iterator[Ref]:
    return (node for node in tree.walk() if isinstance(node, Ref))


def _references(named: Mapping[str, Filter]) -> dict[str, list[str]]:
    """The names that each named filter refers to."""
    return {name: [ref.name for ref in _refs(tree)] for name, tree in named.items()}


def _unknown_names(document: Document, path: KeyPath, tree: Filter, known: Iterable[str]) -> list[Problem]:
    problems = []
    for ref in _refs(tree):
        if ref.name not in known:
            hint = nearest(ref.name, known, mark="@") or (f"known filters: {listed(known)}" if known else "")
            place = document.within(path, *(ref.span or (0, 0)))
            problems.append(Problem("E203", f"unknown filter '@{ref.name}'", place, hint))
    return problems


def _unsound(named: Mapping[str, Filter]) -> set[str]:
    """The filters that lead to a name that nothing has, or into a circle."""
    users: dict[str, list[str]] = {}
    waits: dict[str, int] = {}
    for name, tree in named.items():
        below = {ref.name for ref in _refs(tree)}
        waits[name] = len(below)
        for other in below:
            users.setdefault(other, []).append(name)
    ready = [name for name, count in waits.items() if not count]
    for name in ready:
        for user in users.get(name, ()):
            waits[user] -= 1
            if not waits[user]:
                ready.append(user)
    return set(named) - set(ready)


def _circles(document: Document, trees: Mapping[KeyPath, Filter], named: Mapping[str, Filter]) -> list[Problem]:
    """A problem for each circle of references, told where its first filter in the file goes round."""
    problems = []
    for circle in circles(_references(named)):
        path: KeyPath = ("filters", circle[0])
        following = circle[1 % len(circle)]
        span = next(ref.span for ref in _refs(named[circle[0]]) if ref.name == following)
        place = document.within(path, *span) if span and path in trees else document.at(path)
        shown = " -> ".join(f"@{name}" for name in (*circle, circle[0]))
        problems.append(Problem("E204", f"filters that refer to each other in a circle: {shown}", place))
    return problems


def circles(graph: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Circles in a graph of names, at least one of each set of names that lead back to themselves.

    >>> circles({"a": ["b"], "b": ["c", "a"], "c": ["c"], "d": ["a"]})
    [('a', 'b'), ('c',)]
    """
    order = {name: index for index, name in enumerate(graph)}
    found: set[tuple[str, ...]] = set()
    done: set[str] = set()
    for start in graph:
        way: dict[str, Iterator[str]] = {} if start in done else {start: iter(graph[start])}
        while way:
            name, following = next(reversed(way.items()))
            after = next(following, None)
            if after is None:
                way.pop(name)
                done.add(name)
            elif after in way:
                names = list(way)
                circle = names[names.index(after) :]
                first = circle.index(min(circle, key=order.__getitem__))
                found.add((*circle[first:], *circle[:first]))
            elif after in graph and after not in done:
                way[after] = iter(graph[after])
    return sorted(found, key=lambda circle: order[circle[0]])


def _too_large(document: Document, trees: Mapping[KeyPath, Filter], named: Mapping[str, Filter]) -> list[Problem]:
    """A problem for each expression that names filters that name filters, until nothing could hold it."""
    graph = _references(named)
    parts: dict[str, int] = {}
    depth: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        tree = named.get(name, EVERYTHING)
        parts[name] = _parts(tree, parts)
        depth[name] = 1 + max((depth[ref.name] for ref in _refs(tree)), default=0)
    problems = []
    for path, tree in trees.items():
        if (size := _parts(tree, parts)) > LARGEST:
            text = f"with the filters it names, the expression has {size} parts"
            problems.append(Problem("E201", text, document.at(path), f"at most {LARGEST} are read"))
        elif max((depth.get(ref.name, 0) for ref in _refs(tree)), default=0) > DEEPEST:
            text = f"the expression names filters that name filters, more than {DEEPEST} deep"
            problems.append(Problem("E201", text, document.at(path)))
    return problems


def _parts(tree: Filter, of: Mapping[str, int]) -> int:
    return sum(1 + (of.get(node.name, 0) if isinstance(node, Ref) else 0) for node in tree.walk())


def _bound(
    document: Document, trees: Mapping[KeyPath, Filter], named: Mapping[str, Filter]
) -> tuple[dict[KeyPath, Filter], list[Problem]]:
    """The trees of which every name stands for something, bound; none of them while some would be too large."""
    whole = {
        path: tree
        for path, tree in trees.items()
        if all(ref.name in named for ref in _refs(tree))
        and not (path[0] == "filters" and named[str(path[1])] is _UNREAD)
    }
    if problems := _too_large(document, whole, named):
        return {}, problems
    bound: dict[KeyPath, Filter] = {}
    for path, tree in whole.items():
        try:
            bound[path] = tree.bind(named)
        except FilterError as error:  # in a filter that a plugin provides
            problems.append(Problem(error.code, error.reason, document.at(path)))
    return bound, problems


def _without_unsound(named: Mapping[str, Filter], own: Iterable[str]) -> dict[str, Filter]:
    """`named`, with `_UNREAD` for what leads to a name that nothing has, or into a circle.

    What plugins provide is left as it is where nothing goes round: binding it tells what is wrong.
    """
    unsound = _unsound(named)
    if not circles(_references(named)):
        unsound &= set(own)
    return {name: _UNREAD if name in unsound else tree for name, tree in named.items()}


def _suspicions(document: Document, path: KeyPath, tree: Filter) -> Iterator[Problem]:
    codes = {node.span: code for node in tree.walk() if isinstance(node, Match) and (code := _code_of(node))}
    for warning in warnings_of(tree):
        place = document.within(path, *(warning.span or (0, 0)))
        yield Problem(codes.get(warning.span, "W908"), warning.reason, place)


def _code_of(node: Match) -> str:
    """The code of what is odd about a matcher that cannot be meant; empty where it could."""
    if node.op in ("=~", "!~"):
        return "E206"
    if "*" in node.value:
        return "E207"
    return "E201" if node.label in STATE_LABELS else ""


# ---------------------------------------------------------------- labels


def _label_problems(document: Document, path: KeyPath, tree: Filter, seen: SeenLabels) -> list[Problem]:
    places = ((label, document.within(path, start, start + len(label))) for label, start in _labels(tree))
    found = (label_problem(label, place, seen) for label, place in places)
    return [problem for problem in found if problem is not None]


def _labels(tree: Filter) -> Iterator[tuple[str, int]]:
    """The labels that an expression itself names, and where."""
    for node in tree.walk():
        start, end = node.span or (0, 0)
        if isinstance(node, Match | Compare | Flag):
            yield node.label, start
        if isinstance(node, Compare) and isinstance(node.other, LabelRef):
            yield node.other.label, end - len(node.other.label)
