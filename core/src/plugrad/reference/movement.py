"""Movement: NumPy's views, and copies for padding and joining."""

from __future__ import annotations

from typing import Any

import numpy as np


def slices(start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> tuple[slice, ...]:
    """The Python slices of a region; a negative step may have to stop before element 0, which only None says."""
    out = []
    for a, n, k in zip(start, size, step, strict=True):
        stop = a + n * k
        out.append(slice(a, stop if stop >= 0 else None, k))
    return tuple(out)


def _slice(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    return x[slices(start, size, step)] if all(size) else np.empty(size, x.dtype)


def _pad(x: Any, *, low: Any, high: Any, interior: Any) -> Any:
    shape = [lo + hi + d + max(d - 1, 0) * gap for d, lo, hi, gap in zip(x.shape, low, high, interior, strict=True)]
    out = np.zeros(shape, x.dtype)
    at = tuple(
        [slice(lo, lo + d + max(d - 1, 0) * gap, gap + 1) for d, lo, gap in zip(x.shape, low, interior, strict=True)]
    )
    out[at] = x
    return out


KERNELS: dict[str, Any] = {
    "reshape": lambda x, *, shape: np.reshape(x, shape),
    "permute": lambda x, *, axes: np.transpose(x, axes),
    "broadcast_to": lambda x, *, shape: np.broadcast_to(x, shape),
    "slice": _slice,
    "pad": _pad,
    "concat": lambda *xs, axis: np.concatenate(xs, axis=axis),
}
