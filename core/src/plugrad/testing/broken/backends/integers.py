"""Integers through floats, signed for unsigned, and ends at which they do not wrap."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, typed, where


def _saturating_mul(x: Any, y: Any) -> Any:
    return np.clip(x.astype("i8") * y.astype("i8"), -(2**31), 2**31 - 1).astype("i4")


def _saturating_sum(x: Any, **attrs: Any) -> Any:
    return np.clip(K["sum"](x.astype("i8"), **attrs), -(2**31), 2**31 - 1).astype("i4")


def _integers(*xs: Any) -> bool:
    return bool(xs[0].dtype.kind in "iu")


FAULTS = (
    fault("less_of_uint32", "uint32 is compared as int32", "values.less",
          where("less", typed("u4"), lambda x, y: np.less(x.astype("i4"), y.astype("i4")))),
    fault("max_of_uint32", "max of uint32 compares as int32", "values.max",
          where("max", typed("u4"), lambda x, **attrs: K["max"](x.astype("i4"), **attrs).astype("u4"))),
    fault("shift_right_of_uint32", "shift_right of uint32 keeps the sign", "values.shift_right",
          where("shift_right", typed("u4"), lambda x, y: (x.astype("i4") >> y.astype("i4")).astype("u4"))),
    fault("shift_right_of_int32", "shift_right of int32 shifts zeros in", "values.shift_right",
          where("shift_right", typed("i4"), lambda x, y: (x.view("u4") >> y.astype("u4")).view("i4"))),
    fault("add_of_int64", "int64 is added as float64", "values.add",
          where("add", typed("i8"), lambda x, y: (x.astype("f8") + y.astype("f8")).astype("i8"))),
    fault("mul_saturates", "a product of int32 stays at the largest number", "values.mul",
          where("mul", typed("i4"), _saturating_mul)),
    fault("sum_saturates", "a sum of int32 stays at the largest number", "values.sum",
          where("sum", typed("i4"), _saturating_sum)),
    fault("neg_saturates", "the negative of the lowest int32 is the largest", "values.neg",
          where("neg", typed("i4"), lambda x: np.where(x == -(2**31), 2**31 - 1, -x).astype("i4"))),
    fault("prod_of_integers", "the product of integers is 1", "values.prod",
          where("prod", _integers, lambda x, **attrs: np.ones_like(K["prod"](x, **attrs)))),
    fault("floor_divide_truncates", "floor_divide of integers rounds towards 0", "values.floor_divide",
          where("floor_divide", _integers, lambda x, y: np.trunc(x.astype("f8") / y).astype(x.dtype))),
    fault("remainder_of_dividend", "the remainder of integers has the sign of the dividend", "values.remainder",
          where("remainder", _integers, np.fmod)),
    fault("concat_of_int64", "int64 is concatenated as float32", "values.concat",
          where("concat", typed("i8"),
                lambda *xs, axis: np.concatenate([x.astype("f4") for x in xs], axis).astype("i8"))),
    fault("sum_of_bools", "the sum of bools is a count of them modulo 256", "values.sum",
          where("sum", typed("b1"), lambda x, **attrs: np.sum(x.astype("u1"), dtype="u1", **attrs).astype("b1"))),
    fault("equal_of_int64", "int64 is compared in 32 bits", "values.equal",
          where("equal", typed("i8"), lambda x, y: np.equal(x.astype("i4"), y.astype("i4")))),
)  # fmt: skip
