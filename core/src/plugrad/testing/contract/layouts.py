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

Index = tuple[slice, ...]


class Operand(NamedTuple):
    """An array and a tensor of the same elements. ``root``: the tensor that this one may be a view of, with all its
    elements, and where in them those of the view are.
    """

    array: np.ndarray
    tensor: Tensor
    root: Tensor | None = None
    whole: np.ndarray | None = None
    at: Index = ()


class Layout(NamedTuple):
    """``make(subject, array, position)`` gives an operand; its array may be another one (a broadcast one repeats its
    first row). ``position`` is that of the operand in the call. ``by``: the op that makes it.
    """

    name: str
    make: Callable[[Subject, np.ndarray, int], Operand]
    by: str = "from_host"


def _contiguous(subject: Subject, a: np.ndarray, position: int) -> Operand:
    return Operand(a, subject.put(a))


def _transposed(subject: Subject, a: np.ndarray, position: int) -> Operand:
    whole = np.array(a.T, order="C")
    root = subject.put(whole)
    return Operand(a, permute_dims(root, tuple(range(a.ndim))[::-1]), root, whole)


def _first_transposed(subject: Subject, a: np.ndarray, position: int) -> Operand:
    return (_contiguous if position else _transposed)(subject, a, position)


def _sliced(subject: Subject, a: np.ndarray, position: int) -> Operand:
    """Every other element of a larger array, from the second on; a 0-d one out of a row."""
    if a.ndim == 0:
        whole = np.stack([np.ones_like(a), a])
        root = subject.put(whole)
        return Operand(a, root[1], root, whole)
    larger: Any = np.ones([2 * d + 1 for d in a.shape], a.dtype)
    at = (slice(1, None, 2),) * a.ndim
    larger[at] = a
    root = subject.put(larger)
    return Operand(a, root[at], root, larger, at)


def _negative(subject: Subject, a: np.ndarray, position: int) -> Operand:
    whole = np.array(np.flip(a), order="C")
    root = subject.put(whole)
    return Operand(a, flip(root), root, whole)


def _broadcast(subject: Subject, a: np.ndarray, position: int) -> Operand:
    if a.ndim == 0 or a.shape[0] == 0:
        return Operand(a, subject.put(a))
    root = subject.put(a[:1])
    return Operand(np.array(np.broadcast_to(a[:1], a.shape)), broadcast_to(root, a.shape), root, a[:1])


CONTIGUOUS = Layout("contiguous", _contiguous)
TRANSPOSED = Layout("transposed", _transposed, "permute")
SLICED = Layout("sliced", _sliced, "slice")
LAYOUTS: tuple[Layout, ...] = (
    CONTIGUOUS,
    TRANSPOSED,
    Layout("first operand transposed", _first_transposed, "permute"),
    SLICED,
    Layout("negative step", _negative, "slice"),
    Layout("broadcast", _broadcast, "broadcast_to"),
)


def operands(subject: Subject, layout: Layout, arrays: tuple[np.ndarray, ...]) -> list[Operand]:
    """The operands of a call in a layout. One array given twice is one tensor given twice."""
    made: list[Operand] = []
    for position, a in enumerate(arrays):
        earlier = next((k for k in range(position) if arrays[k] is a), None)
        if earlier is not None:
            made.append(made[earlier])
            continue
        with called(f"a {layout.name} operand, made by {layout.by}, {a.dtype} {a.shape} on {subject.device}"):
            operand = layout.make(subject, a, position)
            shape, dtype = subject.backend.spec(operand.tensor.val)
            if (shape, dtype) != (operand.array.shape, operand.array.dtype):
                raise AssertionError(f"what came is {dtype} {shape}")
            made.append(operand)
    return made


def laid_out(subject: Subject, layout: Layout, arrays: tuple[np.ndarray, ...]) -> tuple[list[np.ndarray], list[Tensor]]:
    """The arrays and the tensors of ``operands``."""
    made = operands(subject, layout, arrays)
    return [operand.array for operand in made], [operand.tensor for operand in made]
