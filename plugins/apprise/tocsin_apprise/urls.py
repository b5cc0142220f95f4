"""What can be told of an Apprise URL by its text alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

_SCHEMA = re.compile(r"\s*([A-Za-z][A-Za-z0-9_+-]*)://")
_ANOTHER = re.compile(r"[\s,;]\s*[A-Za-z][A-Za-z0-9_+-]*://")
_PARTS = re.compile(r"(?P<schema>[^:]+)://(?P<user>[^@/?#]*@)?(?P<host>[^/?#]*)(?P<rest>.*)", re.DOTALL)

ONE_URL = "one URL per channel: write a table for each, and name them all in a route's send"
NATIVE = {"slack": "slack", "pagerduty": "pagerduty", "mailto": "email", "mailtos": "email"}
"""Services for which tocsin has a plugin that does more, by schema."""


@dataclass(frozen=True, slots=True)
class BaseUrl:
    """Where a service is reached in place of its own host."""

    host: str
    port: int | None
    secure: bool


def parse_base_url(url: str) -> BaseUrl:
    """The host and port that `url` names.

    >>> parse_base_url("http://127.0.0.1:8080")
    BaseUrl(host='127.0.0.1', port=8080, secure=False)
    """
    try:
        parts = urlsplit(url)
        base = BaseUrl(parts.hostname or "", parts.port, parts.scheme == "https")
    except ValueError:
        base = None
    sound = base and base.host and parts.scheme in ("http", "https") and parts.path in ("", "/")
    if not base or not sound or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f'{url!r} is no base_url; expected "http://host:port" or "https://host:port"')
    return base


def schema_of(url: str) -> str:
    """The service that `url` names, in lower case; empty when it names none.

    >>> schema_of("Slack://T1/B1/x"), schema_of("hooks.slack.com/T1")
    ('slack', '')
    """
    match = _SCHEMA.match(url)
    return match[1].lower() if match else ""


def check_one(url: str) -> None:
    """Raise ValueError, without quoting it, when `url` is not exactly one.

    >>> check_one("json://a.example, json://b.example")
    Traceback (most recent call last):
    ValueError: one URL per channel: write a table for each, and name them all in a route's send
    """
    if not schema_of(url):
        raise ValueError("no Apprise URL: expected one such as 'ntfys://ntfy.example.org/topic'")
    if _ANOTHER.search(url):
        raise ValueError(ONE_URL)


def at_other_host(url: str, schema: str, base: BaseUrl) -> str:
    """`url` with host and port of `base`, under `schema`.

    >>> at_other_host("json://me:pw@example.org:80/hook?x=1", "jsons", BaseUrl("127.0.0.1", 8443, True))
    'jsons://me:pw@127.0.0.1:8443/hook?x=1'
    """
    match = _PARTS.fullmatch(url.strip())
    assert match is not None  # it has a schema, or no service would have been found
    host = f"[{base.host}]" if ":" in base.host else base.host
    port = f":{base.port}" if base.port else ""
    return f"{schema}://{match['user'] or ''}{host}{port}{match['rest']}"


def options_of(url: str) -> frozenset[str]:
    """The names of the parameters after the question mark.

    >>> sorted(options_of("json://host/?overflow=split&+X-Key=1"))
    ['+X-Key', 'overflow']
    """
    query = url.partition("?")[2]
    return frozenset(unquote(pair.partition("=")[0]) for pair in query.split("&") if pair)


def words_of(url: str) -> frozenset[str]:
    """Every part of `url` after the schema that could be a secret, as written and decoded.

    >>> sorted(words_of("json://me:p%40ssw0rd@example.org/T0KEN/"))
    ['T0KEN', 'example.org', 'p%40ssw0rd', 'p@ssw0rd']
    """
    words = [word for word in re.split(r"[/?&=:@,#]+", url.partition("://")[2]) if len(word) >= 4]
    return frozenset(words) | {unquote(word) for word in words}
