"""Operands that an op needs to be more than numbers between two bounds: sorted, positive definite, no zeros."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..contract.numbers import Shape
from ..contract.subject import kind_of

Arrays = list[np.ndarray]
Rule = Callable[[Arrays, Mapping[str, Any], np.random.Generator], None]
"""Changes the list."""


def legal(name: str, arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> Arrays:
    """The operands, changed where the op leaves their numbers open or its result would hang on the last bits."""
    if name in _RULES:
        _RULES[name](arrays, attrs, rng)
    return arrays


def _divisor(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Integer division by zero is left open (K4)."""
    y = arrays[1]
    if kind_of(y.dtype) in "iu":
        arrays[1] = np.where(y == 0, y.dtype.type(1), y)


def _amount(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Shifts beyond the width are left open (K4)."""
    y = arrays[1]
    arrays[1] = np.clip(y, 0, 8 * y.dtype.itemsize - 1).astype(y.dtype)


def _cast(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Casts of floats out of an integer's range are left open (K4)."""
    x, target = arrays[0], attrs["dtype"]
    if kind_of(x.dtype) in "fs" and kind_of(target) in "iu":
        info = np.iinfo(target)
        wide = np.nan_to_num(x.astype(np.float64), nan=0.0)
        arrays[0] = np.clip(wide, info.min / 2, info.max / 2).astype(x.dtype)


def _exponent(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    """An array of one whole exponent stays whole: others than it may be NaN."""
    x, y = arrays
    if kind_of(y.dtype) == "f" and y.size > 1 and bool((x < 0).any()):
        arrays[1] = np.round(y.astype(np.float64)).astype(y.dtype)


def _sorted(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    arrays[0] = np.sort(arrays[0])


def _matrix(shape: Shape, dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """Well-conditioned at every size, with singular values and eigenvalues that are far apart: a diagonal of different
    numbers and a little noise.
    """
    rows, columns = shape[-2:]
    noise = rng.uniform(-0.4, 0.4, shape) / max(rows, columns, 1) ** 0.5
    if kind_of(dtype) == "c":
        noise = noise + 1j * rng.uniform(-0.4, 0.4, shape) / max(rows, columns, 1) ** 0.5
    diagonal = np.eye(rows, columns) * np.linspace(2.0, 2.0 + min(rows, columns), max(columns, 1))[:columns]
    return np.asarray(noise + diagonal)


def _general(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    x = arrays[0]
    arrays[0] = _matrix(x.shape, x.dtype, rng).astype(x.dtype)


def _hermitian(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    x = arrays[0]
    m = _matrix(x.shape, x.dtype, rng)
    arrays[0] = ((m + np.conj(np.swapaxes(m, -1, -2))) / 2).astype(x.dtype)


def _exponential(arrays: Arrays, attrs: Mapping[str, Any], rng: np.random.Generator) -> None:
    """Of norm 1, since that of large numbers overflows."""
    x = arrays[0]
    m = _matrix(x.shape, x.dtype, rng)
    arrays[0] = (m / (2.0 + x.shape[-1])).astype(x.dtype)


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("floor_divide", "remainder"), _divisor),
    **dict.fromkeys(("shift_left", "shift_right"), _amount),
    "cast": _cast,
    "pow": _exponent,
    "searchsorted": _sorted,
    **dict.fromkeys(("cholesky", "eigh", "eigvalsh"), _hermitian),
    **dict.fromkeys(("inv", "det", "slogdet", "adjugate", "eig", "eigvals", "solve", "triangular_solve"), _general),
    **dict.fromkeys(("qr", "svd", "svdvals", "pinv"), _general),
    "expm": _exponential,
}
