"""The command line: `tocsin`. One module per command, imported when that command is given."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run the command that `args`, or the command line of this process, asks for; exits with its code."""
    from tocsin.cli.group import tocsin

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a message may hold what this terminal cannot show
    tocsin(args, prog_name="tocsin")
