"""Elements put in other places or repeated, and differences of neighbours, composed of movement and gathers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dispatch import lifted
from ..dtypes import KIND
from ..errors import DTypeError, ShapeError, shown
from ..op import broadcast_shapes as common_shape
from ..tensor import Tensor
from .common import alias, normal_axes, normal_shape, tensors
from .indexing import take
from .movement import broadcast_to, concat, reshape, split

__all__ = ["broadcast_shapes", "diff", "meshgrid", "repeat", "roll", "tile", "unstack"]


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    >>> broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return common_shape("broadcast_shapes", *[normal_shape("broadcast_shapes", shape) for shape in shapes])


def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinates of a grid from 1-d tensors of them: a tensor of the grid's shape for each, a view where it can be.

    ``"xy"`` gives the shape (n2, n1, n3, ...), ``"ij"`` (n1, n2, n3, ...).

    >>> [x.tolist() for x in meshgrid(asarray([1, 2]), asarray([5, 6, 7]))]
    [[[1, 2], [1, 2], [1, 2]], [[5, 5], [6, 6], [7, 7]]]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing {shown(indexing)} is unknown; use 'xy' or 'ij'")
    xs = tensors(*arrays)
    if any(x.ndim > 1 for x in xs):
        shapes = ", ".join(str(x.shape) for x in xs)
        raise ShapeError(f"meshgrid: needs 1-d tensors, got shapes {shapes}; reshape them first")
    places = [1, 0, *range(2, len(xs))] if indexing == "xy" and len(xs) > 1 else range(len(xs))
    sizes = [1] * len(xs)
    for place, x in zip(places, xs, strict=True):
        sizes[place] = x.size
    shape, ones = tuple(sizes), (1,) * len(xs)
    lines = [reshape(x, (*ones[:i], x.size, *ones[i + 1 :])) for i, x in zip(places, xs, strict=True)]
    return tuple([broadcast_to(line, shape) for line in lines])


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices along an axis, without it; views.

    >>> [row.tolist() for row in unstack(asarray([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    (a,) = normal_axes("unstack", x.ndim, axis)
    return tuple([x[(*(slice(None),) * a, i)] for i in range(x.shape[a])])


def roll(x: Tensor, /, shift: int | Sequence[int], *, axis: int | Sequence[int] | None = None) -> Tensor:
    """Elements moved ``shift`` places on along axes, or of the flattened tensor; those past the end come in in front.

    >>> roll(asarray([1, 2, 3, 4]), 1).tolist()
    [4, 1, 2, 3]
    """
    if axis is None:
        return reshape(roll(reshape(x, (-1,)), shift, axis=0), x.shape)
    shifts, axes = [tuple(v) if isinstance(v, (tuple, list)) else (v,) for v in (shift, axis)]
    if 1 not in (len(shifts), len(axes)) and len(shifts) != len(axes):
        raise ShapeError(f"roll: shift {shift} and axis {axis} differ in length; give one shift for each axis")
    out, count = alias(x), max(len(shifts), len(axes))
    for by, along in zip(_stretched(shifts, count), _stretched(axes, count), strict=True):
        (a,) = normal_axes("roll", x.ndim, along)
        n = x.shape[a]
        if n and (places := operator.index(by) % n):
            out = concat(split(out, (n - places, places), axis=a)[::-1], axis=a)
    return out


def _stretched(values: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    return values * count if len(values) == 1 else values


def tile(x: Tensor, repetitions: int | Sequence[int], /) -> Tensor:
    """``x`` side by side with itself, so many times along each axis, counted from the last.

    >>> tile(asarray([1, 2]), (2, 2)).tolist()
    [[1, 2, 1, 2], [1, 2, 1, 2]]
    """
    times = normal_shape("tile", repetitions)
    rank = max(x.ndim, len(times))
    shape, times = (1,) * (rank - x.ndim) + x.shape, (1,) * (rank - len(times)) + times
    apart = reshape(x, tuple([d for size in shape for d in (1, size)]))
    spread = broadcast_to(apart, tuple([d for pair in zip(times, shape, strict=True) for d in pair]))
    return reshape(spread, tuple([t * size for t, size in zip(times, shape, strict=True)]))


def repeat(x: Tensor, repeats: Any, /, *, axis: int | None = None) -> Tensor:
    """Each element (of an axis; of the flattened tensor by default) ``repeats`` times: a number, or one for each.

    The size of the result depends on the values of a tensor of repeats, which must be known: under vmap and stage give
    an integer.

    >>> repeat(asarray([1, 2, 3]), asarray([2, 0, 1])).tolist()
    [1, 1, 3]
    """
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    (a,) = normal_axes("repeat", x.ndim, axis)
    n = x.shape[a]
    counts = np.asarray(repeats.concrete("repeat").numpy() if isinstance(repeats, Tensor) else repeats)
    if counts.dtype.kind not in "iu":
        raise DTypeError(f"repeat: repeats are {counts.dtype}; they must be integers")
    if counts.shape not in ((), (1,), (n,)) or (counts.size and counts.min() < 0):
        what = f"repeats {counts.tolist()} for axis {a} of shape {x.shape}"
        raise ShapeError(f"repeat: {what}; give one non-negative number, or one for each of {n} elements")
    counts = counts.astype(np.int64)
    if counts.size == 1:
        times = int(counts.reshape(()))
        before, after = x.shape[:a], x.shape[a + 1 :]
        spread = broadcast_to(reshape(x, (*before, n, 1, *after)), (*before, n, times, *after))
        return reshape(spread, (*before, n * times, *after))
    return take(x, np.repeat(np.arange(n), counts), axis=a)


def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Tensor:
    """Differences of neighbours along an axis, ``n`` times, of ``x`` with what is to be prepended and appended.

    >>> diff(asarray([1, 4, 9, 16]), prepend=asarray([0])).tolist()
    [1, 3, 5, 7]
    """
    (x,) = tensors(x)
    (a,) = normal_axes("diff", x.ndim, axis)
    if n < 0:
        raise ValueError(f"diff: n is {n}; it must not be negative")
    if KIND[x.dt] == "b":
        raise DTypeError("diff: bools have no difference; cast with .astype('int64')")
    parts = [lifted("diff", part, x) for part in (prepend, x, append) if part is not None]
    one = (*x.shape[:a], 1, *x.shape[a + 1 :])
    out = alias(x)
    if parts[1:]:
        out = concat([broadcast_to(part, one) if part.ndim == 0 else part for part in parts], axis=a)
    whole = (slice(None),) * a
    for _ in range(min(n, out.shape[a])):
        out = out[(*whole, slice(1, None))] - out[(*whole, slice(None, -1))]
    return out
