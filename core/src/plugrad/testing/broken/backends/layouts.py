"""Strides, offsets and broadcasting that are not looked at."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backend import Kernel
from .base import K, fault, kernel, silent, where


def _as_stored(x: Any) -> Any:
    return x.ravel(order="K").reshape(x.shape)


def _by_memory(name: str) -> dict[str, Any]:
    """Takes the elements as they lie in memory, whatever the strides say."""
    return kernel(name, lambda *xs, **attrs: K[name](*[_as_stored(x) for x in xs], **attrs))


def _from_the_start(x: Any) -> Any:
    """The elements of a sliced operand, but read from the beginning of its memory."""
    if isinstance(x.base, np.ndarray) and x.base.size > x.size and min(x.strides, default=0) > 0:
        return x.base.ravel()[: x.size].reshape(x.shape)
    return x


def _positive(x: Any) -> Any:
    """The elements, but a negative step is taken for a positive one."""
    return x[tuple([slice(None, None, -1 if step < 0 else 1) for step in x.strides])]


def _dense(x: Any) -> Any:
    """The elements of a broadcast operand, but zeros after its own."""
    if x.size and x.ndim and 0 in x.strides and x.size > 1:
        out = np.zeros_like(x, order="C", subok=False)
        own = x[tuple([slice(1) if step == 0 else slice(None) for step in x.strides])]
        out.reshape(-1)[: own.size] = own.reshape(-1)
        return out
    return x


def _picky_exp(x: Any) -> Any:
    return K["exp"](x) if np.asarray(x).flags.c_contiguous else NotImplemented


def _same_shapes_only(c: Any, x: Any, y: Any) -> Any:
    assert c.shape == x.shape == y.shape, "shapes differ"
    return np.where(c, x, y)


@silent
def _repeats_flat(x: Any, y: Any) -> Any:
    """An operand with fewer elements is repeated from its beginning."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    return np.subtract(*[a if a.shape == shape or not a.size else np.resize(a, shape) for a in (x, y)])


@silent
def _last_axis_only(x: Any, y: Any) -> Any:
    """A second operand of size 1 along the last axis is taken at its first row."""
    if x.ndim == 2 and y.ndim == 2 and y.shape[1] == 1 < x.shape[1] and y.shape[0] == x.shape[0] > 0:
        y = y[:1]
    return np.divide(x, y) if x.dtype.kind == "f" else K["div"](x, y)


