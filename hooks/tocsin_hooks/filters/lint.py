"""What about a filter is allowed, and still probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tocsin_hooks.filters.labels import NUMBER_LABELS, STATE_LABELS, known_states, parse_number, shown, text_of
from tocsin_hooks.filters.lexer import name_text, quote
from tocsin_hooks.filters.regex import compile_regex
from tocsin_hooks.filters.tree import And, Filter, Match, Span


@dataclass(frozen=True, slots=True)
class FilterWarning:
    """Something that a person should look at, and where it stands."""

    reason: str
    span: Span | None = None


def warnings_of(tree: Filter) -> tuple[FilterWarning, ...]:
    """Everything suspicious in `tree`, from left to right; what a bound name stands for has its own."""
    return tuple(
        FilterWarning(reason, node.span)
        for node in tree.walk()
        for reason in (_about_match(node) if isinstance(node, Match) else _about_and(node))
    )


def _about_and(node: Filter) -> Iterator[str]:
    if not isinstance(node, And):
        return
    if not node.terms:
        yield "this holds for every event"
    for label, values in node.required().items():
        if not values:
            yield f"this can never hold: it asks for two values of '{label}' at once"


def _about_match(node: Match) -> Iterator[str]:
    if node.op in ("=~", "!~"):
        if compile_regex(node.value).matches_everything:
            yield f"the regex matches everything, so this {'always' if node.op == '=~' else 'never'} holds"
        return
    if "*" in node.value:
        pattern = node.value if ".*" in node.value else node.value.replace("*", ".*")
        regex = f"{name_text(node.label)}{node.op[:-1] or '='}~{quote(pattern)}"
        yield f"'*' stands for itself here; a regex is written '{shown(regex)}', and in it a '*' that is meant as '[*]'"
    if node.label in STATE_LABELS and node.value not in known_states() | {""}:
        yield f"unknown state '{shown(node.value)}'; known states: {', '.join(sorted(known_states()))}"
    if node.label in NUMBER_LABELS and node.value:
        yield from _about_number(node.label, node.value)


def _about_number(label: str, value: str) -> Iterator[str]:
    number = parse_number(value)
    if number is None:
        yield f"'{label}' is a number, which '{shown(value)}' is not"
    elif text_of(number) != value:
        yield f"'{label}' is never written '{shown(value)}'; write '{text_of(number)}'"
