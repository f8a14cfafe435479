"""Reductions and matrix products. Low-precision floats accumulate in float32; results keep the operand's dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

silent = np.errstate(all="ignore")
"""IEEE results without NumPy's warnings; wraps a kernel."""


def wide(x: Any) -> np.dtype:
    """The dtype in which sums of elements of ``x`` accumulate."""
    return np.dtype(np.float32) if x.dtype.name in ("float16", "bfloat16") else x.dtype


def _accumulated(f: Callable[..., Any]) -> Callable[..., Any]:
    @silent
    def kernel(x: Any, **attrs: Any) -> Any:
        return np.asarray(f(x, dtype=wide(x), **attrs)).astype(x.dtype, copy=False)

    return kernel


def _selected(f: Callable[..., Any], dtype: Any = None) -> Callable[..., Any]:
    @silent
    def kernel(x: Any, **attrs: Any) -> Any:
        found = f if x.size else np.sum  # an empty result, or the shape rule has raised
        return np.asarray(found(x, **attrs), dtype or x.dtype)

    return kernel


@silent
def _matmul(a: Any, b: Any) -> Any:
    return np.matmul(a, b, dtype=wide(a)).astype(a.dtype, copy=False)


KERNELS: dict[str, Any] = {
    "matmul": _matmul,
    **{f.__name__: _accumulated(f) for f in (np.sum, np.prod, np.cumsum, np.cumprod)},
    **{f.__name__: _selected(f) for f in (np.max, np.min)},
    **{f.__name__: _selected(f, np.int64) for f in (np.argmax, np.argmin)},
}
