"""The roads from a name to what a plugin brings: a backend, a component, an op. Each is made, or its module imported,
when its name is first asked for, not before.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Collection
from functools import cache
from typing import Any

from .. import dispatch
from ..backend import Backend, index_of
from ..errors import ArgumentError, BackendUnavailableError, PluginError, PluginWarning, UnknownNameError, article
from ..fallback import user_level
from ..op import OPS, Op
from . import loader
from .names import BROKEN, cause
from .probe import Outcome
from .registrar import Entry

_lock = threading.RLock()


def backend_index(name: str) -> int:
    """The index of the backend called ``name``, which is loaded if need be.

    BackendUnavailableError with the reason and the remedy if it is unknown, cannot be used here, or fails to load.

    >>> backend_index("numpy")
    0
    """
    registry = loader.registry()
    index = index_of(name)
    if index is not None:
        return index
    known = registry.select("backend")
    if name not in known:
        hint = registry.hint(name, known)
        remedy = "install the distribution that provides it (plugrad plugins lists what is installed)"
        raise BackendUnavailableError(f"backend {name!r} is unknown{hint}; usable here: {_usable()}; {remedy}")
    entry = known[name]
    what = f"backend {name!r} of {entry.provider}"
    if not entry.outcome().available:
        raise BackendUnavailableError(f"{what} is {entry.outcome()}; usable here: {_usable()}")
    try:
        make = entry.load()  # outside the lock: it may wait for another thread's import
        with _lock:
            index = index_of(name)
            return dispatch.add_backend(_checked(make(), entry)) if index is None else index
    except BackendUnavailableError:
        raise
    except BROKEN as error:
        reason = error if isinstance(error, PluginError) else f"{what} could not be made: {cause(error)}"
        raise BackendUnavailableError(f"{reason} (see: plugrad doctor)") from error


def _checked(backend: object, entry: Entry) -> Backend:
    name = getattr(backend, "name", None)
    if isinstance(backend, Backend) and name == entry.name:
        backend.distribution = entry.provider.distribution
        return backend
    wrong = f"{entry.target} made a {type(backend).__name__} with the name {name!r}"
    raise PluginError(f"{entry} of {entry.provider}: {wrong}; it must be a Backend called {entry.name!r}")


def _usable() -> str:
    return ", ".join(name for name, outcome in available_backends().items() if outcome.available)


def available_backends() -> dict[str, Outcome]:
    """Whether each backend that is installed can be used here, or why not. Loads none.

    >>> print(available_backends()["numpy"])
    available
    """
    return {name: entry.outcome() for name, entry in loader.registry().select("backend").items()}


@cache
def default_backend() -> str:
    """The available backend of the highest priority; found, and loaded, once.

    One that says it is available and then fails to load is passed over with a PluginWarning.

    >>> available_backends()[default_backend()].available
    True
    """
    entries = loader.registry().select("backend").values()
    return next(entry.name for entry in sorted(entries, key=lambda e: -e.priority) if _works(entry))


def _works(entry: Entry) -> bool:
    try:
        return entry.outcome().available and backend_index(entry.name) >= 0
    except BackendUnavailableError as error:
        message = f"{error}; the next best backend becomes the default device"
        warnings.warn(message, PluginWarning, stacklevel=user_level())
        return False


# -- components and ops


def component(kind: str, name: str) -> Any:
    """What is registered under this kind and name, such as ``("optimizer", "sgd")``; UnknownNameError if nothing is."""
    _check("component kind", kind, {entry.kind for entry in loader.registry().entries if entry.kind})
    entries = loader.registry().select("component", kind)
    _check(kind, name, entries)
    return entries[name].load()


def create(kind: str, name: str, **config: Any) -> Any:
    """Make a component from a configuration: ``create("optimizer", "sgd", learning_rate=0.1)``."""
    for what, given in (("kind", kind), ("name", name)):
        if not isinstance(given, str):
            raise ArgumentError(f"create: the {what} is {article(type(given).__name__)}, but must be a string")
    return component(kind, name)(**config)


def components(kind: str) -> tuple[str, ...]:
    """The names registered under a kind.

    >>> components("nothing of the kind")
    ()
    """
    return tuple(loader.registry().select("component", kind))


def observer(name: str) -> Any:
    """What is registered as an observer under this name: a class or a function; UnknownNameError if nothing is."""
    entries = loader.registry().select("observer")
    _check("observer", name, entries)
    return entries[name].load()


def load_ops(prefix: str | None = None) -> None:
    """Import the module that makes the ops of this prefix, or the modules of all prefixes."""
    entries = loader.registry().select("ops")
    for name in entries if prefix is None else [prefix]:
        _check("ops with the prefix", name, entries)
        entries[name].load()


def lookup(name: str) -> Op:
    """The op of this name; the module of a dotted name's prefix is imported if need be. UnknownNameError if none.

    >>> lookup("exp")
    <op exp>
    """
    if name not in OPS:
        prefixes = [prefix for prefix in loader.registry().select("ops") if name.startswith(f"{prefix}.")]
        if prefixes:
            load_ops(max(prefixes, key=len))
        _check("op", name, OPS)
    return OPS[name]


Op.named = staticmethod(lookup)


def _check(what: str, name: str, known: Collection[str]) -> None:
    if not isinstance(name, str):
        raise ArgumentError(f"{what}: got {article(type(name).__name__)} where a name is needed")
    if name not in known:
        known = sorted(known)
        hint = loader.registry().hint(name, known)
        listed = f"; registered: {', '.join(known) or 'none'}" if len(known) <= 20 else ""
        remedy = "install the package that brings it (see: plugrad plugins)"
        raise UnknownNameError(f"{what} {name!r} is not registered{hint}{listed}; {remedy}")
