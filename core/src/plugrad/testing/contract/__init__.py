"""The checks that any backend must pass, as named functions of a device name.

Nothing here needs pytest. A check raises AssertionError with a text that says op, dtype and layout, what was expected
and what came. The lists of the parts are joined here, in the order in which a new backend's author meets them.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from functools import partial

from ...errors import FallbackWarning
from ..kit.check import NotHere
from . import (
    capabilities,
    derivatives,
    failures,
    fallback,
    host,
    inplace,
    kernels,
    memory,
    positions,
    programs,
    threads,
    values,
)
from .subject import Subject, setting

Check = Callable[[str], None]
"""A function of a device name such as ``"cpu"`` or ``"cuda:0"``."""

_PARTS = (
    host,
    values,
    memory,
    kernels,
    positions,
    inplace,
    derivatives,
    fallback,
    failures,
    threads,
    programs,
    capabilities,
)


def backend_checks() -> list[tuple[str, Check]]:
    """Every check in order, by name.

    >>> checks = backend_checks()
    >>> [name for name, check in checks if name.startswith("host.")][0]
    'host.from_host_copies'
    >>> dict(checks)["values.add.float32"]("numpy")
    """
    return [(name, partial(_settled, check)) for part in _PARTS for name, check in part.checks()]


def _settled(check: Check, device: str) -> None:
    """A check under the default settings, whatever the environment says."""
    with setting("PLUGRAD_FALLBACK", None), setting("PLUGRAD_VIEW_WRITE", None):
        check(device)


def _suggestion(only: str) -> str:
    """The names close to a mistaken one, and the prefixes of all."""
    names = [name for name, _ in backend_checks()]
    prefixes = list(dict.fromkeys(name.partition(".")[0] + "." for name in names))
    words = [*prefixes, *names, *dict.fromkeys(name.rpartition(".")[2] for name in names)]
    near = difflib.get_close_matches(only, words, cutoff=0.6)
    return (f"did you mean {' or '.join(near)}? " if near else "") + f"names begin with {', '.join(prefixes)}"


def check_backend(device: str, only: str = "") -> None:
    """Run every check whose name contains ``only``; one AssertionError lists all that fail, with the reason of each.

    If the way in and out of the backend is wrong (``host.``), nothing else is run. A device that cannot be used raises
    BackendUnavailableError, an ``only`` that no name contains ValueError.

    >>> check_backend("numpy", "values.add")
    """
    chosen = [(name, check) for name, check in backend_checks() if only in name]
    if not chosen:
        raise ValueError(f"check_backend: no check's name contains {only!r}; {_suggestion(only)}")
    Subject(device)
    failed: list[str] = []
    left = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FallbackWarning)
        for number, (name, check) in enumerate(chosen):
            if failed and failed[-1].startswith("host.") and not name.startswith("host."):
                left = len(chosen) - number
                break
            try:
                check(device)
            except NotHere:
                continue
            except Exception as error:
                failed.append(f"{name}: {type(error).__name__}: {error}" if str(error) else f"{name}: {error!r}")
    if failed:
        further = [f"{left} further checks were not run: mend the way in and out first"] if left else []
        text = f"{device} fails {len(failed)} of the contract's checks:"
        raise AssertionError("\n".join([text, *failed, *further]))
