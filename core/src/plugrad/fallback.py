"""The way through the host, for ops that a backend cannot run itself: loud, counted, and closed by
``PLUGRAD_FALLBACK=error``.
"""

from __future__ import annotations

import atexit
import functools
import os
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .backend import BACKENDS
from .dtypes import DTYPES
from .errors import FallbackError, FallbackWarning, UnknownNameError, suggest
from .frames import INTERNAL as INTERNAL
from .frames import user_level as user_level
from .frames import user_line as user_line
from .tensor import tupled


class FallbackCount(NamedTuple):
    """What one (op, dtype, backend) cost: calls, bytes moved both ways, seconds, and their share of the time since the
    counts began.
    """

    op: str
    dtype: str
    backend: str
    calls: int
    bytes: int
    seconds: float
    share: float


class FallbackReport(tuple[FallbackCount, ...]):
    """The counts, most time first. Prints as a table."""

    def __str__(self) -> str:
        if not self:
            return "no op ran on the host for lack of a kernel"
        rows = [("op", "dtype", "backend", "calls", "MB moved", "seconds", "share")]
        for c in self:
            costs = str(c.calls), f"{c.bytes / 1e6:.1f}", f"{c.seconds:.3f}", f"{c.share:.1%}"
            rows.append((c.op, c.dtype, c.backend, *costs))
        return columns(rows, "<<<>>>>")


def columns(rows: Sequence[tuple[str, ...]], sides: str) -> str:
    """Rows of words as lines of text, each column flush with its side, ``<`` or ``>``."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    layout = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "\n".join(layout.format(*row) for row in rows)


_counts: dict[tuple[str, str, str], tuple[int, int, float]] = {}
_since = time.perf_counter()
_lock = threading.Lock()


def fallback_report() -> FallbackReport:
    """The ops that ran on the reference backend because the tensor's own backend has no kernel and the op no
    decomposition. With ``PLUGRAD_FALLBACK=report`` it is printed to stderr when the program ends, instead of warnings.

    >>> import plugrad
    >>> plugrad.reset_fallback_report()
    >>> print(plugrad.fallback_report())
    no op ran on the host for lack of a kernel
    """
    with _lock:
        whole = time.perf_counter() - _since
        found = [FallbackCount(*key, *count, count[2] / whole) for key, count in _counts.items()]
    return FallbackReport(sorted(found, key=lambda c: -c.seconds))


def reset_fallback_report() -> None:
    """Forget the counts, and begin the time that shares are of; each op warns again on its next fallback."""
    global _since
    with _lock:
        _counts.clear()
        _since = time.perf_counter()


@functools.cache
def _at_exit() -> None:
    atexit.register(lambda: print(fallback_report(), file=sys.stderr))


def through_host(op: Any, values: list[Any], attrs: dict[str, Any], spec: Any, be: int, dt: int, dev: str) -> Any:
    """Copy the operands to the host, run the reference kernel, copy the result back."""
    backend, dtype = BACKENDS[be], DTYPES[dt].name
    owner = f"{backend.name} of {backend.distribution}" if backend.distribution else backend.name
    lacking = f"{op.name}: {owner} has no kernel for {dtype}, and the op no decomposition for these operands"
    if be == 0:
        raise FallbackError(f"{lacking}; it is the reference, with no other to fall back on")
    mode = setting("PLUGRAD_FALLBACK", "warn", "error", "report")
    if mode == "error":
        remedy = f"add the kernel, or unset the variable; called at {user_line()}"
        raise FallbackError(f"{lacking}; PLUGRAD_FALLBACK=error forbids the host: {remedy}")
    key = (op.name, dtype, backend.name)
    begun = time.perf_counter()
    hosted = [backend.to_host(v) for v in values]
    found = op.table[0][dt](*hosted, **attrs)
    if found is NotImplemented:
        raise FallbackError(f"{lacking}; nor can the reference backend run it")
    outs = [np.asarray(r, s.dtype) for r, s in zip(tupled(found), tupled(spec), strict=True)]
    back = tuple([backend.from_host(r, dev) for r in outs])
    with _lock:
        calls, size, seconds = _counts.get(key, (0, 0, 0.0))
        size += sum(array.nbytes for array in hosted + outs)
        _counts[key] = calls + 1, size, seconds + time.perf_counter() - begun
    if mode == "report":
        _at_exit()
    elif not calls:
        text = f"{op.name} ({dtype}) runs through the host, on the reference: {owner} has no kernel for it"
        warnings.warn(f"{text}; see plugrad.fallback_report()", FallbackWarning, stacklevel=user_level())
    return back if type(spec) is tuple else back[0]


def setting(variable: str, *known: str) -> str:
    """The value of an environment variable, the first of ``known`` if it is not set; UnknownNameError for another.

    >>> setting("NOT_SET", "warn", "error")
    'warn'
    """
    value = os.environ.get(variable) or known[0]
    if value not in known:
        raise UnknownNameError(f"{variable}={value} is not known{suggest(value, known)}; use one of {', '.join(known)}")
    return value


if os.environ.get("PLUGRAD_FALLBACK") == "report":  # that there was none is worth a line too
    _at_exit()
