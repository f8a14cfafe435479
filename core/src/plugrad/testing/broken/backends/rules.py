"""The rules of a kernel: shape and dtype of the result, operands left alone, declining, promises, scalars."""

from __future__ import annotations

from typing import Any

import numpy as np

from ....backend import Kernel
from .base import K, fault, kernel, silent, where


def _widened(x: Any, y: Any) -> Any:
    return np.add(x, y, dtype="f8")


@silent
def _neg_in_place(x: Any) -> Any:
    return np.negative(x, out=x) if isinstance(x, np.ndarray) and x.flags.writeable and x.ndim else np.negative(x)


def _neg_of_columns(x: Any) -> Any:
    if x.ndim == 2 and x.flags.f_contiguous and not x.flags.c_contiguous and x.flags.writeable:
        return np.negative(x, out=x)
    return np.negative(x)


def _into_gaps(x: Any) -> Any:
    if isinstance(x.base, np.ndarray) and x.ndim == 2 and x.base.shape == tuple([2 * d + 1 for d in x.shape]):
        x.base[0, 0] = 77
    return K["exp"](x)


def _second_operand(x: Any, y: Any) -> Any:
    out = K["div"](x, y)
    if isinstance(y, np.ndarray) and y.flags.writeable and y.ndim == 1:
        y += y.dtype.type(1)
    return out


def _sorted_operand(x: Any, *, axis: int, descending: bool) -> Any:
    out = K["argsort"](x, axis=axis, descending=descending)
    if isinstance(x, np.ndarray) and x.flags.writeable and x.ndim:
        x.sort(axis)
    return out


def _declines_late(x: Any, y: Any) -> Any:
    if isinstance(x, np.ndarray) and x.flags.writeable and x.ndim == 2:
        x[...] = 0
    return NotImplemented


def _declines_late_where_strided(x: Any) -> Any:
    if isinstance(x, np.ndarray) and x.flags.writeable and x.ndim == 2 and not x.flags.c_contiguous:
        x[...] = 0
        return NotImplemented
    return K["sqrt"](x)


def _sub_from_scalar(x: Any, y: Any) -> Any:
    return y - x if isinstance(y, (int, float)) else K["sub"](x, y)


def _finite_only(x: Any, y: Any) -> Any:
    return K["add"](x, x.dtype.type(0) if isinstance(y, float) and not np.isfinite(y) else y)


@silent
def _whole_scalars(x: Any, y: Any) -> Any:
    whole = isinstance(y, float) and np.isfinite(y)
    return K["mul"](x, np.asarray(int(y) if whole else y, x.dtype) if isinstance(y, (int, float)) else y)


@silent
def _small_scalars(x: Any, y: Any) -> Any:
    return np.less(x, np.asarray(y).astype("i2").astype(x.dtype) if type(y) is int else y)


def _never_kept(name: str) -> Any:
    return lambda x, *, axis, keepdims: K[name](x, axis=axis, keepdims=False)


def _when_raises(x: Any) -> bool:
    raise RuntimeError("looked at the data")


def _wrong_tuple(x: Any) -> Any:
    sign, logarithm = K["slogdet"](x)
    return logarithm, sign


