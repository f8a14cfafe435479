"""Indexing by integer arrays, and updates of regions. NumPy checks every index before it writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .movement import slices
from .reduction import wide


def _scatter_add(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    out = x.astype(wide(x))
    np.add.at(out, (slice(None),) * axis + (i,), v)
    return out.astype(x.dtype, copy=False)


def _slice_update_into(out: Any, x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    if type(out) is not np.ndarray or not out.flags.writeable:
        return NotImplemented
    if out is not x:
        out[...] = x
    if all(size):
        out[slices(start, size, step)] = v
    return None


def _slice_update(x: Any, v: Any, **region: Any) -> Any:
    out = np.array(x, copy=True, order="C")
    _slice_update_into(out, out, v, **region)
    return out


KERNELS: dict[str, Any] = {"gather": np.take, "take_along": np.take_along_axis}
KERNELS |= {"scatter_add": _scatter_add, "slice_update": _slice_update}
INTO: dict[str, Any] = {"slice_update": _slice_update_into}
