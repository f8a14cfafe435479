"""Every public op on samples: values against NumPy, derivatives against differences and one another, vmap against a
loop.
"""

import math

import numpy as np
import pytest

import plugrad as pg
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(1)
A, B = R.normal(size=(3, 4)), R.normal(size=(3, 4))
P = np.abs(A) + 0.5
ROW = R.normal(size=(4,))
COL = R.normal(size=(3, 1))
POSITIONS = np.array([2, 0, 2, -1])
COND = A > 0
erf = np.vectorize(math.erf)


def along(x):
    return np.take_along_axis(x, np.array([[0, 1], [2, 2], [-1, 0]]), 1)


# name: (plugrad function, NumPy function, differentiable operands)
SAMPLES = {
    "negative": (pg.negative, np.negative, [A]),
    "abs": (pg.abs, np.abs, [A]),
    "sign": (pg.sign, np.sign, [A]),
    "exp": (pg.exp, np.exp, [A]),
    "expm1": (pg.expm1, np.expm1, [A]),
    "log": (pg.log, np.log, [P]),
    "log1p": (pg.log1p, np.log1p, [P]),
    "sqrt": (pg.sqrt, np.sqrt, [P]),
    "square": (pg.square, np.square, [A]),
    "reciprocal": (pg.reciprocal, np.reciprocal, [P]),
    "sin": (pg.sin, np.sin, [A]),
    "cos": (pg.cos, np.cos, [A]),
    "tan": (pg.tan, np.tan, [A]),
    "tanh": (pg.tanh, np.tanh, [A]),
    "erf": (pg.erf, erf, [A]),
    "sinh": (pg.sinh, np.sinh, [A]),
    "cosh": (pg.cosh, np.cosh, [A]),
    "asinh": (pg.asinh, np.arcsinh, [A]),
    "acosh": (pg.acosh, np.arccosh, [P + 1]),
    "atanh": (pg.atanh, np.arctanh, [A / 4]),
    "asin": (pg.asin, np.arcsin, [A / 4]),
    "acos": (pg.acos, np.arccos, [A / 4]),
    "atan": (pg.atan, np.arctan, [A]),
    "log2": (pg.log2, np.log2, [P]),
    "log10": (pg.log10, np.log10, [P]),
    "atan2": (pg.atan2, np.arctan2, [A, ROW]),
    "hypot": (pg.hypot, np.hypot, [A, COL]),
    "logaddexp": (pg.logaddexp, np.logaddexp, [A, ROW]),
    "copysign": (lambda x: pg.copysign(x, pg.asarray(B)), lambda x: np.copysign(x, B), [A]),
    "nextafter": (lambda x: pg.nextafter(x, pg.asarray(B)), lambda x: np.nextafter(x, B), [A]),
    "floor": (pg.floor, np.floor, [A]),
    "ceil": (pg.ceil, np.ceil, [A]),
    "trunc": (pg.trunc, np.trunc, [A]),
    "round": (pg.round, np.rint, [A]),
    "add": (pg.add, np.add, [A, ROW]),
    "subtract": (pg.subtract, np.subtract, [COL, ROW]),
    "multiply": (pg.multiply, np.multiply, [A, COL]),
    "divide": (pg.divide, np.divide, [A, P]),
    "pow": (pg.pow, np.power, [P, ROW]),
    "pow_2": (lambda x: x**2, lambda x: x**2, [A]),
    "pow_3": (lambda x: x**3, lambda x: x**3, [A]),
    "pow_half": (lambda x: x**0.5, lambda x: x**0.5, [P]),
    "pow_scalar": (lambda x: x**2.5, lambda x: x**2.5, [P]),
    "scalar_pow": (lambda x: 2.0**x, lambda x: 2.0**x, [A]),
    "scalars": (lambda x: 2 - x * 3 + 1 / x, lambda x: 2 - x * 3 + 1 / x, [P]),
    "maximum": (pg.maximum, np.maximum, [A, B]),
    "minimum": (pg.minimum, np.minimum, [A, ROW]),
    "remainder": (pg.remainder, np.remainder, [A, P]),
    "floor_divide": (pg.floor_divide, np.floor_divide, [A, P]),
    "where": (lambda x, y: pg.where(pg.asarray(COND), x, y), lambda x, y: np.where(COND, x, y), [A, ROW]),
    "where_scalar": (lambda x: pg.where(x > 0, x, 0.0), lambda x: np.where(x > 0, x, 0.0), [A]),
    "clip": (lambda x: pg.clip(x, -0.5, 0.5), lambda x: np.clip(x, -0.5, 0.5), [A]),
    "sum": (pg.sum, np.sum, [A]),
    "sum_axis": (lambda x: pg.sum(x, axis=-1, keepdims=True), lambda x: np.sum(x, -1, keepdims=True), [A]),
    "sum_axes": (lambda x: pg.sum(x, axis=(0, 2)), lambda x: np.sum(x, (0, 2)), [R.normal(size=(2, 3, 4))]),
    "prod": (lambda x: pg.prod(x, axis=1), lambda x: np.prod(x, 1), [A]),
    "prod_all": (pg.prod, np.prod, [P]),
    "max": (lambda x: pg.max(x, axis=0), lambda x: np.max(x, 0), [A]),
    "min": (lambda x: pg.min(x, axis=(0, 1)), np.min, [A]),
    "mean": (lambda x: pg.mean(x, axis=1), lambda x: np.mean(x, 1), [A]),
    "var": (lambda x: pg.var(x, axis=1, correction=1), lambda x: np.var(x, 1, ddof=1), [A]),
    "std": (lambda x: pg.std(x, axis=0), lambda x: np.std(x, 0), [A]),
    "cumulative_sum": (lambda x: pg.cumulative_sum(x, axis=1), lambda x: np.cumsum(x, 1), [A]),
    "cumulative_prod": (lambda x: pg.cumulative_prod(x, axis=1), lambda x: np.cumprod(x, 1), [A]),
    "sort": (lambda x: pg.sort(x, axis=0), lambda x: np.sort(x, 0), [A]),
    "vecdot": (lambda x, y: pg.vecdot(x, y, axis=-1), np.vecdot, [A, ROW]),
    "roll": (lambda x: pg.roll(x, 2, axis=1), lambda x: np.roll(x, 2, 1), [A]),
    "tile": (lambda x: pg.tile(x, (2, 1)), lambda x: np.tile(x, (2, 1)), [A]),
    "repeat": (lambda x: pg.repeat(x, [1, 0, 2, 3], axis=1), lambda x: np.repeat(x, [1, 0, 2, 3], 1), [A]),
    "diff": (lambda x: pg.diff(x, n=2), lambda x: np.diff(x, n=2), [A]),
    "reshape": (lambda x: pg.reshape(x, (2, -1)), lambda x: np.reshape(x, (2, -1)), [A]),
    "permute_dims": (
        lambda x: pg.permute_dims(x, (2, 0, 1)),
        lambda x: np.transpose(x, (2, 0, 1)),
        [R.normal(size=(2, 3, 4))],
    ),
    "broadcast_to": (lambda x: pg.broadcast_to(x, (2, 3, 4)), lambda x: np.broadcast_to(x, (2, 3, 4)), [COL]),
    "moveaxis": (
        lambda x: pg.moveaxis(x, (0, 2), (1, 0)),
        lambda x: np.moveaxis(x, (0, 2), (1, 0)),
        [R.normal(size=(2, 3, 4))],
    ),
    "expand_squeeze": (lambda x: pg.squeeze(pg.expand_dims(x, 1), 1), lambda x: x, [A]),
    "flip": (lambda x: pg.flip(x, axis=1), lambda x: np.flip(x, 1), [A]),
    "concat": (lambda x, y: pg.concat([x, y], axis=1), lambda x, y: np.concatenate([x, y], 1), [A, COL]),
    "stack": (lambda x, y: pg.stack([x, y], axis=1), lambda x, y: np.stack([x, y], 1), [A, B]),
    "split": (lambda x: pg.split(x, [1, 3], axis=1)[1], lambda x: x[:, 1:], [A]),
    "pad": (lambda x: pg.pad(x, [(1, 0), (2, 3)]), lambda x: np.pad(x, [(1, 0), (2, 3)]), [A]),
    "pad_value": (
        lambda x: pg.pad(x, [(1, 0), (0, 1)], value=2.5),
        lambda x: np.pad(x, [(1, 0), (0, 1)], constant_values=2.5),
        [A],
    ),
    "copy": (pg.copy, np.copy, [A]),
    "tril": (lambda x: pg.tril(x, k=1), lambda x: np.tril(x, 1), [A]),
    "triu": (lambda x: pg.triu(x, k=-1), lambda x: np.triu(x, -1), [A]),
    "index": (lambda x: x[1, ::-2], lambda x: x[1, ::-2], [A]),
    "index_new": (lambda x: x[..., None, 1:3], lambda x: x[..., None, 1:3], [A]),
    "index_empty": (lambda x: x[3:, 2:1:-1], lambda x: x[3:, 2:1:-1], [A]),
    "index_array": (lambda x: x[:, POSITIONS], lambda x: x[:, POSITIONS], [A]),
    "index_arrays": (lambda x: x[[0, 2, 2], [1, -1, 1]], lambda x: x[[0, 2, 2], [1, -1, 1]], [A]),
    "index_split": (lambda x: x[[0, 1], :, [1, 2]], lambda x: x[[0, 1], :, [1, 2]], [R.normal(size=(2, 3, 4))]),
    "index_adjacent": (lambda x: x[:, [0, 1], [1, 2]], lambda x: x[:, [0, 1], [1, 2]], [R.normal(size=(2, 3, 4))]),
    "take": (lambda x: pg.take(x, POSITIONS, axis=1), lambda x: np.take(x, POSITIONS, 1), [A]),
    "take_0": (
        lambda x: pg.take(x, np.array([[0, 2], [1, 1]]), axis=0),
        lambda x: np.take(x, [[0, 2], [1, 1]], 0),
        [A],
    ),
    "take_along_axis": (lambda x: pg.take_along_axis(x, np.array([[0, 1], [2, 2], [-1, 0]]), axis=1), along, [A]),
    "matmul": (pg.matmul, np.matmul, [A, R.normal(size=(4, 2))]),
    "matmul_batch": (pg.matmul, np.matmul, [R.normal(size=(2, 1, 3, 4)), R.normal(size=(5, 4, 2))]),
    "matmul_vector": (pg.matmul, np.matmul, [ROW, R.normal(size=(2, 4, 3))]),
    "matmul_dot": (pg.matmul, np.matmul, [ROW, R.normal(size=(4,))]),
    "tensordot": (
        lambda x, y: pg.tensordot(x, y, axes=([1], [0])),
        lambda x, y: np.tensordot(x, y, ([1], [0])),
        [A, R.normal(size=(4, 2, 2))],
    ),
    "outer": (pg.outer, np.outer, [ROW, R.normal(size=(2,))]),
    "transposes": (lambda x: x.T @ x + x.mT @ x, lambda x: 2 * x.T @ x, [A]),
    "astype": (lambda x: x.astype("float64") * 2, lambda x: x * 2, [A]),
}
KINKED = {"sign", "floor", "ceil", "trunc", "round", "floor_divide"}