FAULTS = (
    fault("add_widens", "add computes in float64 and gives that", "kernels.result_is_as_promised values.add",
          kernel("add", _widened), says=("add((3", "float64")),
    fault("less_gives_bytes", "less gives uint32 for bool", "kernels.result_is_as_promised values.less",
          kernel("less", lambda x, y: np.less(x, y).astype("u4"))),
    fault("argmax_gives_int32", "argmax gives int32 positions", "kernels.result_is_as_promised values.argmax",
          kernel("argmax", lambda x, **attrs: K["argmax"](x, **attrs).astype("i4"))),
    fault("sum_widens_int32", "the sum of int32 is int64", "kernels.result_is_as_promised values.sum",
          kernel("sum", lambda x, *, axis, keepdims: np.asarray(
              np.sum(x, axis=axis, keepdims=keepdims, dtype="i8" if x.dtype == "i4" else x.dtype)))),
    fault("neg_gives_another_object", "neg gives what to_host cannot read", "values.neg",
          kernel("neg", lambda x: {"not": "an array"}, to_host=lambda self, value: value.view()),
          says=("to_host of a builtins.dict on", "raised AttributeError")),
    fault("sum_forgets_keepdims", "sum never keeps axes", "kernels.result_is_as_promised",
          kernel("sum", _never_kept("sum")), says=("sum(", "keepdims=True")),
    fault("argmin_forgets_keepdims", "argmin never keeps the axis", "kernels.result_is_as_promised values.argmin",
          kernel("argmin", _never_kept("argmin"))),
    fault("matmul_squeezes", "matmul of one row gives a vector", "kernels.result_is_as_promised values.matmul",
          kernel("matmul", lambda a, b: K["matmul"](a, b)[..., 0, :] if a.shape[-2] == 1 else K["matmul"](a, b))),
    fault("slogdet_swaps", "slogdet gives its two results in the wrong order", "values.slogdet",
          kernel("slogdet", _wrong_tuple)),
    fault("neg_in_place", "neg writes its operand", "kernels.operands_are_not_written",
          kernel("neg", _neg_in_place), says=("neg((3, 4))", "operand 0")),
    fault("neg_of_columns_in_place", "neg writes transposed operands", "kernels.operands_are_not_written",
          kernel("neg", _neg_of_columns)),
    fault("exp_writes_gaps", "exp writes between the elements of a sliced operand", "kernels.operands_are_not_written",
          kernel("exp", _into_gaps)),
    fault("div_writes_second", "div writes its second operand", "kernels.operands_are_not_written",
          kernel("div", _second_operand)),
    fault("argsort_sorts", "argsort sorts its operand too", "kernels.operands_are_not_written",
          kernel("argsort", _sorted_operand)),
    fault("mul_declines_late", "mul declines after it has written", "kernels.decline_without_effect",
          kernel("mul", _declines_late), says=("mul((3, 4)",)),
    fault("sqrt_declines_late", "sqrt declines strided operands after it has written them",
          "kernels.decline_without_effect kernels.every_layout_is_taken",
          kernel("sqrt", _declines_late_where_strided)),
    fault("when_promises", "when says True, and the kernel declines", "kernels.when_keeps_its_promise",
          lambda: kernel("log", Kernel(lambda x: NotImplemented, when=lambda x: True)),
          says=("log((3, 4))", "declines")),
    fault("when_refuses", "when gives a reason, and the kernel takes the call", "kernels.when_keeps_its_promise",
          lambda: kernel("log", Kernel(K["log"], when=lambda x: True if x.ndim < 2 else "two axes"))),
    fault("when_without_reason", "when answers False, which is no reason", "kernels.when_keeps_its_promise",
          lambda: kernel("log", Kernel(K["log"], when=lambda x: False)), says=("False",)),
    fault("when_raises", "when raises", "kernels.when_keeps_its_promise",
          lambda: kernel("log", Kernel(K["log"], when=_when_raises))),
    fault("scalar_turned", "sub turns round with a scalar", "kernels.scalars",
          lambda: kernel("sub", Kernel(_sub_from_scalar, scalars=True)), says=("sub((3, 4), 2)", "Python scalar")),
    fault("scalar_not_finite", "add takes a scalar that is not finite for 0", "kernels.scalars",
          lambda: kernel("add", Kernel(_finite_only, scalars=True))),
    fault("scalar_whole", "mul takes the whole part of a scalar", "kernels.scalars",
          lambda: kernel("mul", Kernel(_whole_scalars, scalars=True))),
    fault("scalar_small", "less takes an integer scalar for one of 16 bits", "kernels.scalars",
          lambda: kernel("less", Kernel(_small_scalars, scalars=True))),
    fault("scalar_widens", "add with a scalar gives float64", "kernels.scalars",
          lambda: kernel("add", Kernel(lambda x, y: np.add(x, np.float64(y)) if isinstance(y, float)
                                       else K["add"](x, y), scalars=True))),
    fault("sign_of_nothing", "sign of no elements has lost its shape", "kernels.result_is_as_promised",
          where("sign", lambda x: x.size == 0, lambda x: np.zeros((0,), x.dtype))),
)  # fmt: skip