def _forwards(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    forward = min(step, default=1) > 0
    return K["slice"](x, start=start, size=size, step=step) if forward else np.resize(x, size)


def _open_ends(x: Any, *, start: Any, size: Any, step: Any) -> Any:
    """A Python slice with a negative end counts from the other end."""
    return x[tuple([slice(a, a + n * k, k) for a, n, k in zip(start, size, step, strict=True)])]


def _inverse_permute(x: Any, *, axes: Any) -> Any:
    return np.transpose(x, np.argsort(axes)) if axes else x


def _in_order_of_memory(x: Any, *, shape: Any) -> Any:
    return np.reshape(x, shape, order="A")


def _concat_as_stored(*xs: Any, axis: int) -> Any:
    return np.concatenate([_as_stored(x) for x in xs], axis)


def _second_kernel() -> list[Kernel]:
    """The first kernel declines what is not contiguous, the second is wrong."""
    return [Kernel(lambda x: K["tanh"](x) if x.flags.c_contiguous else NotImplemented), Kernel(lambda x: K["sin"](x))]


def _transposed_gradient(a: Any, b: Any) -> Any:
    """A second operand whose first axis is the dense one is taken for contiguous, where it is square."""
    square = b.ndim == 2 and b.shape[0] == b.shape[1] and not b.flags.c_contiguous
    return K["matmul"](a, b.T if square else b)


def _large_and_strided(x: Any) -> bool:
    return bool(x.size > 10_000 and not x.flags.c_contiguous)


FAULTS = (
    fault("matmul_reads_on", "matmul reads its operands as they lie in memory", "values.matmul",
          _by_memory("matmul"), says=("matmul((3, 4), (4, 2))", "transposed")),
    fault("sum_reads_on", "sum reads its operand as it lies in memory", "values.sum", _by_memory("sum")),
    fault("cumsum_reads_on", "cumsum reads its operand as it lies in memory", "values.cumsum", _by_memory("cumsum")),
    fault("add_reads_on", "add reads transposed operands as they lie in memory", "values.add",
          where("add", lambda x, y: x.ndim == y.ndim == 2 and not x.flags.c_contiguous and x.shape == y.shape,
                lambda x, y: np.add(_as_stored(x), y))),
    fault("argmax_reads_on", "argmax reads its operand as it lies in memory", "values.argmax", _by_memory("argmax")),
    fault("where_condition_reads_on", "where reads its condition as it lies in memory", "values.where",
          kernel("where", lambda c, x, y: K["where"](_as_stored(c), x, y))),
    fault("concat_reads_on", "concat reads its operands as they lie in memory", "values.concat",
          kernel("concat", _concat_as_stored)),
    fault("exp_without_offset", "exp reads a sliced operand from the start of its memory", "values.exp",
          kernel("exp", lambda x: K["exp"](_from_the_start(x)))),
    fault("scatter_add_without_offset", "scatter_add reads a sliced operand from the start of its memory",
          "values.scatter_add",
          kernel("scatter_add", lambda x, i, v, *, axis: K["scatter_add"](x, i, _from_the_start(v), axis=axis))),
    fault("neg_of_flipped", "neg takes a negative step for a positive one", "values.neg",
          kernel("neg", lambda x: K["neg"](_positive(x)))),
    fault("max_of_flipped", "max takes a negative step for a positive one", "values.max",
          kernel("max", lambda x, **attrs: K["max"](_positive(x), **attrs))),
    fault("mul_of_broadcast", "mul takes a step of 0 for a dense operand", "values.mul",
          kernel("mul", lambda x, y: K["mul"](_dense(x), y))),
    fault("matmul_of_broadcast", "matmul takes a step of 0 for a dense operand", "values.matmul",
          kernel("matmul", lambda a, b: K["matmul"](a, _dense(b)))),
    fault("exp_picky", "exp declines what is not contiguous", "kernels.every_layout_is_taken",
          kernel("exp", _picky_exp), says=("exp((3, 4))", "contiguous")),
    fault("where_of_one_shape", "where does not broadcast", "values.where",
          kernel("where", _same_shapes_only), says=("where((3, 1), (4,), ())", "shapes differ")),
    fault("sub_repeats", "sub repeats a smaller operand from its beginning instead of broadcasting it", "values.sub",
          kernel("sub", _repeats_flat)),
    fault("div_of_columns", "div takes a column for its first element", "values.div", kernel("div", _last_axis_only)),
    fault("slice_forwards", "slice knows no negative step", "values.slice",
          kernel("slice", _forwards), says=("slice((3, 4)", "negative step")),
    fault("slice_ends", "slice takes an end below 0 for one counted from the end", "values.slice values.neg",
          kernel("slice", _open_ends)),
    fault("permute_inverse", "permute takes the inverse permutation", "values.permute",
          kernel("permute", _inverse_permute)),
    fault("reshape_in_order_of_memory", "reshape of a transposed view keeps the order of memory", "values.reshape",
          kernel("reshape", _in_order_of_memory)),
    fault("second_kernel", "of two kernels for an op the one for strided operands is wrong", "values.tanh",
          lambda: kernel("tanh", _second_kernel())),
    fault("matmul_of_squares", "matmul forgets that a square second operand is transposed", "values.matmul",
          kernel("matmul", _transposed_gradient)),
    fault("sin_large_and_strided", "sin of many strided elements reads them as they lie", "values.sin",
          where("sin", _large_and_strided, lambda x: np.sin(_as_stored(x)))),
)  # fmt: skip
