"""Corners where comparison with other libraries found faults: powers, shares of a sum, branch cuts, NaN."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ArgumentError
from plugrad.op import OPS

INF, NAN = float("inf"), float("nan")
FLOATS = ["float64", "float32", "float16", "bfloat16"]


def gradients(f, *xs):
    xs = [pg.asarray(x, dtype="float64") for x in xs]
    return [g.tolist() for g in pg.grad(lambda *xs: pg.sum(f(*xs)), tuple(range(len(xs))))(*xs)]


def halves(x):
    """Every way to the power 1/2."""
    half = pg.asarray(0.5).astype(x.dtype)
    yield x**0.5
    yield x**half
    yield pg.pow(x, pg.full(x.shape, 0.5, dtype=x.dtype))
    y = pg.copy(x)
    y **= 0.5
    yield y


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_power_one_half(dtype):
    """The Array API's: +inf at -inf, +0 at -0."""
    for found in halves(pg.asarray([-INF, -0.0, 4.0, INF, NAN, -1.0], dtype=dtype)):
        assert found.dtype == dtype
        array = found.astype("float64").numpy()
        np.testing.assert_array_equal(array, [INF, 0.0, 2.0, INF, NAN, NAN])
        assert not np.signbit(array[1])


def test_derivatives_of_the_power_one_half():
    assert gradients(lambda x: x**0.5, [-INF, 4.0, INF, 0.0]) == [[0.0, 0.25, 0.0, INF]]
    second = pg.grad(pg.grad(lambda x: x**0.5))(pg.asarray(4.0, dtype="float64"))
    assert second.item() == -1 / 32
    z = pg.asarray(3 + 4j, dtype="complex128")
    np.testing.assert_allclose((z**0.5).numpy(), 2 + 1j)
    assert (pg.asarray([4, 9]) ** 0.5).tolist() == [2.0, 3.0]


def test_integers_to_negative_powers():
    x = pg.asarray([2, 3])
    with pytest.raises(ArgumentError, match=r"^pow: int64 to the power -1 is no integer; cast"):
        x**-1
    for call in (lambda: x ** pg.asarray([1, -1]), lambda: 2 ** pg.asarray([-1]), lambda: pg.pow(3, pg.asarray(-2))):
        with pytest.raises(ArgumentError, match=r"^pow: an integer to a negative power is no integer; cast"):
            call()
    with pytest.raises(ArgumentError, match=r"^pow: "):
        x **= -1
    assert x.tolist() == [2, 3] and (x.astype("float64") ** -1).tolist() == [0.5, 1 / 3]


def test_shares_of_logaddexp():
    """Beside huge numbers the sum is rounded to its larger operand, but equal operands have a half each."""
    for x, y, shares in (
        (1e300, 1e300, [0.5, 0.5]),
        (-1e300, -1e300, [0.5, 0.5]),
        (1e17, 1e17 - 16, [1.0, np.exp(-16.0)]),
        (INF, 1.0, [1.0, 0.0]),
        (-INF, -INF, [0.5, 0.5]),
    ):
        np.testing.assert_allclose(gradients(pg.logaddexp, x, y), shares, rtol=1e-6)
    tie = pg.asarray(3.0, dtype="float64")
    second = pg.grad(pg.grad(pg.logaddexp))
    assert second(tie, 3.0).item() == 0.25 and second(tie, 900.0).item() == 0.0
    assert pg.grad(second)(tie, 3.0).item() == 0.0


CUTS = [complex(2, 0.0), complex(2, -0.0), complex(-2, 0.0), complex(-2, -0.0), 0.5, -0.5]
CUTS += [complex(0.0, 2), complex(-0.0, 2), complex(0.0, -2), complex(-0.0, -2), complex(-0.0, 0.5), 0.5j]
NUMPY = {"asin": np.arcsin, "acos": np.arccos, "asinh": np.arcsinh, "acosh": np.arccosh, "atan": np.arctan}
NUMPY["atanh"] = np.arctanh
STEPS = 1e-6, -1e-6


@pytest.mark.parametrize("name", sorted(NUMPY))
def test_both_sides_of_branch_cuts(name):
    """The sign of a zero says the side, for the decomposition and for the derivative."""
    x, f = np.array(CUTS), NUMPY[name]
    t = pg.asarray(x)
    np.testing.assert_allclose(OPS[name].decompose(t).numpy(), f(x), atol=1e-14)
    for along in (1, 1j):
        _, found = pg.jvp(getattr(pg, name), (t,), (pg.full(x.shape, along, dtype="complex128"),))
        for z, slope in zip(x, found.numpy(), strict=True):
            if (z.imag if along == 1 else z.real) == 0:  # along the cut, and on the side that the sign says
                high, low = [f(complex(*(z.real + h, z.imag) if along == 1 else (z.real, z.imag + h))) for h in STEPS]
                np.testing.assert_allclose(slope, (high - low) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["min", "max"])
def test_nan_is_the_extremum_of_writes(name):
    """As in ``max``: the cotangent goes to NaN, where there is any, and to elements that were not written."""

    def changed(x, v):
        return getattr(x.at[[2, 0, 2]], name)(v)

    assert gradients(changed, [1.0, 2.0, NAN], [1.0, NAN, 3.0]) == [[0.0, 1.0, 1.0], [0.0, 1.0, 0.0]]
    assert gradients(changed, [5.0, NAN, 6.0], [5.0, 5.0, 6.0])[0][1] == 1.0
