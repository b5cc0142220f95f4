"""Whether the filter expressions of a config can be read, and what they refer to."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from tocsin.settings.document import Document
from tocsin.settings.issues import Problem, listed, near, nearest
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File, PythonFilter
from tocsin.settings.option_tables import Options, RouteTable
from tocsin.settings.paths import spoken
from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters import Filter, parse
from tocsin_hooks.filters.labels import KNOWN_LABELS, is_known
from tocsin_hooks.filters.lint import warnings_of
from tocsin_hooks.filters.tree import EVERYTHING, Compare, Flag, LabelRef, Match, Opaque, Ref

LARGEST = 20_000
"""How many parts an expression may have once the filters it names are put in."""
DEEPEST = 50
"""How many filters may stand behind each other, each naming the next."""

Predicate = Filter | Callable[[Any], object]


@dataclass(frozen=True)
class Expressions:
    """The filters of a config, each with every `@name` bound; of a broken one, what stands for every event."""

    named: Mapping[str, Filter]
    opens: Filter
    whens: tuple[Filter | None, ...]
    """The filter of each route, in order; None takes every event."""
    at: Mapping[KeyPath, Filter] = field(default_factory=dict)
    """Every filter of the file by its path; without those that are broken."""
    used: frozenset[str] = field(default_factory=frozenset)
    """The names that some expression refers to."""


def expressions(
    document: Document, file: File, provided: Mapping[str, Predicate], *, any_label: bool = False
) -> tuple[Expressions, list[Problem]]:
    """The filters of `file`, with those that plugins have `provided`, and what is wrong with them.

    With `any_label`, labels that nobody knows are none of it.
    """
    trees, problems = _read_all(document, file)
    named = {name: _as_filter(name, given) for name, given in provided.items()}
    for name, given in file.filters.items():
        if isinstance(given, PythonFilter):
            named[name], found = _python_filter(document, ("filters", name), given.python)
            problems += found
        else:
            named[name] = trees["filters", name]
    written = document.data.get("filters")
    broken = dict.fromkeys(written if isinstance(written, dict) else (), EVERYTHING)  # told of where they stand
    named = {**broken, **named}
    faults = _circles(document, trees, named)
    for path, tree in trees.items():
        faults += _unknown_names(document, path, tree, named)
        problems += [] if any_label else _unknown_labels(document, path, tree)
        problems += _suspicions(document, path, tree)
    faults = faults or _too_large(document, trees, named)
    bound: dict[KeyPath, Filter] = {}
    if not faults:
        bound, faults = _bound(document, trees, named)
    found_expressions = Expressions(
        named={name: bound.get(("filters", name), tree) for name, tree in named.items()},
        opens=bound.get(("defaults", "opens"), EVERYTHING),
        whens=tuple(bound.get(("routes", index, "when")) for index in range(len(file.routes))),
        at=bound,
        used=frozenset[str]().union(*(tree.refs() for tree in trees.values())),
    )
    return found_expressions, problems + faults


def _read_all(document: Document, file: File) -> tuple[dict[KeyPath, Filter], list[Problem]]:
    """Every expression of the file as a tree, and the problems of those that cannot be read."""
    trees: dict[KeyPath, Filter] = {}
    problems = []
    for path, text in written_filters(file).items():
        try:
            trees[path] = parse(text)
        except FilterError as error:
            trees[path] = EVERYTHING
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
    return EVERYTHING, [Problem("E205", text, document.at((*path, "python")), suggestion)]


# ---------------------------------------------------------------- names


def _refs(tree: Filter) -> Iterator[Ref]:
    return (node for node in tree.walk() if isinstance(node, Ref))


def _unknown_names(document: Document, path: KeyPath, tree: Filter, known: Iterable[str]) -> list[Problem]:
    problems = []
    for ref in _refs(tree):
        if ref.name not in known:
            hint = nearest(ref.name, known, mark="@") or (f"known filters: {listed(known)}" if known else "")
            place = document.within(path, *(ref.span or (0, 0)))
            problems.append(Problem("E203", f"unknown filter '@{ref.name}'", place, hint))
    return problems


def _circles(document: Document, trees: Mapping[KeyPath, Filter], named: Mapping[str, Filter]) -> list[Problem]:
    """A problem for each circle of references, told where its first filter in the file goes round."""
    graph = {name: [ref.name for ref in _refs(tree)] for name, tree in named.items()}
    problems = []
    for circle in circles(graph):
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
    graph = {name: [ref.name for ref in _refs(tree)] for name, tree in named.items()}
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
    bound: dict[KeyPath, Filter] = {}
    problems = []
    for path, tree in trees.items():
        try:
            bound[path] = tree.bind(named)
        except FilterError as error:  # in a filter that a plugin provides
            problems.append(Problem(error.code, error.reason, document.at(path)))
    return bound, problems


def _suspicions(document: Document, path: KeyPath, tree: Filter) -> Iterator[Problem]:
    if tree is EVERYTHING:  # which stands for an expression that could not be read
        return
    regexes = {node.span for node in tree.walk() if isinstance(node, Match) and node.op in ("=~", "!~")}
    for warning in warnings_of(tree):
        place = document.within(path, *(warning.span or (0, 0)))
        yield Problem("E206" if warning.span in regexes else "W908", warning.reason, place)


# ---------------------------------------------------------------- labels


def _unknown_labels(document: Document, path: KeyPath, tree: Filter) -> list[Problem]:
    problems = []
    for label, start in _labels(tree):
        if not is_known(label):
            place = document.within(path, start, start + len(label))
            problems.append(label_problem(label, place))
    return problems


def _labels(tree: Filter) -> Iterator[tuple[str, int]]:
    """The labels that an expression itself names, and where."""
    for node in tree.walk():
        start, end = node.span or (0, 0)
        if isinstance(node, Match | Compare | Flag):
            yield node.label, start
        if isinstance(node, Compare) and isinstance(node.other, LabelRef):
            yield node.other.label, end - len(node.other.label)


def label_problem(label: str, place: Any) -> Problem:
    """What to say of a label that events do not have: an error where a known one was nearly written.

    Labels that plugins or pipelines add cannot be known here, so any other name is but a warning.
    """
    if close := near(label, KNOWN_LABELS):
        hint = f"did you mean '{close}', or a label of your own, 'context.{label}'?"
        return Problem("E202", f"unknown label '{label}'", place, hint)
    return Problem("W906", f"label '{label}' is none of tocsin's; it matches once something adds it", place)
