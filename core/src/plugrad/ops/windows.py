"""Sliding windows over any axes, as a view (im2col without the copy), and the adjoint that adds them back (col2im).

Each is linear and the other's adjoint, so derivatives of any order are these two. A backend without kernels for them
runs one slice, or one pad and one sum, for each element of the window; for windows side by side, views.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from ..backend import Spec
from ..dispatch import bind
from ..errors import ShapeError, shown
from ..tensor import Tensor
from .common import AxisOp, normal_axes, normal_shape, tensors
from .movement import CONCAT, PAD, SLICE, permute_dims, reshape, split

__all__ = ["sliding_window_view"]

Sizes = tuple[int, ...]


def _counts(name: str, sizes: Sizes, window: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows fit along each axis; ShapeError where none does, or where they would have no elements."""
    counts = []
    if min(window, default=1) < 1:
        raise ShapeError(f"{name}: window {window} has no elements; use sizes of 1 or more")
    for d, k, step, gap in zip(sizes, window, stride, dilation, strict=True):
        span = gap * (k - 1) + 1
        if span > d:
            spread = f"; with dilation {dilation} it spans {span} elements" if span != k else ""
            raise ShapeError(
                f"{name}: window {window} does not fit into axes of sizes {sizes}{spread}; use a smaller one"
            )
        counts.append((d - span) // step + 1)
    return tuple(counts)


def _replaced(shape: Sizes, axis: Sizes, sizes: Sequence[int]) -> Sizes:
    found = dict(zip(axis, sizes, strict=True))
    return tuple([found.get(i, d) for i, d in enumerate(shape)])


def _tiling(window: Sizes, stride: Sizes, dilation: Sizes) -> bool:
    """Whether the windows lie side by side: no element is in two, and none between them is left out."""
    return window == stride and all(d == 1 or k == 1 for k, d in zip(window, dilation, strict=True))


def _offsets(window: Sizes, dilation: Sizes) -> Iterator[Sizes]:
    """Where the first window has its elements."""
    return itertools.product(*[range(0, k * d, d) for k, d in zip(window, dilation, strict=True)])


def _with_one(shape: Sizes, at: int) -> Sizes:
    return (*shape[:at], 1, *shape[at:])


class _Sliding(AxisOp):
    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Any:
        """A batch dimension in front moves the axes, and is none of them."""
        return self(xs[0], **{**attrs, "axis": tuple([a + 1 for a in attrs["axis"]]), "at": attrs["at"] + 1})


class _Windows(_Sliding):
    """The windows of ``x`` along ``axis``: these axes count them, and their elements are new axes from ``at`` on."""

    def spec(self, x: Any, *, axis: Sizes, window: Sizes, stride: Sizes, dilation: Sizes, at: int) -> Any:
        counts = _counts(self.name, tuple([x.shape[a] for a in axis]), window, stride, dilation)
        shape = _replaced(x.shape, axis, counts)
        return Spec((*shape[:at], *window, *shape[at:]), x.dtype)

    def decompose(self, x: Tensor, *, axis: Sizes, window: Sizes, stride: Sizes, dilation: Sizes, at: int) -> Tensor:
        counts = _counts(self.name, tuple([x.shape[a] for a in axis]), window, stride, dilation)
        shape, origin, ones = _replaced(x.shape, axis, counts), (0,) * x.ndim, (1,) * x.ndim
        if _tiling(window, stride, dilation):  # a view
            covered = [n * k for n, k in zip(counts, window, strict=True)]
            x = SLICE(x, start=origin, size=_replaced(x.shape, axis, covered), step=ones)
            parted = [n for i, d in enumerate(shape) for n in ((d, window[axis.index(i)]) if i in axis else (d,))]
            firsts = [i + sum(a < i for a in axis) for i in range(x.ndim)]
            return permute_dims(reshape(x, parted), (*firsts[:at], *[firsts[a] + 1 for a in axis], *firsts[at:]))
        x = reshape(x, _with_one(x.shape, at))
        step, size = _replaced(ones, axis, stride), _with_one(shape, at)
        starts = [_replaced(origin, axis, offset) for offset in _offsets(window, dilation)]
        parts = [SLICE(x, start=(*s[:at], 0, *s[at:]), size=size, step=_with_one(step, at)) for s in starts]
        return reshape(CONCAT(*parts, axis=at), (*shape[:at], *window, *shape[at:]))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Sizes, window: Sizes, **rest: Any) -> Any:
        return (FOLD(g, axis=axis, size=tuple([xs[0].shape[a] for a in axis]), **rest),)


