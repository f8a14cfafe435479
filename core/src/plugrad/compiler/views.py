"""Which values are views, and of what: movement follows strides, as far as a dense begin allows.

Inputs, constants and results count as C-contiguous. A reshape that their strides cannot express is a copy, with memory
of its own; a backend that can do without, or has to copy more, is free to.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..program import ALIAS, Eqn, Program

MOVES = frozenset({"reshape", "permute", "broadcast_to", "slice"})
Shape = tuple[int, ...]


def roots(program: Program) -> list[int]:
    """For each value the one whose memory it sees; itself if it has memory of its own."""
    specs = program.specs
    root = list(range(len(specs)))
    strides: list[Shape] = [dense(s.shape) for s in specs]
    for e in program.eqns:
        if not e.values or len(e.outs) != 1:
            continue
        (x, *_), (out,) = e.values, e.outs
        if e.op == ALIAS:
            root[out], strides[out] = root[x], strides[x]
        elif e.op in MOVES:
            found = moved(e, specs[x].shape, strides[x], specs[out].shape)
            if found is not None:
                root[out], strides[out] = root[x], found
    return root


def dense(shape: Sequence[int]) -> Shape:
    """The strides of a C-contiguous array, in elements.

    >>> dense((2, 3, 4))
    (12, 4, 1)
    """
    found, step = [], 1
    for n in reversed(shape):
        found.append(step)
        step *= n
    return tuple(found[::-1])


def moved(e: Eqn, shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """The strides of what a movement op gives; None if they cannot express it."""
    if e.op == "permute":
        return tuple([strides[a] for a in e.attr("axes")])
    if e.op == "slice":
        return tuple([s * k for s, k in zip(strides, e.attr("step"), strict=True)])
    if e.op == "broadcast_to":
        lead = len(new) - len(shape)
        kept = [0 if m != n else s for m, n, s in zip(shape, new[lead:], strides, strict=True)]
        return (0,) * lead + tuple(kept)
    return reshaped(shape, strides, new)


def reshaped(shape: Shape, strides: Shape, new: Shape) -> Shape | None:
    """The strides of the same elements in another shape, or None where some would not lie at even steps.

    >>> reshaped((2, 3, 4), (12, 4, 1), (6, 4)), reshaped((3, 2), (1, 3), (6,))
    ((4, 1), None)
    """
    if 0 in shape:
        return dense(new)
    runs: list[tuple[int, int]] = []  # (elements, stride) of axes that lie one in the other
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if runs and runs[-1][1] == n * s:
            runs[-1] = runs[-1][0] * n, s
        else:
            runs.append((n, s))
    found: list[int] = []
    left, step = runs.pop() if runs else (1, 1)
    for n in reversed(new):
        if n == 1:
            found.append(step)
            continue
        if left == 1 and runs:
            left, step = runs.pop()
        if left % n:
            return None
        found.append(step)
        left, step = left // n, step * n
    return tuple(found[::-1])
