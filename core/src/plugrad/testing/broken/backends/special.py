"""Zeros of both signs, NaN and infinity."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, floating, kernel, where


def _where_by_products(c: Any, x: Any, y: Any) -> Any:
    return (c * x + (~c) * y).astype(x.dtype)


FAULTS = (
    fault("maximum_swallows_nan", "maximum of a number and NaN is the number", "values.maximum",
          kernel("maximum", np.fmax), says=("maximum((9, 1), (9,))", "nan")),
    fault("minimum_swallows_nan", "minimum of NaN and a number is the number", "values.minimum",
          kernel("minimum", lambda x, y: np.where(x < y, x, y))),
    fault("max_swallows_nan", "the largest of numbers and NaN is a number", "values.max",
          where("max", lambda x: floating(x) and x.size, lambda x, *, axis, keepdims:
                np.fmax.reduce(x, axis=axis, keepdims=keepdims))),
    fault("min_swallows_nan", "the smallest of numbers and NaN is a number", "values.min",
          where("min", lambda x: floating(x) and x.size, lambda x, *, axis, keepdims:
                np.fmin.reduce(x, axis=axis, keepdims=keepdims))),
    fault("argmax_skips_nan", "argmax does not find NaN", "values.argmax",
          where("argmax", floating, lambda x, **attrs: K["argmax"](np.where(x != x, -np.inf, x), **attrs))),
    fault("div_by_zero", "a number divided by 0 is 0", "values.div",
          where("div", floating, lambda x, y: np.where(y == 0, x.dtype.type(0), np.divide(x, y)))),
    fault("where_multiplies", "where multiplies by the condition, so NaN spreads", "values.where",
          where("where", floating, _where_by_products)),
    fault("matmul_skips_nan", "matmul takes NaN for 0", "values.matmul",
          where("matmul", floating, lambda a, b: K["matmul"](a, np.nan_to_num(b)))),
    fault("matmul_skips_zeros", "matmul leaves out products with 0, of NaN and infinity too", "values.matmul",
          where("matmul", lambda a, b: a.ndim == b.ndim == 2 and floating(b),
                lambda a, b: np.where(a[:, :, None] == 0, 0, a[:, :, None] * b[None]).sum(1, dtype=a.dtype))),
    fault("prod_skips_nan", "prod takes NaN for 1", "values.prod",
          where("prod", floating, lambda x, **attrs: K["prod"](np.where(x != x, 1, x).astype(x.dtype), **attrs))),
    fault("neg_of_zero", "the negative of 0 is 0", "values.neg", where("neg", floating, lambda x: x.dtype.type(0) - x)),
    fault("abs_of_negative_zero", "the absolute value of -0.0 is -0.0", "values.abs",
          where("abs", floating, lambda x: np.where(x < 0, -x, x))),
    fault("copy_loses_zero_signs", "a copy of -0.0 is 0.0", "values.copy",
          where("copy", floating, lambda x: x + x.dtype.type(0))),
    fault("mul_loses_zero_signs", "a product that is -0.0 is 0.0", "values.mul",
          where("mul", floating, lambda x, y: np.multiply(x, y) + x.dtype.type(0))),
    fault("round_loses_zero_signs", "-0.5 rounds to 0.0", "values.round",
          where("round", floating, lambda x: np.rint(x) + x.dtype.type(0))),
    fault("sign_of_nan", "the sign of NaN is 0", "values.sign",
          where("sign", floating, lambda x: np.where(x != x, 0, np.sign(x)).astype(x.dtype))),
    fault("erf_of_nan", "erf of NaN is 1", "values.erf",
          where("erf", floating, lambda x: np.where(x != x, 1, K["erf"](x)).astype(x.dtype))),
    fault("tanh_of_infinity", "tanh of infinity is NaN", "values.tanh",
          where("tanh", floating, lambda x: np.where(np.abs(x) > 88, np.nan, np.tanh(x)).astype(x.dtype))),
    fault("equal_by_bits", "equal compares bits, so NaN equals NaN and 0.0 is not -0.0", "values.equal",
          where("equal", floating, lambda x, y: np.equal(
              *[np.ascontiguousarray(a).view(f"i{a.itemsize}") for a in np.broadcast_arrays(x, y)]))),
)  # fmt: skip
