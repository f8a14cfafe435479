"""Calls of the ops that write at positions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..numbers import Shape, numbers
from .sample import Sample, Sampler

CALLS: tuple[tuple[Shape, Any, tuple[int, ...]], ...] = (
    ((3, 4), [2, 0], (0,)),
    ((4, 3), [2, 0, -3, 0], (1,)),
    ((3, 4), -1, (0,)),
    ((2, 3, 4), [[1, -1], [5, 1]], (0, 1)),
    ((2, 3, 4), [[0, 11, 0]], (1, 2)),
    ((2, 3, 4), [7, 0, -8], (0, 2)),
    ((3,), [], (0,)),
    ((0, 4), [], (0,)),
    ((3, 0), [1, 1], (0,)),
)
"""The shape that is written to, positions, and the axes that they run over."""


def _scatter(name: str, dtype: np.dtype) -> Iterator[Sample]:
    for shape, places, axis in CALLS:
        at = np.array(places, np.int64)
        kept = [d for a, d in enumerate(shape) if a > axis[0] and a not in axis]
        operands = numbers(shape, dtype, -5, 5), at, numbers((*shape[: axis[0]], *at.shape, *kept), dtype, -3, 3, 1)
        yield Sample(operands, {"axis": axis}, "sum" if name == "scatter_mul" else "exact", at.size > 1)


SAMPLES: dict[str, Sampler] = dict.fromkeys(("scatter", "scatter_mul", "scatter_min", "scatter_max"), _scatter)
