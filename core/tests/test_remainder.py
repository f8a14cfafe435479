"""The derivative of the remainder in its divisor is minus the quotient that was subtracted, also where x / y rounds."""

import numpy as np
import pytest

import plugrad as pg


@pytest.mark.parametrize(
    ("x", "y"),
    [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (1e-300, -1e300), (-1.0, np.inf), (1.0, 0.1), (0.3, 0.1), (6.0, 2.0)],
)
def test_the_quotient_is_that_of_the_value(x, y):
    got = pg.grad(lambda y: pg.remainder(pg.asarray(x, dtype="float64"), y))(pg.asarray(y, dtype="float64"))
    assert got.item() == -np.floor_divide(x, y)
