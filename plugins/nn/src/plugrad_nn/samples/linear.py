"""Calls of the affine map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from plugrad.errors import ShapeError
from plugrad.testing import OpSample, values


def linear(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """x w^T + b over the last axis."""
    return np.asarray(np.einsum("...i,oi->...o", x, w) + b)


def samples() -> Iterator[OpSample]:
    """All calls of the family."""
    for lead, taken, given in (
        ((4,), 3, 2),
        ((), 3, 2),
        ((2, 3), 4, 5),
        ((2, 1, 3), 1, 1),
        ((0,), 3, 2),
        ((2, 0), 3, 4),
        ((3,), 0, 2),
        ((40,), 70, 33),
    ):
        operands = values(*lead, taken), values(given, taken), values(given)
        yield OpSample("nn.linear", operands, tolerance="sum", reference=linear)
    for x, w, b in (((2, 3), (4, 5), (4,)), ((2, 3), (4, 3), (3,)), ((2, 3), (3,), (4,)), ((), (4, 3), (4,))):
        yield OpSample("nn.linear", (values(*x), values(*w), values(*b)), raises=ShapeError)
    yield OpSample("nn.linear", (values(2, 3), values(4, 3), values(1)), raises=ShapeError)
