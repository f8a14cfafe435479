"""Orders and places in them. NaN comes last; equal elements keep their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .reduction import wide


def _turned(x: Any) -> Any:
    """What turns the order round without overflow, and leaves NaN where it is."""
    return ~x if x.dtype.kind in "biu" else -x


def _argsort(x: Any, *, axis: int, descending: bool) -> Any:
    x = x.astype(wide(x), copy=False)  # NumPy sorts no NaN of ml_dtypes' floats
    return np.argsort(_turned(x) if descending else x, axis=axis, kind="stable")


def _sort(x: Any, *, axis: int, descending: bool) -> Any:
    kept = x.astype(wide(x), copy=False)
    out = _turned(np.sort(_turned(kept), axis=axis)) if descending else np.sort(kept, axis=axis)
    return out.astype(x.dtype, copy=False)


def _searchsorted(x: Any, v: Any, *, side: Any) -> Any:
    kind = wide(x)
    return np.asarray(np.searchsorted(x.astype(kind, copy=False), v.astype(kind, copy=False), side=side), np.int64)


KERNELS: dict[str, Any] = {"argsort": _argsort, "sort": _sort, "searchsorted": _searchsorted}
