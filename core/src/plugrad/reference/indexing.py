"""Indexing by integer arrays, and updates of regions. NumPy checks every index before it writes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .movement import slices
from .reduction import silent, wide


def _checked(name: str, i: Any, n: int, axis: int, shape: tuple[int, ...]) -> None:
    """IndexError for a position that is out of range for an axis of ``n`` elements."""
    outside = i[(i < -n) | (i >= n)]
    if outside.size:
        remedy = f"use {-n} to {n - 1}" if n else "it has no elements"
        raise IndexError(f"{name}: index {outside.flat[0]} is out of range for axis {axis} of shape {shape}; {remedy}")


def _told(name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel whose errors name the op, and which checks positions where NumPy, having nothing to read, does not."""

    def kernel(x: Any, i: Any, *values: Any, axis: int) -> Any:
        try:
            out = f(x, i, *values, axis=axis)
        except IndexError:
            _checked(name, i, x.shape[axis], axis, x.shape)
            raise
        if not x.size:
            _checked(name, i, x.shape[axis], axis, x.shape)
        return out

    return kernel


def _scatter_add(x: Any, i: Any, v: Any, *, axis: int) -> Any:
    out = x.astype(wide(x))
    np.add.at(out, (slice(None),) * axis + (i,), v)
    return out.astype(x.dtype, copy=False)


def _at(out: Any, i: Any, v: Any, axis: Any) -> tuple[Any, Any, Any]:
    """A view of ``out`` with the axes in front, the index of the positions in it, and the values for it. Positions are
    in one row, of which NumPy takes one after the other.
    """
    n, first, rows = math.prod([out.shape[a] for a in axis]), axis[0], i.ravel()
    if rows.size and (rows.min() < -n or rows.max() >= n):
        raise IndexError(f"scatter: positions {rows.min()} to {rows.max()} are out of range for {n} places")
    values = v.reshape((*v.shape[:first], rows.size, *v.shape[first + i.ndim :]))
    if axis == (0,):
        return out, (rows,), values
    front, values = np.moveaxis(out, axis, range(len(axis))), np.moveaxis(values, first, 0)
    index = np.unravel_index(np.where(rows < 0, rows + n, rows), front.shape[: len(axis)]) if rows.size else ([],)
    return front, index, values


def _scatter_into(out: Any, x: Any, i: Any, v: Any, *, axis: Any) -> Any:
    if type(out) is not np.ndarray or not out.flags.writeable:
        return NotImplemented
    front, index, values = _at(out, i, v, axis)
    if out is not x:
        out[...] = x
    if i.size:
        front[index] = values
    return None


def _scatter(x: Any, i: Any, v: Any, *, axis: Any) -> Any:
    out = np.array(x, copy=True, order="C")
    _scatter_into(out, out, i, v, axis=axis)
    return out


def _accumulated(ufunc: np.ufunc) -> Callable[..., Any]:
    @silent
    def kernel(x: Any, i: Any, v: Any, *, axis: Any) -> Any:
        out = np.array(x, wide(x), copy=True, order="C")
        front, index, values = _at(out, i, v, axis)
        if i.size:
            ufunc.at(front, index, values)
        return out.astype(x.dtype, copy=False)

    return kernel


def _slice_update_into(out: Any, x: Any, v: Any, *, start: Any, size: Any, step: Any) -> Any:
    if type(out) is not np.ndarray or not out.flags.writeable:
        return NotImplemented
    if out is not x:
        out[...] = x
    if all(size):
        out[slices(start, size, step)] = v
    return None


def _slice_update(x: Any, v: Any, **region: Any) -> Any:
    out = np.array(x, copy=True, order="C")
    _slice_update_into(out, out, v, **region)
    return out


KERNELS: dict[str, Any] = {"gather": _told("gather", np.take), "take_along": np.take_along_axis}
KERNELS |= {"scatter_add": _told("scatter_add", _scatter_add), "slice_update": _slice_update, "scatter": _scatter}
_UFUNCS = {"mul": np.multiply, "min": np.minimum, "max": np.maximum}
KERNELS |= {f"scatter_{name}": _accumulated(ufunc) for name, ufunc in _UFUNCS.items()}
INTO: dict[str, Any] = {"slice_update": _slice_update_into, "scatter": _scatter_into}
