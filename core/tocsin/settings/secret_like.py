"""Whether a text seems to hold a secret, and must not be shown."""

from __future__ import annotations

import re
from itertools import pairwise

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


def _is_random(word: str) -> bool:
    """Whether a long run of letters and digits looks like chance rather than like a name or a path."""
    kinds = (str.islower, str.isupper, str.isdigit)
    if not all(any(kind(char) for char in word) for kind in kinds):
        return False
    changes = sum(kind(one) != kind(other) for one, other in pairwise(word) for kind in kinds)
    return changes >= len(word) // 2
