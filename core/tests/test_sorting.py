"""Sorting, searching, sets and running products: against NumPy, with NaN, ties and zeros, under transformations."""

import itertools

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import AxisError, DTypeError, LeakedTracerError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

R = np.random.default_rng(8)
NAN, INF = float("nan"), float("inf")
REALS = ["bool", "int8", "uint8", "int64", "uint64", "float16", "bfloat16", "float32", "float64"]


def elements(shape, dtype, seed=0):
    """Numbers with many ties; floats with NaN, infinities and zeros of both signs."""
    rng, dtype = np.random.default_rng(seed), pg.as_dtype(dtype)
    if pg.isdtype(dtype, "real floating"):
        return rng.choice([-2.5, -0.0, 0.0, 1.0, 3.0, INF, -INF, NAN], shape).astype(dtype)
    if pg.isdtype(dtype, "bool"):
        return rng.random(shape) < 0.5
    info = pg.iinfo(dtype)
    return rng.choice(np.array([info.min, info.min + 1, 0, 1, 2, info.max - 1, info.max], dtype), shape)


def assert_same(got, wanted):
    """Equal elements and dtypes; NumPy sees no NaN of ml_dtypes' floats."""
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(*[a.astype(np.float32) if a.dtype.kind == "V" else a for a in (got, wanted)])


def by_hand(row, descending):
    """Stable, NaN last, from Python's own sort."""
    numbers = [i for i in range(len(row)) if row[i] == row[i]]
    return sorted(numbers, key=lambda i: -row[i] if descending else row[i]) + [
        i for i in range(len(row)) if row[i] != row[i]
    ]


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("descending", [False, True])
def test_argsort_and_sort(dtype, descending):
    x = elements((3, 40), dtype)
    got = pg.argsort(pg.asarray(x), descending=descending)
    assert got.dtype == np.int64
    assert got.tolist() == [by_hand(row.tolist(), descending) for row in x]
    ordered = pg.sort(pg.asarray(x), descending=descending)
    assert_same(ordered.numpy(), np.take_along_axis(x, got.numpy(), -1))
    columns = pg.argsort(pg.asarray(x.T.copy()), axis=0, descending=descending)
    assert columns.numpy().T.tolist() == got.tolist()


@pytest.mark.parametrize("f", [pg.sort, lambda x: pg.sort(x, axis=0, descending=True), lambda x: pg.sort(x, axis=-2)])
def test_sort_is_differentiable(f):
    x = pg.asarray(R.normal(size=(3, 4)))
    check_derivatives(f, x)
    check_vmap(f, x)
    check_vmap(lambda x: pg.argsort(x, axis=0), x)
    np.testing.assert_array_equal(pg.stage(f, x)(x).numpy(), f(x).numpy())


def test_the_gradient_of_a_sorted_element_goes_to_where_it_was():
    g = pg.grad(lambda x: pg.sum(pg.sort(x) * pg.asarray([1.0, 10.0, 100.0])))(pg.asarray([5.0, 3.0, 4.0]))
    assert g.tolist() == [100.0, 1.0, 10.0]


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(dtype, side):
    x, v = elements(30, dtype), elements((4, 5), dtype, 1)
    order = np.argsort(x.astype(np.float32) if x.dtype.kind == "V" else x, kind="stable")
    wide = [a.astype(np.float32) if a.dtype.kind == "V" else a for a in (x[order], v)]
    wanted = np.searchsorted(*wide, side=side)
    got = pg.searchsorted(pg.asarray(x[order]), pg.asarray(v), side=side)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got.numpy(), wanted)
    np.testing.assert_array_equal(
        pg.searchsorted(pg.asarray(x), pg.asarray(v), side=side, sorter=pg.asarray(order)).numpy(), wanted
    )


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("batched", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize("shape", [(4, 2), (), (0,)])
def test_searchsorted_over_batches(side, batched, shape):
    xs, vs = np.sort(elements((5, 9), "float64"), axis=1), elements((5, *shape), "float64", 2)
    x, v = [a if b == 0 else a[0] for a, b in zip((xs, vs), batched, strict=True)]
    got = pg.vmap(lambda x, v: pg.searchsorted(x, v, side=side), batched)(pg.asarray(x), pg.asarray(v))
    rows = [
        np.searchsorted(*[a[i] if b == 0 else a for a, b in zip((x, v), batched, strict=True)], side=side)
        for i in range(5)
    ]
    np.testing.assert_array_equal(got.numpy(), np.stack(rows))


def test_searchsorted_takes_scalars_and_promotes():
    x = pg.asarray([1, 3, 5])
    assert pg.searchsorted(x, 3).item() == 1 and pg.searchsorted(x, 3, side="right").item() == 2
    assert pg.searchsorted(x, 3.5).item() == 2
    assert pg.searchsorted(pg.asarray([1.0, 2.0]), pg.asarray([[1, 2]])).tolist() == [[0, 1]]


# -- running products


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "float64", "complex64", "bool"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("initial", [False, True])
def test_cumulative(dtype, axis, initial):
    x = R.integers(0, 3, (3, 5)).astype(dtype)
    for ours, numpys in ((pg.cumulative_prod, np.cumulative_prod), (pg.cumulative_sum, np.cumulative_sum)):
        got = ours(pg.asarray(x), axis=axis, include_initial=initial)
        wanted = numpys(x, axis=axis, include_initial=initial)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got.numpy(), wanted)
    assert pg.cumulative_prod(pg.asarray(x), axis=axis, dtype="float64").dtype == np.float64


