"""Reductions, sorting and products that choose or count wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, kernel, silent


def _last_maximum(x: Any, *, axis: int, keepdims: bool) -> Any:
    if not x.size:
        return K["argmax"](x, axis=axis, keepdims=keepdims)
    return np.asarray(x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis, keepdims=keepdims))


def _last_of_many(x: Any, *, axis: int, keepdims: bool) -> Any:
    """The last of equal minima, where there are more than two."""
    first = K["argmin"](x, axis=axis, keepdims=True)
    if x.size:
        many = (x == x.min(axis, keepdims=True)).sum(axis, keepdims=True) > 2
        last = x.shape[axis] - 1 - np.argmin(np.flip(x, axis), axis, keepdims=True)
        first = np.where(many, last, first)
    return first if keepdims else first.squeeze(axis)


def _max_from_zero(x: Any, **attrs: Any) -> Any:
    return np.maximum(K["max"](x, **attrs), x.dtype.type(0)) if x.dtype.kind == "f" else K["max"](x, **attrs)


def _unstable(x: Any, *, axis: int, descending: bool) -> Any:
    """Equal elements in reverse."""
    turned = x.shape[axis] - 1 - K["argsort"](np.flip(x, axis), axis=axis, descending=descending)
    return np.asarray(turned)


@silent
def _first_of_batch(a: Any, b: Any) -> Any:
    """A batch that is broadcast is taken at its first matrix."""
    if a.shape[:-2] != b.shape[:-2] and a.ndim > 2 and b.ndim > 2 and b.size:
        shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        b = np.broadcast_to(b[(0,) * (b.ndim - 2)], (*shape, *b.shape[-2:]))
    return K["matmul"](a, b)


@silent
def _batch_of_one_side(a: Any, b: Any) -> Any:
    """A matrix and a batch of matrices: every product is with the first."""
    if a.ndim == 2 and b.ndim > 2 and b.size:
        b = np.broadcast_to(b[(0,) * (b.ndim - 2)], b.shape)
    return K["matmul"](a, b)


def _unwritten_matmul(a: Any, b: Any) -> Any:
    return K["matmul"](a, b) if a.shape[-1] else np.ones_like(K["matmul"](a, b))


def _turned_between(x: Any, *, axis: Any, keepdims: bool) -> Any:
    """prod over two axes with a gap turns the axis after them round."""
    if len(axis) == 2 and axis[1] - axis[0] > 1 and x.size:
        moved = np.moveaxis(x, axis[1], axis[0] + 1)
        found = moved.reshape((*x.shape[: axis[0]], -1, *moved.shape[axis[0] + 2 :]))[..., ::-1].prod(
            axis[0], dtype=x.dtype
        )
        return np.expand_dims(found, axis) if keepdims else found
    return K["prod"](x, axis=axis, keepdims=keepdims)


def _exclusive(x: Any, *, axis: int) -> Any:
    return (K["cumsum"](x, axis=axis) - x).astype(x.dtype) if x.dtype.kind != "b" else K["cumsum"](x, axis=axis)


FAULTS = (
    fault("argmax_last", "argmax finds the last of equal elements", "values.argmax",
          kernel("argmax", _last_maximum), says=("argmax((2, 3, 4)",)),
    fault("argmin_of_many", "argmin finds the last of three or more equal elements", "values.argmin",
          kernel("argmin", _last_of_many)),
    fault("max_from_zero", "max begins with 0, so negative numbers are lost", "values.max",
          kernel("max", _max_from_zero)),
    fault("argsort_unstable", "argsort gives equal elements in reverse", "values.argsort",
          kernel("argsort", _unstable)),
    fault("searchsorted_left", "searchsorted knows the left side only", "values.searchsorted",
          kernel("searchsorted", lambda x, v, *, side: K["searchsorted"](x, v, side="left"))),
    fault("matmul_first_of_batch", "matmul takes the first matrix of a batch that is broadcast", "values.matmul",
          kernel("matmul", _first_of_batch)),
    fault("matmul_batch_of_one_side", "matmul of a matrix and a batch takes the first of the batch", "values.matmul",
          kernel("matmul", _batch_of_one_side)),
    fault("matmul_of_nothing", "matmul of no products leaves the result unwritten", "values.matmul",
          kernel("matmul", _unwritten_matmul)),
    fault("prod_with_gap", "prod over two axes with a gap turns the last axis that stays", "values.prod",
          kernel("prod", _turned_between)),
    fault("cumsum_exclusive", "cumsum leaves out the element itself", "values.cumsum", kernel("cumsum", _exclusive)),
)  # fmt: skip
