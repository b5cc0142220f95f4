"""The errors a user of tocsin can mend."""

from __future__ import annotations

import unicodedata

_WIDTH = 100
"""How much of a line an error shows, in columns."""


class TocsinError(Exception):
    """A mistake its reader can mend: prints as one line, without a traceback.

    The text says where, what was found and what would do; it never holds a secret.
    """


class FilterError(TocsinError):
    """A filter expression that cannot be read.

    `text` is the whole expression, `start` and `end` the offending part as offsets into it. `code` tells the sort of
    mistake: E201 cannot be read, E202 unknown label, E203 unknown filter, E204 filters in a circle.
    """

    def __init__(self, reason: str, text: str, start: int, end: int | None = None, code: str = "E201") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.text = text
        self.start = start
        self.end = start + 1 if end is None else max(end, start + 1)

    def __reduce__(self) -> tuple[type[FilterError], tuple[str, str, int, int, str]]:
        return type(self), (self.reason, self.text, self.start, self.end, self.code)

    def caret(self) -> str:
        """The expression and, below it, carets under the offending part; of a long line, what is around that.

        >>> print(FilterError("unexpected 'and'", "a=1 and and", 8, 11).caret())
        a=1 and and
                ^^^
        """
        line_start = self.text.rfind("\n", 0, self.start) + 1
        line_end = self.text.find("\n", self.start)
        line = self.text[line_start : None if line_end == -1 else line_end]
        at = self.start - line_start
        cut = max(0, at - _WIDTH // 2) if len(line) > _WIDTH else 0
        head, tail = ("..." if cut else ""), ("..." if len(line) > cut + _WIDTH else "")
        line, at = line[cut : cut + _WIDTH], at - cut
        marked = line[at : self.end - line_start - cut]
        indent = len(head) + _columns(line[:at])
        return f"{head}{_printable(line)}{tail}\n{' ' * indent}{'^' * max(1, _columns(marked))}"

    def __str__(self) -> str:
        return f"{self.reason}\n  " + self.caret().replace("\n", "\n  ")


class SecretError(TocsinError):
    """A secret that is referred to but cannot be read."""


class PluginError(TocsinError):
    """A plugin that cannot be used as it is."""


def _printable(text: str) -> str:
    """`text` without what would move the cursor, or could not be written; every character keeps its place."""
    return "".join(char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text)


def _columns(text: str) -> int:
    """How wide a terminal shows `text`.

    >>> _columns("ab"), _columns("\u4e16\u754c"), _columns("e\u0301")
    (2, 4, 1)
    """
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)
