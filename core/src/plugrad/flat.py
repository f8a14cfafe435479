"""What the rules of control flow share: functions of flat lists of tensors, their derivatives and batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .dtypes import KIND
from .interpreters.levels import JVP, Batch, Same
from .op import Cotangents
from .ops.common import repeated
from .tensor import Tensor, Tensors
from .transforms import vjp

Flat = Callable[..., Sequence[Tensor]]
"""Tensors to several tensors."""


def floating(ts: Sequence[Tensor]) -> list[int]:
    """The places of floating tensors."""
    return [i for i, t in enumerate(ts) if KIND[t.dt] in "fc"]


def spread(n: int, places: Sequence[int], values: Sequence[Tensor]) -> list[Tensor | None]:
    """``n`` values: those given at their places, None elsewhere."""
    found = dict(zip(places, values, strict=True))
    return [found.get(i) for i in range(n)]


def filled(ts: Cotangents, xs: Sequence[Tensor]) -> list[Tensor]:
    """Tangents of the floating ``xs``, zeros for None."""
    return [x.zeros_like() if (t := ts[i]) is None else t for i, x in enumerate(xs) if KIND[x.dt] in "fc"]


def duals(f: Flat, xs: Sequence[Tensor], ts: Cotangents) -> tuple[Tensors, list[Tensor]]:
    """The results of ``f``, and the tangents of the floating ones."""
    with JVP() as level:
        found = f(*[level.wrap(x, t) for x, t in zip(xs, ts, strict=True)])
        ys = tuple([y.val if y.tr is level else y for y in found])
        return ys, filled([y.aux if y.tr is level else None for y in found], ys)


def pulled(f: Flat, xs: Sequence[Tensor], gs: Cotangents) -> tuple[Tensor | None, ...]:
    """The cotangents of ``xs`` for those of the results of ``f``; None for what is not floating."""
    found: tuple[Tensor | None, ...] = vjp(lambda *args: tuple(f(*args)), *xs)[1](tuple(gs))
    return found


def mapped(f: Flat, size: int, xs: Sequence[Tensor], flags: Sequence[bool], out: Sequence[bool]) -> Tensors:
    """``f`` over a batch: operands with a flag have the batch dimension first, and so have results with one."""
    with Batch(size, "ok") as level:
        ys = f(*[level.wrap(x) if b else x for x, b in zip(xs, flags, strict=True)])
        found = [(y.val, True) if y.tr is level else (y, False) for y in ys]
    return tuple([repeated(size, y, b) if w else y for (y, b), w in zip(found, out, strict=True)])


def marked(ys: Sequence[Tensor], flags: Sequence[bool]) -> tuple[Tensor | Same, ...]:
    """The results of a batching rule, of which those with a flag have the batch dimension."""
    return tuple([y if f else Same(y) for y, f in zip(ys, flags, strict=True)])
