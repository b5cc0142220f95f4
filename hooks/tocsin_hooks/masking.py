"""What in a text of somebody else's looks like a secret, and the text without it."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"
known: set[str] = set()
"""Every value of a secret that was revealed in this process."""

_CUT = "..."
_UNKNOWN = 256  # characters; most secrets that nobody has named are shorter
_LEAST = 4  # characters; masking shorter values would spoil every text

# Each pattern begins at something rare, and what follows it is bounded or never read twice, so that time is linear.

_SCHEMES = r"(?:(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)[ \t]+)?"
_NAMES = (
    r"(?:pass(?:word|wd|phrase|code)s?\d?|pwd|(?:client|app|shared)?[-_ ]?secrets?(?:[-_ ]?access)?(?:[-_ ]?key)?"
    r"|(?:access|account|api|app|auth|encryption|private|shared|signing)[-_ ]?key|token|credentials?|authorization)"
)
_PARTS_OF_NAMES = ("pass", "pwd", "secret", "key", "token", "credential", "authorization")
"""Of which one is in whatever `_NAMES` finds."""
_QUOTED = (
    r"""\\+"[^"\\\n]{0,4096}+\\+"|\\+'[^'\\\n]{0,4096}+\\+'|"(?:[^"\\\n]|\\.){0,4096}+"|'(?:[^'\\\n]|\\.){0,4096}+'"""
)
# A mark ends a value unless more of it seems to follow: `a,b` is one, `a, b` and `a,user=b` are two.
_BARE = r"""(?:[^\s,;&'"]|[,;&](?![\w.-]{1,40}[=:])(?=[^\s'"])|['"](?=\w))++"""
_VALUE = rf"(?:[bruf]?(?:{_QUOTED})|\{{[^{{}}\n]{{0,512}}+\}}|{_SCHEMES}{_BARE})"

_URL_USER = re.compile(
    r"(?<![a-z0-9+.-])(?P<before>[a-z][a-z0-9+.-]{0,30}+://[^\s/?#:@'\"<>]{0,256}+:)"
    # a password that was not encoded may have a slash; a port has one behind it
    r"(?:(?:[^\s/?#'\"<>@]{0,2048}+@)++|(?!\d{1,5}+[/?#])[^\s'\"<>@]{0,2048}+@)",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"(?P<before>(?:{_NAMES}|(?<![a-z])pass(?==))[\\\"'\]]{{0,3}}+"
    r"[ \t]{0,3}+(?:=>|:=|=(?!=)|:(?![:/]))[ \t]{0,3}+)"
    rf"(?P<value>{_VALUE})",
    re.IGNORECASE,
)
_FLAG = re.compile(
    rf"(?P<before>(?<!-)--[\w-]{{0,30}}?{_NAMES}(?:['\"],\s{{0,3}}+|[ \t]{{1,3}}+))(?!-)(?P<value>{_VALUE})",
    re.IGNORECASE,
)
_BEARER = re.compile(
    r"\b(?P<before>bearer[ \t]{1,3}+)"
    r"(?!(?:tokens?|auth\w{0,20}|realm|scheme|credentials?|errors?|challenge|headers?|formats?|is|was|not|of|in|or|and)"
    r"(?![\w.~+/-]))[\w.~+/=-]{3,}+",
    re.IGNORECASE,
)
_TOKENS = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"xox[a-z]-[\w-]{4,}+|xapp-[\w-]{8,}+|(?:AKIA|ASIA)[A-Z0-9]{12,}+|gh[pousr]_\w{4,}+|github_pat_\w{4,}+"
    r"|glpat-[\w-]{8,}+|[rs]k_(?:live|test)_\w{8,}+|sk-[\w-]{20,}+|AIza[\w-]{30,}+"
    r"|eyJ[\w-]{6,}+(?:\.[\w-]*+){0,4}+)"
)
_PRIVATE_KEY = re.compile(r"(?P<before>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[A-Za-z0-9+/=\\\s]{1,16384}+")
_EMPTY = frozenset({"", "none", "null", "nil", "true", "false", "undefined"})
_ENDS = ",;&)]}>."

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_TELLING = frozenset(
    ["password", "passwords", "passwd", "pwd", "passphrase", "passcode",
     "secret", "secrets", "token", "apikey", "credential", "credentials", "authorization",]
)  # fmt: skip
_TELLING_PAIRS = frozenset({"api", "access", "private", "auth", "account", "signing", "encryption", "shared"})
_ABOUT = frozenset(
    [
        "count",
        "counts",
        "limit",
        "limits",
        "type",
        "length",
        "size",
        "index",
        "budget",
        "ttl",
        "expiry",
        "expires",
        "name",
        "names",
        "path",
        "file",
        "field",
        "column",
        "policy",
        "env",
        "var",
        "ref",
        "arn",
    ]
)


def mask(text: str, also: Iterable[str] = ()) -> str:
    """`text` with *** in the place of what is a secret, or looks like one; the rest stays.

    That is: what was revealed in this process, and `also`; the password in a URL; what is called a password, a secret,
    a token or a key; what follows `Bearer`; tokens of well-known form; private keys.

    >>> mask("no route to postgres://etl:hunter2@db:5432/rows?token=abc&n=1, Authorization: Bearer xyz")
    'no route to postgres://etl:***@db:5432/rows?token=***&n=1, Authorization: ***'
    >>> mask("the key 'xoxb-1234-abcd' expired"), mask("password=None, max_tokens=5")
    ("the key '***' expired", 'password=None, max_tokens=5')
    """
    text = _TOKENS.sub(MASK, text)  # first, and whole: a known value may be a part of one
    text = without_known(text, also)
    if "://" in text and "@" in text:  # to look for a word costs a hundredth of what a pattern does
        text = _URL_USER.sub(rf"\g<before>{MASK}@", text)
    folded = text.casefold()
    if any(part in folded for part in _PARTS_OF_NAMES):
        text = _FLAG.sub(_without_value, _NAMED.sub(_without_value, text))
    if "bearer" in folded:
        text = _BEARER.sub(rf"\g<before>{MASK}", text)
    return _PRIVATE_KEY.sub(rf"\g<before>{MASK}", text) if "PRIVATE KEY-----" in text else text


