"""Discovery: finds plugins by entry points, loads each in isolation, keeps what they declare. Imports no target.

Specs, markers, registration and calling are pluggy's. Its discovery is not used: it stops at the first broken plugin
and accepts a mistyped hook in silence.
"""

from __future__ import annotations

import inspect
import os
import threading
import warnings
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib import metadata
from types import FunctionType

import pluggy

from .. import dispatch
from ..errors import PluginError, PluginWarning
from ..fallback import user_level
from . import hookspecs
from .names import BROKEN, cause, suggest
from .registrar import Entry, IncompatibleError, Provider, Registrar, check_api

GROUP = hookspecs.PROJECT
BUILTIN = (
    metadata.EntryPoint("cli", "plugrad.cli.plugin", GROUP),
    metadata.EntryPoint("numpy", "plugrad.reference.plugin", GROUP),
)
"""What the core itself declares. Always loaded, even where no metadata is installed."""
HOOKS = frozenset(name for name in vars(hookspecs) if name.startswith(f"{hookspecs.PROJECT}_"))


@dataclass
class PluginStatus:
    """One entry point, what it declared, and what became of it.

    ``status`` is "ok", "disabled" (by PLUGRAD_PLUGINS), "shadowed" (another copy of its distribution comes first),
    "incompatible" (protocol version), "conflict" (something it declares was declared before) or "failed".
    """

    provider: Provider
    target: str
    status: str = "ok"
    reason: str = ""
    provides: tuple[Entry, ...] = ()
    error: BaseException | None = field(default=None, repr=False)

    @property
    def broken(self) -> bool:
        """Whether somebody has to mend something."""
        return self.status in ("failed", "incompatible", "conflict")

    @property
    def absent(self) -> bool:
        """Whether nothing of what it would declare is there."""
        return self.status != "ok" and not self.provides

    def conflict(self, reason: str) -> None:
        """Note that something it declares belongs to an earlier plugin."""
        self.status, self.reason = "conflict", f"{self.reason}; {reason}" if self.reason else reason

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"plugin {self.provider.entry_point!r} of {self.provider}: {self.status}{reason}"


@dataclass
class Candidate:
    """An entry point that was found, before anything of it is imported; with a status if it shall not be."""

    provider: Provider
    entry_point: metadata.EntryPoint
    status: str = "ok"
    reason: str = ""


class Registry:
    """The statuses of all plugins and everything that the good ones declared."""

    def __init__(self) -> None:
        self.plugins: list[PluginStatus] = []
        self.notes: list[str] = []
        self.entries: list[Entry] = []
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

    def absent_like(self, name: str) -> str:
        """``"; plugin ..."`` for the plugins that are left out: those called ``name``, or else all broken ones."""
        out = [p for p in self.plugins if p.absent]
        called = [p for p in out if name in (p.provider.entry_point, p.provider.distribution.removeprefix("plugrad-"))]
        return "".join(f"; {p}" for p in called or [p for p in out if p.broken])


def candidates() -> Iterator[Candidate]:
    """The entry points of the group: the core's, then by distribution and name: "earlier" is the same everywhere."""
    for point in BUILTIN:
        yield Candidate(Provider("plugrad", core_version(), point.name), point)
    seen: dict[str, dict[str, str]] = {}
    found = [candidate for dist in metadata.distributions() for candidate in _of_distribution(dist, seen)]
    for candidate in sorted(found, key=lambda c: (c.provider.distribution, c.provider.entry_point)):
        if candidate.entry_point not in BUILTIN:
            yield candidate


def _of_distribution(dist: metadata.Distribution, seen: dict[str, dict[str, str]]) -> Iterator[Candidate]:
    """Those of one distribution; with a status if they cannot be read or belong to a second, different copy."""
    try:
        if GROUP not in (dist.read_text("entry_points.txt") or ""):
            return
        name, version = dist.name or "unknown", dist.version or "unknown"
        points = {point.name: point for point in dist.entry_points if point.group == GROUP}
    except BROKEN as error:
        where = Provider(str(getattr(dist, "_path", "unknown")), "unknown", "?")
        reason = f"its metadata cannot be read: {cause(error)}; reinstall it"
        yield Candidate(where, metadata.EntryPoint("?", "?", GROUP), "failed", reason)
        return
    here = {key: f"{version} {point.value}" for key, point in points.items()}
    first = seen.setdefault(name.lower().replace("_", "-"), here)
    for key, point in points.items():
        if first is here:
            yield Candidate(Provider(name, version, key), point)
        elif first.get(key) != here[key]:
            reason = "another copy of this distribution comes earlier on sys.path"
            yield Candidate(Provider(name, version, key), point, "shadowed", reason)


def core_version() -> str:
    """The version of the installed core; "source" where it runs without metadata."""
    try:
        return metadata.version("plugrad")
    except metadata.PackageNotFoundError:
        return "source"


