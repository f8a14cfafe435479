"""logsumexp, top_k and bitcast against NumPy."""

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ArgumentError, DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

INF, NAN = np.inf, np.nan
R = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def device():
    with pg.device("numpy"):
        yield


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2), (), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp(axis, keepdims):
    x = R.normal(size=(3, 4, 2)) * 5
    wanted = np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))
    f = lambda x: pg.logsumexp(x, axis=axis, keepdims=keepdims)  # noqa: E731
    got = f(pg.asarray(x))
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-13, atol=1e-13)
    assert got.shape == np.shape(wanted)
    check_derivatives(f, pg.asarray(x))
    check_vmap(f, pg.asarray(x))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_logsumexp_neither_overflows_nor_vanishes(dtype):
    big = 3e4 if dtype == "float16" else 1e30
    for value in (big, -big):
        x = pg.asarray([value, value], dtype=dtype)
        assert pg.logsumexp(x).item() == pytest.approx(x[0].item(), rel=1e-3)
        assert pg.grad(pg.logsumexp)(x).tolist() == [0.5, 0.5] and pg.logsumexp(x).dtype == x.dtype


@pytest.mark.parametrize(
    ("x", "wanted"),
    [([], -INF), ([-INF], -INF), ([-INF, -INF], -INF), ([INF, 1.0], INF), ([NAN, 1.0], NAN), ([-INF, 2.0], 2.0)],
)
def test_logsumexp_of_infinities(x, wanted):
    np.testing.assert_equal(pg.logsumexp(pg.asarray(x, dtype="float64")).item(), wanted)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex128"])
def test_the_value_of_running_products_is_the_same_under_jvp(dtype, axis):
    x, t = [pg.asarray(R.uniform(0.5, 2, (7, 5)), dtype=dtype) for _ in range(2)]
    f = lambda x: pg.cumulative_prod(x, axis=axis)  # noqa: E731
    y, slope = pg.jvp(f, (x,), (t,))
    np.testing.assert_array_equal(y.numpy(), f(x).numpy())
    assert slope.dtype == x.dtype
    wide, turned = x.numpy().astype("complex128"), t.numpy().astype("complex128")
    logs = np.cumprod(wide, axis) * np.cumsum(turned / wide, axis)
    np.testing.assert_allclose(slope.numpy().astype("complex128"), logs, rtol=1e-2 if dtype == "float16" else 1e-5)
    if dtype in ("float64", "complex128"):
        check_derivatives(f, x)
        zero = pg.where(x == x[1, 1], 0, x)
        check_derivatives(f, zero)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_top_k(k, axis):
    x = R.integers(0, 4, (3, 5)).astype("float64") if axis else R.normal(size=(3, 5))
    values, indices = pg.top_k(pg.asarray(x), k, axis=axis)
    order = np.argsort(-x, axis=axis, kind="stable").take(range(k), axis=axis)
    np.testing.assert_array_equal(indices.numpy(), order)
    np.testing.assert_array_equal(values.numpy(), np.take_along_axis(x, order, axis))
    assert indices.dtype == "int64"
    check_vmap(lambda x: pg.top_k(x, k, axis=axis).values, pg.asarray(x))


def test_the_derivative_of_top_k_goes_to_what_was_chosen():
    x = pg.asarray([1.0, 5.0, NAN, 3.0])
    assert pg.top_k(x, 2).indices.tolist() == [1, 3]
    slope = pg.grad(lambda x: pg.sum(pg.top_k(x, 2).values * pg.asarray([10.0, 1.0])))(x)
    assert slope.tolist() == [0.0, 10.0, 0.0, 1.0]
    check_derivatives(lambda x: pg.top_k(x, 2, axis=0).values, pg.asarray(R.normal(size=(4, 2))))


@pytest.mark.parametrize(("source", "target"), [("float32", "int32"), ("float64", "uint64"), ("float16", "int16"),
    ("bfloat16", "uint16"), ("int8", "uint8"), ("complex64", "int64"), ("int32", "float32")])  # fmt: skip
def test_bitcast(source, target):
    x = pg.asarray(R.integers(1, 100, (2, 3)), dtype=source)
    for one in (x, x.T, x[:, ::-2], x[0, 0], x[:0]):
        got = pg.bitcast(one, target)
        assert got.dtype == target and got.shape == one.shape
        np.testing.assert_array_equal(got.numpy(), np.ascontiguousarray(one.numpy()).reshape(one.shape).view(target))
        np.testing.assert_array_equal(pg.bitcast(got, source).numpy(), one.numpy())
    check_vmap(lambda x: pg.bitcast(x, target), x)


def test_bitcast_has_the_derivative_0():
    f = lambda x: pg.sum(pg.bitcast(pg.bitcast(x, "int32"), "float32") * x)  # noqa: E731
    x = pg.asarray([1.0, -2.0])
    assert pg.grad(f)(x).tolist() == [1.0, -2.0] and pg.jvp(f, (x,), (pg.ones_like(x),))[1].item() == -1
    assert pg.compile(f)(x).item() == 5


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: pg.bitcast(x, "int64"), DTypeError, "bitcast: float32 to int64, of 4 and 8 bytes; give a dtype of"),
        (lambda x: pg.bitcast(x > 0, "int8"), DTypeError, "bitcast: not defined for bool"),
        (lambda x: pg.bitcast(x.astype("int8"), "bool"), DTypeError, "bitcast: int8 to bool"),
        (lambda x: pg.top_k(x, 4), ShapeError, r"top_k: k is 4 for 3 elements along axis 1 of shape \(2, 3\); give"),
        (lambda x: pg.top_k(x, -1), ShapeError, "top_k: k is -1 for 3"),
        (lambda x: pg.top_k(x, 1.5), ArgumentError, "top_k: 'float' object"),
        (lambda x: pg.logsumexp(x.astype("int32")), DTypeError, "logsumexp: not defined for int32; cast"),
        (lambda x: pg.logsumexp(x * 1j), DTypeError, "logsumexp: complex numbers, as of this complex64 tensor"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call(pg.ones((2, 3)))
