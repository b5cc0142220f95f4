"""Which plugins are there, what each provides, and why one could not be used."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any
from weakref import ref

import pluggy

from tocsin_hooks import specs
from tocsin_hooks.errors import PluginError

GROUP = "tocsin"
"""The entry-point group in which packages announce their plugins."""

UNWANTED = "not loaded: the config does not allow it"
"""The reason why a plugin is not used that the operator does not want."""

_WRAPPED = frozenset({"tocsin_send"})


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """One plugin, usable or not."""

    name: str
    package: str = ""
    """The distribution it came with; empty for one registered by code."""
    version: str = ""
    module: str = ""
    hooks: tuple[str, ...] = ()
    error: str = ""
    """Why it is not used; empty when it is."""


def _plugin_manager() -> pluggy.PluginManager:
    pm = pluggy.PluginManager(specs.PROJECT)
    pm.add_hookspecs(specs)
    return pm


@dataclass(slots=True)
class Catalog:
    """The plugins of this process: those in use are registered with pluggy, all are listed."""

    pm: pluggy.PluginManager = field(default_factory=_plugin_manager)
    plugins: dict[str, PluginInfo] = field(default_factory=dict)
    revision: int = 0
    """Grows with each change, so that who prepared calls knows when to prepare them anew."""
    hung: set[tuple[str, str]] = field(default_factory=set)
    """The plugins that did not come back, and from which of their hooks: those are called no more."""
    callers: list[ref[Any]] = field(default_factory=list, repr=False, compare=False)
    """Who is told of changes."""

    def register(self, plugin: Any, name: str | None = None) -> str:
        """Put `plugin` to use; the name under which it is known.

        Raises PluginError for a hook that does not exist (with the nearest that does), an argument that its hook
        does not give, or a wrapper around a hook that takes none.
        """
        name = name or _name_of(plugin)
        if self.pm.is_registered(plugin):
            return name
        hooks = checked_hooks(plugin, name)
        try:
            self.pm.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(f"plugin '{name}': {_told(error)}") from error
        self._change()
        self.plugins.setdefault(name, PluginInfo(name, module=_name_of(plugin), hooks=hooks))
        return name

    def unregister(self, name: str) -> None:
        """Stop using the plugin of that name, if there is one."""
        if self.pm.has_plugin(name):
            self.pm.unregister(name=name)
            self.plugins.pop(name, None)
            self.hung.difference_update([each for each in self.hung if each[0] == name])
            self._change()

    def give_up(self, plugin: str, hook: str) -> None:
        """Note that a plugin did not come back from one of its hooks, so that it is not called again."""
        self.hung.add((plugin, hook))
        self._change()

    def tell(self, caller: Any) -> None:
        """Call `refresh` of who prepares calls after each change, for as long as there is one."""
        self.callers.append(ref(caller, self.callers.remove))

    def _change(self) -> None:
        self.revision += 1
        for each in tuple(self.callers):
            if (caller := each()) is not None:
                caller.refresh()

    def load(
        self, found: Iterable[EntryPoint], *, allow: Iterable[str] | None = None, block: Iterable[str] = ()
    ) -> None:
        """Put the plugins of these entry points to use, each by itself: one that fails is listed with its reason.

        `allow`, unless None, names the only ones wanted; `block` those that are not. Both take names of plugins and of
        packages.
        """
        wanted, unwanted = None if allow is None else set(allow), set(block)
        for point in found:
            package = point.dist.name if point.dist else ""
            version = point.dist.version if point.dist else ""
            info = PluginInfo(point.name, package, version, point.value)
            names = {point.name, package}
            if names & unwanted or (wanted is not None and not names & wanted):
                error = UNWANTED
            elif point.name in self.plugins:
                error = f"not loaded: package '{self.plugins[point.name].package}' has a plugin of that name"
            else:
                error = self._load_one(point, info)
            if error:
                key = point.name if point.name not in self.plugins else f"{point.name} ({package})"
                self.plugins[key] = PluginInfo(point.name, package, version, point.value, error=error)

    def _load_one(self, point: EntryPoint, info: PluginInfo) -> str:
        try:
            plugin = point.load()
            hooks = checked_hooks(plugin, point.name)
            self.pm.register(plugin, point.name)
            self._change()
        except KeyboardInterrupt:
            raise
        except PluginError as error:
            return str(error)
        except BaseException as error:
            return f"plugin '{point.name}' cannot be loaded from '{point.value}': {_told(error)}"
        self.plugins[point.name] = PluginInfo(point.name, info.package, info.version, point.value, hooks)
        return ""

    def broken(self) -> Mapping[str, str]:
        """Why each plugin that is not used is not, by name."""
        return {name: info.error for name, info in self.plugins.items() if info.error}

    def refused(self) -> Mapping[str, str]:
        """Why each plugin that should be used cannot be, by name."""
        return {name: error for name, error in self.broken().items() if error != UNWANTED}


def _name_of(plugin: Any) -> str:
    if isinstance(plugin, ModuleType):
        return plugin.__name__
    cls = plugin if isinstance(plugin, type) else type(plugin)
    return f"{cls.__module__}.{cls.__qualname__}"


def _told(error: BaseException) -> str:
    try:
        first = str(error).strip().splitlines()
    except Exception:  # an exception of the plugin's own may have no text
        first = []
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def checked_hooks(plugin: Any, name: str) -> tuple[str, ...]:
    """The names of the hooks that `plugin` implements.

    Raises PluginError for one that is no hook of tocsin, or that wraps a hook which cannot be wrapped.
    """
    known = specs.spec_names()
    hooks = []
    for attribute in dir(plugin):
        options = _impl_options(plugin, attribute)
        if options is None:
            continue
        hook = options.get("specname") or attribute
        if hook not in known:
            near = difflib.get_close_matches(hook, known, n=1, cutoff=0.5)
            hint = f"; did you mean '{near[0]}'?" if near else "; see 'tocsin plugins hooks' for those there are"
            raise PluginError(f"plugin '{name}' implements '{hook}', which is no hook{hint}")
        if (options.get("wrapper") or options.get("hookwrapper")) and hook not in _WRAPPED:
            raise PluginError(f"plugin '{name}' wraps '{hook}'; only 'tocsin_send' can be wrapped")
        hooks.append(hook)
    return tuple(hooks)


def _impl_options(plugin: Any, attribute: str) -> Mapping[str, Any] | None:
    if attribute.startswith("__"):
        return None
    try:
        options = getattr(getattr(plugin, attribute), f"{specs.PROJECT}_impl", None)
    except Exception:
        return None
    return options if isinstance(options, Mapping) else None


def discovered() -> tuple[EntryPoint, ...]:
    """The plugins that installed packages announce; none when `TOCSIN_DISABLE_PLUGIN_AUTOLOAD` is set."""
    if _are_hidden():
        return ()
    return tuple(sorted(entry_points(group=GROUP), key=lambda point: point.name))


_registered: list[Any] = []


def register(plugin: Any) -> None:
    """Use `plugin`, a module or an object with hook implementations, in every run of this process.

    Raises PluginError as `Catalog.register` does.
    """
    checked_hooks(plugin, _name_of(plugin))
    if plugin not in _registered:
        _registered.append(plugin)
        look_again()


def look_again() -> None:
    """Let whoever asks next what is `installed` look at what there is."""
    _installed.cache_clear()


def installed(allow: tuple[str, ...] | None = None, block: tuple[str, ...] = ()) -> Catalog:
    """The catalog of this process: installed plugins and those registered by code."""
    return _installed(allow, block, _are_hidden())


def _are_hidden() -> bool:
    return bool(os.environ.get("TOCSIN_DISABLE_PLUGIN_AUTOLOAD"))


@cache
def _installed(allow: tuple[str, ...] | None, block: tuple[str, ...], hidden: bool) -> Catalog:  # noqa: ARG001
    catalog = Catalog()
    catalog.load(discovered(), allow=allow, block=block)
    for plugin in _registered:
        catalog.register(plugin)
    return catalog
