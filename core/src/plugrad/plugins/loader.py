"""Discovery: finds plugins by entry points, loads each in isolation, keeps what they declare. Imports no target.

Specs, markers, registration and calling are pluggy's. Its discovery is not used: it stops at the first broken plugin
and accepts a mistyped hook in silence.
"""

from __future__ import annotations

import inspect
import os
import threading
import warnings
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import metadata
from importlib.metadata import EntryPoint

import pluggy

from .. import dispatch
from ..backend import __version__
from ..errors import PluginError, PluginWarning, suggest
from ..fallback import INTERNAL, user_level
from . import hookspecs
from .hookspecs import HOOKS, PROJECT
from .names import BROKEN, because, cause
from .registrar import Entry, IncompatibleError, Provider, Registrar, check_api

BUILTIN = EntryPoint("core", "plugrad.plugins.builtin", PROJECT)
"""What the core itself declares. Always loaded, even where no metadata is installed."""


@dataclass
class PluginStatus:
    """One entry point, what it declared, and what became of it.

    ``status`` is "ok", "disabled" (by PLUGRAD_PLUGINS), "shadowed" (another copy of its distribution comes first),
    "incompatible" (protocol version), "conflict" (something it declares was declared before) or "failed".
    """

    provider: Provider
    entry_point: EntryPoint
    status: str = "ok"
    reason: str = ""
    provides: tuple[Entry, ...] = ()
    error: BaseException | None = field(default=None, repr=False)

    @property
    def broken(self) -> bool:
        """Whether somebody has to mend something."""
        return self.status in ("failed", "incompatible", "conflict")

    def conflict(self, reason: str) -> None:
        """Note that something it declares belongs to an earlier plugin."""
        self.status, self.reason = "conflict", f"{self.reason}; {reason}" if self.reason else reason

    def __str__(self) -> str:
        return because(f"plugin {self.provider.entry_point!r} of {self.provider}: {self.status}", self.reason)


class Registry:
    """The statuses of all plugins and everything that the good ones declared.

    ``notes`` are what is wrong with PLUGRAD_PLUGINS; ``unsaid`` gives each warning once, whichever thread takes it.
    """

    def __init__(self) -> None:
        self.plugins: list[PluginStatus] = []
        self.entries: list[Entry] = []
        self.notes: list[str] = []
        self.unsaid: Iterator[str] = iter(())
        self._taken: dict[Hashable, Entry] = {}

    def select(self, word: str, kind: str = "") -> dict[str, Entry]:
        """The entries of one sort by name, in order of registration."""
        return {e.name: e for e in self.entries if (e.word, e.kind) == (word, kind)}

    def add(self, status: PluginStatus, entries: Iterable[Entry]) -> None:
        """Take a plugin's entries. What is declared already stays with the earlier plugin, and the status says so."""
        self.plugins.append(status)
        for entry in entries:
            earlier = self._taken.setdefault(entry.key, entry)
            if earlier is entry or (entry.kernel and earlier.provider == entry.provider):
                self.entries.append(entry)
                status.provides += (entry,)
            else:
                status.conflict(f"{entry} of {entry.provider} is already provided by {earlier.provider}, which stays")

    def hint(self, name: str, known: Iterable[str]) -> str:
        """What a name that is not ``known`` may have meant; and the plugins that are left out: those called so up to
        its first dot, or else all broken ones.
        """
        out = [p for p in self.plugins if p.status != "ok" and not p.provides]
        names = name.partition(".")[0], f"plugrad-{name.partition('.')[0]}"
        called = [p for p in out if p.provider.entry_point in names or p.provider.distribution in names]
        return suggest(name, known) + "".join(f"; {p}" for p in called or [p for p in out if p.broken])


def installed() -> list[PluginStatus]:
    """The core's own, then the entry points of the group by distribution and name: "earlier" is the same everywhere."""
    core = PluginStatus(Provider("plugrad", __version__, BUILTIN.name), BUILTIN)
    first: dict[str, list[PluginStatus]] = {}
    others = [plugin for dist in metadata.distributions() for plugin in _of_distribution(dist, first)]
    return [core, *sorted(others, key=lambda plugin: (plugin.provider.distribution, plugin.provider.entry_point))]


def _of_distribution(dist: metadata.Distribution, first: dict[str, list[PluginStatus]]) -> list[PluginStatus]:
    """Those of one distribution; with a status if they cannot be read or belong to a second, different copy."""
    try:
        if PROJECT not in (dist.read_text("entry_points.txt") or ""):
            return []
        name, version = dist.name or "unknown", dist.version or "unknown"
        points = [point for point in dist.entry_points if point.group == PROJECT]
    except BROKEN as error:
        where = Provider(str(getattr(dist, "_path", "unknown")), "unknown", "?")
        reason = f"its metadata cannot be read: {cause(error)}; reinstall it"
        return [PluginStatus(where, EntryPoint("?", "?", PROJECT), "failed", reason)]
    plugins = [PluginStatus(Provider(name, version, point.name), point) for point in points]
    earlier = first.setdefault(name.lower().replace("_", "-"), plugins)
    if earlier is plugins:
        return plugins
    reason = "another copy of this distribution comes earlier on sys.path"
    return [replace(plugin, status="shadowed", reason=reason) for plugin in plugins if plugin not in earlier]


