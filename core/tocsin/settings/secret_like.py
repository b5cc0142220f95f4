"""Whether a text seems to hold a secret: then it must not be shown, and should not stand where it does."""

from __future__ import annotations

import re
from ipaddress import ip_address
from itertools import pairwise
from urllib.parse import urlsplit

_MARKS = re.compile(
    r"xox[abeoprs]-[0-9A-Za-z-]{6,}"  # Slack
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{12,}"  # Amazon
    r"|\b(?:gh[opsur]|github_pat|glpat|sk_live|rk_live|whsec)[_-][0-9A-Za-z_-]{10,}"
    r"|\bsk-[0-9A-Za-z_-]{16,}"
    r"|\bAIza[0-9A-Za-z_-]{20,}"  # Google
    r"|\beyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}"  # a JSON Web Token
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY"
    r"|[a-z][a-z0-9+.-]{0,30}://[^\s/@:{}'\"<>]{0,200}:[^\s/@{}'\"<>]{1,200}@"  # a password in an address
    r"|hooks\.slack\.com/services/[0-9A-Za-z/]{6,}",
)
_LONG = re.compile(r"[0-9A-Za-z+/_=-]{32,}")


def secret_in(text: str) -> tuple[int, int] | None:
    """Where the first thing that seems a secret stands in `text`, if anything does.

    >>> secret_in("see https://me:pw@host/x"), secret_in("{{ flow }} at https://host/runs")
    ((4, 18), None)
    """
    if mark := _MARKS.search(text):
        return mark.span()
    return next((found.span() for found in _LONG.finditer(text) if _is_random(found[0])), None)


def is_secret_setting(name: str, value: str) -> bool:
    """Whether the plain value of a setting that may hold a secret does: then only a reference will do.

    An address on this machine is nobody's secret.

    >>> is_secret_setting("url", "https://ops.example.org/hooks/flow"), is_secret_setting("url", "http://127.0.0.1/t0k3n")
    (False, False)
    >>> is_secret_setting("url", "tgram://123456789:AAF4x_kTq9LmZ2/12315544"), is_secret_setting("proxy", "http://a:b@p")
    (True, True)
    >>> is_secret_setting("webhook_url", "https://chat.example.org/hooks/ops")
    True
    """
    if is_on_this_machine(value):
        return False
    if "://" in value and _NAMED_SECRET.search(name):
        return True
    if secret_in(value) or _KEEPS_SECRETS.search(value):
        return True
    pieces = re.split(r"[/:@?&=#,]+", value.partition("://")[2])
    return any(_is_token(piece) for piece in pieces)


def is_on_this_machine(address: str) -> bool:
    """Whether a text is an address that only this machine itself can reach.

    >>> [is_on_this_machine(f"http://{host}/x") for host in ("127.0.0.1:80", "localhost", "[::1]", "10.0.0.1", "")]
    [True, True, True, False, False]
    """
    try:
        host = (urlsplit(address.strip()).hostname or "").rstrip(".")
        return host == "localhost" or (bool(host) and ip_address(host).is_loopback)
    except ValueError:
        return False


def concealed(text: str) -> str:
    """A message without what seems a secret in it, and with no more of an address than its host.

    >>> concealed("unknown channel 'https://hooks.slack.com/services/T0/B0/k3yk3yk3y'; channels: ops")
    "unknown channel 'https://***'; channels: ops"
    >>> concealed("unknown template 'https://x.example/a?token=b'"), concealed("flow=~'etl-.*'")
    ("unknown template 'https://x.example/...'", "flow=~'etl-.*'")
    """
    text = _LONG.sub(lambda found: "***" if _is_random(found[0]) else found[0], _MARKS.sub("***", text))
    return _BEHIND_HOST.sub(r"\1\2/...", text)


_BEHIND_HOST = re.compile(
    r"(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]{0,30}://)(?:[^\s/@'\"]*@)?([^\s/?#'\"]+)[/?#][^\s'\"]*"
)


def names_database(text: str) -> bool:
    """Whether a text says how to reach a database, and with that perhaps a password.

    >>> given = ("postgresql://u:pw@h/db", "host=db password=pw", "ann:pw@db.example/alerts", "a:pw@h")
    >>> [names_database(text) for text in given]
    [True, True, True, True]
    >>> [names_database(text) for text in ("tocsin.db", "C:/data/me@home.db", "/srv/host=a/tocsin.db", "a@b.db")]
    [False, False, False, False]
    """
    return _DATABASE.match(text) is not None


_DATABASE = re.compile(
    r"(?i)[\s\"']*+(?:postgres(?:ql)?(?:\+\w+)?:"
    r"|(?:(?!pass|dbname|host)[a-z_]++\s*+=\s*+(?:'[^']*+'|\S*+)\s++)*+(?:password|passwd|dbname|host|hostaddr)\s*="
    r"|[^/\\\s:@]+:[^/\\\s@]+@)"
)
_NAMED_SECRET = re.compile(r"(?i)webhook|token|secret|passw|credential|(?:^|_)key(?:$|_)")
_KEEPS_SECRETS = re.compile(  # addresses that let everybody in who knows them
    r"(?i)^https?://(?:[^/]*\.)?(?:"
    r"hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/."
    r"|discord(?:app)?\.com/api/webhooks/."
    r"|(?:webhook\.office|outlook\.office(?:365)?)\.com/webhook[^/]*/."
    r"|hooks\.zapier\.com/hooks/.|maker\.ifttt\.com/trigger/.|events\.pagerduty\.com/integration/."
    r"|api\.telegram\.org/bot.)"
    r"|[?&](?:[a-z_-]*(?:token|secret|passw(?:or)?d|api_?key)|sig|signature|key|auth)=[^&#]"
    r"|://\d{6,}:[\w-]{12,}"  # a bot of Telegram
)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORD = re.compile(r"[0-9A-Za-z_-]{20,}")


def _is_token(word: str) -> bool:
    """Whether a piece of an address looks like chance: letters and digits mixed, as no name has them."""
    if _UUID.fullmatch(word):
        return True
    if not _WORD.fullmatch(word) or not (any(map(str.isdigit, word)) and any(map(str.isalpha, word))):
        return False
    kinds = (str.islower, str.isupper, str.isdigit)
    return sum(kind(one) != kind(other) for one, other in pairwise(word) for kind in kinds) >= len(word) // 2


def _is_random(word: str) -> bool:
    """Whether a long run of letters and digits looks like chance rather than like a name or a path."""
    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(kind(char) for char in word) for kind in kinds):
        return False
    changes = sum(kind(one) != kind(other) for one, other in pairwise(word) for kind in kinds)
    return changes >= len(word) // 2
