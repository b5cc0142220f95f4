"""The errors a user of tocsin can mend."""


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

    def caret(self) -> str:
        """The expression and, below it, carets under the offending part.

        >>> print(FilterError("unexpected 'and'", "a=1 and and", 8, 11).caret())
        a=1 and and
                ^^^
        """
        line_start = self.text.rfind("\n", 0, self.start) + 1
        line_end = self.text.find("\n", self.start)
        line = self.text[line_start : None if line_end == -1 else line_end]
        width = max(1, min(self.end, line_start + len(line)) - self.start)
        return f"{line}\n{' ' * (self.start - line_start)}{'^' * width}"

    def __str__(self) -> str:
        return f"{self.reason}\n  " + self.caret().replace("\n", "\n  ")


class SecretError(TocsinError):
    """A secret that is referred to but cannot be read."""


class PluginError(TocsinError):
    """A plugin that cannot be used as it is."""
