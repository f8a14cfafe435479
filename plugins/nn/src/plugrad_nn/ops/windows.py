"""Sliding windows over two adjacent axes: where they lie, the strided slices that read them, and the adjoint that adds
them back.

A window operation is written with one slice per element of the window, so that each is one large movement, whatever the
backend.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from plugrad import OPS, Tensor, concat
from plugrad.errors import ShapeError

from .arguments import Padding, Pair

_SLICE, _PAD = OPS["slice"], OPS["pad"]


class Windows(NamedTuple):
    """Windows of ``kernel`` elements, ``dilation`` apart, every ``stride`` elements; ``out`` of them each way."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    out: Pair

    @property
    def offsets(self) -> list[Pair]:
        """Where the first window has its elements, row by row."""
        return [
            (i * self.dilation[0], j * self.dilation[1]) for i in range(self.kernel[0]) for j in range(self.kernel[1])
        ]

    @property
    def tiling(self) -> bool:
        """Whether the windows lie side by side: no element is read twice, none between them is left out."""
        return self.kernel == self.stride and all(d == 1 or k == 1 for d, k in zip(self.dilation, self.kernel))

    def separated(self, width: int) -> tuple[Windows, Windows]:
        """The same windows in two steps: columns of each window, over an image of this width, then the row of what they
        gave.
        """
        (kh, kw), (sh, sw), (dh, dw), (oh, ow) = self
        return Windows((kh, 1), (sh, 1), (dh, 1), (oh, width)), Windows((1, kw), (1, sw), (1, dw), (oh, ow))


def windows(
    name: str, shape: tuple[int, ...], axis: int, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Windows:
    """The windows that fit into the padded axes ``axis`` and ``axis + 1``; ShapeError where none does, or where they
    would have no elements.
    """
    out = []
    if min(kernel) < 1:
        raise ShapeError(f"{name}: the kernel {kernel} has no elements; use sizes of 1 or more")
    for i in (0, 1):
        padded = shape[axis + i] + sum(padding[i])
        span = dilation[i] * (kernel[i] - 1) + 1
        if span > padded:
            spread = f" (dilated to {span})" if span != kernel[i] else ""
            side = ("height", "width")[i]
            raise ShapeError(
                f"{name}: the kernel {kernel}{spread} is larger than the input, whose {side} is {padded} with padding "
                f"(shape {shape}, padding {padding}); use a smaller kernel or more padding"
            )
        out.append((padded - span) // stride[i] + 1)
    return Windows(kernel, stride, dilation, (out[0], out[1]))


def pad_spatial(x: Tensor, padding: Padding, axis: int) -> Tensor:
    """Zeros around the two spatial axes."""
    if padding == ((0, 0), (0, 0)):
        return x
    low, high = [0] * x.ndim, [0] * x.ndim
    for i in (0, 1):
        low[axis + i], high[axis + i] = padding[i]
    return _PAD(x, low=tuple(low), high=tuple(high), interior=(0,) * x.ndim)


def crop_spatial(x: Tensor, padding: Padding, axis: int) -> Tensor:
    """The adjoint of ``pad_spatial``: the border is dropped."""
    if padding == ((0, 0), (0, 0)):
        return x
    start, size = [0] * x.ndim, list(x.shape)
    for i in (0, 1):
        start[axis + i] = padding[i][0]
        size[axis + i] -= sum(padding[i])
    return _SLICE(x, start=tuple(start), size=tuple(size), step=(1,) * x.ndim)


def take(x: Tensor, w: Windows, axis: int) -> list[Tensor]:
    """One strided view per element of the window: element k of every window."""
    size, step = list(x.shape), [1] * x.ndim
    size[axis : axis + 2], step[axis : axis + 2] = w.out, w.stride
    before, after = (0,) * axis, (0,) * (x.ndim - axis - 2)
    shape, steps = tuple(size), tuple(step)
    return [_SLICE(x, start=(*before, i, j, *after), size=shape, step=steps) for i, j in w.offsets]


def reduced(f: Callable[[Tensor, Tensor], Tensor], x: Tensor, w: Windows, axis: int) -> Tensor:
    """``f`` over the elements of each window, for an associative and commutative ``f``: down the columns, then along
    the rows.
    """
    for step in w.separated(x.shape[axis + 1]):
        x = functools.reduce(f, take(x, step, axis))
    return x


def shared(g: Tensor, w: Windows, size: Pair, axis: int) -> Tensor:
    """The adjoint of ``reduced`` with addition: each element of ``g`` goes to every element of its window."""
    down, along = w.separated(size[1])
    g = put([g] * w.kernel[1], along, (w.out[0], size[1]), axis)
    return put([g] * w.kernel[0], down, size, axis)


def put(parts: list[Tensor], w: Windows, size: Pair, axis: int) -> Tensor:
    """The adjoint of ``take``: what belongs to one element of the input is summed; the spatial axes have ``size``."""
    if w.tiling:
        return _tiled(parts, w, size, axis)
    total: Any = None
    for part, at in zip(parts, w.offsets, strict=True):
        low, high, gaps = [0] * part.ndim, [0] * part.ndim, [0] * part.ndim
        for i in (0, 1):
            covered = (w.out[i] - 1) * w.stride[i] + 1
            low[axis + i], high[axis + i], gaps[axis + i] = at[i], size[i] - at[i] - covered, w.stride[i] - 1
        spread = _PAD(part, low=tuple(low), high=tuple(high), interior=tuple(gaps))
        total = spread if total is None else total + spread
    return total


def _tiled(parts: list[Tensor], w: Windows, size: Pair, axis: int) -> Tensor:
    """Side by side: interleaved instead of summed, first within rows, then the rows."""
    (high, wide), (oh, ow) = w.kernel, w.out
    before, after = parts[0].shape[:axis], parts[0].shape[axis + 2 :]
    columns = [p.reshape((*before, oh, ow, 1, *after)) for p in parts]
    rows = [concat(columns[i * wide : (i + 1) * wide], axis=axis + 2) for i in range(high)]
    lines = [r.reshape((*before, oh, 1, ow * wide, *after)) for r in rows]
    whole = concat(lines, axis=axis + 1).reshape((*before, oh * high, ow * wide, *after))
    return pad_spatial(whole, ((0, size[0] - oh * high), (0, size[1] - ow * wide)), axis)
