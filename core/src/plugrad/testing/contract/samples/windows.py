"""Calls of the ops on sliding windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..numbers import Shape, numbers
from .sample import Sample, Sampler

# shape of x, axis, window, stride, dilation, at
CASES: tuple[tuple[Shape, Shape, Shape, Shape, Shape, int], ...] = (
    ((7,), (0,), (3,), (1,), (1,), 1),
    ((7,), (0,), (3,), (2,), (1,), 0),
    ((2, 9), (1,), (3,), (2,), (2,), 1),
    ((6, 7), (0, 1), (2, 3), (1, 2), (2, 1), 2),
    ((6, 7), (0, 1), (3, 2), (3, 2), (1, 1), 0),
    ((6, 2, 7), (0, 2), (2, 2), (3, 4), (1, 1), 1),
    ((4, 5), (0, 1), (4, 5), (1, 1), (1, 1), 2),
    ((4, 5), (1,), (1,), (2,), (3,), 2),
    ((0, 5), (1,), (2,), (1,), (1,), 1),
    ((2, 3, 5, 4, 4), (2, 3, 4), (2, 1, 3), (1, 2, 1), (2, 1, 1), 2),
    ((70, 331), (0, 1), (3, 5), (2, 1), (1, 2), 2),
)


def _attrs(axis: Shape, stride: Shape, dilation: Shape, at: int) -> dict[str, Any]:
    return {"axis": axis, "stride": stride, "dilation": dilation, "at": at}


def _windows(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape, axis, window, stride, dilation, at in CASES:
        attrs = {**_attrs(axis, stride, dilation, at), "window": window}
        yield Sample((numbers(shape, dtype, -5, 5),), attrs, "exact", shape in ((2, 9), (6, 7)))


def _fold(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape, axis, window, stride, dilation, at in CASES:
        counts = list(shape)
        for a, k, step, d in zip(axis, window, stride, dilation, strict=True):
            counts[a] = (shape[a] - d * (k - 1) - 1) // step + 1
        whole = (*counts[:at], *window, *counts[at:])
        attrs = {**_attrs(axis, stride, dilation, at), "size": tuple([shape[a] for a in axis])}
        yield Sample((numbers(whole, dtype, -5, 5),), attrs, "sum", shape in ((2, 9), (6, 7)))


SAMPLES: dict[str, Sampler] = {"windows": _windows, "fold": _fold}