def load_all(found: Iterable[PluginStatus], setting: str = "") -> Registry:
    """A registry of these plugins, under a setting of PLUGRAD_PLUGINS. Never raises for what a plugin does."""
    registry, taken = Registry(), dict[str, Provider]()
    words = {word.strip() for word in setting.split(",")} - {""}  # none of them (all plugins), "none", "a" or "-a"
    only = {word for word in words if not word.startswith("-")}
    for plugin in map(replace, found):
        name = plugin.provider.entry_point
        INTERNAL.add(plugin.entry_point.value.partition(":")[0].partition(".")[0])
        chosen = f"-{name}" not in words and (not only or name in only)
        if plugin.status == "ok" and plugin.entry_point is not BUILTIN and not chosen:
            plugin.status, plugin.reason = "disabled", f"PLUGRAD_PLUGINS={setting}"
        if plugin.status == "ok" and name in taken:
            earlier = f"is already taken by {taken[name]}, which stays"
            plugin.conflict(f"the entry point name {name!r} {earlier}; rename or uninstall one of them")
        declared = _load(plugin) if plugin.status == "ok" else []
        if plugin.status == "ok":
            taken[name] = plugin.provider
        registry.add(plugin, declared)
    known = {plugin.provider.entry_point for plugin in registry.plugins}
    for word in sorted({word.removeprefix("-") for word in words} - known - {"none"}):
        registry.notes.append(f"PLUGRAD_PLUGINS names {word!r}, which is not installed{suggest(word, known)}")
    registry.unsaid = iter([str(plugin) for plugin in registry.plugins if plugin.broken] + registry.notes)
    return registry


def _load(status: PluginStatus) -> list[Entry]:
    """What one plugin declares; nothing, with the cause in its status, if any part of it fails."""
    registrar = Registrar(status.provider)
    try:
        plugin = status.entry_point.load()
        check_api(getattr(plugin, "API", None), status.entry_point.value)
        check_hooks(plugin)
        _call_hooks(plugin, registrar)
        return registrar.entries
    except BROKEN as error:
        status.status = "incompatible" if isinstance(error, IncompatibleError) else "failed"
        status.reason = str(error) if isinstance(error, PluginError) else cause(error)
        status.error = error
        return []


def check_hooks(plugin: object) -> None:
    """Raise PluginError if a function looks like a hook but pluggy would never call it."""
    for name, value in inspect.getmembers(plugin):
        marked = getattr(value, "plugrad_impl", None)
        own = inspect.isfunction(value) and value.__module__ == getattr(plugin, "__name__", None)
        if marked is None and not (own and name.startswith("plugrad_")):
            continue
        hook = (marked or {}).get("specname") or name
        if hook not in HOOKS:
            raise PluginError(f"unknown hook {hook!r}{suggest(hook, HOOKS)}; the hooks are {', '.join(HOOKS)}")
        if marked is None:
            raise PluginError(f"hook {name!r} is not marked; put @hookimpl (from plugrad.plugins) above it")


def _call_hooks(plugin: object, registrar: Registrar) -> None:
    """Run each hook once. One manager per plugin, so that no failure leaves another plugin half registered."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, registrar.provider.entry_point)
    for hook in HOOKS:
        if any(result is not None for result in getattr(manager.hook, hook)(registrar=registrar)):
            raise PluginError(f"hook {hook!r} returned something; a hook calls its registrar, no return and no yield")


_lock = threading.RLock()
_registry: Registry | None = None
_discovering = False


def discover() -> Registry:
    """The registry of this process. The first call reads the entry points; no call warns."""
    global _registry, _discovering
    with _lock:
        if _discovering:
            raise PluginError("plugins: asked for while they are being discovered; a plugin's module must be light")
        if _registry is None:
            _discovering = True
            try:
                found = load_all(installed(), os.environ.get("PLUGRAD_PLUGINS", ""))
                for entry in found.entries:
                    if entry.kernel:
                        dispatch.add_kernel(entry.name, entry.backend, entry.kernel)
                _registry = found
            finally:
                _discovering = False
        return _registry


def registry() -> Registry:
    """As ``discover``, and warn about each broken plugin, once."""
    found = discover()
    for message in found.unsaid:
        warnings.warn(f"{message} (see: plugrad plugins)", PluginWarning, stacklevel=user_level())
    return found


def statuses() -> tuple[PluginStatus, ...]:
    """The record of every plugin that is installed, broken and disabled ones included."""
    return tuple(discover().plugins)