@pytest.mark.parametrize("name", SAMPLES)
def test_values(name):
    f, reference, args = SAMPLES[name]
    got = f(*[pg.asarray(a) for a in args])
    wanted = reference(*args)
    assert got.shape == np.shape(wanted)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", SAMPLES)
def test_derivatives(name):
    f, _, args = SAMPLES[name]
    check_derivatives(f, *[pg.asarray(a) for a in args])


@pytest.mark.parametrize("name", SAMPLES)
def test_derived_jvp_equals_declared(name, monkeypatch):
    f, _, args = SAMPLES[name]
    xs = tuple(pg.asarray(a) for a in args)
    ts = tuple(pg.asarray(np.cos(a)) for a in args)
    declared = pg.jvp(f, xs, ts)[1].numpy()
    monkeypatch.setattr(pg.Op, "jvp_rule", lambda op, ts, y, xs, attrs: pg.Op.jvp_by_vjp(op, ts, y, xs, attrs))
    np.testing.assert_allclose(pg.jvp(f, xs, ts)[1].numpy(), declared, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SAMPLES)
def test_vmap(name):
    f, _, args = SAMPLES[name]
    check_vmap(f, *[pg.asarray(a) for a in args])


@pytest.mark.parametrize("name", SAMPLES)
def test_vmap_of_gradient(name):
    f, _, args = SAMPLES[name]
    w = np.cos(np.arange(np.size(SAMPLES[name][1](*args)))).reshape(np.shape(SAMPLES[name][1](*args)))
    check_vmap(
        pg.grad(lambda *xs: pg.sum(f(*xs) * pg.asarray(w)), tuple(range(len(args)))), *[pg.asarray(a) for a in args]
    )


