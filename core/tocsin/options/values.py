"""What texts in options stand for: types, references to other options, and to the environment."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from tocsin.options.table import SECRETS

PREFIX = "TOCSIN__"

_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_VARIABLE = re.compile(r"\$([A-Za-z_]\w*)")
_ESCAPE = re.compile(r"\\(?:[\\abfnrtv]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})")


def typed(text: str) -> Any:
    """The value that a text of the environment stands for: true or false, a Python literal, else itself.

    >>> typed("True"), typed("8"), typed("['a', 1]"), typed("None"), typed("30s")
    (True, 8, ['a', 1], None, '30s')
    """
    lower = text.strip().lower()
    if lower in ("true", "false"):
        return lower == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def unescaped(text: str) -> str:
    r"""`text` with escapes such as a written-out `\n` taken as what they stand for.

    >>> unescaped(r"%(name)s\t%(message)s für")
    '%(name)s\t%(message)s für'
    """
    return _ESCAPE.sub(lambda match: match[0].encode("ascii").decode("unicode_escape"), text)


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """What TOCSIN__SECTION__KEY variables say. Keys are in lower case, but for names of secrets, whose text is kept.

    >>> from_environment({"TOCSIN__TASKS__DEFAULTS__MAX_RETRIES": "4", "TOCSIN__CONTEXT__SECRETS__my_KEY": "1"})
    {'context': {'secrets': {'my_KEY': '1'}}, 'tasks': {'defaults': {'max_retries': 4}}}
    """
    found: dict[str, Any] = {}
    for name in sorted(environ):
        parts = name.split("__")[1:]
        if not name.upper().startswith(PREFIX) or not all(parts):
            continue
        keys = [part.lower() for part in parts]
        value: Any = environ[name]
        if keys[:2] == ["context", SECRETS] and len(keys) > 2:
            keys = [*keys[:2], "__".join(parts[2:])]
        else:
            value = typed(expanded(unescaped(value), environ))
        table = found
        for key in keys[:-1]:
            if not isinstance(table.get(key), dict):
                table[key] = {}
            table = table[key]
        table[keys[-1]] = value
    return found


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """`text` with a leading `~/` and `$NAME` replaced; a variable that is not set stays as it is.

    >>> expanded("~/$DAY/$NIGHT", {"HOME": "/home/me", "DAY": "monday"})
    '/home/me/monday/$NIGHT'
    """
    if text.startswith("~/") and "HOME" in environ:
        text = environ["HOME"] + text[1:]
    return _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), text)


def interpolated(data: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`data` with `${NAME}` replaced by the environment, `${a.b}` by other options, and nothing where neither is.

    A text that is one reference takes the type of what it refers to. Secrets stay texts.

    >>> interpolated({"a": {"port": 8}, "b": "${a.port}", "c": "x-${a.port}-${DAY}"}, {"DAY": "monday"})
    {'a': {'port': 8}, 'b': 8, 'c': 'x-8-monday'}
    """
    found = _Interpolation(data, environ).value(data, frozenset(), secret=False)
    assert isinstance(found, dict)
    return found


class _Interpolation:
    def __init__(self, data: Mapping[str, Any], environ: Mapping[str, str]) -> None:
        self.data = data
        self.environ = environ

    def value(self, value: Any, seen: frozenset[str], *, secret: bool) -> Any:
        if isinstance(value, Mapping):
            return {key: self.value(each, seen, secret=secret or key == SECRETS) for key, each in value.items()}
        if isinstance(value, list):
            return [self.value(each, seen, secret=secret) for each in value]
        return self._text(value, seen, secret=secret) if isinstance(value, str) else value

    def _text(self, text: str, seen: frozenset[str], *, secret: bool) -> Any:
        if not secret:
            plain = expanded(text, self.environ)
            text = plain if plain == text else typed(plain)
            if not isinstance(text, str):
                return text
        if whole := _REFERENCE.fullmatch(text):
            return self._refer(whole[1], seen, secret=secret)
        return _REFERENCE.sub(lambda match: str(self._refer(match[1], seen, secret=secret)), text)

    def _refer(self, name: str, seen: frozenset[str], *, secret: bool) -> Any:
        if name in self.environ:
            text = self.environ[name]
            return text if secret else typed(text)
        found: Any = self.data
        for part in name.split("."):
            if name in seen or not isinstance(found, Mapping) or part not in found:
                return ""
            found = found[part]
        return self.value(found, seen | {name}, secret=secret)
