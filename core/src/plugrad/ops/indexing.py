"""Reading and adding at positions along an axis, and the update of a region. ``x[index]`` is in ``assignment``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Spec
from ..dispatch import bind, overwrite
from ..dtypes import KIND, int64
from ..errors import DTypeError, ShapeError
from ..op import Op, broadcast_shapes
from ..ownership import sole
from ..tensor import Tensor
from .common import AxisOp, cast, repeated, single_axis
from .creation import arange
from .elementwise import where
from .movement import SLICE, broadcast_to, copy, moveaxis, reshape

__all__ = ["one_hot", "take", "take_along_axis", "tril", "triu"]


class _Gather(Op):
    """numpy.take: slices of ``x`` at integer positions along one axis."""

    def spec(self, x: Any, i: Any, *, axis: int) -> Any:
        return Spec((*x.shape[:axis], *i.shape, *x.shape[axis + 1 :]), x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        return SCATTER_ADD(g.zeros_like(xs[0].shape), xs[1], g, axis=axis), None

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int) -> Any:
        x, i = xs
        if not batched[1]:
            return self(x, i, axis=axis + 1)
        if not batched[0]:
            return moveaxis(self(x, i, axis=axis), axis, 0)
        rows, at = _merged(x, i, axis)
        return moveaxis(self(rows, at, axis=0), tuple(range(1, i.ndim)), tuple(range(axis + 1, axis + i.ndim)))


def _merged(x: Tensor, i: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """A batch with ``axis`` of its examples moved to the front and merged with it, and the positions there."""
    front = moveaxis(x, axis + 1, 1)
    size, n, *rest = front.shape
    first = reshape(arange(size, device=i.device) * n, (size, *(1,) * (i.ndim - 1)))
    return reshape(front, (size * n, *rest)), from_front("gather", i, n, size * n) + first


class _ScatterAdd(Op):
    """``x`` with slices of ``v`` added at integer positions along one axis; positions may repeat.

    The adjoint of gather.
    """

    def spec(self, x: Any, i: Any, v: Any, *, axis: int) -> Any:
        wanted = (*x.shape[:axis], *i.shape, *x.shape[axis + 1 :])
        if v.shape != wanted:
            what = f"values of shape {v.shape} for positions {i.shape} along axis {axis} of {x.shape}"
            raise ShapeError(f"scatter_add: {what}; they must have shape {wanted}")
        return Spec(x.shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: int) -> Any:
        return g, None, GATHER(g, xs[1], axis=axis) if need[2] else None

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int) -> Any:
        x, i, v = repeated(size, xs[0], batched[0]), xs[1], repeated(size, xs[2], batched[2])
        if not batched[1]:
            return self(x, i, v, axis=axis + 1)
        rows, at = _merged(x, i, axis)
        values = moveaxis(v, tuple(range(axis + 1, axis + i.ndim)), tuple(range(1, i.ndim)))
        flat = self(rows, at, values, axis=0)
        return moveaxis(reshape(flat, (size, x.shape[axis + 1], *flat.shape[1:])), 1, axis + 1)


class _TakeAlong(AxisOp):
    """numpy.take_along_axis: one position for each element of the result."""

    def spec(self, x: Any, i: Any, *, axis: int) -> Any:
        if x.ndim != i.ndim:
            raise ShapeError(f"take_along_axis: {x.shape} and indices {i.shape} need the same number of axes")
        try:
            shape = broadcast_shapes("take_along_axis", *[s[:axis] + s[axis + 1 :] for s in (x.shape, i.shape)])
        except ShapeError as error:
            rule = f"all axes but axis {axis} must agree or be 1"
            raise ShapeError(f"take_along_axis: {x.shape} and indices {i.shape} do not broadcast; {rule}") from error
        return Spec((*shape[:axis], i.shape[axis], *shape[axis:]), x.dtype)

    def decompose(self, x: Tensor, i: Tensor, *, axis: int) -> Tensor:
        """A gather from the operand with ``axis`` last and all flattened; its derivative is this op's."""
        shape, n = self.spec(x, i, axis=axis).shape, x.shape[axis]
        rows = moveaxis(broadcast_to(x, (*shape[:axis], n, *shape[axis + 1 :])), axis, -1)
        at = moveaxis(broadcast_to(i, shape), axis, -1)
        count = math.prod(at.shape[:-1])
        flat, positions = _merged(reshape(rows, (count, n)), reshape(at, (count, i.shape[axis])), 0)
        return moveaxis(reshape(GATHER(flat, positions, axis=0), at.shape), -1, axis)


