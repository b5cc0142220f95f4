"""Whether a matcher that is well formed makes sense: a known label and state, a good regex, numbers where needed."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import NoReturn

from tocsin_hooks.errors import FilterError
from tocsin_hooks.filters.labels import (
    FLAG_LABELS,
    KNOWN_LABELS,
    NUMBER_LABELS,
    STATE_LABELS,
    TEXT_LABELS,
    Number,
    did_you_mean,
    is_known,
    is_numeric,
    known_states,
    parse_number,
    shown,
)
from tocsin_hooks.filters.lexer import Token, name_text, quote
from tocsin_hooks.filters.regex import compile_regex
from tocsin_hooks.filters.regex_syntax import RegexError
from tocsin_hooks.filters.tree import And, LabelRef, check_can_hold

_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_LONGEST_DURATION = 100
_LONGEST_HINT = 40
_NO_NAMES = ("nan", "inf", "infinity", "none", "null", "true", "false")
_SPAN = re.compile(r"(?:[0-9.]+(?:ms|[smhdw])){1,6}")
NUMBER_OPERATORS: Container[str] = frozenset({"<", "<=", ">", ">="})


class Checks:
    """The checks on the matchers of one expression; each raises `FilterError` with its place."""

    def __init__(self, text: str, labels: Iterable[str] | None) -> None:
        self._text = text
        self._labels = None if labels is None else frozenset(labels)

    def label(self, name: Token) -> None:
        """Refuse a label that no event has, if it is known which ones there are."""
        if not name.value:
            self._fail("the name of a label cannot be empty", name)
        if self._labels is not None and not is_known(name.value, self._labels):
            hint = did_you_mean(name.value, KNOWN_LABELS | self._labels)
            self._fail(f"unknown label '{shown(name.value)}'{hint}", name, "E202")

    def match(self, name: Token, op: Token, value: Token) -> None:
        """Refuse a matcher that holds never, always, or not for what it seems to say."""
        if op.value in ("=~", "!~"):
            self._regex(value)
            return
        if name.value in FLAG_LABELS and value.value not in ("true", "false"):
            self._fail(f"'{name.value}' is 'true' or 'false', never '{shown(value.value)}'", value)
        if "*" in value.value and not value.quoted:
            pattern = value.value if ".*" in value.value else value.value.replace("*", ".*")
            self._is_literal("*", pattern, name, op, value)
        if name.value in NUMBER_LABELS and not value.quoted and value.value[0] in "<>":
            self._fail(
                f"'{op.value}{value.value[0]}' is no operator; write '{value.value[0]}='",
                Token("", op.start, value.start + 1),
            )
        if name.value in STATE_LABELS and value.value:
            if "|" in value.value and not value.quoted:
                self._is_literal("|", value.value, name, op, value)
            self._state(value)

    def number(self, name: Token, op: Token, value: Token) -> Number | LabelRef:
        """What the number operator `op` compares `name` with."""
        if name.value in TEXT_LABELS | FLAG_LABELS:
            kind = "text" if name.value in TEXT_LABELS else "true or false"
            self._fail(f"'{name.value}' is {kind}; '{op.value}' compares numbers", name)
        if parse_number(name.value) is not None:
            turned = f"{value.value}{_TURNED[op.value]}{name.value}"
            self._fail(f"a label stands to the left of '{op.value}'; write '{shown(turned)}'", name)
        if is_numeric(value.value):
            return LabelRef(value.value)
        number = parse_number(value.value)
        if number is None and name.value == "duration":
            return self._duration(value)
        if number is None:
            self._fail(f"'{op.value}' compares numbers, and '{shown(value.value)}' is none{_hint(value)}", value)
        return number

    def conjunction(self, tree: And) -> None:
        """Refuse one that asks for two states at once."""
        check_can_hold(tree, self._text)

    def _is_literal(self, char: str, pattern: str, name: Token, op: Token, value: Token) -> NoReturn:
        regex = f"{name_text(name.value)}{op.value[:-1] or '='}~{quote(pattern)}"
        literal = f"{name_text(name.value)}{op.value}{quote(value.value)}"
        reason = f"'{char}' stands for itself here; did you mean '{shown(regex)}'?"
        self._fail(f"{reason} The literal text is '{shown(literal)}'", value)

    def _regex(self, value: Token) -> None:
        try:
            compile_regex(value.value)
        except RegexError as error:
            start, end = value.start, value.end
            if error.position is not None:
                start = value.offset(error.position)
                end = start + 1
            raise FilterError(error.reason, self._text, start, end) from None

    def _state(self, value: Token) -> None:
        known = known_states()
        hint = did_you_mean(value.value, known, cutoff=0.7)
        if value.value not in known and hint:  # one unlike any other may be a state of another process: a warning
            self._fail(f"unknown state '{shown(value.value)}'{hint}", value)

    def _duration(self, value: Token) -> Number:
        from tocsin_hooks.durations import parse_duration  # loads pydantic

        if len(value.value) > _LONGEST_DURATION:
            self._fail(f'expected a duration such as "2m" or "1h30m", found \'{shown(value.value)}\'', value)
        try:
            seconds = parse_duration(value.value).total_seconds()
        except ValueError as error:
            self._fail(f"{error}{did_you_mean(value.value, NUMBER_LABELS)}", value)
        return int(seconds) if seconds.is_integer() else seconds

    def _fail(self, reason: str, at: Token, code: str = "E201") -> NoReturn:
        raise FilterError(reason, self._text, at.start, at.end, code)


def _hint(value: Token) -> str:
    """What to say of a value that should have been a number."""
    name = value.value
    if name in TEXT_LABELS | FLAG_LABELS:
        return "; it is text" if name in TEXT_LABELS else "; it is true or false"
    if near := did_you_mean(name, NUMBER_LABELS):
        return near
    if _SPAN.fullmatch(name):
        return "; only 'duration' is compared with a span of time"
    is_name = name.isidentifier() and len(name) < _LONGEST_HINT and name.lower() not in _NO_NAMES
    return f"; a label of your own is 'context.{name}'" if is_name else ""
