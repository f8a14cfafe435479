"""Corners of the Array API that its suite found."""

from __future__ import annotations

import math

import numpy as np
import pytest

import plugrad as pg


@pytest.mark.parametrize("k", [2**64, 2**63, 4, -4, -(2**63), -(2**70)])
def test_diagonals_beyond_every_matrix(k: int) -> None:
    near = max(-4, min(4, k))
    x = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(pg.eye(3, 4, k=k).numpy(), np.eye(3, 4, near))
    np.testing.assert_array_equal(pg.tril(pg.asarray(x), k=k).numpy(), np.tril(x, near))
    np.testing.assert_array_equal(pg.triu(pg.asarray(x), k=k).numpy(), np.triu(x, near))


def test_expm1_of_complex_zeros() -> None:
    """The real part is +0; the imaginary part keeps its sign."""
    for re in (0.0, -0.0):
        for im in (0.0, -0.0):
            found = pg.expm1(pg.asarray(complex(re, im))).item()
            assert found == 0 and math.copysign(1, found.real) == 1
            assert math.copysign(1, found.imag) == math.copysign(1, im)


def test_floor_divide_with_infinities() -> None:
    inf = math.inf
    cases = [(inf, 2.0, inf), (-inf, 2.0, -inf), (inf, -2.0, -inf)]
    cases += [(2.0, inf, 0.0), (2.0, -inf, -0.0), (-2.0, inf, -0.0), (-2.0, -inf, 0.0)]
    for x, y, expected in cases:
        found = (pg.asarray([x]) // pg.asarray([y])).tolist()[0]
        assert found == expected and math.copysign(1, found) == math.copysign(1, expected), (x, y)
    assert math.isnan((pg.asarray([inf]) // inf).tolist()[0])
