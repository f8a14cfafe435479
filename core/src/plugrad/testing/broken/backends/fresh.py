"""Results that share memory with an operand."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, kernel, where


def _pad(x: Any, *, low: Any, high: Any, interior: Any) -> Any:
    if x.ndim and not any((*low, *high, *interior)):
        return x[...]
    return K["pad"](x, low=low, high=high, interior=interior)


def _chosen(x: Any, y: Any) -> Any:
    out = K["minimum"](x, y)
    return x if out.shape == x.shape and np.array_equal(out, x) else out


def _sum(x: Any, *, axis: Any, keepdims: bool) -> Any:
    return K["sum"](x, axis=axis, keepdims=keepdims) if axis else x


def _whole(x: Any, i: Any, *, axis: int) -> Any:
    found = K["gather"](x, i, axis=axis)
    return x if found.shape == x.shape and np.array_equal(i, np.arange(x.shape[axis])) else found


FAULTS = (
    fault("copy_is_operand", "copy gives its operand", "kernels.result_is_fresh",
          kernel("copy", lambda x: x), says=("copy((3, 4))", "shares")),
    fault("copy_is_operand_without_into", "copy gives its operand, and nothing can write", "kernels.result_is_fresh",
          kernel("copy", lambda x: x, into={})),
    fault("copy_of_view", "copy of a view is a view", "kernels.result_is_fresh",
          where("copy", lambda x: not x.flags.c_contiguous, lambda x: x[...])),
    fault("cast_to_same", "a cast to the same dtype gives the operand", "kernels.result_is_fresh",
          kernel("cast", lambda x, *, dtype: x if x.dtype == dtype else K["cast"](x, dtype=dtype))),
    fault("pad_by_nothing", "pad by nothing gives the operand", "kernels.result_is_fresh", kernel("pad", _pad)),
    fault("where_of_true", "where gives the first operand if the condition holds everywhere", "kernels.result_is_fresh",
          where("where", lambda c, x, y: c.all() and c.shape == x.shape == y.shape, lambda c, x, y: x[...])),
    fault("minimum_is_operand", "minimum gives the first operand if that is the result", "kernels.result_is_fresh",
          kernel("minimum", _chosen)),
    fault("sum_over_nothing", "sum over no axes gives the operand", "kernels.result_is_fresh", kernel("sum", _sum)),
    fault("concat_of_one", "concat of one tensor gives it", "kernels.result_is_fresh",
          kernel("concat", lambda *xs, axis: xs[0] if len(xs) == 1 else K["concat"](*xs, axis=axis))),
    fault("real_is_operand", "real of real numbers gives the operand", "kernels.result_is_fresh",
          kernel("real", lambda x: x.real if x.dtype.kind != "b" else K["real"](x), dtypes="b1 i8 f4 f8 c8")),
    fault("gather_of_all", "gather at all positions in order gives the operand", "kernels.result_is_fresh",
          kernel("gather", _whole)),
)  # fmt: skip
