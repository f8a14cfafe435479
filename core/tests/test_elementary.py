"""The Array API's elementwise functions: values against NumPy, decompositions against kernels, corners of slopes."""

import math

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(4)
INF, NAN = math.inf, math.nan
CORNERS = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.5, -2.5, INF, -INF, NAN])
UNARY = {
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "cosh": np.cosh,
    "log2": np.log2,
    "log10": np.log10,
    "round": np.rint,
    "sinh": np.sinh,
    "tan": np.tan,
    "tanh": np.tanh,
    "trunc": np.trunc,
}
BINARY = {
    "atan2": np.arctan2,
    "copysign": np.copysign,
    "hypot": np.hypot,
    "logaddexp": np.logaddexp,
    "nextafter": np.nextafter,
}
REAL_ONLY = {"ceil", "trunc"}
FLOATS = ["float16", "bfloat16", "float32", "float64"]


def points(dtype):
    """Numbers of all magnitudes, and the corners."""
    high = 4 if dtype == "float16" else 30
    sizes = 10 ** R.uniform(-high, high, 500)
    found = np.concatenate([sizes, -sizes, R.uniform(-12, 12, 500), R.uniform(-1, 1, 500), CORNERS])
    return found.astype(pg.as_dtype(dtype))


def assert_same(got, wanted):
    """Equal elements and dtypes; NumPy sees no NaN of ml_dtypes' floats."""
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(*[a.astype(np.float64) if a.dtype.kind == "V" else a for a in (got, wanted)])


def ulps(got, wanted):
    """The largest distance in units in the last place; equal corners count as none, different ones as infinitely
    many.
    """
    dtype = wanted.dtype
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    same = (got == wanted) | (np.isnan(got) & np.isnan(wanted))
    info = pg.finfo(dtype)
    size = np.maximum(np.abs(wanted), info.smallest_normal)
    with np.errstate(all="ignore"):
        distance = np.abs(got - wanted) / (2.0 ** np.floor(np.log2(size)) * info.eps)
    return np.max(np.where(same, 0.0, np.nan_to_num(distance, nan=INF)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_unary_values(name, dtype):
    x = points(dtype)
    with np.errstate(all="ignore"):
        wanted = UNARY[name](x)
    assert_same(getattr(pg, name)(pg.asarray(x)).numpy(), wanted)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", sorted(set(UNARY) - {"tan"}) + ["signbit"])
def test_unary_decompositions(name, dtype):
    """To 8 units in the last place at every magnitude, and with the kernel's zeros, infinities and NaNs."""
    x = points(dtype)
    x = x[~np.isnan(x)] if name == "signbit" else x
    kernel = getattr(pg, name)(pg.asarray(x)).numpy()
    got = pg.OPS[name].decompose(pg.asarray(x)).numpy()
    assert got.dtype == kernel.dtype
    if name == "signbit":
        return np.testing.assert_array_equal(got, kernel)
    assert ulps(got, kernel) <= 8
    zeros = kernel == 0
    np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(kernel[zeros]))


def test_the_decomposition_of_tan():
    x = R.uniform(-20, 20, 1000)
    assert ulps(pg.OPS["tan"].decompose(pg.asarray(x)).numpy(), np.tan(x)) <= 8


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_binary_values_and_decompositions(name, dtype):
    x, y = points(dtype), R.permutation(points(dtype))
    x, y = [np.concatenate(pair) for pair in zip(np.broadcast_arrays(x, y), _corner_pairs(x.dtype), strict=True)]
    with np.errstate(all="ignore"):
        wanted = BINARY[name](x, y)
    assert_same(getattr(pg, name)(pg.asarray(x), pg.asarray(y)).numpy(), wanted)
    if pg.OPS[name].decompose is not None:
        composed = pg.OPS[name].decompose(pg.asarray(x), pg.asarray(y)).numpy()
        away = np.abs(x.astype("f8")) + np.abs(y.astype("f8")) if name == "logaddexp" else wanted
        near = np.abs(wanted.astype("f8")) >= 0.1 * np.abs(away.astype("f8"))  # where the parts do not cancel
        near |= ~np.isfinite(wanted)
        assert ulps(composed[near], wanted[near]) <= 8
        assert near.mean() > 0.4


def _corner_pairs(dtype):
    pairs = np.broadcast_arrays(CORNERS[:, None], CORNERS)
    return [one.reshape(-1).astype(dtype) for one in pairs]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", sorted(set(UNARY) - REAL_ONLY) + ["exp", "expm1", "log1p", "sin", "cos", "sqrt"])
def test_complex_values_and_decompositions(name, dtype):
    z = (R.uniform(-3, 3, 500) + 1j * R.uniform(-3, 3, 500)).astype(dtype)
    wanted = (UNARY.get(name) or getattr(np, name))(z)
    got = getattr(pg, name)(pg.asarray(z))
    assert got.dtype == dtype
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-6 if dtype == "complex64" else 1e-13)
    if pg.OPS[name].decompose is not None:
        composed = pg.OPS[name].decompose(pg.asarray(z)).numpy()
        assert composed.dtype == z.dtype
        np.testing.assert_allclose(composed, wanted, rtol=2e-5 if dtype == "complex64" else 1e-13)


