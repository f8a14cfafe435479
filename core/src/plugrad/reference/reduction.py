"""Reductions. Low-precision floats accumulate in float32; results keep the operand's dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

LOW = ("float16", "bfloat16")


def _accumulated(f: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(x: Any, **attrs: Any) -> Any:
        wide = np.float32 if x.dtype.name in LOW else x.dtype
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray(f(x, dtype=wide, **attrs)).astype(x.dtype, copy=False)

    return kernel


def _extremum(f: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(x: Any, *, axis: tuple[int, ...], keepdims: bool) -> Any:
        if not x.size:  # where a result is empty too; else the shape rule has raised
            return np.sum(x, axis=axis, keepdims=keepdims, dtype=x.dtype)
        with np.errstate(invalid="ignore"):
            return f(x, axis=axis, keepdims=keepdims)

    return kernel


def _arg(f: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(x: Any, *, axis: int, keepdims: bool) -> Any:
        return np.asarray((f if x.size else np.sum)(x, axis=axis, keepdims=keepdims), np.int64)

    return kernel


KERNELS: dict[str, Any] = {
    **{f.__name__: _accumulated(f) for f in (np.sum, np.prod, np.cumsum)},
    **{f.__name__: _extremum(f) for f in (np.max, np.min)},
    **{f.__name__: _arg(f) for f in (np.argmax, np.argmin)},
}