@pytest.mark.parametrize("n", [0, 1, 2, 5, 8, 13])
def test_doubling_is_the_running_product(n):
    x = R.uniform(0.5, 1.5, (2, n))
    got = pg.OPS["cumprod"].decompose(pg.asarray(x), axis=1).numpy()
    np.testing.assert_allclose(got, np.cumprod(x, 1), rtol=1e-14)


@pytest.mark.parametrize("zeros", [(), (0,), (2,), (1, 3)])
def test_the_derivative_of_a_running_product_with_zeros(zeros):
    x = R.normal(size=(2, 5))
    x[:, list(zeros)] = 0
    for f in (lambda x: pg.cumulative_prod(x, axis=1), lambda x: pg.cumulative_prod(x, axis=0, include_initial=True)):
        check_derivatives(f, pg.asarray(x))
        check_vmap(f, pg.asarray(x))
    g = pg.grad(lambda x: pg.sum(pg.cumulative_prod(x)))(pg.asarray([2.0, 0.0, 3.0]))
    assert g.tolist() == [1.0, 8.0, 0.0]


def test_the_derivative_of_a_complex_running_product():
    z = R.normal(size=4) + 1j * R.normal(size=4)
    check_derivatives(pg.cumulative_prod, pg.asarray(z))


# -- counting, finding, sets


def test_counting_and_finding():
    x = np.array([[0.0, -0.0, NAN], [3.0, 0.0, INF]])
    t = pg.asarray(x)
    assert pg.count_nonzero(t).item() == 3 and pg.count_nonzero(t, axis=1, keepdims=True).tolist() == [[1], [2]]
    assert pg.count_nonzero(t > 1).dtype == np.int64
    assert pg.count_nonzero(pg.asarray([0j, 1j])).item() == 1
    for got, wanted in zip(pg.nonzero(t), np.nonzero(x), strict=True):
        np.testing.assert_array_equal(got.numpy(), wanted)
        assert got.dtype == np.int64
    recorded = pg.asarray([0.0, 2.0]).requires_grad_()
    assert pg.nonzero(recorded)[0].tolist() == [1]


@pytest.mark.parametrize("dtype", [*REALS, "complex64"])
def test_unique(dtype):
    x = elements((4, 6), dtype) if dtype != "complex64" else R.integers(0, 2, (4, 6)) + 1j * R.integers(0, 2, (4, 6))
    x = x.astype(pg.as_dtype(dtype))
    found = pg.unique_all(pg.asarray(x))
    flat = x.reshape(-1)
    numbers, nans = flat[flat == flat], int((flat != flat).sum())
    assert len(found.values) == len(set(numbers.tolist())) + nans == len(found.counts)
    assert found.values.dtype == x.dtype and found.inverse_indices.shape == x.shape
    assert_same(found.values.numpy(), flat[found.indices.numpy()])
    assert_same(found.values.numpy()[found.inverse_indices.numpy()], x)
    for value, first, count in zip(found.values.numpy(), found.indices.numpy(), found.counts.numpy(), strict=True):
        assert count == (1 if value != value else (flat == value).sum())
        assert value != value or first == np.flatnonzero(flat == value)[0]
    assert_same(pg.unique_values(pg.asarray(x)).numpy(), found.values.numpy())
    assert pg.unique_counts(pg.asarray(x)).counts.tolist() == found.counts.tolist()
    assert pg.unique_inverse(pg.asarray(x)).inverse_indices.tolist() == found.inverse_indices.tolist()


def test_unique_values_are_differentiable():
    g = pg.grad(lambda x: pg.sum(pg.unique_values(x) ** 2))(pg.asarray([3.0, 1.0, 3.0]))
    assert g.tolist() == [6.0, 2.0, 0.0]
    _, tangent = pg.jvp(pg.unique_values, (pg.asarray([3.0, 1.0]),), (pg.asarray([5.0, 7.0]),))
    assert tangent.tolist() == [7.0, 5.0]


