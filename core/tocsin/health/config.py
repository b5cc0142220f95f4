"""Everything that is wrong, or odd, with a config on this machine: what it says, and which plugins it names."""

from __future__ import annotations

from tocsin.assembly import problems
from tocsin.plugins.catalog import discovered
from tocsin.settings import Problem, Source
from tocsin.settings.issues import in_order
from tocsin.settings.plugin_names import unknown_plugins


def config_problems(source: Source, *, secrets: bool = True) -> list[Problem]:
    """All problems in the order of the file; with `secrets`, those that cannot be read here and now among them."""
    known = {name for point in discovered() for name in (point.name, point.dist.name if point.dist else "") if name}
    return in_order([*problems(source, secrets=secrets), *unknown_plugins(source, known)])
