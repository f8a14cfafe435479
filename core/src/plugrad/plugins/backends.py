"""From a backend's name to its index: probes, imports and makes a backend when it is first asked for, not before."""

from __future__ import annotations

import threading
import warnings

from .. import dispatch
from ..backend import Backend, index_of
from ..errors import BackendUnavailableError, PluginError, PluginWarning
from ..fallback import user_level
from . import loader
from .names import BROKEN, cause, suggest
from .probe import AVAILABLE, Outcome, Probe
from .registrar import Entry

_lock = threading.RLock()
_probes: dict[str, Probe] = {}
_default: str | None = None


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
        raise BackendUnavailableError(f"backend {name!r} is unknown{hint}; usable here: {_usable(name)}; {remedy}")
    outcome = probe(known[name])
    if not outcome.available:
        what = f"backend {name!r} of {known[name].provider}"
        raise BackendUnavailableError(f"{what} is {outcome}; usable here: {_usable(name)}")
    return _load(known[name])


def _load(entry: Entry) -> int:
    """Import, make and add the backend. The import is outside the lock: it may wait for another thread's import."""
    what = f"backend {entry.name!r} of {entry.provider}"
    try:
        made = entry.load()
        with _lock:
            index = index_of(entry.name)
            return dispatch.add_backend(_checked(made(), entry)) if index is None else index
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
    return backend


def _usable(but: str) -> str:
    return ", ".join(name for name, outcome in available_backends().items() if outcome.available and name != but)


def probe(entry: Entry) -> Outcome:
    """What the backend's probe answered; it is asked once in a process. Without a probe it counts as available."""
    if entry.probe is None:
        return AVAILABLE
    with _lock:
        asked = _probes.setdefault(entry.name, Probe(entry.probe, str(entry)))
    return asked.outcome()


def available_backends() -> dict[str, Outcome]:
    """Whether each backend that is installed can be used here, or why not. Loads none.

    >>> print(available_backends()["numpy"])
    available
    """
    return {name: probe(entry) for name, entry in loader.registry().select("backend").items()}


def default_backend() -> str:
    """The available backend of the highest priority; found, and loaded, once.

    One that says it is available and then fails to load is passed over with a PluginWarning.

    >>> available_backends()[default_backend()].available
    True
    """
    global _default
    if _default is None:
        entries = loader.registry().select("backend").values()
        _default = next(entry.name for entry in sorted(entries, key=lambda e: -e.priority) if _works(entry))
    return _default


def _works(entry: Entry) -> bool:
    if not probe(entry).available:
        return False
    try:
        backend_index(entry.name)
    except BackendUnavailableError as error:
        warnings.warn(
            f"{error}; the next best backend becomes the default device", PluginWarning, stacklevel=user_level()
        )
        return False
    return True