@pytest.mark.parametrize("name", ["acos", "acosh", "asin", "asinh", "atan", "atanh", "cosh", "log2", "log10"])
def test_complex_derivatives(name):
    z = pg.asarray(np.array([[0.3 + 0.4j, -1.5 + 0.7j], [-0.2 - 2.0j, 2.5 - 0.3j]]))
    check_derivatives(getattr(pg, name), z)
    check_vmap(getattr(pg, name), z)


@pytest.mark.parametrize("name", ["sinh", "tan", "tanh", "sign"])
def test_more_complex_derivatives(name):
    z = pg.asarray(np.array([[0.3 + 0.4j, -0.5 + 0.7j], [-0.2 - 1.0j, 0.9 - 0.3j]]))
    check_derivatives(getattr(pg, name), z)


@pytest.mark.parametrize("name", sorted(set(UNARY) | {"signbit", "isinf"}))
def test_ints_and_bools(name):
    """Whole numbers stay as they are where rounding is all there is to do; other functions ask for a cast."""
    x = pg.asarray([1, -2, 3])
    if name in ("ceil", "trunc", "round"):
        y = getattr(pg, name)(x)
        assert y.dtype == np.int64 and y.tolist() == [1, -2, 3] and y is not x
    elif name == "isinf":
        assert pg.isinf(x).tolist() == pg.isinf(x > 0).tolist() == [False] * 3
    else:
        with pytest.raises(DTypeError, match=f"{name}: not defined for int64"):
            getattr(pg, name)(x)


def test_signs():
    assert pg.signbit(pg.asarray([0.0, -0.0, -NAN, -INF, 3.0])).tolist() == [False, True, True, True, False]
    assert pg.isinf(pg.asarray([INF, -INF, NAN, 1.0])).tolist() == [True, True, False, False]
    assert pg.isinf(pg.asarray([complex(1, INF), complex(-INF, NAN), 1 + 1j])).tolist() == [True, True, False]
    z = pg.sign(pg.asarray([3 + 4j, 0j, complex(-0.0, -0.0), complex(NAN, 1)])).numpy()
    np.testing.assert_array_equal(z, np.array([0.6 + 0.8j, 0, 0, complex(NAN, NAN)], np.complex64))
    assert not np.signbit(z[2].real) and not np.signbit(z[2].imag)
    assert pg.isnan(pg.asarray([complex(0, NAN), 1j])).tolist() == [True, False]
    assert pg.isfinite(pg.asarray([complex(0, INF), 1j])).tolist() == [False, True]


@pytest.mark.parametrize("name", ["atan2", "copysign", "hypot", "logaddexp", "add", "maximum", "less", "floor_divide"])
def test_either_operand_may_be_a_scalar(name):
    f, x = getattr(pg, name), pg.asarray([1.0, -2.0], dtype="float64")
    two = pg.asarray(2.0, dtype="float64")
    for got, wanted in ((f(x, 2), f(x, two)), (f(2, x), f(two, x)), (f(2.0, x), f(two, x))):
        assert got.dtype == wanted.dtype and got.tolist() == wanted.tolist()


FINITE = np.array([0.0, -0.0, 1.5, -1.5])
FLOOR_DIVISIONS = [
    (INF, 2.0, INF), (INF, -2.0, -INF), (-INF, 2.0, -INF), (-INF, -2.0, INF), (INF, INF, NAN), (-INF, INF, NAN),
    (2.0, INF, 0.0), (2.0, -INF, -0.0), (-2.0, INF, -0.0), (-2.0, -INF, 0.0), (7.0, -2.0, -4.0), (NAN, 1.0, NAN),
    (1.0, 0.0, INF), (1.0, -0.0, -INF), (0.0, -3.0, -0.0),
]  # fmt: skip


