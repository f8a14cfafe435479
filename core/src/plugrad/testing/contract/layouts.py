"""Ways in which one array may lie in a backend's memory, made by the backend's own movement ops.

Where a backend has no movement kernels, or copies, every layout is a contiguous one: that is no fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...ops.movement import broadcast_to, flip, permute_dims
from ...tensor import Tensor
from .subject import Subject, called

Pair = tuple[np.ndarray, Tensor]


class Layout(NamedTuple):
    """``make(subject, array, position)`` gives an array and a tensor of the same elements; the array may be another one
    (a broadcast one repeats its first row). ``position`` is that of the operand in the call.
    """

    name: str
    make: Callable[[Subject, np.ndarray, int], Pair]


def _contiguous(subject: Subject, a: np.ndarray, position: int) -> Pair:
    return a, subject.put(a)


def _transposed(subject: Subject, a: np.ndarray, position: int) -> Pair:
    return a, permute_dims(subject.put(np.array(a.T, order="C")), tuple(range(a.ndim))[::-1])


def _first_transposed(subject: Subject, a: np.ndarray, position: int) -> Pair:
    return (_contiguous if position else _transposed)(subject, a, position)


def _sliced(subject: Subject, a: np.ndarray, position: int) -> Pair:
    """Every other element of a larger array, from the second on; a 0-d one out of a row."""
    if a.ndim == 0:
        return a, subject.put(np.stack([np.ones_like(a), a]))[1]
    larger: Any = np.ones([2 * d + 1 for d in a.shape], a.dtype)
    at = (slice(1, None, 2),) * a.ndim
    larger[at] = a
    return a, subject.put(larger)[at]


def _negative(subject: Subject, a: np.ndarray, position: int) -> Pair:
    return a, flip(subject.put(np.array(np.flip(a), order="C")))


def _broadcast(subject: Subject, a: np.ndarray, position: int) -> Pair:
    if a.ndim == 0 or a.shape[0] == 0:
        return a, subject.put(a)
    return np.array(np.broadcast_to(a[:1], a.shape)), broadcast_to(subject.put(a[:1]), a.shape)


CONTIGUOUS = Layout("contiguous", _contiguous)
SLICED = Layout("sliced", _sliced)
LAYOUTS: tuple[Layout, ...] = (
    CONTIGUOUS,
    Layout("transposed", _transposed),
    Layout("first operand transposed", _first_transposed),
    SLICED,
    Layout("negative step", _negative),
    Layout("broadcast", _broadcast),
)


def laid_out(subject: Subject, layout: Layout, arrays: tuple[np.ndarray, ...]) -> tuple[list[np.ndarray], list[Tensor]]:
    """The operands of a call in a layout: arrays and tensors of the same elements."""
    pairs = []
    for position, a in enumerate(arrays):
        with called(f"a {layout.name} operand, made by movement ops, {a.dtype} {a.shape} on {subject.device}"):
            array, tensor = layout.make(subject, a, position)
            shape, dtype = subject.backend.spec(tensor.val)
            assert (shape, dtype) == (array.shape, array.dtype), f"the backend's own ops made a {dtype} {shape} of it"
            pairs.append((array, tensor))
    return [a for a, _ in pairs], [t for _, t in pairs]
