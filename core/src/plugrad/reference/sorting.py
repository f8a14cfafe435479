"""Orders and places in them. NaN comes last; equal elements keep their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from .reduction import wide


def _argsort(x: Any, *, axis: int, descending: bool) -> Any:
    x = x.astype(wide(x), copy=False)  # NumPy sorts no NaN of ml_dtypes' floats
    if descending:  # what turns the order round without overflow, and leaves NaN where it is
        x = ~x if x.dtype.kind in "biu" else -x
    return np.argsort(x, axis=axis, kind="stable")


def _searchsorted(x: Any, v: Any, *, side: Any) -> Any:
    kind = wide(x)
    return np.asarray(np.searchsorted(x.astype(kind, copy=False), v.astype(kind, copy=False), side=side), np.int64)


KERNELS: dict[str, Any] = {"argsort": _argsort, "searchsorted": _searchsorted}
