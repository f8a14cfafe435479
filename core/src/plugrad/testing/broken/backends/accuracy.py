"""Functions by formulas that are right in exact arithmetic only, and sums in too few bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, floating, kernel, silent, typed, where


def _flushed(x: Any) -> Any:
    return np.where(np.exp(x) < 1e-6, 0, np.exp(x)).astype(x.dtype)


@silent
def _half_sum(x: Any, *, axis: Any, keepdims: bool) -> Any:
    """One element after the other, each sum rounded."""
    if x.dtype != "f2" or not axis or not x.size:
        return K["sum"](x, axis=axis, keepdims=keepdims)
    rest = [a for a in range(x.ndim) if a not in axis]
    rows = np.transpose(x, (*rest, *axis)).reshape((*[x.shape[a] for a in rest], -1))
    found = np.add.accumulate(rows, axis=-1, dtype="f2")[..., -1]
    return found.reshape([1 if a in axis else d for a, d in enumerate(x.shape)]) if keepdims else found


@silent
def _half_matmul(a: Any, b: Any) -> Any:
    if a.dtype != "f2" or a.ndim != 2 or b.ndim != 2:
        return K["matmul"](a, b)
    out = np.zeros((a.shape[0], b.shape[1]), "f2")
    for k in range(a.shape[1]):
        out = (out + (a[:, k : k + 1] * b[k]).astype("f2")).astype("f2")
    return out


FAULTS = (
    fault("exp_inexact", "exp is off by a thousandth", "derivatives.grad.mlp values.exp",
          kernel("exp", lambda x: (np.exp(x) * x.dtype.type(1.001)).astype(x.dtype)), says=("grad of mlp",)),
    fault("exp_of_float64", "exp of float64 is computed in float32", "values.exp",
          where("exp", typed("f8"), lambda x: np.exp(x.astype("f4")).astype("f8"))),
    fault("matmul_of_float64", "matmul of float64 is computed in float32", "values.matmul",
          where("matmul", typed("f8"), lambda a, b: K["matmul"](a.astype("f4"), b.astype("f4")).astype("f8"))),
    fault("matmul_in_halves", "matmul of float32 rounds its operands to float16", "values.matmul",
          where("matmul", typed("f4"), lambda a, b: K["matmul"](
              a.astype("f2").astype("f4"), b.astype("f2").astype("f4")))),
    fault("pow_by_logarithms", "pow is exp(y log x), also of negative bases", "values.pow",
          where("pow", floating, lambda x, y: np.exp(y * np.log(x)).astype(x.dtype))),
    fault("remainder_of_negative_divisor", "the remainder of a negative divisor is positive", "values.remainder",
          where("remainder", floating, lambda x, y: np.abs(np.remainder(x, np.abs(y))))),
    fault("expm1_by_exp", "expm1 is exp(x) - 1, also near 0", "values.expm1",
          where("expm1", floating, lambda x: np.exp(x) - x.dtype.type(1))),
    fault("log1p_by_log", "log1p is log(1 + x), also near 0", "values.log1p",
          where("log1p", floating, lambda x: np.log(x + x.dtype.type(1)))),
    fault("exp_flushes", "exp below 1e-6 is 0", "values.exp", where("exp", floating, _flushed)),
    fault("sin_of_large", "sin of large arguments is 0", "values.sin",
          where("sin", floating, lambda x: np.where(np.abs(x) < 1000, np.sin(x), 0).astype(x.dtype))),
    fault("hypot_overflows", "hypot squares its operands, which overflow", "values.hypot",
          where("hypot", floating, lambda x, y: np.sqrt(x * x + y * y))),
    fault("logaddexp_overflows", "logaddexp is log(exp(x) + exp(y)), which overflows", "values.logaddexp",
          where("logaddexp", floating, lambda x, y: np.log(np.exp(x) + np.exp(y)))),
    fault("round_away", "halves round away from 0", "values.round",
          where("round", floating, lambda x: np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x))),
    fault("half_sum", "the sum of float16 is accumulated in float16", "values.sum",
          kernel("sum", _half_sum, dtypes="b1 i8 f2 f4")),
    fault("half_matmul", "a product of float16 is accumulated in float16", "values.matmul",
          kernel("matmul", _half_matmul, dtypes="b1 i8 f2 f4")),
    fault("conj_of_complex", "the conjugate of a complex number is the number", "values.conj",
          kernel("conj", np.positive, dtypes="b1 i8 f4 f8 c8 c16")),
    fault("abs_of_complex", "the absolute value of a complex number is that of its real part", "values.abs",
          kernel("abs", lambda x: np.abs(x.real) if x.dtype.kind == "c" else K["abs"](x),
                 dtypes="b1 i8 f4 f8 c8 c16")),
)  # fmt: skip
