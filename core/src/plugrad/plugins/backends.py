"""From a backend's name to its index: probes, imports and makes a backend when it is first asked for, not before."""

from __future__ import annotations

import threading
import warnings
from functools import cache

from .. import dispatch
from ..backend import Backend, index_of
from ..errors import BackendUnavailableError, PluginError, PluginWarning
from ..fallback import user_level
from . import loader
from .names import BROKEN, cause, suggest
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
        hint = suggest(name, known) + registry.absent_like(name)
        remedy = "install the distribution that provides it (plugrad plugins lists what is installed)"
        raise BackendUnavailableError(f"backend {name!r} is unknown{hint}; usable here: {_usable()}; {remedy}")
    entry = known[name]
    what = f"backend {name!r} of {entry.provider}"
    outcome = entry.outcome()
    if not outcome.available:
        raise BackendUnavailableError(f"{what} is {outcome}; usable here: {_usable()}")
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
    if not isinstance(backend, Backend) or name != entry.name:
        wrong = f"{entry.target} made a {type(backend).__name__} with the name {name!r}"
        raise PluginError(f"{entry} of {entry.provider}: {wrong}; it must be a Backend called {entry.name!r}")
    backend.distribution = entry.provider.distribution
    return backend


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
