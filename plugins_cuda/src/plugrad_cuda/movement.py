"""Movement: views where strides can say it, strided copies where they cannot, and updates of a region."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import DeviceArray
from .elementwise import OPS, copy_into, fill
from .layout import Ints, broadcast_strides, dense, dense_strides, reshaped_strides

_COPY = OPS["copy"]


def contiguous(x: DeviceArray) -> DeviceArray:
    """``x`` itself, or a dense copy of it."""
    return x if x.layout.dense else _COPY(x)


def reshape(x: DeviceArray, *, shape: Ints) -> DeviceArray:
    """The same elements in row-major order; a view where the layout allows."""
    strides = reshaped_strides(x.layout, shape)
    return _COPY(x).view(shape, dense_strides(shape)) if strides is None else x.view(shape, strides)


def permute(x: DeviceArray, *, axes: Ints) -> DeviceArray:
    """Axes in another order, as a view."""
    layout = x.layout
    return x.view(tuple([layout.shape[a] for a in axes]), tuple([layout.strides[a] for a in axes]))


def broadcast_to(x: DeviceArray, *, shape: Ints) -> DeviceArray:
    """A view in which stretched axes have stride 0."""
    return x.view(shape, broadcast_strides(x.layout, shape))


def slice_(x: DeviceArray, *, start: Ints, size: Ints, step: Ints) -> DeviceArray:
    """A region as a view; steps may be negative."""
    strides = x.layout.strides
    offset = sum(a * s for a, s in zip(start, strides, strict=True)) if all(size) else 0
    return x.view(size, tuple([k * s for k, s in zip(step, strides, strict=True)]), offset)


def pad(x: DeviceArray, *, low: Ints, high: Ints, interior: Ints) -> DeviceArray:
    """Zeros around and between the elements."""
    spans = [d + max(d - 1, 0) * gap for d, gap in zip(x.shape, interior, strict=True)]
    shape = tuple([lo + span + hi for lo, span, hi in zip(low, spans, high, strict=True)])
    out = fill(x.runtime, dense(x.dtype, shape), 0)
    if x.layout.size:
        copy_into(slice_(out, start=low, size=x.shape, step=tuple([gap + 1 for gap in interior])), x)
    return out


def concat(*xs: DeviceArray, axis: int) -> DeviceArray:
    """Operands one after the other along an axis."""
    first = xs[0]
    total = sum(x.shape[axis] for x in xs)
    out = first.runtime.empty(dense(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :])), "concat")
    at = 0
    for x in xs:
        if x.layout.size:
            copy_into(_rows(out, axis, at, x.shape), x)
        at += x.shape[axis]
    return out


def _rows(out: DeviceArray, axis: int, at: int, shape: Ints) -> DeviceArray:
    return out.view(shape, out.layout.strides, at * out.layout.strides[axis])


def slice_update(x: DeviceArray, v: DeviceArray, *, start: Ints, size: Ints, step: Ints) -> DeviceArray:
    """A copy of ``x`` with a region replaced by ``v``."""
    out = _COPY(x)
    _write(out, v, start, size, step)
    return out


def slice_update_into(out: DeviceArray, x: DeviceArray, v: DeviceArray, *, start: Ints, size: Ints, step: Ints) -> Any:
    """The same, into ``out``, which may be ``x``."""
    if out is not x:
        copy_into(out, x)
    _write(out, v, start, size, step)


def _write(out: DeviceArray, v: DeviceArray, start: Ints, size: Ints, step: Ints) -> None:
    if all(size):
        copy_into(slice_(out, start=start, size=size, step=step), v)


def to_host(x: DeviceArray) -> np.ndarray:
    """The elements, once everything queued before is done."""
    return x.runtime.download(contiguous(x))
