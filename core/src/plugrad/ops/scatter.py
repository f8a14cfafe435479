"""Writing at integer positions: what is there is replaced, multiplied or limited. Reading and adding are in
``indexing``.

Positions run over one axis or, in C order, over several. They may repeat: the last of them replaces, all multiply and
limit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..backend import Spec
from ..dispatch import overwrite
from ..dtypes import BF2, F2, float32
from ..errors import ShapeError
from ..op import OPS, Op, conjugate
from ..ownership import sole
from ..tensor import Tensor
from .common import cast, repeated
from .creation import arange
from .elementwise import equal, isnan, maximum, where
from .indexing import GATHER, SCATTER_ADD, from_front
from .movement import moveaxis, reshape

Axes = tuple[int, ...]


class _Scatter(Op):
    """``x`` changed by ``v`` at positions over ``axis``; theirs come in the place of the first of these axes."""

    def spec(self, x: Any, i: Any, v: Any, *, axis: Axes) -> Any:
        kept = [d for a, d in enumerate(x.shape) if a > axis[0] and a not in axis]
        wanted = (*x.shape[: axis[0]], *i.shape, *kept)
        if v.shape != wanted:
            what = f"values of shape {v.shape} for positions {i.shape} over axes {axis} of {x.shape}"
            raise ShapeError(f"{self.name}: {what}; they must have shape {wanted}")
        return Spec(x.shape, x.dtype)

    def batch(self, size: int, xs: Any, batched: Any, *, axis: Axes) -> Any:
        """Positions of the batch's own count on through the batch, which becomes the first of their axes."""
        x, i, v = repeated(size, xs[0], batched[0]), xs[1], repeated(size, xs[2], batched[2])
        axes = tuple([a + 1 for a in axis])
        if not batched[1]:
            return self(x, i, v, axis=axes)
        n = math.prod([x.shape[a] for a in axes])
        first = reshape(arange(size, device=i.device) * n, (size, *(1,) * (i.ndim - 1)))
        at = from_front(self.name, i, n, size * n) + first
        values = moveaxis(v, tuple(range(axes[0], axis[0] + i.ndim)), tuple(range(1, i.ndim)))
        return self(x, at, values, axis=(0, *axes))


def _merged(x: Tensor, axis: Axes) -> tuple[Tensor, Tensor]:
    """``x`` with the axes next to each other, and with these as one."""
    first, count = axis[0], len(axis)
    together = moveaxis(x, axis, tuple(range(first, first + count)))
    n, shape = math.prod([x.shape[a] for a in axis]), together.shape
    return together, reshape(together, (*shape[:first], n, *shape[first + count :])) if count > 1 else together


def gathered(x: Tensor, i: Tensor, axis: Axes) -> Tensor:
    """What ``x`` holds at the positions."""
    out: Tensor = GATHER(_merged(x, axis)[1], i, axis=axis[0])
    return out


def added(x: Tensor, i: Tensor, v: Tensor, axis: Axes) -> Tensor:
    """``x`` with ``v`` added at the positions."""
    together, flat = _merged(x, axis)
    out = reshape(SCATTER_ADD(flat, i, v, axis=axis[0]), together.shape)
    return moveaxis(out, tuple(range(axis[0], axis[0] + len(axis))), axis)


def _last(i: Tensor, n: int) -> Any:
    """Which positions, over ``n`` places, no later one repeats; None if that is known to be all of them.

    On the host where the positions are known, which is linear in their number and not in that of the places.
    """
    if i.size < 2:
        return None
    if i.known:
        found, at = np.unique(i.numpy().ravel()[::-1] % n, return_index=True)
        last = np.zeros(i.size, bool)
        last[i.size - 1 - at] = True
        return None if found.size == i.size else last.reshape(i.shape)
    order = reshape(arange(i.size, device=i.device), i.shape)
    return GATHER(SCATTER(order.zeros_like((n,)), i, order, axis=(0,)), i, axis=0) == order


