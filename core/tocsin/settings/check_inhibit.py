"""Whether the inhibitions of a config can mute anything, and nothing that they should not."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.settings.alert_tables import InhibitTable
from tocsin.settings.alerting import BUILTIN, inhibition_name, replaces
from tocsin.settings.check import takes_everything
from tocsin.settings.document import Document
from tocsin.settings.expressions import Expressions
from tocsin.settings.implies import implies, same
from tocsin.settings.issues import Problem
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import File
from tocsin.settings.paths import at
from tocsin.settings.uses import called
from tocsin_hooks.filters import Filter

_EMPTY, _TRUE = frozenset({""}), frozenset({"true"})


def inhibition_problems(document: Document, file: File, found: Expressions) -> list[Problem]:
    """What is wrong with the entries of `[[inhibit]]`."""
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for index, entry in enumerate(file.inhibit):
        path: KeyPath = ("inhibit", index)
        name = inhibition_name(entry, index)
        if (earlier := first.setdefault(name, index)) != index:
            other = document.at(("inhibit", earlier, "name"), key=True).position
            text = f"two inhibitions have the name '{name}'"
            problems.append(Problem("E705", text, document.at((*path, "name")), f"the first is at {other}"))
        problems += _lacking(document, path, entry, name)
        source, target = found.at.get((*path, "source")), found.at.get((*path, "target"))
        if source is not None and target is not None:
            problems += _self_muting(document, path, entry, source, target)
            problems += _never_equal(document, path, entry, source, target)
    return problems


def _lacking(document: Document, path: KeyPath, entry: InhibitTable, name: str) -> Iterator[Problem]:
    if name in BUILTIN and not replaces(entry):
        return
    for key, what in (("source", "which events mute others"), ("target", "which events are muted")):
        if at(document.data, (*path, key)) is None:
            text = f"{called(document, path)} lacks '{key}'"
            yield Problem("E701", text, document.at(path, key=True), f"say {what}")


def _self_muting(
    document: Document, path: KeyPath, entry: InhibitTable, source: Filter, target: Filter
) -> Iterator[Problem]:
    who, place = called(document, path), document.at((*path, "target"))
    if same(source, target):
        text = f"{who}: source and target are the same, and no event mutes its own kind"
        hint = "let 'target' match other events than 'source'" + (
            "" if entry.equal else ", and say in 'equal' what they share"
        )
        yield Problem("E703" if entry.equal else "E702", text, place, hint)
    elif takes_everything(target):
        text = f"{who}: the target takes every event, its source included"
        yield Problem("E703", text, place, "say which events are muted")
    elif implies(source, target):
        text = f"{who}: every source is a target, too; sources do not mute each other"
        yield Problem("W917", text, place, f"to leave them out, write '... and not ({source.to_text()})'")


def _never_equal(
    document: Document, path: KeyPath, entry: InhibitTable, source: Filter, target: Filter
) -> Iterator[Problem]:
    for index, label in enumerate(entry.equal or ()):
        if label not in (entry.equal or ())[:index] and not can_share(label, source, target):
            text = f"{called(document, path)}: source and target never have the same '{label}'"
            yield Problem("E704", text, document.at((*path, "equal", index)), "take it out of 'equal'")


def can_share(label: str, source: Filter, target: Filter) -> bool:
    """Whether an event of each side can have the same value of `label`; absent on both sides is the same.

    >>> from tocsin_hooks.filters import parse
    >>> can_share("flow", parse("flow=a"), parse("flow=b")), can_share("flow", parse("flow=a"), parse("task=b"))
    (False, True)
    >>> can_share("task", parse("is_flow"), parse("task=b"))
    False
    """
    if label == "tags":  # a set: what it has to hold says little of what it is
        return True
    one, other = _values(label, source), _values(label, target)
    if one is None or other is None:
        known = one if other is None else other
        return known != _EMPTY or not _never_empty(label, source, target)
    return bool(one & other) or not (one and other)  # a side that matches nothing is told of elsewhere


def _values(label: str, tree: Filter) -> frozenset[str] | None:
    """The values that events of this side can have; None where they cannot be listed."""
    required = tree.required()
    if label == "task" and required.get("is_flow") == _TRUE:
        return _EMPTY
    return required.get(label)


def _never_empty(label: str, source: Filter, target: Filter) -> bool:
    return label == "task" and any(tree.required().get("is_task") == _TRUE for tree in (source, target))
