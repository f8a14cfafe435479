"""Matrix products. The op has operands of at least two dimensions, whose leading dimensions broadcast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backend import Spec
from ..dispatch import bind
from ..errors import ShapeError, shown
from ..op import Op, conjugate, pad_rank, unbroadcast
from ..tensor import Tensor
from .common import batch_shape, normal_axes, single_axis, tensors
from .movement import matrix_transpose, moveaxis, permute_dims, reshape, squeeze

__all__ = ["matmul", "outer", "tensordot", "vecdot"]


def _mismatch(a: Any, b: Any) -> ShapeError:
    return ShapeError(f"matmul: {a.shape} @ {b.shape}: the last axis of a must equal the last but one (or only) of b")


class _Matmul(Op):
    def spec(self, a: Any, b: Any) -> Any:
        left, right = a.shape, b.shape
        if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
            raise _mismatch(a, b)
        if len(left) == len(right) == 2:
            return Spec((left[0], right[1]), a.dtype)
        return Spec((*batch_shape("matmul", a, b), a.shape[-2], b.shape[-1]), a.dtype)

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        a, b = xs
        ga = unbroadcast(self(g, conjugate(matrix_transpose(b))), a.shape) if need[0] else None
        gb = unbroadcast(self(conjugate(matrix_transpose(a)), g), b.shape) if need[1] else None
        return ga, gb

    def batch(self, size: int, xs: Any, batched: Any) -> Any:
        a, b = xs
        if batched[0] and not batched[1] and b.ndim == 2:  # one product with more rows
            return self(reshape(a, (math.prod(a.shape[:-1]), a.shape[-1])), b).reshape((*a.shape[:-1], b.shape[-1]))
        rank = max(x.ndim - m for x, m in zip(xs, batched, strict=True))
        return self(*[pad_rank(x, rank) if m else x for x, m in zip(xs, batched, strict=True)])


MATMUL = _Matmul("matmul", dtypes="numeric", multilinear=(0, 1), together="all")


def matmul(a: Any, b: Any, /) -> Tensor:
    """Matrix product: (..., n, k) @ (..., k, m) -> (..., n, m); 1-d operands count as a row or a column, which the
    result drops. The axes in front broadcast, numeric dtypes promote; low-precision floats accumulate in float32.
    ShapeError where sizes disagree.

    >>> matmul(asarray([[1.0, 2.0]]), asarray([3.0, 4.0])).tolist()
    [11.0]
    """
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        a, b = tensors(a, b)
    rows, columns = a.shape, b.shape
    if len(rows) == len(columns) == 2 and rows[1] == columns[0]:
        product: Tensor = bind(MATMUL, (a, b), {})
        return product
    if a.ndim == 0 or b.ndim == 0:
        raise ShapeError(f"matmul: {a.shape} @ {b.shape}: operands need at least one dimension; use * for scalars")
    row, column = a.ndim == 1, b.ndim == 1
    left = reshape(a, (1, a.shape[0])) if row else a
    right = reshape(b, (b.shape[0], 1)) if column else b
    if left.shape[-1] != right.shape[-2]:
        raise _mismatch(a, b)
    out = bind(MATMUL, (left, right), {})
    return squeeze(out, (-2,) * row + (-1,) * column) if row or column else out


Axes = int | tuple[int | Sequence[int], int | Sequence[int]]


def _paired(a: Tensor, b: Tensor, axes: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of ``a`` and of ``b`` to sum over, in pairs; ShapeError where they do not pair."""
    if isinstance(axes, (tuple, list)):
        lists: list[Any] = [(own,) if isinstance(own, int) else tuple(own) for own in axes]
        fits = len(lists) == 2 and len(lists[0]) == len(lists[1])
    else:
        lists = [tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes))]
        fits = 0 <= axes <= min(a.ndim, b.ndim)
    if not fits:
        rule = "give as many axes as both have, or two lists of one length"
        raise ShapeError(f"tensordot: axes={shown(axes)} do not pair in shapes {a.shape} and {b.shape}; {rule}")
    left = normal_axes("tensordot", a.ndim, lists[0], in_order=True)
    right = normal_axes("tensordot", b.ndim, lists[1], in_order=True)
    if [a.shape[i] for i in left] != [b.shape[i] for i in right]:
        raise ShapeError(f"tensordot: axes {left} of {a.shape} and {right} of {b.shape} have different sizes")
    return left, right


def tensordot(a: Any, b: Any, /, *, axes: Axes = 2) -> Tensor:
    """Sum of products over ``axes``: so many last axes of ``a`` with the first of ``b``, or two lists of axes to pair,
    or two axes. Nothing is conjugated.

    >>> tensordot(asarray([[1.0, 2.0], [3.0, 4.0]]), asarray([1.0, 10.0]), axes=(0, 0)).tolist()
    [31.0, 42.0]
    """
    a, b = tensors(a, b)
    left, right = _paired(a, b, axes)
    keep_a = [i for i in range(a.ndim) if i not in left]
    keep_b = [i for i in range(b.ndim) if i not in right]
    n, rows, columns = [[x.shape[i] for i in keep] for x, keep in ((a, left), (a, keep_a), (b, keep_b))]
    flat_a = reshape(permute_dims(a, (*keep_a, *left)), (math.prod(rows), math.prod(n)))
    flat_b = reshape(permute_dims(b, (*right, *keep_b)), (math.prod(n), math.prod(columns)))
    return reshape(matmul(flat_a, flat_b), (*rows, *columns))


def outer(a: Any, b: Any, /) -> Tensor:
    """Products of every pair of elements of two 1-d tensors: (n,), (m,) -> (n, m). Nothing is conjugated; ShapeError
    for other shapes.

    >>> outer(asarray([1, 2]), asarray([3, 4])).tolist()
    [[3, 4], [6, 8]]
    """
    a, b = tensors(a, b)
    if a.ndim != 1 or b.ndim != 1:
        raise ShapeError(f"outer: needs two 1-d tensors, got shapes {a.shape} and {b.shape}; reshape them first")
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Dot products over one axis, counted in each operand, which must have one size; the others broadcast. The first
    operand is conjugated.

    >>> vecdot(asarray([[1.0, 2.0], [3.0, 4.0]]), asarray([1.0, 10.0])).tolist()
    [21.0, 43.0]
    """
    rows, columns = [moveaxis(x, single_axis("vecdot", x.ndim, axis), -1) for x in tensors(x1, x2)]
    if rows.shape[-1] != columns.shape[-1]:
        what = f"shapes {rows.shape} and {columns.shape}, the axis last"
        raise ShapeError(f"vecdot: {what}, differ in its size; it is not broadcast")
    batch_shape("vecdot", rows, columns, 1)
    row, column = reshape(conjugate(rows), (*rows.shape[:-1], 1, rows.shape[-1])), reshape(columns, (*columns.shape, 1))
    return squeeze(matmul(row, column), (-2, -1))
