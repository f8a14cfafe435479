"""Loops outside graphs, as Python runs them: what runs is recorded, mapped and differentiated as any other code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .backend import Spec
from .flat import Flat
from .interpreters.levels import Same
from .op import Cotangents, Flags, Op, pad_rank
from .ops.common import AxisOp, repeated, stop_gradient
from .ops.elementwise import where
from .ops.indexing import take
from .ops.movement import stack
from .ops.reduction import argmax
from .tensor import Tensor, Tensors, tupled


def varies(p: Tensor) -> bool:
    """Whether a predicate differs between the examples of a batch."""
    while p.tr is not None:
        if p.tr.batched:
            return True
        p = p.val
    return False


def _anywhere(p: Tensor) -> bool:
    """Whether a predicate holds for any example of any batch."""
    while p.tr is not None:
        p = p.val
    return bool(p.numpy().any())


def looped(test: Flat, body: Flat, carry: Tensors) -> Tensors:
    """``body`` as long as ``test`` holds. An example that is done keeps its carry. The body goes on with its last carry
    before that, for which it is defined, or with that of another example: a NaN there would spoil the gradients of the
    others.
    """
    inside: Tensors | None = None
    while True:
        (p,) = test(*carry)
        if not varies(p):
            if not p:
                return carry
            carry = tuple(body(*carry))
        elif _anywhere(p):
            last = inside or [ACTIVE(p, stop_gradient(c)) for c in carry]
            inside = tuple([where(p, c, stop_gradient(s)) for c, s in zip(carry, last, strict=True)])
            carry = tuple([where(p, n, c) for n, c in zip(body(*inside), carry, strict=True)])
        else:
            return carry


def folded(f: Flat, carry: Tensors, rows: Sequence[Tensors], order: range) -> Tensors:
    """``f`` of the carry and the rows, in some order."""
    steps: list[Tensors] = []
    for i in order:
        found = tuple(f(*carry, *[row[i] for row in rows]))
        carry, y = found[: len(carry)], found[len(carry) :]
        steps.append(y)
    if order.step < 0:
        steps.reverse()
    return (*carry, *[stack(column) for column in zip(*steps, strict=True)])


class _Active(Op):
    """``x`` if the predicate holds, else that of an example of the batch for which it does, if there is one."""

    def spec(self, p: Any, x: Any) -> Any:
        return Spec(x.shape, x.dtype)

    def decompose(self, p: Tensor, x: Tensor) -> Tensor:
        return x

    def batch(self, size: int, xs: Tensors, batched: Flags) -> Any:
        (p, x), out = xs, batched[1]
        if batched[0] and size:
            x, out = repeated(size, x, out), True
            other = take(x, argmax(p.astype("int32"), axis=0), axis=0)
            x, p = where(pad_rank(p, x.ndim - 1), x, other), p.any(axis=0)
        found = self(p, x)
        return found if out else Same(found)


ACTIVE = _Active("while.active")


class _Rows(AxisOp):
    """The slices of ``x`` along an axis, all at once, so that the backward of a loop over them stays linear."""

    def spec(self, x: Any, *, axis: int) -> Any:
        row = Tensor(None, x.be, x.dt, (*x.shape[:axis], *x.shape[axis + 1 :]), x.dev)
        return (row,) * x.shape[axis]

    def decompose(self, x: Tensor, *, axis: int) -> Tensors:
        return tuple([x[(*(slice(None),) * axis, i)] for i in range(x.shape[axis])])

    def vjp(self, g: Any, y: Any, xs: Tensors, need: Flags, *, axis: int) -> Cotangents:
        zero = next(c for c in tupled(g) if c is not None).zeros_like()
        return (stack([zero if c is None else c for c in tupled(g)], axis=axis),)


ROWS = _Rows("scan.rows", linear=(0,))