class _SliceUpdate(AxisOp):
    """``x`` with the region that ``slice`` would read replaced by ``v``."""

    def spec(self, x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
        if v.shape != size:
            raise ShapeError(f"slice_update: a value of shape {v.shape} for a region of shape {size}")
        return Spec(x.shape, x.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any, **attrs: Any) -> Any:
        """The walk owns ``g``: its region is zeroed in place where possible, so that filling rows in a loop stays
        linear backward too.
        """
        gv = SLICE(g, **attrs) if need[1] else None
        if not need[0]:
            return None, gv
        gv = copy(gv) if gv is not None else None
        zeros = g.zeros_like(attrs["size"])
        if g.tr is None and sole(g):
            return overwrite(self, g, (zeros,), attrs), gv
        return self(g, zeros, **attrs), gv


GATHER = _Gather("gather", linear=(0,), saves=(1,))
SCATTER_ADD = _ScatterAdd("scatter_add", dtypes="numeric", linear=(0, 2), saves=(1,))
TAKE_ALONG = _TakeAlong("take_along", linear=(0,))
SLICE_UPDATE = _SliceUpdate("slice_update", linear=(0, 1))


def _positions(what: str, i: Any, device: str | None) -> Tensor:
    """Integers as int64; a list without any counts as integers."""
    if not isinstance(i, Tensor):
        array = np.asarray(i)
        i = Tensor._convert(array.astype(int64) if isinstance(i, list) and not array.size else array, device=device)
    if KIND[i.dt] not in "iu":
        raise DTypeError(f"{what} are {i.dtype}; they must be integers, such as .astype('int64')")
    return cast(i, int64)


def take(x: Tensor, indices: Any, *, axis: int | None = None) -> Tensor:
    """Slices of ``x`` at integer ``indices`` of any shape along ``axis`` (optional for 1-d), whose place that shape
    takes. Negative positions count from the end; IndexError for those out of range.

    >>> take(asarray([10, 20, 30]), [2, 0]).tolist()
    [30, 10]
    """
    a = single_axis("take", x.ndim, axis)
    return bind(GATHER, (x, _positions("take: indices", indices, x.device)), {"axis": a})


def take_along_axis(x: Tensor, indices: Any, *, axis: int = -1) -> Tensor:
    """Elements of ``x`` at ``indices`` along ``axis``, one for each element of the result; other axes broadcast.
    Negative positions count from the end; IndexError for those out of range.

    >>> take_along_axis(asarray([[10, 20], [30, 40]]), asarray([[1], [0]])).tolist()
    [[20], [30]]
    """
    a = single_axis("take_along_axis", x.ndim, axis)
    return bind(TAKE_ALONG, (x, _positions("take_along_axis: indices", indices, x.device)), {"axis": a})


def one_hot(labels: Any, n: int, *, dtype: Any = "float32", device: str | None = None) -> Tensor:
    """Rows with a one at each integer label and zeros elsewhere, all zeros for a label out of range: (...) -> (..., n).

    >>> one_hot(asarray([1, 0]), 3).tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    labels = _positions("one_hot: labels", labels, device)
    return cast(reshape(labels, (*labels.shape, 1)) == arange(n, device=labels.device), dtype)


def tril(x: Tensor, *, k: int = 0) -> Tensor:
    """The lower triangle of the last two axes, zeros above diagonal ``k``; ShapeError for fewer than two.

    >>> tril(asarray([[1, 2], [3, 4]])).tolist()
    [[1, 0], [3, 4]]
    """
    return where(_below("tril", x, k), x, 0)


def triu(x: Tensor, *, k: int = 0) -> Tensor:
    """The upper triangle of the last two axes, zeros below diagonal ``k``; ShapeError for fewer than two.

    >>> triu(asarray([[1, 2], [3, 4]]), k=1).tolist()
    [[0, 2], [0, 0]]
    """
    return where(_below("triu", x, k - 1), 0, x)


def _below(name: str, x: Tensor, k: int) -> Tensor:
    if x.ndim < 2:
        raise ShapeError(f"{name}: shape {x.shape} has fewer than 2 axes; reshape it first")
    m, n = x.shape[-2:]
    return reshape(arange(m, device=x.device), (-1, 1)) + max(-m, min(k, n)) >= arange(n, device=x.device)


def from_front(name: str, i: Tensor, n: int, past: int) -> Tensor:
    """Positions along an axis of size ``n``, none negative, to be combined with others: one out of range raises here,
    or becomes ``past``, which the kernel refuses, where there is no value to look at.
    """
    front = where(i < 0, i + n, i)
    if not i.known:
        return where((front >= 0) & (front < n), front, past)
    if i.size and ((host := i.numpy()).min() < -n or host.max() >= n):
        raise IndexError(f"{name}: positions {host.min()} to {host.max()} are out of range for an axis of size {n}")
    return front
