"""Loop nests of fused groups, worked out ahead of the call: which axes merge, what a piece is, how operands lie in it.
Knows no op and no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Strides = tuple[int, ...]

PIECE_BYTES = 4096
"""Bytes of the widest value of a piece: a handful of values stay in a first cache of 32 kB."""


class Nest(NamedTuple):
    """A group's merged axes, the strides of everything outside along them, and its pieces: ``rows`` steps of ``axis``
    and all of the axes behind it, ``inner`` elements a step.
    """

    shape: tuple[int, ...]
    strides: tuple[Strides, ...]
    axis: int
    rows: int
    inner: int

    @property
    def pieces(self) -> tuple[int, ...]:
        """The rows of a whole piece, and those of the last one along the axis where it is shorter."""
        rest = self.shape[self.axis] % self.rows
        return (self.rows, rest) if rest else (self.rows,)

    def piece(self, rows: int) -> tuple[int, ...]:
        """The shape of a piece."""
        return (rows, *self.shape[self.axis + 1 :])

    def along(self, strides: Strides) -> Strides:
        """Strides along the axes of a piece."""
        return strides[self.axis :]


def nest(shape: Sequence[int], strides: Sequence[Strides], itemsize: int) -> Nest:
    """The nest over a shape without empty axes, neighbouring axes merged where all strides allow it.

    >>> nest((4, 5), [(20, 4), (0, 4)], 4)[:2]
    ((4, 5), ((20, 4), (0, 4)))
    >>> nest((4, 1, 5), [(20, 20, 4), (40, 3, 8)], 4)[:2]
    ((20,), ((4,), (8,)))
    """
    lengths: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis in range(len(shape)):
        n = shape[axis]
        if n == 1:
            continue
        if lengths and all(old[-1] == s[axis] * n for old, s in zip(steps, strides, strict=True)):
            lengths[-1] *= n
            for old, s in zip(steps, strides, strict=True):
                old[-1] = s[axis]
            continue
        lengths.append(n)
        for old, s in zip(steps, strides, strict=True):
            old.append(s[axis])
    if not lengths:
        lengths, steps = [1], [[0] for _ in strides]
    axis, rows, inner = _pieces(lengths, max(PIECE_BYTES // itemsize, 1))
    return Nest(tuple(lengths), tuple([tuple(s) for s in steps]), axis, rows, inner)


def _pieces(lengths: list[int], most: int) -> tuple[int, int, int]:
    """Axis, rows and elements a row of pieces of at most so many elements, as equal as they can be."""
    axis, inner = len(lengths) - 1, 1
    while axis > 0 and inner * lengths[axis] * 2 <= most:
        inner *= lengths[axis]
        axis -= 1
    n = lengths[axis]
    count = -(-n // max(min(n, most // inner), 1))
    return axis, -(-n // count), inner


def packed(shape: Sequence[int], itemsize: int) -> Strides:
    """C-order strides in bytes.

    >>> packed((2, 3), 4)
    (12, 4)
    """
    out, step = [], itemsize
    for n in reversed(shape):
        out.append(step)
        step *= max(n, 1)
    return tuple(reversed(out))


def is_packed(shape: Sequence[int], strides: Sequence[int], itemsize: int) -> bool:
    """Whether strides are those of C order, apart from axes of length 1."""
    return all(n == 1 or s == p for n, s, p in zip(shape, strides, packed(shape, itemsize), strict=True))


def kept_strides(shape: Sequence[int], dropped: Sequence[bool], itemsize: int) -> Strides:
    """C-order strides of a result whose dropped axes are gone: 0 along those.

    >>> kept_strides((2, 3, 4), (False, True, False), 4)
    (16, 0, 4)
    """
    packed_ = packed([1 if gone else n for n, gone in zip(shape, dropped, strict=True)], itemsize)
    return tuple([0 if gone else s for s, gone in zip(packed_, dropped, strict=True)])
