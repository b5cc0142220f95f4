"""What would do instead of a key or value that somebody wrote in a config file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tocsin.settings.issues import near, nearest
from tocsin.settings.locate import KeyPath

_LISTS = ("routes", "inhibit", "watch")  # the tables that are written with two brackets

ONLY_ROUTES: dict[str, str] = {
    "when": "'opens' says which events open an incident",
    "stop": "only a route can stop",
    "under": "only a route can be under another",
    "name": "only a route has a name",
    "mute": "it is not inherited: write it in each route that it is for",
}
"""What to say of keys of routes that people write in [defaults]."""
_MEANT: dict[str, str] = {  # words that people write, by the key that they mean
    "timezone": "location zone tz time_zone",
    "url": "dsn uri database database_url db connection postgres postgresql",
    "path": "file filename sqlite",
    "retention": "ttl keep max_age retention_days keep_days",
    "threads": "workers concurrency parallel",
    "tries": "retries max_retries attempts max_attempts max_tries",
    "retry": "retries max_retries attempts max_attempts max_tries",
    "first": "delay retry_delay backoff initial",
    "after": "wait delay",
    "rate": "rate_limit ratelimit limit",
    "deadline": "timeout",
    "when": "match matchers filter where expr condition",
    "if": "condition",
    "send": "receiver receivers channel channels to notify targets",
    "under": "parent inherits",
    "mute": "mute_time_intervals mute_timings muted quiet",
    "text": "body message content",
    "title": "subject header",
    "listen": "bind address port host",
    "allow": "enabled enable only include",
    "block": "disabled disable exclude deny ignore",
    "cron": "schedule crontab",
    "type": "kind",
    "days": "days_of_month",
    "stop": "continue",
    "source": "source_matchers",
    "target": "target_matchers",
    "max": "max_alerts",
}
_WRITTEN: dict[str, str] = {  # what stands in tables that people try to do without
    "group": '{ by = ["flow"], wait = "30s" }',
    "digest": '{ every = "1h" }',
    "throttle": '{ limit = "3/30m" }',
    "flap": '{ changes = 4, within = "1h" }',
    "open_after": "{ failures = 3 }",
    "mute": '{ windows = ["NAME"] }, or ["NAME"]',
    "retry": '{ tries = 8, first = "2s", max = "5m" }',
    "channels": '{ type = "inbox" }',
    "templates": '{ text = "{{ subject }}" }',
    "windows": '{ times = ["22:00-06:00"] }',
    "escalations": '{ steps = [{ after = "15m", send = ["NAME"] }] }',
}
_IN_GROUP = {"group_by": "by", "group_wait": "wait", "group_interval": "interval", "repeat_interval": "repeat"}
_PLACEHOLDER = re.compile(r"\$[A-Z][A-Z0-9_]*|\$\{[^{}]+\}|(?:env|ENV)[:.][A-Z][A-Z0-9_]*|%[A-Z][A-Z0-9_]*%")


def unit_of(path: KeyPath) -> str:
    """The unit that a span of time at `path` most likely has where somebody left it out."""
    return "d" if path[-1:] == ("retention",) else "s"


def is_table(value: Any) -> bool:
    """Whether a value is a table, or an array of tables.

    >>> is_table({}), is_table([{}]), is_table([]), is_table("x")
    (True, True, False, False)
    """
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def is_placeholder(text: str) -> bool:
    """Whether a text asks for a variable of the environment, in a way that other programs know.

    >>> [is_placeholder(text) for text in ("$TOKEN", "${TOKEN}", "env:TOKEN", "$ecret", "TOKEN")]
    [True, True, True, False, False]
    """
    return _PLACEHOLDER.fullmatch(text.strip()) is not None


def key_cure(path: KeyPath, known: Sequence[str], value: Any) -> str:
    """What would do instead of the key that ends `path`, by the keys that are known there.

    >>> key_cure(("routes", 0, "to"), ["send", "when"], ["ops"]), key_cure(("watches",), ["watch"], [{}])
    ("'send' is the key for this", 'did you mean [[watch]]?')
    """
    last = str(path[-1])
    if path in (("tool",), ("tocsin",)) and isinstance(value, dict):
        return "only in a pyproject.toml do tables begin with 'tool.tocsin': leave that out here"
    if "group" in known and (inner := _IN_GROUP.get(last)):
        return f"'group' is the key for this: group = {{ {inner} = ... }}"
    close = near(last, known)
    meant = next((key for key, words in _MEANT.items() if key in known and last.casefold() in words.split()), close)
    if len(path) == 1 and meant in _LISTS and is_table(value):
        return f"did you mean [[{meant}]]?"
    return nearest(last, known) if meant == close else f"'{meant}' is the key for this"


def value_cure(expected: str, path: KeyPath, value: Any, *, shown: bool) -> str:
    """What would do instead of a value of the wrong type; it is repeated only if it may be `shown`.

    >>> value_cure("a whole number", ("delivery", "threads"), "8", shown=True)
    'write 8, without quotes'
    >>> value_cure("a list", ("routes",), {"when": "is_failed"}, shown=True)
    'write [[routes]], for there may be several'
    """
    match expected, value:
        case "a list", str() if path[0] != "channels":
            return f'write ["{value}"]' if value.strip() and "://" not in value else ""
        case "a list", dict() if len(path) == 1 and path[0] in _LISTS:
            named = bool(value) and all(isinstance(inner, dict) for inner in value.values())
            return f"write [[{path[0]}]], " + ('with name = "..." in it' if named else "for there may be several")
        case "a table", list() if len(path) == 1 and is_table(value):
            return f"write [{path[0]}.NAME], with a name of its own for each"
        case "a table", _:
            key = path[0] if len(path) == 2 and path[0] in _WRITTEN else path[-1]
            return f"such as {_WRITTEN[str(key)]}" if str(key) in _WRITTEN and len(path) > 1 else ""
        case ("a whole number", float()) if value.is_integer():
            return f"write {int(value)}"
        case ("a whole number", str()) if value.strip().isdecimal():
            return f"write {int(value)}, without quotes" if shown else "write it without quotes"
        case ("true or false", str()) if value.strip().lower() in ("true", "false"):
            return f"write {value.strip().lower()}, without quotes"
        case "text", int() | float() if not isinstance(value, bool):
            return "put it in quotes"
    return ""
