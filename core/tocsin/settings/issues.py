"""What is said about a mistake in the config, and how it is shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tocsin_hooks.errors import TocsinError

CODES = {
    "E101": "the config file is missing or cannot be read",
    "E102": "the config file is not UTF-8 text",
    "E103": "the config file is not TOML",
    "E104": "a key or table stands in the file twice",
    "E105": "the config file is of a newer format",
    "E106": "unknown key or table",
    "E107": "a value of the wrong type, or outside its range",
    "E108": "a key is missing",
    "E109": "an environment override that does not fit the config",
    "E110": "the store cannot be used",
    "E111": "an included file cannot be read",
    "E112": "files that include each other in a circle",
    "E201": "a filter expression cannot be read",
    "E202": "unknown label in a filter or an incident key",
    "E203": "unknown filter",
    "E204": "filters that refer to each other in a circle",
    "E205": "a filter written in Python cannot be loaded",
    "E206": "a regex that matches everything",
    "E207": "a '*' where it stands for itself, and a regex is probably meant",
    "E301": "two routes have the same name",
    "E302": "a route or the defaults send to an unknown channel",
    "E303": "a route is under an unknown route",
    "E304": "routes are under each other in a circle",
    "E305": "a route or the defaults use an unknown template",
    "E306": "a key that is for routes only stands in the defaults",
    "E307": "a route is muted in an unknown window",
    "E308": "a route or the defaults escalate to what does not exist",
    "E309": "routes stand behind one that stops every event",
    "E310": "a span of time that is negative, or nothing where it must be something",
    "E311": "reminders that would come before the news",
    "E312": "a label that stands in a list twice, or beside the word for all labels",
    "E313": "a mute or a digest of everything, or of nothing",
    "E401": "unknown channel type",
    "E402": "the plugin of a channel type is installed but cannot be used",
    "E403": "unknown key in a channel",
    "E404": "a channel lacks a key",
    "E405": "a value that a channel does not accept",
    "E406": "a secret is written into the file",
    "E407": "a secret cannot be read",
    "E501": "a time of day, a day, a month or a year that cannot be read",
    "E502": "a range that is empty or runs backwards",
    "E503": "a window that does not say when it is open",
    "E504": "unknown time zone",
    "E505": "a cron line that cannot be read, or never comes",
    "E506": "a watch lacks what its kind needs, or has what means nothing to it",
    "E507": "the grace of a watch is longer than the time between two runs",
    "E508": "two watches have the same name",
    "E509": "unknown kind of watch",
    "E510": "a watch sends to an unknown channel",
    "E601": "an escalation has no steps",
    "E602": "the steps of an escalation are not in the order of time",
    "E603": "unknown condition of a step",
    "E604": "an escalation sends to an unknown channel",
    "E605": "an escalation names an unknown window",
    "E606": "a step of an escalation, or what is outside its window, sends nowhere",
    "E607": "an acknowledgement that is over before the next step",
    "E701": "an inhibition lacks its source or its target",
    "E702": "the source and the target of an inhibition are the same, and nothing says what they share",
    "E703": "an inhibition that mutes its own source",
    "E704": "a label that the source and the target of an inhibition never share",
    "E705": "two inhibitions have the same name",
    "E801": "a template cannot be read",
    "E802": "a template file cannot be read",
    "E803": "a template has no text, or two",
    "E804": "a template is too long for a channel that it goes to",
    "W901": "a filter is not used",
    "W902": "a channel is not used",
    "W903": "a template is not used",
    "W904": "a route stands behind one that stops all of its events",
    "W905": "nothing is sent anywhere",
    "W906": "a label that tocsin's events do not have",
    "W907": "two routes have the same filter",
    "W908": "a filter expression is allowed, and still probably not meant",
    "W909": "a window is not used",
    "W910": "a plugin is installed but cannot be used",
    "W911": "an escalation is not used",
    "W912": "a time zone is left to UTC",
    "W913": "a template seems to hold a secret",
    "W914": "problems that no route takes reach nobody",
    "W915": "options of a route that mean nothing together",
    "W916": "an acknowledgement that no step asks about",
    "W917": "an inhibition whose every source is a target, too",
    "W918": "a name in [plugins] that no installed plugin has",
    "W919": "a route that says nothing of where it sends",
    "W920": "a watch of a flow that was never seen",
}
"""What each code stands for: E1xx file, E2xx expressions, E3xx routes, E4xx channels, E5xx windows and watches, E6xx
escalations, E7xx inhibitions, E8xx templates, W9xx lint."""

_WIDEST = 110


class Severity(StrEnum):
    """Whether a config with this problem is refused."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a config file, or the name of an environment override; lines and columns count from 1."""

    file: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Place:
    """A position with what there is to show of it.

    `length` counts characters of the file. `shown` is the source line as it may be shown, secrets masked; `caret` and
    `width` tell the part of it that is meant, from 1.
    """

    position: Position
    length: int = 1
    shown: str = ""
    caret: int = 1
    width: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a config, or something in it that does nothing."""

    code: str
    text: str
    place: Place
    suggestion: str = ""
    """What would do, as the end of the sentence: "did you mean 'ops'?"."""

    @property
    def severity(self) -> Severity:
        """Whether this is an error or a warning."""
        return Severity.WARNING if self.code.startswith("W") else Severity.ERROR

    @property
    def message(self) -> str:
        """The problem and what would do, in one line, without the place."""
        return f"{self.text}; {self.suggestion}" if self.suggestion else self.text

    def render(self) -> str:
        """The problem with its place, the source line, and carets under the part that is meant.

        >>> place = Place(Position("tocsin.toml", 3, 6), shown="stop=1", caret=6)
        >>> print(Problem("E107", "'stop' expects true or false, found a number", place).render())
        tocsin.toml:3:6 E107 'stop' expects true or false, found a number
            3 | stop=1
              |      ^
        """
        head = f"{self.place.position} {self.code} {printable(self.message)}"
        if self.place.position.line is None:
            return head
        line, caret, length = _window(self.place)
        number = f"{self.place.position.line:>5}"
        pad = "".join(_filler(char) for char in line[: caret - 1].ljust(caret - 1))
        carets = "^" * max(1, sum(len(_filler(char)) for char in line[caret - 1 : caret - 1 + length]))
        return f"{head}\n{number} | {printable(line)}\n{' ' * len(number)} | {pad}{carets}"

    def to_dict(self) -> dict[str, Any]:
        """The problem as plain data, for `--json`."""
        position = self.place.position
        return {
            "code": self.code,
            "severity": str(self.severity),
            "text": self.text,
            "suggestion": self.suggestion or None,
            "file": position.file,
            "line": position.line,
            "column": position.column,
            "length": self.place.length,
            "source": self.place.shown or None,
        }


class ConfigError(TocsinError):
    """A config that is refused, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(problem.render() for problem in problems))
        self.problems = tuple(problems)


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems file by file in the order of each, each once; those of environment overrides last."""

    def place(problem: Problem) -> tuple[bool, str, int, int, str]:
        position = problem.place.position
        return position.line is None, position.file, position.line or 0, position.column or 0, problem.code

    return sorted(dict.fromkeys(problems), key=place)


def printable(text: str) -> str:
    r"""`text` with whatever could move a terminal's cursor replaced.

    >>> printable("a\x1b[2Jb")
    'a?[2Jb'
    """
    return "".join(char if char.isprintable() or char == "\t" else "?" for char in text)


def _window(place: Place) -> tuple[str, int, int]:
    """The part of a long line that holds the caret, with the caret in it."""
    line, caret = place.shown, place.caret
    length = max(1, min(place.width, len(line) - caret + 1))
    if len(line) <= _WIDEST:
        return line, caret, length
    start = max(0, caret - 1 - _WIDEST // 2)
    cut = line[start : start + _WIDEST]
    shown = f"{'...' if start else ''}{cut}{'...' if start + _WIDEST < len(line) else ''}"
    caret += 3 * bool(start) - start
    return shown, caret, min(length, len(shown) - caret + 1)


def _filler(char: str) -> str:
    r"""What takes as much room as `char` and shows nothing.

    >>> [_filler(char) for char in "a\t鐘"]
    [' ', '\t', '  ']
    """
    if char == "\t":
        return "\t"
    if unicodedata.combining(char):
        return ""
    return "  " if unicodedata.east_asian_width(char) in "WF" else " "


# ---------------------------------------------------------------- near names


def nearest(name: str, known: Iterable[str], *, mark: str = "") -> str:
    """The question whether the known name closest to `name` is meant; empty when none is close.

    >>> nearest("ops-slak", ["ops-slack", "mail"])
    "did you mean 'ops-slack'?"
    """
    close = near(name, known)
    return f"did you mean '{mark}{close}'?" if close else ""


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name within two edits of `name` (one, where it is short), or the one that it begins."""
    folded = name.casefold()
    limit = 1 if len(name) < 4 else 2
    ranked = sorted((edits(folded, other.casefold(), limit), other) for other in known if other)
    if ranked and ranked[0][0] <= limit:
        return ranked[0][1]
    longer = [other for _, other in ranked if len(name) >= 3 and other.casefold().startswith(folded)]
    return longer[0] if longer else None


def edits(one: str, other: str, limit: int = 2) -> int:
    """How many letters to add, drop, change or swap to turn `one` into `other`; past `limit`, some number above it.

    >>> edits("critcal", "critical"), edits("falied", "failed"), edits("a", "abcdef")
    (1, 1, 3)
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (char != wanted))
            if i > 1 and j > 1 and char == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]


def listed(names: Iterable[str], *, none: str = "none") -> str:
    """Names for people, in order, at most twenty.

    >>> listed(["b", "a"])
    'a, b'
    """
    ordered = sorted(names)
    return ", ".join(ordered[:20]) + (", ..." if len(ordered) > 20 else "") if ordered else none