@pytest.mark.parametrize(("x", "y", "wanted"), FLOOR_DIVISIONS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floor_divisions_of_the_standard(x, y, wanted, dtype):
    a, b = pg.asarray([x], dtype=dtype), pg.asarray([y], dtype=dtype)
    written = a.copy()
    written //= b
    for got in (pg.floor_divide(a, b), a // b, a // y, x // b, written):
        np.testing.assert_array_equal(got.numpy(), np.array([wanted], dtype))
        assert np.signbit(got.numpy()[0]) == np.signbit(wanted) or wanted != wanted


def test_complex_special_values():
    """Where NumPy's functions give NaN, the standard gives numbers."""
    found = pg.expm1(pg.asarray([complex(INF, 0), complex(-INF, INF), complex(-INF, NAN)])).tolist()
    assert found == [complex(INF, 0), -1 + 0j, -1 + 0j]
    far = pg.tanh(pg.asarray([complex(INF, 3), complex(-INF, -3)], dtype="complex128")).numpy()
    np.testing.assert_array_equal(far, [1, -1])
    assert np.signbit(far.imag).tolist() == [False, True]


def test_integer_powers():
    assert (pg.asarray([2, 3]) ** pg.asarray([3, 0])).tolist() == [8, 1]
    with pytest.raises(ValueError, match="negative"):
        pg.pow(pg.asarray([2]), pg.asarray([-1]))


def test_slopes_at_the_origin_and_at_infinity():
    def gradients(f, *xs):
        return [g.item() for g in pg.grad(f, tuple(range(len(xs))))(*xs)]

    assert gradients(pg.hypot, 0.0, 0.0) == gradients(pg.atan2, 0.0, 0.0) == [0.0, 0.0]
    assert gradients(pg.copysign, 0.0, -1.0) == [0.0, 0.0] and gradients(pg.copysign, 2.0, -1.0) == [-1.0, 0.0]
    assert gradients(pg.nextafter, 1.0, 2.0) == [1.0, 0.0]
    for x, y, wanted in ((INF, 0.0, [1, 0]), (0.0, INF, [0, 1]), (-INF, 0.0, [0, 1]), (INF, -INF, [1, 0])):
        assert gradients(pg.logaddexp, x, y) == wanted
    for x in (INF, -INF, 3.0):
        assert gradients(pg.logaddexp, x, x) == pytest.approx([0.5, 0.5])


def test_second_derivatives_of_logaddexp_are_not_lost_where_operands_are_equal():
    second = pg.hessian(lambda v: pg.logaddexp(v[0], v[1]))(pg.asarray([2.0, 2.0], dtype="float64"))
    np.testing.assert_allclose(second.numpy(), [[0.25, -0.25], [-0.25, 0.25]], rtol=1e-12)
    at_infinity = pg.grad(pg.grad(lambda x: pg.logaddexp(x, pg.asarray(INF))))(1.0)
    assert at_infinity.item() == 0.0


def test_large_arguments_keep_their_slope():
    """Squares that overflow do not make it 0 or NaN."""
    grads = pg.grad(lambda y, x: pg.atan2(y, x), (0, 1))(pg.asarray(3e25), pg.asarray(4e25))
    np.testing.assert_allclose([g.item() for g in grads], [4e25 / 25e50, -3e25 / 25e50], rtol=1e-6)
    assert pg.hypot(pg.asarray(3e30), 4e30).item() == pytest.approx(5e30)


@pytest.mark.parametrize("name", ["round", "ceil", "trunc"])
def test_rounding_has_no_slope(name):
    x = pg.asarray([1.2, -0.7, 2.5])
    assert pg.grad(lambda x: pg.sum(getattr(pg, name)(x) * x))(x).tolist() == getattr(pg, name)(x).tolist()


def test_clip_takes_tensors_and_one_bound():
    x = pg.asarray([[1, 5], [9, -3]])
    assert pg.clip(x, max=4).tolist() == [[1, 4], [4, -3]] and pg.clip(x, 0).tolist() == [[1, 5], [9, 0]]
    assert pg.clip(x, pg.asarray([2, 6])).tolist() == [[2, 6], [9, 6]]
    assert pg.clip(x, min=pg.asarray([[0], [1]]), max=pg.asarray([3, 4])).tolist() == [[1, 4], [3, 1]]
    assert pg.clip(x).tolist() == x.tolist()
    y = pg.clip(pg.asarray([NAN, 1.0, 2.0]), pg.asarray([0.0, NAN, 0.0]), 1.5)
    np.testing.assert_array_equal(y.numpy(), [NAN, NAN, 1.5])
