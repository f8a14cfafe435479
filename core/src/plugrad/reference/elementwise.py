"""Elementwise kernels. Low-precision floats of ml_dtypes compute through NumPy's loops for them, which round each
result once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Kernel

_quiet: dict[str, Any] = {"divide": "ignore", "over": "ignore", "invalid": "ignore", "under": "ignore"}


def _silent(f: Callable[..., Any]) -> Callable[..., Any]:
    """IEEE results without NumPy's warnings, and in the operands' dtype."""

    def kernel(*values: Any) -> Any:
        with np.errstate(**_quiet):
            return f(*values)

    return kernel


def _same(f: Callable[..., Any]) -> Callable[..., Any]:
    """As _silent, for functions that NumPy would widen: the result is cast back."""

    def kernel(*values: Any) -> Any:
        dtype = next(v.dtype for v in values if hasattr(v, "dtype"))
        with np.errstate(**_quiet):
            return np.asarray(f(*values), dtype)

    return kernel


_erf_scalar = np.frompyfunc(math.erf, 1, 1)


def _erf(x: Any) -> Any:
    return np.asarray(_erf_scalar(np.asarray(x, np.float64)), np.float64).astype(x.dtype)


def _where(c: Any, x: Any, y: Any) -> Any:
    return np.where(c, x, y)


def _cast(x: Any, *, dtype: Any) -> Any:
    with np.errstate(**_quiet):
        source = np.real(x) if x.dtype.kind == "c" and dtype.kind != "c" else x
        return source.astype(dtype)


KERNELS: dict[str, Any] = {
    "neg": _silent(np.negative),
    "abs": _silent(np.abs),
    "sign": _silent(np.sign),
    "exp": _silent(np.exp),
    "expm1": _silent(np.expm1),
    "log": _silent(np.log),
    "log1p": _silent(np.log1p),
    "sqrt": _silent(np.sqrt),
    "sin": _silent(np.sin),
    "cos": _silent(np.cos),
    "tanh": _silent(np.tanh),
    "erf": _silent(_erf),
    "floor": np.floor,
    "invert": np.invert,
    "conj": np.conj,
    "real": lambda x: np.real(x).copy(),
    "imag": lambda x: np.imag(x).copy(),
    "copy": lambda x: np.array(x, copy=True, order="C"),
    "cast": _cast,
    "add": Kernel(_silent(np.add), dtypes="arithmetic"),
    "sub": _silent(np.subtract),
    "mul": _silent(np.multiply),
    "div": _silent(np.divide),
    "pow": _same(np.power),
    "maximum": _silent(np.maximum),
    "minimum": _silent(np.minimum),
    "remainder": _silent(np.remainder),
    "floor_divide": _silent(np.floor_divide),
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
    "equal": np.equal,
    "less": _silent(np.less),
    "less_equal": _silent(np.less_equal),
    "where": _where,
}


def _into(ufunc: np.ufunc) -> Callable[..., Any]:
    def write(out: Any, x: Any, y: Any) -> Any:
        if type(out) is not np.ndarray or not out.flags.writeable:
            return NotImplemented  # a ufunc gives scalars for 0-d operands
        with np.errstate(**_quiet):
            ufunc(x, y, out=out)
        return None

    return write


INTO: dict[str, Any] = {
    "add": _into(np.add),
    "sub": _into(np.subtract),
    "mul": _into(np.multiply),
    "div": _into(np.divide),
    "maximum": _into(np.maximum),
    "minimum": _into(np.minimum),
}