@pytest.mark.parametrize("name", SAMPLES)
def test_staged_equals_eager(name):
    f, _, args = SAMPLES[name]
    xs = [pg.asarray(a) for a in args]
    np.testing.assert_array_equal(pg.stage(f, *xs)(*xs).numpy(), f(*xs).numpy())


@pytest.mark.parametrize("name", sorted(set(SAMPLES) - KINKED - {"index_empty"}))
def test_gradient_flows(name):
    f, _, args = SAMPLES[name]
    grads = pg.grad(lambda *xs: pg.sum(f(*xs) * f(*xs)), tuple(range(len(args))))(*[pg.asarray(a) for a in args])
    assert all(np.any(g.numpy() != 0) for g in grads)


@pytest.mark.parametrize("name", ["equal", "not_equal", "less", "less_equal", "greater", "greater_equal"])
def test_comparisons(name):
    x, y = np.array([1.0, 2.0, np.nan, 3.0]), np.array([1.0, 3.0, np.nan, 2.0])
    got = getattr(pg, name)(pg.asarray(x), pg.asarray(y))
    assert got.dtype == bool
    np.testing.assert_array_equal(got.numpy(), getattr(np, name)(x, y))


@pytest.mark.parametrize(
    "name", ["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"]
)
def test_bits(name):
    x, y = np.array([5, 3, -8]), np.array([1, 2, 3])
    np.testing.assert_array_equal(getattr(pg, name)(pg.asarray(x), pg.asarray(y)).numpy(), getattr(np, name)(x, y))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_arg_reductions(name, axis):
    x = np.array([[1.0, 3.0, 3.0], [np.nan, 0.0, -1.0]])
    got = getattr(pg, name)(pg.asarray(x), axis=axis)
    np.testing.assert_array_equal(got.numpy(), getattr(np, name)(x, axis=axis))
    assert got.dtype == np.int64


