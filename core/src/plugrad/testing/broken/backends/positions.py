"""Positions: those out of range, negative ones, those that come twice."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .base import INTO, K, fault, into, kernel, typed, where


def _clamped(x: Any, i: Any, *, axis: int) -> Any:
    return np.take(x, np.clip(i, 0, x.shape[axis] - 1), axis=axis)


def _wrapped(x: Any, i: Any, *, axis: int) -> Any:
    return np.take(x, i, axis=axis, mode="wrap")


def _unsigned(x: Any, i: Any, *, axis: int) -> Any:
    """Negative positions are far beyond the end, where the last element is."""
    if i.size and (i.max() >= x.shape[axis] or i.min() < -x.shape[axis]):
        return K["gather"](x, i, axis=axis)
    return np.take(x, np.where(i < 0, x.shape[axis] - 1, i), axis=axis)


def _from_empty(x: Any, i: Any, *, axis: int) -> Any:
    if x.shape[axis]:
        return K["gather"](x, i, axis=axis)
    return np.zeros(x.shape[:axis] + i.shape + x.shape[axis + 1 :], x.dtype)


def _take_along_clamped(x: Any, i: Any, *, axis: int) -> Any:
    n = x.shape[axis]
    return np.take_along_axis(x, np.clip(i, -n, n - 1), axis) if n else K["take_along"](x, i, axis=axis)


def _before_looking(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    x[...] = 0
    return K["scatter_add"](x, i, v, axis=axis)


def _drops(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    """Positions out of range are left out, in silence."""
    n = x.shape[axis]
    good = (i >= -n) & (i < n)
    if good.all():
        return K["scatter_add"](x, i, v, axis=axis)
    at = (slice(None),) * axis
    return K["scatter_add"](x, i[good], v[(*at, good)], axis=axis)


def _added_once(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    """Of values for one place, one is added."""
    K["scatter_add"](x, i, v, axis=axis)
    out = np.array(x)
    out[(slice(None),) * axis + (i,)] += v
    return out


def _without_last(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    """Of an odd number of values, the last is not added."""
    out = K["scatter_add"](x, i, v, axis=axis)
    if i.ndim == 1 and i.size % 2 and i.size > 8:
        at = (slice(None),) * axis
        return K["scatter_add"](x, i[:-1], v[(*at, slice(-1))], axis=axis)
    return out


def _first_stays(x: Any, i: Any, v: Any, *, axis: Any) -> Any:
    """Of values that are written to one place, the first stays."""
    at = (slice(None),) * axis[0]
    turned = np.array(v).reshape((*v.shape[: axis[0]], i.size, *v.shape[axis[0] + i.ndim :]))[
        (*at, slice(None, None, -1))
    ]
    return K["scatter"](x, i.ravel()[::-1], turned, axis=axis)


def _other_order(x: Any, i: Any, v: Any, *, axis: Any) -> Any:
    """Positions over two axes count through them the wrong way round."""
    if len(axis) == 2 and i.size:
        sizes = [x.shape[a] for a in axis]
        flat = np.where(i < 0, i + math.prod(sizes), i)
        if ((flat >= 0) & (flat < math.prod(sizes))).all():
            i = np.ravel_multi_index(np.unravel_index(flat, sizes[::-1])[::-1], sizes)
    return K["scatter_mul"](x, i, v, axis=axis)


def _hasty(out: Any, x: Any, i: Any, v: Any, *, axis: int) -> Any:
    out[...] = x
    np.add.at(out, (slice(None),) * axis + (i % max(x.shape[axis], 1),), v)
    if ((i >= x.shape[axis]) | (i < -x.shape[axis])).any():
        raise IndexError("too late")


def _hasty_scatter(out: Any, x: Any, i: Any, v: Any, *, axis: Any) -> Any:
    if type(out) is np.ndarray and out.size:
        out.reshape(-1)[0] = 0
    return INTO["scatter"](out, x, i, v, axis=axis)


FAULTS = (
    fault("gather_clamps", "gather takes the nearest position in range", "kernels.bad_index",
          kernel("gather", lambda x, i, *, axis: np.take(x, i, axis=axis, mode="clip")),
          says=("gather: position 3", "came a result")),
    fault("gather_wraps", "gather takes positions modulo the size", "kernels.bad_index", kernel("gather", _wrapped)),
    fault("gather_clamps_float32", "gather of float32 clamps", "kernels.bad_index",
          where("gather", typed("f4"), _clamped)),
    fault("gather_clamps_axis_1", "gather along axis 1 clamps", "kernels.bad_index",
          kernel("gather", lambda x, i, *, axis: (_clamped if axis else K["gather"])(x, i, axis=axis))),
    fault("gather_looks_at_four", "gather looks at four positions, and clamps the others", "kernels.bad_index",
          where("gather", lambda x, i: i.size > 4, _clamped)),
    fault("gather_from_empty", "gather from an empty axis gives zeros", "kernels.bad_index",
          kernel("gather", _from_empty)),
    fault("gather_of_negative", "gather takes a negative position for the last", "values.gather",
          kernel("gather", _unsigned)),
    fault("take_along_clamps", "take_along takes the nearest position in range", "kernels.bad_index",
          kernel("take_along", _take_along_clamped)),
    fault("scatter_add_before_looking", "scatter_add writes its operand before it looks", "kernels.bad_index",
          kernel("scatter_add", _before_looking), says=("scatter_add", "after the error")),
    fault("scatter_add_drops", "scatter_add leaves out positions out of range", "kernels.bad_index",
          kernel("scatter_add", _drops)),
    fault("scatter_add_once", "scatter_add adds one of the values for a place", "values.scatter_add",
          kernel("scatter_add", _added_once)),
    fault("scatter_add_odd", "scatter_add of an odd number of values, more than 8, leaves out the last",
          "values.scatter_add", kernel("scatter_add", _without_last)),
    fault("scatter_first", "scatter leaves the first of the values for a place", "values.scatter",
          kernel("scatter", _first_stays, into={})),
    fault("scatter_mul_order", "scatter_mul counts positions over two axes the wrong way round", "values.scatter_mul",
          kernel("scatter_mul", _other_order)),
    fault("into_scatter_add_hasty", "scatter_add writes to out before it looks", "inplace.bad_index",
          into("scatter_add", _hasty)),
    fault("into_scatter_hasty", "scatter writes one element to out before it looks", "inplace.bad_index",
          into("scatter", _hasty_scatter)),
)  # fmt: skip
