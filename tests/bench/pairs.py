"""What is measured against what: each pair does the same work, once by tocsin and once by the plainest means.

A goal is a ratio of the two, so that a slow or busy machine counts for both sides.
"""

from __future__ import annotations

import logging

from .delivering import DELIVERING
from .pair import Pair, Work
from .running import FLOWS, RUNNING
from .storing import STORING

__all__ = ["PAIRS", "Pair", "Work"]

logging.getLogger("tocsin").setLevel(logging.CRITICAL)

PAIRS: tuple[Pair, ...] = (*RUNNING, *STORING, *DELIVERING, *FLOWS)