class Choice:
    """PLUGRAD_PLUGINS: empty (all), ``none``, ``a,b`` (only these) or ``-x`` (all but these), by entry point name."""

    def __init__(self, text: str) -> None:
        words = {word.strip() for word in text.split(",")} - {""}
        self.without = {word[1:] for word in words if word.startswith("-")}
        self.only = {word for word in words if not word.startswith("-")}

    def allows(self, name: str) -> bool:
        """Whether the plugin of this name shall be loaded."""
        return name not in self.without and (not self.only or name in self.only)

    def unknown(self, known: set[str]) -> list[str]:
        """A sentence for each word that names no plugin."""
        words = sorted((self.only | self.without) - known - {"none"})
        return [f"PLUGRAD_PLUGINS names {word!r}, which is not installed{suggest(word, known)}" for word in words]


def load_all(found: Iterable[Candidate], setting: str = "") -> Registry:
    """A registry of these candidates, under a setting of PLUGRAD_PLUGINS. Never raises for what a plugin does."""
    registry, choice = Registry(), Choice(setting)
    taken: dict[str, Provider] = {}
    for candidate in found:
        provider, point = candidate.provider, candidate.entry_point
        status = PluginStatus(provider, point.value, candidate.status, candidate.reason)
        entries: list[Entry] = []
        if status.status == "ok":
            if point not in BUILTIN and not choice.allows(point.name):
                status.status, status.reason = "disabled", f"PLUGRAD_PLUGINS={setting}"
            elif point.name in taken:
                earlier = f"is already taken by {taken[point.name]}, which stays"
                status.conflict(f"the entry point name {point.name!r} {earlier}; rename or uninstall one of them")
            else:
                entries = _load(candidate, status)
        if status.status == "ok":
            taken[point.name] = provider
        registry.add(status, entries)
    registry.notes = choice.unknown({p.provider.entry_point for p in registry.plugins})
    return registry


def _load(candidate: Candidate, status: PluginStatus) -> list[Entry]:
    """What one plugin declares; nothing, with the cause in its status, if any part of it fails."""
    registrar = Registrar(candidate.provider)
    try:
        plugin = candidate.entry_point.load()
        check_api(getattr(plugin, "API", None), status.target)
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
    home = getattr(plugin, "__name__", None)
    for name, value in inspect.getmembers(plugin):
        marked = getattr(value, f"{hookspecs.PROJECT}_impl", None)
        own = isinstance(value, FunctionType) and value.__module__ == home
        if marked is None and not (own and name.startswith(f"{hookspecs.PROJECT}_")):
            continue
        hook = (marked or {}).get("specname") or name
        if hook not in HOOKS:
            raise PluginError(f"unknown hook {hook!r}{suggest(hook, HOOKS)}; the hooks are {', '.join(sorted(HOOKS))}")
        if marked is None:
            raise PluginError(f"hook {name!r} is not marked; put @hookimpl (from plugrad.plugins) above it")


def _call_hooks(plugin: object, registrar: Registrar) -> None:
    """Run each hook once. One manager per plugin, so that no failure leaves another plugin half registered."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, registrar.provider.entry_point)
    for hook in sorted(HOOKS):
        if any(result is not None for result in getattr(manager.hook, hook)(registrar=registrar)):
            raise PluginError(f"hook {hook!r} returned something; a hook calls its registrar, no return and no yield")


_lock = threading.RLock()
_registry: Registry | None = None
_discovering = False
_to_warn: deque[str] = deque()


def discover() -> Registry:
    """The registry of this process. The first call reads the entry points; no call warns."""
    global _registry, _discovering
    if _registry is None:
        with _lock:
            if _discovering:
                raise PluginError("plugins: asked for while they are being discovered; a plugin's module must be light")
            if _registry is None:
                _discovering = True
                try:
                    found = load_all(candidates(), os.environ.get("PLUGRAD_PLUGINS", ""))
                    _install_kernels(found)
                    _to_warn.extend([str(p) for p in found.plugins if p.broken] + found.notes)
                    _registry = found
                finally:
                    _discovering = False
    return _registry


def _install_kernels(registry: Registry) -> None:
    for status in registry.plugins:
        for entry in status.provides:
            try:
                if entry.kernel:
                    dispatch.add_kernel(entry.name, entry.backend, entry.kernel)
            except PluginError as error:
                status.conflict(str(error))


def registry() -> Registry:
    """As ``discover``, and warn about each broken plugin, once."""
    found = discover()
    while _to_warn:
        try:
            message = _to_warn.popleft()
        except IndexError:  # another thread took it
            break
        warnings.warn(f"{message} (see: plugrad plugins)", PluginWarning, stacklevel=user_level())
    return found


def statuses() -> tuple[PluginStatus, ...]:
    """The record of every plugin that is installed, broken and disabled ones included."""
    return tuple(discover().plugins)


def require(name: str) -> PluginStatus:
    """The record of the plugin with this entry point name; PluginError, from the cause, if it is absent.

    >>> require("numpy").status
    'ok'
    """
    known = {p.provider.entry_point: p for p in sorted(discover().plugins, key=lambda p: -p.absent)}
    if name not in known:
        listed = ", ".join(sorted(known))
        raise PluginError(f"plugin {name!r} is not installed{suggest(name, known)}; installed: {listed}")
    if known[name].absent:
        raise PluginError(str(known[name])) from known[name].error
    return known[name]
