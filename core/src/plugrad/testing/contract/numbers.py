"""Elements for the contract's samples, and the bounds of elementwise ops' operands."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kit.arrays import Shape as Shape
from ..kit.arrays import numbers as numbers

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, float("inf"), -float("inf"), float("nan"))
# name: (lowest, highest operand, accuracy)
UNARY: dict[str, tuple[float, float, str]] = {
    **dict.fromkeys(("neg", "abs", "sign", "floor", "invert", "conj", "real", "imag", "copy"), (-3, 3, "exact")),
    **dict.fromkeys(("ceil", "trunc", "round", "signbit"), (-3, 3, "exact")),
    **dict.fromkeys(("exp", "expm1", "sin", "cos", "tanh", "erf"), (-3, 3, "function")),
    **dict.fromkeys(("sinh", "cosh", "asinh", "atan"), (-3, 3, "function")),
    **dict.fromkeys(("asin", "acos", "atanh"), (-0.9, 0.9, "function")),
    **dict.fromkeys(("log", "log2", "log10"), (0.2, 5, "function")),
    "tan": (-1.2, 1.2, "function"),
    "acosh": (1.2, 5, "function"),
    "log1p": (-0.5, 4, "function"),
    "sqrt": (0, 5, "rounded"),
}
# name: (lowest, highest first operand, lowest, highest second operand, accuracy)
BINARY: dict[str, tuple[float, float, float, float, str]] = {
    **dict.fromkeys(("add", "sub", "mul"), (-5, 5, -5, 5, "rounded")),
    **dict.fromkeys(("maximum", "minimum", "equal", "less", "less_equal"), (-2, 2, -2, 2, "exact")),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (-9, 9, -9, 9, "exact")),
    **dict.fromkeys(("shift_left", "shift_right"), (-9, 9, 0, 4, "exact")),
    **dict.fromkeys(("copysign", "nextafter"), (-2, 2, -2, 2, "exact")),
    **dict.fromkeys(("atan2", "hypot", "logaddexp"), (-3, 3, -3, 3, "function")),
    "div": (-5, 5, 0.5, 4, "rounded"),
    "remainder": (-9, 9, 1, 4, "rounded"),
    "floor_divide": (-9, 9, 1, 4, "exact"),
    "pow": (0.3, 3, -2, 2, "function"),
}


def special(dtype: np.dtype) -> np.ndarray:
    """Zeros of both signs, infinities and NaN."""
    return given(SPECIAL, dtype)


def given(values: Any, dtype: np.dtype) -> np.ndarray:
    """These elements, rounded, infinite where the dtype does not reach so far."""
    with np.errstate(all="ignore"):
        return np.array(values).astype(dtype)


def extremes(dtype: np.dtype) -> np.ndarray:
    """The ends of an integer dtype, its middle, and numbers that no floating dtype holds."""
    info = np.iinfo(dtype)
    half = info.max // 2
    found = [info.min, info.min + 1, 0, 1, 2, half, half + 1, info.max // 3 * 2, info.max - 1, info.max]
    found += [2**24 + 1] * (info.bits >= 32) + [2**31 + 7, 2**53 + 1] * (info.bits == 64)
    return np.array(found, dtype)
