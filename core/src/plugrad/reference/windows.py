"""Sliding windows as a view, and the sum that puts them back."""

from __future__ import annotations

from typing import Any

import numpy as np

from .reduction import silent, wide


def _windows(x: Any, *, axis: Any, window: Any, stride: Any, dilation: Any, at: int) -> Any:
    spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    bits = x.view(np.uint8) if x.itemsize == 1 else x  # NumPy makes no such view of a float8
    view = np.lib.stride_tricks.sliding_window_view(bits, spans, axis).view(x.dtype)  # the elements in between too
    steps = dict(zip(axis, stride, strict=True))
    outer = [slice(None, None, steps.get(i, 1)) for i in range(x.ndim)]
    view = view[(*outer, *[slice(None, None, d) for d in dilation])]
    return np.moveaxis(view, range(x.ndim, view.ndim), range(at, at + len(axis)))


def _fold(g: Any, *, axis: Any, size: Any, stride: Any, dilation: Any, at: int) -> Any:
    parts = np.moveaxis(g, range(at, at + len(axis)), range(len(axis)))
    shape = list(parts.shape[len(axis) :])
    for a, d in zip(axis, size, strict=True):
        shape[a] = d
    out = np.zeros(shape, wide(g))
    for element in np.ndindex(parts.shape[: len(axis)]):
        region = [slice(None)] * out.ndim
        for a, i, step, d in zip(axis, element, stride, dilation, strict=True):
            region[a] = slice(i * d, i * d + (parts.shape[len(axis) + a] - 1) * step + 1, step)
        out[tuple(region)] += parts[element]
    return out.astype(g.dtype, copy=False)


KERNELS: dict[str, Any] = {"windows": _windows, "fold": silent(_fold)}