def mask_head(text: str, cap: int, also: Iterable[str] = ()) -> str:
    """The beginning of a text as `mask` shows it, at most `cap` characters, with a mark where it was cut.

    >>> mask_head("password=hunter2, user=etl", 16)
    'password=***,...'
    """
    spare = _longest(also)  # a secret that is cut in two is not known again
    shown = mask(text[: 2 * cap + spare], also)
    if len(text) > 2 * cap + spare:
        shown = shown[: max(0, len(shown) - spare)]
    elif len(shown) <= cap:
        return shown
    return shown[: cap - len(_CUT)] + _CUT


def mask_tail(text: str, cap: int, also: Iterable[str] = ()) -> str:
    """The end of a text as `mask` shows it, at most `cap` characters, with a mark where it was cut.

    >>> mask_tail("user=etl, password=hunter2", 9)
    '...rd=***'
    """
    spare = _longest(also)
    shown = mask(text[-2 * cap - spare :], also)
    if len(text) > 2 * cap + spare:
        shown = shown[spare:]
    elif len(shown) <= cap:
        return shown
    return _CUT + shown[len(_CUT) - cap :]


def _longest(also: Iterable[str]) -> int:
    """How many characters at the edge of a text that was cut may be of a secret."""
    return max(_UNKNOWN, max(map(len, (*known, *also)), default=0))


def remember(value: Any) -> None:
    """Take a value, and the texts in it, for secrets from now on.

    >>> remember({"user": "etl", "keys": ["first-of-two"]})
    >>> mask("etl gave first-of-two")
    'etl gave ***'
    """
    if isinstance(value, str):
        if len(value) >= _LEAST and value not in known:
            known.update(spellings(value))
    elif isinstance(value, dict):
        remember(list(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            remember(each)


def spellings(value: str) -> set[str]:
    r"""`value`, and how it is written where some of its characters cannot stand for themselves.

    Services repeat what they were sent: as JSON, in an address, on a page, in one line; Python shows it as a literal.

    >>> sorted(spellings("a/b c"))
    ['a%2Fb%20c', 'a%2Fb+c', 'a/b c', 'a/b%20c', 'a/b+c', 'a\\/b c']
    >>> spellings("0123abcd")
    {'0123abcd'}
    """
    if value.isascii() and value.isalnum():
        return {value}
    text = value.encode("utf-8", "replace").decode()  # half a surrogate pair stands in no address
    as_json = [json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]]
    in_addresses = [quote(text, safe="/"), quote(text, safe=""), quote_plus(text, safe="/"), quote_plus(text)]
    found = {
        value,
        " ".join(value.split()),
        repr(value)[1:-1],
        unquote(value),
        *as_json,
        *(each.replace("/", "\\/") for each in as_json),
        *in_addresses,
        html.escape(value),
        html.escape(value, quote=False),
        *(html.escape(value).replace("&#x27;", "&#39;").replace("&quot;", mark) for mark in ("&quot;", "&#34;")),
    }
    return {each for each in found if len(each) >= _LEAST}


def without_known(text: str, also: Iterable[str] = ()) -> str:
    """`text` with *** in the place of every value that was revealed in this process, and of `also`."""
    for value in sorted({*known, *also}, key=len, reverse=True):
        if len(value) >= _LEAST:
            text = text.replace(value, MASK)
    return text


def _without_value(found: re.Match[str]) -> str:
    before, value = found["before"], found["value"]
    bare = value.rstrip(_ENDS)
    if bare.lower() in _EMPTY or bare.strip("'\"\\{") in ("", MASK):
        return found[0]
    if value[-1] in "'\"":
        quote = value[len(value.rstrip("\\'\"")) :]
        opening = value[: len(value) - len(value.lstrip("\\'\"bBrRuUfF"))] if value[0] not in "\\'\"" else quote
        return f"{before}{opening if opening.strip('bBrRuUfF') else quote}{MASK}{quote}"
    return f"{before}{MASK}" if value[0] == "{" else f"{before}{MASK}{value[len(bare) :]}"


def tells_a_secret(name: str) -> bool:
    """Whether a value of this name is a secret.

    >>> names = ("api_token", "dbPassword", "API_KEY", "max_tokens", "token_count", "key")
    >>> [name for name in names if tells_a_secret(name)]
    ['api_token', 'dbPassword', 'API_KEY']
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _ABOUT:
        return False
    pairs = pairwise(words)
    return not _TELLING.isdisjoint(words) or any(last == "key" and first in _TELLING_PAIRS for first, last in pairs)


def mask_values(value: Any, name: str = "") -> Any:
    """Data with *** in the place of values whose names tell secrets, and texts masked.

    >>> mask_values({"user": "ann", "password": "hunter2", "dsn": ["amqp://u:pw@mq"]})
    {'user': 'ann', 'password': '***', 'dsn': ['amqp://u:***@mq']}
    """
    if value not in (None, "", True, False) and tells_a_secret(name):
        return MASK
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {key: mask_values(each, str(key)) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [mask_values(each) for each in value]
    return value
