"""What is exact where a shorter formula is not: means, functions near 0, products of others, counts in float16."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.op import OPS
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(12)
INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mean_of_a_constant_is_the_constant(dtype):
    for n in range(1, 100):
        x = pg.full(n, 0.75, dtype=dtype)
        assert pg.mean(x).item() == 0.75 and pg.var(x).item() == pg.std(x).item() == 0.0
    assert pg.var(pg.asarray([1.0, 2.0]), correction=2).item() == INF
    assert pg.var(pg.asarray([1.0, 2.0]), correction=3).item() == INF
    assert np.isnan(pg.mean(pg.zeros(0)).item())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_composed_near_zero(name, dtype):
    """The decompositions are as accurate as kernels: to a few units in the last place of the result."""
    size = np.concatenate([10.0 ** np.linspace(-30, -0.01, 2000), [1.0, 1.5, 2.0]])
    x = pg.asarray(np.concatenate([size, -size[:-3]]), dtype=dtype)
    exact = getattr(np, name)(x.numpy().astype(np.float64))
    got = OPS[name].decompose(x).numpy().astype(np.float64)
    limits = pg.finfo(dtype)
    counts = np.abs(exact) > limits.smallest_normal
    assert counts.sum() > 200
    error = np.abs(got - exact)[counts] / np.abs(exact)[counts]
    assert error.max() < 4 * limits.eps


@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_composed_at_corners(name):
    x = pg.asarray([INF, -INF, NAN, 0.0, -0.0, -1.0, -2.0, 1e30, 100.0, -100.0, 1e-45])
    got, wanted = OPS[name].decompose(x).numpy(), OPS[name](x).numpy()
    np.testing.assert_allclose(got, wanted, rtol=3e-7)
    np.testing.assert_array_equal(np.signbit(got[3:5]), [False, True])


@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_composed_without_detours_by_infinity(name):
    with pg.find_nan():
        OPS[name].decompose(pg.asarray([-0.9, 0.0, 1e-9, 0.5, 80.0]))
        if name == "expm1":
            OPS[name].decompose(pg.asarray([-200.0]))


def test_complex_log1p_near_zero():
    """log(1 + z) = z - z**2 / 2 + z**3 / 3 - ..., which near 0 is exact."""
    z = (R.normal(size=200) + 1j * R.normal(size=200)) * 10.0 ** R.uniform(-12, -5, 200)
    series = z - z * z / 2 + z * z * z / 3
    for got in (pg.log1p(pg.asarray(z)).numpy(), OPS["log1p"].decompose(pg.asarray(z)).numpy()):
        np.testing.assert_allclose(got.real, series.real, rtol=1e-9)
        np.testing.assert_allclose(got.imag, series.imag, rtol=1e-14)
    far = np.array([0.6 + 0.3j, -3.0 + 1j, 1e300 + 1e300j])
    np.testing.assert_allclose(pg.log1p(pg.asarray(far)).numpy(), np.log1p(far), rtol=1e-15)
    assert pg.log1p(pg.asarray(1e-20 + 0j, dtype="complex128")).item() == 1e-20


def test_complex_expm1_of_zeros():
    zeros = pg.asarray([complex(-0.0, 0.0), complex(0.0, -0.0), complex(-0.0, -0.0)])
    for found in (pg.expm1(zeros), OPS["expm1"].decompose(zeros)):
        got = found.numpy()
        assert np.signbit(got.real).tolist() == [False] * 3 and np.signbit(got.imag).tolist() == [False, True, True]


def test_composed_log1p_of_complex_infinities():
    """And of -1: the decomposition multiplies no infinity by a complex number, and knows the side of the cut."""
    below = OPS["log1p"].decompose(pg.asarray(complex(-1.5, -0.0))).item()
    assert abs(below - complex(-np.log(2), -np.pi)) < 1e-6
    x = pg.asarray([complex(-1, 0), complex(1, INF), complex(-INF, 1), complex(INF, -1), complex(-INF, INF)])
    got = OPS["log1p"].decompose(x).numpy()
    np.testing.assert_array_equal(got.real, [-INF, INF, INF, INF, INF])
    np.testing.assert_allclose(got.imag, [0, np.pi / 2, np.pi, 0, 3 * np.pi / 4], rtol=1e-6)


def test_asinh_does_not_overflow_backward():
    slope = pg.grad(pg.asinh)(pg.asarray(300.0, dtype="float16"))
    np.testing.assert_allclose(slope.item(), 1 / 300, rtol=1e-3)
    assert pg.grad(pg.asinh)(pg.asarray(1e30)).item() == np.float32(1e-30)
    check_derivatives(pg.asinh, pg.asarray([-2.0, 0.0, 30.0], dtype="float64"))
    check_derivatives(pg.asinh, pg.asarray([-2.0 + 1j, 0.5j], dtype="complex128"))


def test_exponents_of_zero():
    """The derivative in the exponent is the limit, 0 or -infinity; there is none where the power is NaN."""
    slope = pg.grad(lambda y: pg.sum(pg.asarray([0.0, 0.0, 0.0, 2.0]) ** y))(pg.asarray([-1.0, 0.0, 2.0, 2.0]))
    assert slope.tolist() == [-INF, 0.0, 0.0, pytest.approx(4 * np.log(2))]
    assert np.isnan(pg.grad(lambda y: pg.asarray(0.0) ** y)(pg.asarray(NAN)).item())
    assert np.isfinite(pg.grad(lambda y: pg.real(pg.asarray(0j) ** y))(pg.asarray(2.0 + 1j)).item())


# -- products of others


def test_the_gradient_of_a_product_takes_few_calls():
    staged = pg.stage(pg.grad(pg.prod), pg.ones(1000))
    assert len(staged.graph.equations) < 20
    x = pg.asarray(R.uniform(0.99, 1.01, 1000))
    np.testing.assert_allclose(pg.grad(pg.prod)(x).numpy(), np.prod(x.numpy()) / x.numpy(), rtol=1e-10)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 2)])
def test_products_with_zeros(axis):
    x = R.normal(size=(2, 3, 2))
    x[0, 1] = x[1, 1, 0] = x[1, 2, 0] = 0
    check_derivatives(lambda x: pg.prod(x, axis), pg.asarray(x))
    check_derivatives(lambda x: pg.prod(x, axis), pg.asarray(x + 1j * x[::-1]))
    check_vmap(pg.grad(lambda x: pg.sum(pg.prod(x, axis))), pg.asarray(x))
    assert pg.grad(lambda x: pg.sum(pg.prod(x, 1)))(pg.ones((3, 0))).shape == (3, 0)
    assert pg.grad(lambda x: pg.sum(pg.prod(x, 1)))(pg.zeros((3, 1))).tolist() == [[1.0]] * 3


@pytest.mark.parametrize(
    ("shape", "where", "count"),
    [((4,), ([0, 0, 2, -4, 3, 0, 0, 3, 0],), 9), ((3, 4), (slice(None), [1, -3, 1, 3]), 4)],
)
def test_factors_that_meet(shape, where, count):
    """Derivatives of any order, with zeros that meet too: those of the product itself."""
    x = pg.asarray(R.normal(size=shape))
    v = R.normal(size=(*shape[:-1], count))
    v[..., :2] = 0
    check_derivatives(lambda x, v: x.at[where].multiply(v), x, pg.asarray(v))
    check_vmap(lambda v: pg.grad(lambda v: pg.sum(x.at[where].multiply(v) ** 2))(v), pg.asarray(v))
    z = pg.asarray(v + 1j * v[..., ::-1])
    check_derivatives(lambda v: x.at[where].multiply(pg.real(v)), z)
    check_derivatives(lambda v: (x * (1 + 0j)).at[where].multiply(v), z)


def test_two_zeros_that_meet():
    hessian = pg.hessian(lambda v: pg.sum(pg.ones(2).at[[1, 1, -1]].multiply(v)))(pg.asarray([0.0, 0.0, 5.0]))
    assert hessian.tolist() == [[0.0, 5.0, 0.0], [5.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    places = pg.asarray([[0, 1, 0], [-1, 1, 1]])
    got = pg.vmap(lambda i: pg.grad(lambda v: pg.sum(pg.ones(2).at[i].multiply(v)))(pg.asarray([2.0, 3.0, 5.0])))(
        places
    )
    assert got.tolist() == [[5.0, 1.0, 2.0], [15.0, 10.0, 6.0]]


# -- counts that float16 cannot hold


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_many_equal_extrema(dtype):
    g = pg.grad(lambda x: pg.max(x) * 1000)(pg.zeros(100_000, dtype=dtype))
    assert g.dtype == pg.as_dtype(dtype)
    np.testing.assert_allclose(g.numpy().astype(np.float64), 0.01, rtol=1e-2)
    at = pg.zeros(70_000, dtype="int64")
    g = pg.grad(lambda v: pg.sum(pg.zeros(1, dtype=dtype).at[at].max(v)) * 1000)(pg.zeros(70_000, dtype=dtype))
    np.testing.assert_allclose(g.numpy().astype(np.float64), 1000 / 70_001, rtol=1e-2)
