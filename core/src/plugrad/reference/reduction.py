"""Reductions and matrix products. Low-precision floats accumulate in float32; results keep the operand's dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

silent = np.errstate(all="ignore")
"""IEEE results without NumPy's warnings; wraps a kernel."""


_LOW = frozenset({np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)})
_SINGLE = np.dtype(np.float32)


def wide(x: Any) -> np.dtype:
    """The dtype in which sums of elements of ``x`` accumulate."""
    return _SINGLE if x.dtype in _LOW else x.dtype


def _accumulated(f: Callable[..., Any]) -> Callable[..., Any]:
    @silent
    def kernel(x: Any, **attrs: Any) -> Any:
        return np.asarray(f(x, dtype=wide(x), **attrs)).astype(x.dtype, copy=False)

    return kernel


def _selected(f: Callable[..., Any], dtype: Any = None) -> Callable[..., Any]:
    @silent
    def kernel(x: Any, **attrs: Any) -> Any:
        found = f if x.size else np.add.reduce  # an empty result, or the shape rule has raised
        return np.asarray(found(x, **attrs), dtype or x.dtype)

    return kernel


@silent
def _matmul(a: Any, b: Any) -> Any:
    return np.matmul(a, b, dtype=wide(a)).astype(a.dtype, copy=False)


KERNELS: dict[str, Any] = {
    "matmul": _matmul,
    "sum": _accumulated(np.add.reduce),  # np.sum and its like are Python around these
    "prod": _accumulated(np.multiply.reduce),
    "cumsum": _accumulated(np.add.accumulate),
    "cumprod": _accumulated(np.multiply.accumulate),
    "max": _selected(np.maximum.reduce),
    "min": _selected(np.minimum.reduce),
    **{f.__name__: _selected(f, np.int64) for f in (np.argmax, np.argmin)},
}