def _set_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Axes) -> Any:
    """A value that a later one replaced gets nothing. The walk owns ``g``: it is zeroed at the positions in place where
    possible, as by ``slice_update``.
    """
    x, i, v = xs
    gv = None
    if need[2]:
        gv = gathered(g, i, axis)
        last = _last(i, math.prod([x.shape[a] for a in axis]))
        if last is not None:
            gv = where(last.reshape((*i.shape, *(1,) * (v.ndim - axis[0] - i.ndim))), gv, 0)
    if not need[0]:
        return None, None, gv
    zeros = g.zeros_like(v.shape)
    if g.tr is None and sole(g):
        return overwrite(SCATTER, g, (i, zeros), {"axis": axis}), None, gv
    return SCATTER(g, i, zeros, axis=axis), None, gv


def _others(i: Tensor, v: Tensor, n: int, first: int) -> Tensor:
    """For each factor the product of the others at its place, of ``n``; the positions' axes are those from ``first``
    on. In the order of the places, by doubling: no division, so zeros do not disturb.
    """
    flat = reshape(v, (*v.shape[:first], i.size, *v.shape[first + i.ndim :]))
    place = reshape(where(i < 0, i + n, i), (-1,))
    order = OPS["argsort"](place, axis=0, descending=False)
    rows, place = GATHER(flat, order, axis=first), GATHER(place, order, axis=0)
    back = _before(rows.flip(axis=first), place.flip(), first).flip(axis=first)
    return reshape(
        GATHER(_before(rows, place, first) * back, OPS["argsort"](order, axis=0, descending=False), axis=first), v.shape
    )


def _before(rows: Tensor, place: Tensor, axis: int) -> Tensor:
    """For each row the product of those before it at the same place, which are next to each other."""
    whole, n = (slice(None),) * axis, place.shape[0]

    def behind(x: Tensor, step: int) -> Tensor:
        """What is ``step`` rows before each, and 1 where that is another place's or nothing."""
        same = reshape(equal(place[step:], place[:-step]), (-1, *(1,) * (x.ndim - axis - 1)))
        found = where(same, x[(*whole, slice(None, -step))], 1)
        return OPS["concat"](x.ones_like((*x.shape[:axis], step, *x.shape[axis + 1 :])), found, axis=axis)

    out, step = behind(rows, 1), 1
    while step < n:
        out, step = out * behind(out, step), step * 2
    return out


def _mul_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Axes) -> Any:
    """Each factor's cotangent is multiplied by what else meets at its position."""
    x, i, v = xs
    gx = g * conjugate(SCATTER_MUL(x.ones_like(), i, v, axis=axis)) if need[0] else None
    if not need[2]:
        return gx, None, None
    n, gv = math.prod([x.shape[a] for a in axis]), gathered(g * conjugate(x), i, axis)
    return gx, None, gv if _last(i, n) is None else gv * conjugate(_others(i, v, n, axis[0]))


def _extremum_vjp(g: Tensor, y: Tensor, xs: Any, need: Any, *, axis: Axes) -> Any:
    """All that equal the extremum share the cotangent; NaN, where there is any, is the extremum."""
    x, i, v = xs
    wide = cast(g, float32) if g.dt in (F2, BF2) else g  # float16 may not hold the count
    old, new = cast((x == y) | isnan(x), wide.dtype), cast((v == gathered(y, i, axis)) | isnan(v), wide.dtype)
    share = wide / maximum(added(old, i, new, axis), 1)
    return share * old, None, gathered(share, i, axis) * new


SCATTER = _Scatter("scatter", linear=(0, 2), saves=(1,), vjp=_set_vjp)
SCATTER_MUL = _Scatter("scatter_mul", dtypes="numeric", vjp=_mul_vjp, save_output=False)
SCATTER_MIN, SCATTER_MAX = [_Scatter(f"scatter_{s}", dtypes="ordered", vjp=_extremum_vjp) for s in ("min", "max")]
