"""Layouts known ahead of a run: where a value of a program lies, and movement as arithmetic on strides. No memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .nest import Strides, is_packed, packed


class Layout(NamedTuple):
    """A strided window, in bytes, ``offset`` bytes from a base that is known when the program runs."""

    base: int
    offset: int
    shape: tuple[int, ...]
    strides: Strides
    dtype: np.dtype

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take without gaps."""
        return self.size * self.dtype.itemsize

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        return self.size == 0 or is_packed(self.shape, self.strides, self.dtype.itemsize)

    @property
    def span(self) -> tuple[int, int]:
        """The first byte and the one behind the last, from the base."""
        if self.size == 0:
            return self.offset, self.offset
        steps = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low, high = sum(min(s, 0) for s in steps), sum(max(s, 0) for s in steps)
        return self.offset + low, self.offset + high + self.dtype.itemsize

    @property
    def ref(self) -> tuple[int, int]:
        """Base and offset."""
        return self.base, self.offset

    @property
    def order(self) -> tuple[int, ...] | None:
        """The axes from the slowest to the fastest if the elements lie without gaps; None if they do not."""
        axes = sorted(range(len(self.shape)), key=lambda i: (self.shape[i] != 1, -self.strides[i]))
        shape, strides = [self.shape[i] for i in axes], [self.strides[i] for i in axes]
        return tuple(axes) if is_packed(shape, strides, self.dtype.itemsize) else None

    def ordered(self, order: Sequence[int]) -> Layout:
        """The same memory with the axes from the slowest to the fastest in another order."""
        strides = [0] * len(order)
        for i, s in zip(order, packed([self.shape[i] for i in order], self.dtype.itemsize), strict=True):
            strides[i] = s
        return self._replace(strides=tuple(strides))

    def under(self, shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Layout:
        """The same memory under another shape and strides."""
        shape = tuple(shape)
        if 0 in shape:
            strides = packed(shape, self.dtype.itemsize)
        return self._replace(shape=shape, strides=tuple(strides), offset=self.offset + offset)

    def broadcast(self, shape: Sequence[int]) -> Strides:
        """Strides along the axes of a shape that this one stretches to."""
        lead = len(shape) - len(self.shape)
        return (0,) * lead + tuple([0 if n == 1 else s for n, s in zip(self.shape, self.strides, strict=True)])


def contiguous(base: int, offset: int, shape: Sequence[int], dtype: np.dtype) -> Layout:
    """A C-contiguous layout."""
    return Layout(base, offset, tuple(shape), packed(shape, dtype.itemsize), dtype)


# -- movement: the layout of the result, or None where strides cannot say it


def _alias(x: Layout) -> Layout:
    return x


def _permute(x: Layout, *, axes: Sequence[int]) -> Layout:
    return x.under([x.shape[a] for a in axes], [x.strides[a] for a in axes])


def _broadcast_to(x: Layout, *, shape: Sequence[int]) -> Layout:
    return x.under(shape, x.broadcast(shape))


def _slice(x: Layout, *, start: Sequence[int], size: Sequence[int], step: Sequence[int]) -> Layout:
    strides = [k * s for k, s in zip(step, x.strides, strict=True)]
    offset = 0 if 0 in size else sum(i * s for i, s in zip(start, x.strides, strict=True))
    return x.under(size, strides, offset)


def _reshape(x: Layout, *, shape: Sequence[int]) -> Layout | None:
    strides = packed(shape, x.dtype.itemsize) if x.contiguous else regrouped(x.shape, x.strides, shape)
    return None if strides is None else x.under(shape, strides)


def regrouped(old: Sequence[int], strides: Sequence[int], new: Sequence[int]) -> Strides | None:
    """Strides under which a new shape of as many elements, at least one, sees the old one in C order; None where there
    are none: axes merge only where they lie without gaps.

    >>> regrouped((2, 6), (24, 4), (2, 3, 2)), regrouped((2, 3), (4, 8), (6,))
    ((24, 8, 4), None)
    """
    lengths = [(n, s) for n, s in zip(old, strides, strict=True) if n != 1]
    out, at = [0] * len(new), 0
    i = 0
    while i < len(lengths):
        first, have = i, lengths[i][0]
        i += 1
        begin, want = at, 1
        while want != have:  # the smallest groups of old and new axes with equal counts
            if want < have:
                want *= new[at]
                at += 1
            else:
                have *= lengths[i][0]
                i += 1
        if any(lengths[k][1] != lengths[k + 1][1] * lengths[k + 1][0] for k in range(first, i - 1)):
            return None
        step = lengths[i - 1][1]
        for k in range(at - 1, begin - 1, -1):
            out[k] = step
            step *= new[k]
    return tuple(out)


VIEWS: Mapping[str, Callable[..., Layout | None]] = {
    "alias": _alias,
    "permute": _permute,
    "broadcast_to": _broadcast_to,
    "slice": _slice,
    "reshape": _reshape,
}


def moved(op: str, x: Layout, attrs: Mapping[str, Any]) -> Layout | None:
    """What a movement op makes of a layout, or None."""
    return VIEWS[op](x, **attrs)
