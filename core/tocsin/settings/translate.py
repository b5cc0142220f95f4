"""What pydantic found wrong, in the words of somebody who writes TOML.

The values of channel settings are never repeated: they may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tocsin.settings.cures import ONLY_ROUTES, is_placeholder, is_table, key_cure, unit_of, value_cure
from tocsin.settings.document import Document
from tocsin.settings.issues import Problem, nearest
from tocsin.settings.locate import KeyPath
from tocsin.settings.models import is_own_key
from tocsin.settings.paths import at, data_path, keys_at, spoken
from tocsin.settings.tables import bare_number, is_negative, span_meant
from tocsin_hooks.secrets import redact

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "timedelta_type": "a duration",
    "date_type": "a date",
    "datetime_type": "a date with time",
}
_LIMITS = {
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs at least {min_length} entries",
    "too_long": "takes at most {max_length} entries",
    "string_too_long": "takes at most {max_length} characters",
    "literal_error": "expects {expected}",
    "enum": "expects {expected}",
}


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes for an unknown key, a missing one, and a value that does not fit."""

    unknown: str
    missing: str
    value: str


FILE = Codes("E106", "E108", "E107")
CHANNEL = Codes("E403", "E404", "E405")


@dataclass(frozen=True, slots=True)
class Found:
    """One complaint of pydantic as a problem, and the path of the data that it is about."""

    path: KeyPath
    problem: Problem
    told: bool = False
    """Whether it only says that a key is missing that was refused, and told of, before."""


def translate(
    error: ValidationError,
    document: Document,
    model: type[BaseModel],
    *,
    codes: Codes = FILE,
    prefix: KeyPath = (),
    also_known: tuple[str, ...] = (),
) -> list[Found]:
    """The problems in `error`, which validating the data at `prefix` with `model` has raised.

    `also_known` are keys of that table that the model does not know but somebody else does. Where several shapes
    were possible and none fits, one problem names what each would have taken.
    """
    details = error.errors(include_url=False, include_input=False)
    by_place: dict[tuple[KeyPath, str], list[Problem]] = {}
    told: list[KeyPath] = []
    for detail in details:
        kind = detail["type"] if detail["type"] in ("extra_forbidden", "missing") else ""
        location = (*prefix, *detail["loc"])
        path = data_path(document.data, location[:-1] if kind == "missing" else location)
        if kind == "missing" and at(document.data, (*path, detail["loc"][-1])) is not None:
            told.append(path)
        key = f"{kind} {detail['loc'][-1]}" if kind == "missing" else kind
        known = [*keys_at(model, detail["loc"]), *(also_known if len(detail["loc"]) == 1 else ())]
        by_place.setdefault((path, key), []).append(_problem(detail, document, path, codes, known))
    return [
        Found(path, _joined(problems), told=kind.startswith("missing") and path in told)
        for (path, kind), problems in by_place.items()
    ]


def _problem(detail: ErrorDetails, document: Document, path: KeyPath, codes: Codes, known: list[str]) -> Problem:
    name = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "missing":
        table, key = spoken(document.data, (*path, name))
        return Problem(codes.missing, f"{table or 'the config'} lacks '{key}'", document.at(path, key=True))
    table, key = spoken(document.data, path)
    if detail["type"] == "extra_forbidden":
        return _unknown(document, path, codes, known)
    value = at(document.data, path)
    context = detail.get("ctx") or {}
    if detail["type"] == "refused" and context["key"]:
        path = (*path, context["key"])
        table, key = spoken(document.data, path)
    code = "E406" if detail["type"] == "literal_secret" else codes.value
    shown = f" = {str(value).lower()}" if isinstance(value, int | float) else ""
    subject = f"{table} {key}{shown}".strip() if path[-1:] != ("",) else f"[{path[0]}] ''"
    reason = complaint(detail, value, unit=unit_of(path))
    if detail["type"] not in _EXPECTED and path[0:1] == ("channels",) and not _may_be_shown(document, path):
        reason = withouttexts_in(reason, value)
    place = document.at(path)
    if detail["type"] == "refused":  # by a value's own reader, which knows more
        code, path = context["code"], (*path, context["index"]) if context["index"] >= 0 else path
        place = document.within(path, context["start"], context["end"]) if context["start"] >= 0 else document.at(path)
    return Problem(code, f"{subject}: {reason}", place, _cure(detail, document, path, value))


