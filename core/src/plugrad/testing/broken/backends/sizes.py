"""Vectorised loops and blocks that leave something out, and shapes that were not thought of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .base import K, after, fault, kernel, where


def _first(name: str, n: int) -> dict[str, Any]:
    """Zeros after the first n elements of the result."""

    def change(out: np.ndarray, *xs: Any) -> None:
        out.reshape(-1)[n:] = 0

    return after(name, change)


def _tail(at_least: int = 0, kinds: str = "fiu") -> Callable[..., None]:
    """The elements after the last whole vector of eight stay zero."""

    def change(out: np.ndarray, *xs: Any) -> None:
        if out.size >= at_least and out.size % 8 and out.dtype.kind in kinds:
            out.reshape(-1)[out.size // 8 * 8 :] = 0

    return change


def _last_element(out: np.ndarray, *xs: Any) -> None:
    if out.size > 10_000:
        out.reshape(-1)[-1] = 0


def _seams(out: np.ndarray, *xs: Any) -> None:
    if out.size > 4096:
        out.reshape(-1)[4096::4096] += out.dtype.type(1)


def _row_tail(out: np.ndarray, *xs: Any) -> None:
    if out.ndim == 2 and out.shape[1] % 4 and out.shape[1] > 8:
        out[:, -1] = 0


def _restarted(x: Any, *, axis: int) -> Any:
    cuts = range(128, x.shape[axis], 128)
    return np.concatenate([K["cumsum"](p, axis=axis) for p in np.array_split(x, cuts, axis)], axis)


def _argmax_of_256(x: Any, *, axis: int, keepdims: bool) -> Any:
    return K["argmax"](x[(slice(None),) * axis + (slice(256),)], axis=axis, keepdims=keepdims)


def _sum_of_blocks(x: Any, *, axis: Any, keepdims: bool) -> Any:
    """Along a long axis, what follows the last whole block of 16 is left out."""
    if len(axis) == 1 and x.shape[axis[0]] > 64:
        x = x[(slice(None),) * axis[0] + (slice(x.shape[axis[0]] // 16 * 16),)]
    return K["sum"](x, axis=axis, keepdims=keepdims)


def _size_one_sum(x: Any, *, axis: Any, keepdims: bool) -> Any:
    out = K["sum"](x, axis=axis, keepdims=keepdims)
    return out * 0 if any(x.shape[a] == 1 for a in axis) and out.size else out


def _nothing(*shape: Any) -> Any:
    raise ZeroDivisionError("a launch of no threads")


FAULTS = (
    fault("mul_stops", "mul drops elements after 1024", "values.mul", _first("mul", 1024)),
    fault("where_stops", "where drops elements after 1024", "values.where", _first("where", 1024)),
    fault("random_bits_stop", "random_bits drops words after 1024", "values.random_bits",
          _first("random_bits", 1024)),
    fault("add_tail", "add leaves out the elements after the last multiple of 8", "values.add",
          after("add", _tail())),
    fault("exp_tail_large", "exp leaves out the elements after the last multiple of 8, of more than 1000", "values.exp",
          after("exp", _tail(1000))),
    fault("maximum_tail_int", "maximum of many integers leaves out the last ones", "values.maximum",
          after("maximum", _tail(1000, "iu"))),
    fault("less_tail", "less of many elements leaves out the last ones", "values.less",
          after("less", _tail(1000, "b"))),
    fault("cast_tail", "cast of many elements leaves out the last ones", "values.cast", after("cast", _tail(1000))),
    fault("sqrt_last", "sqrt of more than 10,000 elements leaves out the last", "values.sqrt",
          after("sqrt", _last_element)),
    fault("sub_seams", "sub adds one at the seams of blocks of 4096", "values.sub", after("sub", _seams)),
    fault("matmul_tail", "matmul leaves out the last column where the width is no multiple of 4", "values.matmul",
          after("matmul", _row_tail)),
    fault("cumsum_restarts", "cumsum starts afresh every 128 elements", "values.cumsum",
          kernel("cumsum", _restarted)),
    fault("argmax_256", "argmax looks at 256 elements", "values.argmax", kernel("argmax", _argmax_of_256)),
    fault("sum_of_blocks", "sum along a long axis leaves out what follows the last block of 16", "values.sum",
          kernel("sum", _sum_of_blocks)),
    fault("max_of_four_axes", "max of four axes is 0", "values.max",
          where("max", lambda x: x.ndim == 4, lambda x, **attrs: K["max"](x, **attrs) * 0)),
    fault("sub_of_five_axes", "sub of five axes is 0", "values.sub",
          where("sub", lambda x, y: x.ndim == 5, lambda x, y: K["sub"](x, y) * 0)),
    fault("permute_of_five_axes", "permute of five axes raises", "values.permute",
          where("permute", lambda x: x.ndim == 5, lambda x, **attrs: _nothing())),
    fault("cos_of_0d", "cos of a 0-d operand is 0", "values.cos",
          where("cos", lambda x: x.ndim == 0, lambda x: K["cos"](x) * 0)),
    fault("sum_of_0d", "sum of a 0-d operand is 0", "values.sum",
          where("sum", lambda x: x.ndim == 0, lambda x, **attrs: K["sum"](x, **attrs) * 0)),
    fault("add_of_nothing", "add of no elements raises", "values.add",
          where("add", lambda x, y: x.size == 0, lambda x, y: _nothing())),
    fault("max_of_nothing", "max of an empty result raises", "values.max",
          where("max", lambda x: x.size == 0, lambda x, **attrs: _nothing()), says=("max((0, 3)", "raised")),
    fault("sum_of_no_elements", "the sum of no elements is 1", "values.sum",
          where("sum", lambda x: x.size == 0, lambda x, **attrs: np.ones_like(K["sum"](x, **attrs)))),
    fault("sum_of_size_one", "the sum over an axis of size 1 is 0", "values.sum", kernel("sum", _size_one_sum)),
    fault("max_of_size_one", "max over an axis of size 1 is 0", "values.max",
          kernel("max", lambda x, *, axis, keepdims: K["max"](x, axis=axis, keepdims=keepdims)
                 * x.dtype.type(0 if x.size and 1 in [x.shape[a] for a in axis] else 1))),
    fault("matmul_of_rows", "matmul with one row is 0", "values.matmul",
          where("matmul", lambda a, b: a.shape[-2] == 1 < b.shape[-1], lambda a, b: K["matmul"](a, b) * 0)),
    fault("concat_of_itself", "concat of one tensor twice is 0", "values.concat",
          where("concat", lambda *xs: len(xs) == 2 and xs[0] is xs[1], lambda *xs, axis: np.concatenate(xs, axis) * 0)),
    fault("matmul_of_no_batches", "matmul of no batches raises", "values.matmul",
          where("matmul", lambda a, b: a.ndim > 2 and a.size == 0, lambda a, b: _nothing())),
    fault("concat_of_empty", "concat with an empty operand raises", "values.concat",
          where("concat", lambda *xs: any(x.size == 0 for x in xs), lambda *xs, axis: _nothing())),
)  # fmt: skip
