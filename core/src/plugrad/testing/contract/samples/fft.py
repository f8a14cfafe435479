"""Calls of the Fourier transforms."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from ..numbers import numbers
from .sample import Sample, Sampler

NORMS = ("backward", "ortho", "forward")


def _fft(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for axis, inverse, norm in itertools.product(((1,), (0, 2), (0, 1, 2)), (False, True), NORMS):
        attrs = {"axis": axis, "inverse": inverse, "norm": norm}
        yield Sample((numbers((2, 5, 4), dtype, -3, 3),), attrs, "sum", norm == "backward")
    yield Sample((numbers((0, 3), dtype, -3, 3),), {"axis": (1,), "inverse": False, "norm": "ortho"}, "sum")


def _rfft(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for axis, norm in itertools.product((0, 1, 2), NORMS):
        yield Sample((numbers((1, 5, 4), dtype, -3, 3),), {"axis": axis, "norm": norm}, "sum", norm == "backward")
    yield Sample((numbers((0, 3), dtype, -3, 3),), {"axis": 1, "norm": "ortho"}, "sum")


def _irfft(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for (axis, n), norm in itertools.product(((0, 1), (0, 2), (1, 5), (2, 4), (2, 5)), NORMS):
        shape = [2, 3, 3]
        shape[axis] = n // 2 + 1
        attrs = {"axis": axis, "n": n, "norm": norm}
        yield Sample((numbers(tuple(shape), dtype, -3, 3),), attrs, "sum", norm == "backward")
    yield Sample((numbers((0, 3), dtype, -3, 3),), {"axis": 1, "n": 4, "norm": "ortho"}, "sum")


SAMPLES: dict[str, Sampler] = {"fft": _fft, "rfft": _rfft, "irfft": _irfft}