def _unknown(document: Document, path: KeyPath, codes: Codes, known: list[str]) -> Problem:
    """What to say of a key that the table at `path` does not take."""
    table, key = spoken(document.data, path)
    place = document.at(path, key=True)
    value = at(document.data, path)
    kind = "table" if is_table(value) and not table else "key"
    inside = f" in {table}" if table else ""
    last = str(path[-1])
    if path[0] == "defaults" and len(path) == 2 and last in ONLY_ROUTES:
        return Problem("E306", f"'{last}' in [defaults]: this is for routes only", place, ONLY_ROUTES[last])
    return Problem(codes.unknown, f"unknown {kind} '{key}'{inside}", place, key_cure(path, known, value))


def _may_be_shown(document: Document, path: KeyPath) -> bool:
    """Whether the value at `path`, in a channel, is no secret as far as can be told by its key."""
    return path[:3] in document.plain or is_own_key(path)


def complaint(detail: Mapping[str, Any], value: Any, *, unit: str = "s") -> str:
    """What is wrong with `value`, without the value. `unit` is the one that a span of time without one likely has.

    >>> complaint({"type": "bool_type", "msg": "Input should be a valid boolean"}, "yes")
    'expects true or false, found text'
    """
    kind, context = detail["type"], detail.get("ctx") or {}
    if expected := _EXPECTED.get(kind):
        return f"expects {expected}, found {described(value)}"
    if kind == "duration" and isinstance(value, int | float) and not isinstance(value, bool):
        return bare_number(value, unit) if value else "must be longer than nothing"
    if kind == "duration" and isinstance(value, str) and is_negative(value):
        return "is negative, and time goes forwards only"
    if kind == "string_too_short" and context.get("min_length") == 1:
        return "is empty"
    if limit := _LIMITS.get(kind):
        return limit.format_map(context)
    if kind in ("value_error", "assertion_error") and (error := context.get("error")) is not None:
        return redact(str(error)) or "is not accepted"
    message = redact(str(detail["msg"]))
    return message[:1].lower() + message[1:]


def described(value: Any) -> str:
    """The TOML type of a value, for people.

    >>> [described(value) for value in ("a", True, 1, [], {})]
    ['text', 'true', 'a number', 'a list', 'a table']
    """
    match value:
        case bool():
            return str(value).lower()
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
    return "a date or time"


def withouttexts_in(text: str, value: Any) -> str:
    """`text` without any text of `value`: a plugin's own words may repeat what it was given.

    >>> withouttexts_in("'hunter2' is too short", {"password": "hunter2"})
    "'***' is too short"
    """
    for part in sorted(texts_in(value), key=len, reverse=True):
        if len(part) >= 4:
            text = text.replace(part, "***")
    return text


def texts_in(value: Any) -> Iterator[str]:
    """Every text in a value of TOML, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in value:
            yield from texts_in(element)
    elif isinstance(value, dict):
        for element in value.values():
            yield from texts_in(element)


def _cure(detail: ErrorDetails, document: Document, path: KeyPath, value: Any) -> str:
    expected, context = _EXPECTED.get(detail["type"], ""), detail.get("ctx") or {}
    if detail["type"] == "refused":
        return str(context.get("hint", ""))
    if detail["type"] == "duration" and isinstance(value, str):
        return "" if is_negative(value) else span_meant(value, unit_of(path))
    if path[0] == "channels" and isinstance(value, str) and is_placeholder(value):
        return 'nothing is filled in here; write { env = "NAME" }'
    if detail["type"] in ("enum", "literal_error") and isinstance(value, str):
        return nearest(value, re.findall(r"'([^']*)'", str(context.get("expected", ""))))
    if expected == "text" and document.is_overridden(path) and isinstance(value, int | float):
        return "put it in quotes to give it as text"
    return value_cure(expected, path, value, shown=path[0] != "channels" or _may_be_shown(document, path))


def _joined(problems: list[Problem]) -> Problem:
    first = problems[0]
    subject, _, _ = first.text.partition(": ")
    reasons = dict.fromkeys(problem.text.removeprefix(f"{subject}: ") for problem in problems)
    if len(reasons) == 1:
        return first
    return Problem(first.code, f"{subject}: {', or '.join(reasons)}", first.place, first.suggestion)
