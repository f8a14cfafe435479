"""Discrete Fourier transforms: NumPy's, which keep the precision."""

from __future__ import annotations

from typing import Any

import numpy as np

from .reduction import silent


def _fft(x: Any, *, axis: tuple[int, ...], inverse: bool, norm: Any) -> Any:
    return (np.fft.ifftn if inverse else np.fft.fftn)(x, axes=axis, norm=norm)


KERNELS: dict[str, Any] = {
    "fft": silent(_fft),
    "rfft": silent(lambda x, *, axis, norm: np.fft.rfft(x, axis=axis, norm=norm)),
    "irfft": silent(lambda x, *, axis, n, norm: np.fft.irfft(x, n, axis=axis, norm=norm)),
}
