"""Arrays for samples: random elements of every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...dtypes import CODE, KIND

Shape = tuple[int, ...]


def kind_of(dtype: np.dtype) -> str:
    """The kind of a dtype in the core's table: one of "biufcs"."""
    return KIND[CODE[dtype]]


def numbers(shape: Shape, dtype: np.dtype, low: float, high: float, seed: int = 0) -> np.ndarray:
    """Random elements between two bounds, none below 0 for unsigned and bool dtypes."""
    rng, kind = np.random.default_rng(seed), kind_of(dtype)
    if kind == "b":
        return rng.random(shape) < 0.5
    if kind in "iu":
        first = max(int(np.ceil(low)), 0) if kind == "u" else int(np.ceil(low))
        return rng.integers(first, int(high) + 1, shape).astype(dtype)
    values: Any = rng.uniform(low, high, shape)
    if kind == "c":
        values = values + 1j * rng.uniform(low, high, shape)
    return np.asarray(values).astype(dtype)