class _Fold(_Sliding):
    """The adjoint of windows of axes of the given ``size``: each element of a window is added to where it was."""

    def spec(self, g: Any, *, axis: Sizes, size: Sizes, stride: Sizes, dilation: Sizes, at: int) -> Any:
        window, shape = self.parts(g.shape, axis, at)
        counts = _counts(self.name, size, window, stride, dilation)
        if counts != tuple([shape[a] for a in axis]):
            fits = f"axes {axis} of sizes {size} have {counts} windows {window}"
            raise ShapeError(f"{self.name}: {g.shape} does not hold the windows; {fits} with stride {stride}")
        return Spec(_replaced(shape, axis, size), g.dtype)

    def parts(self, shape: Sizes, axis: Sizes, at: int) -> tuple[Sizes, Sizes]:
        """The shape of a window, and that of the counts."""
        end = at + len(axis)
        return shape[at:end], (*shape[:at], *shape[end:])

    def decompose(self, g: Tensor, *, axis: Sizes, size: Sizes, stride: Sizes, dilation: Sizes, at: int) -> Tensor:
        window, shape = self.parts(g.shape, axis, at)
        nothing, end = (0,) * len(shape), at + len(axis)
        if _tiling(window, stride, dilation):  # interleaved instead of summed
            firsts = [i if i < at else i + len(axis) for i in range(len(shape))]
            pairs = [(f, at + axis.index(i)) if i in axis else (f,) for i, f in enumerate(firsts)]
            covered = _replaced(shape, axis, [shape[a] * k for a, k in zip(axis, window, strict=True)])
            whole = reshape(permute_dims(g, [i for pair in pairs for i in pair]), covered)
            high = [d - covered[a] for a, d in zip(axis, size, strict=True)]
            return PAD(whole, low=nothing, high=_replaced(nothing, axis, high), interior=nothing)
        total: Any = None
        gaps = _replaced(nothing, axis, [step - 1 for step in stride])
        interior = (*gaps[:at], 0, *gaps[at:])
        covered = tuple([(shape[a] - 1) * step + 1 for a, step in zip(axis, stride, strict=True)])
        parts = split(reshape(g, (*shape[:at], math.prod(window), *g.shape[end:])), math.prod(window), axis=at)
        for part, low in zip(parts, _offsets(window, dilation), strict=True):
            first = _replaced(nothing, axis, low)
            last = _replaced(nothing, axis, [d - lo - n for d, lo, n in zip(size, low, covered, strict=True)])
            spread = PAD(part, low=(*first[:at], 0, *first[at:]), high=(*last[:at], 0, *last[at:]), interior=interior)
            total = spread if total is None else total + spread
        return reshape(total, _replaced(shape, axis, size))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Sizes, size: Sizes, **rest: Any) -> Any:
        window, _ = self.parts(xs[0].shape, axis, rest["at"])
        return (WINDOWS(g, axis=axis, window=window, **rest),)


WINDOWS = _Windows("windows", alias=True, linear=(0,))
FOLD = _Fold("fold", dtypes="numeric", linear=(0,))


def _each(what: str, value: int | Sequence[int], count: int) -> Sizes:
    """One positive integer for each axis."""
    sizes = normal_shape("sliding_window_view", (value,) * count if isinstance(value, int) else value)
    if len(sizes) != count or 0 in sizes:
        raise ShapeError(
            f"sliding_window_view: {what} is {shown(value)}; give one positive integer, or one for each of {count} axes"
        )
    return sizes


def sliding_window_view(
    x: Any,
    window_shape: int | Sequence[int],
    axis: int | tuple[int, ...] | None = None,
    *,
    stride: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """Every window of ``window_shape`` elements along ``axis`` (all axes by default), as NumPy's function of this name.

    The axes count the windows, and new ones at the end are their elements. Windows begin every ``stride`` elements, and
    their elements are ``dilation`` apart. A view where the backend has one. ShapeError for a window that does not fit.

    >>> sliding_window_view(asarray([1, 2, 3, 4]), 3).tolist()
    [[1, 2, 3], [2, 3, 4]]
    """
    (x,) = tensors(x)
    order = normal_axes("sliding_window_view", x.ndim, axis, in_order=True)
    given = [_each("window_shape", window_shape, len(order)), _each("stride", stride, len(order))]
    given.append(_each("dilation", dilation, len(order)))
    if not order:
        return reshape(x, x.shape)
    ordered = sorted(range(len(order)), key=order.__getitem__)
    attrs = {
        name: tuple([v[i] for i in ordered]) for name, v in zip(("window", "stride", "dilation"), given, strict=True)
    }
    out: Tensor = bind(WINDOWS, (x,), {"axis": tuple(sorted(order)), **attrs, "at": x.ndim})
    places = [x.ndim + ordered.index(i) for i in range(len(order))]
    return out if places == sorted(places) else out.permute_dims((*range(x.ndim), *places))
