"""Where the elements of an array lie: dtype, shape and strides, interned, so that equal layouts are one object and
launches can be planned by identity. Pure arithmetic: knows no memory and no CUDA.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np

Ints = tuple[int, ...]


class Layout:
    """Dtype, shape and strides (in elements, of any sign). Made by ``layout_of`` and ``dense`` only."""

    __slots__ = ("dense", "dtype", "nbytes", "shape", "size", "strides")

    def __init__(self, dtype: np.dtype, shape: Ints, strides: Ints) -> None:
        self.dtype = dtype
        self.shape = shape
        self.strides = strides
        self.size = math.prod(shape)
        self.nbytes = self.size * dtype.itemsize
        self.dense = self.size <= 1 or all(
            n == 1 or s == d for n, s, d in zip(shape, strides, dense_strides(shape), strict=True)
        )
        """Whether the elements lie one after the other, in row-major order."""

    def __repr__(self) -> str:
        return f"Layout({self.dtype}, {self.shape}, {self.strides})"


_LIMIT = 1 << 16
_known: dict[tuple[np.dtype, Ints, Ints], Layout] = {}
_dense: dict[tuple[np.dtype, Ints], Layout] = {}
_clearing = threading.Lock()


def layout_of(dtype: np.dtype, shape: Ints, strides: Ints) -> Layout:
    """The one Layout with these values (until very many are known: then the old ones are forgotten)."""
    key = dtype, shape, strides
    found = _known.get(key)
    if found is None:
        if len(_known) > _LIMIT:
            with _clearing:
                _known.clear()
                _dense.clear()
        found = _known.setdefault(key, Layout(dtype, shape, strides))
    return found


def dense(dtype: np.dtype, shape: Ints) -> Layout:
    """The row-major layout without gaps."""
    found = _dense.get((dtype, shape))
    if found is None:
        found = _dense[dtype, shape] = layout_of(dtype, shape, dense_strides(shape))
    return found


def dense_strides(shape: Ints) -> Ints:
    """Strides of row-major elements without gaps.

    >>> dense_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def broadcast_strides(layout: Layout, shape: Ints) -> Ints:
    """Strides with which ``layout`` is read as ``shape``: 0 along axes that are new or stretched."""
    missing = len(shape) - len(layout.shape)
    kept = zip(layout.shape, layout.strides, shape[missing:], strict=True)
    return (0,) * missing + tuple([0 if n == 1 and to != 1 else s for n, s, to in kept])


def broadcast(shapes: Sequence[Ints]) -> Ints:
    """The common shape of operands, which the core has found to fit.

    >>> broadcast([(3, 1), (4,)])
    (3, 4)
    """
    rank = max(map(len, shapes))
    full = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    return tuple([next((n for n in column if n != 1), 1) for column in zip(*full, strict=True)])


def collapse(shape: Ints, strides: Sequence[Ints]) -> tuple[Ints, tuple[Ints, ...]]:
    """The same walk over all operands with as few axes as can be: axes of size 1 go, neighbours that every operand
    crosses in one stride merge. At least one axis remains.

    >>> collapse((2, 3, 4), [(12, 4, 1), (0, 0, 1)])
    ((6, 4), ((4, 1), (0, 1)))
    """
    sizes: list[int] = []
    steps: list[tuple[int, ...]] = []
    for n, *now in zip(shape, *strides, strict=True):
        if n == 1:
            continue
        if sizes and all(outer == n * inner for outer, inner in zip(steps[-1], now, strict=True)):
            sizes[-1], steps[-1] = sizes[-1] * n, tuple(now)
        else:
            sizes.append(n)
            steps.append(tuple(now))
    if not sizes:
        return (1,), ((0,),) * len(strides)
    return tuple(sizes), tuple(zip(*steps, strict=True))


def reaches(shape: Ints, strides: Ints) -> int:
    """The largest distance of an element from the first, in elements."""
    return sum(max(n - 1, 0) * abs(s) for n, s in zip(shape, strides, strict=True))


def reshaped_strides(layout: Layout, shape: Ints) -> Ints | None:
    """Strides with which the same memory has another shape; None where no strides can say it.

    >>> reshaped_strides(layout_of(np.dtype("f4"), (2, 3), (3, 1)), (3, 2))
    (2, 1)
    >>> reshaped_strides(layout_of(np.dtype("f4"), (2, 3), (1, 2)), (6,)) is None
    True
    """
    if layout.size <= 1 or layout.dense:
        return dense_strides(shape)
    sizes, (steps,) = collapse(layout.shape, [layout.strides])
    strides: list[int] = []
    groups = list(zip(sizes, steps, strict=True))
    inner, (left, step) = 1, groups.pop()
    for n in reversed(shape):
        if n == 1:
            strides.append(step * inner)
            continue
        if left == 1:
            inner, (left, step) = 1, groups.pop()
        if left % n:
            return None
        strides.append(step * inner)
        inner, left = inner * n, left // n
    return tuple(reversed(strides))
