"""Kernels for linear algebra, Fourier transforms and windows."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import K, fault, kernel, silent


def _other_triangle(x: Any) -> Any:
    return np.swapaxes(K["cholesky"](x), -1, -2).conj().copy()


def _general_solve(a: Any, b: Any, *, upper: bool, unit_diagonal: bool) -> Any:
    return K["triangular_solve"](a, b, upper=upper, unit_diagonal=False)


@silent
def _without_pivots(a: Any, b: Any) -> Any:
    zero = (np.diagonal(a, axis1=-2, axis2=-1) == 0).any()
    return K["solve"](a, b) * b.dtype.type(np.nan if zero else 1)


def _unscaled(x: Any, *, axis: Any, inverse: bool, norm: str) -> Any:
    return K["fft"](x, axis=axis, inverse=inverse, norm="forward" if norm == "backward" else norm)


def _even_length(x: Any, *, axis: int, n: int, norm: str) -> Any:
    even = np.asarray(K["irfft"](x, axis=axis, n=n // 2 * 2, norm=norm))
    return K["irfft"](x, axis=axis, n=n, norm=norm) if n % 2 == 0 or not even.size else np.resize(
        even, (*even.shape[:axis], n, *even.shape[axis + 1 :])
    )  # fmt: skip


def _undilated(x: Any, **attrs: Any) -> Any:
    """Dilation along the second axis is taken from the first."""
    dilation = attrs["dilation"]
    out = np.array(K["windows"](x, **attrs))
    if len(dilation) > 1 and dilation[0] != dilation[1]:
        out[...] = out.reshape(-1)[::-1].reshape(out.shape)
    return out


def _fold_overwrites(x: Any, **attrs: Any) -> Any:
    """What overlaps is not added but capped at one of it."""
    out = K["fold"](x, **attrs)
    counts = K["fold"](np.ones_like(x), **attrs)
    return np.where(counts > 1, out / np.maximum(counts, 1), out).astype(x.dtype) if x.dtype.kind == "f" else out


FAULTS = (
    fault("cholesky_upper", "cholesky gives the upper factor", "values.cholesky", kernel("cholesky", _other_triangle)),
    fault("triangular_solve_diagonal", "triangular_solve does not know of unit diagonals", "values.triangular_solve",
          kernel("triangular_solve", _general_solve)),
    fault("det_sign", "det is never negative", "values.det", kernel("det", lambda x: np.abs(K["det"](x)))),
    fault("solve_without_pivots", "solve divides by what is on the diagonal, though it be 0", "values.solve",
          kernel("solve", _without_pivots)),
    fault("fft_scale", "fft scales the wrong direction", "values.fft",
          kernel("fft", _unscaled, dtypes="b1 i8 f4 f8 c8 c16")),
    fault("irfft_odd", "irfft gives odd lengths from even ones", "values.irfft",
          kernel("irfft", _even_length, dtypes="b1 i8 f4 f8 c8 c16")),
    fault("windows_dilation", "windows mixes up two different dilations", "values.windows",
          kernel("windows", _undilated)),
    fault("fold_overlaps", "fold takes the mean where windows overlap", "values.fold",
          kernel("fold", _fold_overwrites)),
)  # fmt: skip
