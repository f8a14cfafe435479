"""Movement: NumPy's views, and copies for padding and joining."""

from __future__ import annotations

from typing import Any

import numpy as np


def slices(start: tuple[int, ...], size: tuple[int, ...], step: tuple[int, ...]) -> tuple[slice, ...]:
    """The Python slices of a region; a negative step may have to stop before element 0, which only None says."""
    stops = [a + n * k for a, n, k in zip(start, size, step, strict=True)]
    return tuple([slice(a, b if b >= 0 else None, k) for a, b, k in zip(start, stops, step, strict=True)])


def _slice(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    return x[slices(start, size, step)] if all(size) else np.empty(size, x.dtype)


def _pad(x: Any, *, low: Any, high: Any, interior: Any) -> Any:
    spread = [d + max(d - 1, 0) * gap for d, gap in zip(x.shape, interior, strict=True)]
    out = np.zeros([lo + d + hi for lo, d, hi in zip(low, spread, high, strict=True)], x.dtype)
    out[tuple([slice(lo, lo + d, gap + 1) for lo, d, gap in zip(low, spread, interior, strict=True)])] = x
    return out


def _bitcast(x: Any, *, dtype: Any) -> Any:
    """Into memory of its own: a view of a copy would not own it."""
    out = np.empty(x.shape, dtype)
    out.view(x.dtype)[...] = x
    return out


KERNELS: dict[str, Any] = {
    "reshape": lambda x, *, shape: np.reshape(x, shape),
    "bitcast": _bitcast,
    "concat": lambda *xs, axis: np.concatenate(xs, axis=axis),
}
KERNELS |= {"permute": np.transpose, "broadcast_to": np.broadcast_to, "slice": _slice, "pad": _pad}