def test_truth_reductions():
    x = pg.asarray([[True, False], [True, True]])
    assert pg.any(x, axis=0).tolist() == [True, True]
    assert pg.all(x, axis=1).tolist() == [False, True]
    empty = pg.zeros((0, 2))
    assert pg.all(empty, axis=0).tolist() == [True, True]
    assert pg.any(empty).item() is False


def test_prod_gradient_with_zeros():
    g = pg.grad(lambda x: pg.prod(x))(pg.asarray([2.0, 0.0, 3.0], dtype="float64"))
    assert g.tolist() == [0.0, 6.0, 0.0]


def test_equal_maxima_share_the_gradient():
    assert pg.grad(lambda x: pg.max(x))(pg.asarray([1.0, 3.0, 3.0])).tolist() == [0.0, 0.5, 0.5]
    assert pg.grad(lambda x: pg.maximum(x, 2.0))(2.0).item() == 0.5


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("g", [1.0, INF, NAN])
@pytest.mark.parametrize("f", [pg.maximum, pg.minimum])
def test_the_cotangent_of_an_extremum_goes_to_the_chosen_operand_only(f, g):
    """As in PyTorch: halves for equal operands, all to both where one is NaN."""
    less, more = ([0.0, g / 2, g, g], [g, g / 2, g, g])
    wanted = (less, more) if f is pg.maximum else (more, less)
    x, y = pg.asarray([1.0, 2.0, NAN, 1.0]), pg.asarray([3.0, 2.0, 1.0, NAN])
    _, pullback = pg.vjp(f, x, y)
    for found, expected in zip(pullback(pg.full(4, g)), wanted, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)
    _, tangent = pg.jvp(f, (x, y), (pg.full(4, 2.0), pg.asarray([INF, 4.0, 1.0, 1.0])))
    np.testing.assert_array_equal(tangent.numpy(), [INF if f is pg.maximum else 2.0, 3.0, 3.0, 3.0])


@pytest.mark.parametrize("g", [1.0, INF, NAN])
@pytest.mark.parametrize("f", [pg.max, pg.min])
def test_the_cotangent_of_a_reduced_extremum_goes_to_the_chosen_elements_only(f, g):
    """As in PyTorch's max of all elements: NaNs, where there are any, are chosen."""
    x = pg.asarray([[1.0, 1.0, 1.0], [NAN, 1.0, NAN], [0.0, 1.0, 2.0]])
    _, pullback = pg.vjp(lambda x: f(x, axis=1), x)
    last = [0.0, 0.0, g] if f is pg.max else [g, 0.0, 0.0]
    np.testing.assert_allclose(pullback(pg.full(3, g))[0].numpy(), [[g / 3] * 3, [g / 2, 0.0, g / 2], last], rtol=1e-6)
    _, tangent = pg.jvp(lambda x: f(x, axis=1), (x,), (pg.asarray([[3.0] * 3, [1.0, INF, 3.0], [7.0, NAN, 7.0]]),))
    assert tangent.tolist() == [3.0, 2.0, 7.0]


def test_pow_at_zero():
    assert pg.grad(lambda x: x**2.0)(0.0).item() == 0.0
    assert pg.grad(lambda x: x**0.0)(0.0).item() == 0.0
    assert pg.grad(lambda y: pg.asarray(0.0) ** y)(2.0).item() == 0.0


def test_low_precision_sums_accumulate_in_float32():
    for dtype in ("bfloat16", "float16"):
        x = pg.ones(1000, dtype=dtype)
        assert float(pg.sum(x).astype("float32")) == 1000.0