@pytest.mark.parametrize("dtype", [*REALS, "complex64"])
@pytest.mark.parametrize("invert", [False, True])
def test_isin(dtype, invert):
    if dtype == "complex64":
        x, among = np.array([1j, 2, 0j], dtype), np.array([[2, 1j + 1]], dtype)
    else:
        x, among = elements((4, 5), dtype), elements((2, 2), dtype, 3)
    wanted = [(v == among).any() != invert for v in x.reshape(-1)]
    got = pg.isin(pg.asarray(x), pg.asarray(among), invert=invert)
    assert got.dtype == bool and got.shape == x.shape and got.numpy().reshape(-1).tolist() == wanted


def test_isin_of_scalars_of_nothing_and_under_vmap():
    x = pg.asarray([[1, 2], [3, 4]])
    assert pg.isin(x, 3).tolist() == [[False, False], [True, False]]
    assert pg.isin(4, x).item() is True and pg.isin(5, x).item() is False
    assert pg.isin(x, pg.zeros((0,), dtype="int64")).tolist() == [[False, False]] * 2
    assert pg.isin(x, pg.zeros((0,), dtype="int64"), invert=True).tolist() == [[True, True]] * 2
    assert pg.isin(pg.asarray([1, 2]), pg.asarray([1.5, 2.0])).tolist() == [False, True]
    check = pg.vmap(pg.isin)(x, pg.asarray([[2, 7, 1], [4, 4, 5]]))
    assert check.tolist() == [[True, True], [False, True]]
    assert pg.stage(pg.isin, x, x)(x, x).tolist() == [[True, True]] * 2


DEPENDENT = ["nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values"]


@pytest.mark.parametrize("name", DEPENDENT)
def test_sizes_that_depend_on_values_need_them(name):
    f, x = getattr(pg, name), pg.asarray([[1.0, 0.0]])
    with pytest.raises(LeakedTracerError, match=f"{name}: .*outside the transformation"):
        pg.vmap(f)(x)
    with pytest.raises(LeakedTracerError, match=f"{name}: "):
        pg.stage(f, x)


BAD = {
    "argsort: axis 2": (AxisError, lambda x: pg.argsort(x, axis=2)),
    "sort: axis 0": (AxisError, lambda x: pg.sort(x[0, 0], axis=0)),
    "argsort: not defined for complex64": (DTypeError, lambda x: pg.argsort(x.astype("complex64"))),
    "searchsorted: shape (2, 3)": (ShapeError, lambda x: pg.searchsorted(x, 1.0)),
    "searchsorted: side 'middle'": (ValueError, lambda x: pg.searchsorted(x[0], x, side="middle")),
    "searchsorted: a sorter": (ShapeError, lambda x: pg.searchsorted(x[0], x, sorter=[0, 1])),
    "nonzero: a 0-d": (ShapeError, lambda x: pg.nonzero(x[0, 0])),
    "cumulative_prod: a tensor of 2": (ShapeError, pg.cumulative_prod),
    "vecdot: shapes": (ShapeError, lambda x: pg.vecdot(x, x[:, :1])),
}


@pytest.mark.parametrize("message", BAD)
def test_errors(message):
    error, call = BAD[message]
    with pytest.raises(error) as caught:
        call(pg.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("one", "two", "axis"),
    [((4,), (4,), -1), ((3, 4), (4,), -1), ((2, 4, 3), (4, 1), -2), ((0, 4), (4,), -1), ((3, 0), (3, 0), -1)],
)
def test_vecdot(one, two, axis):
    for kind in (float, complex):
        a, b = [R.normal(size=s) + (1j * R.normal(size=s) if kind is complex else 0) for s in (one, two)]
        got = pg.vecdot(pg.asarray(a), pg.asarray(b), axis=axis)
        np.testing.assert_allclose(got.numpy(), np.vecdot(a, b, axis=axis), rtol=1e-13, atol=1e-13)
        if a.size:
            check_derivatives(lambda a, b: pg.vecdot(a, b, axis=axis), pg.asarray(a), pg.asarray(b))


def test_take_and_its_signatures():
    x = pg.asarray([[1, 2, 3], [4, 5, 6]])
    assert pg.take(x, pg.asarray([2, 0]), axis=1).tolist() == [[3, 1], [6, 4]]
    assert pg.take(pg.asarray([7, 8]), pg.asarray([1])).tolist() == [8]
    assert pg.take_along_axis(x, pg.asarray([[2], [0]])).tolist() == [[3], [4]]


def test_argmax_takes_the_first():
    x = np.array(list(itertools.product([0.0, 1.0], repeat=3)))
    np.testing.assert_array_equal(pg.argmax(pg.asarray(x), axis=1).numpy(), np.argmax(x, 1))
