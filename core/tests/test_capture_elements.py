"""What a capture keeps of operands: enough to make legal ones that vary."""

import ml_dtypes
import numpy as np
import pytest

from plugrad.dtypes import DTYPES
from plugrad.testing.capture.attributes import NoForm, decode, encode
from plugrad.testing.capture.elements import FEW, look, make, merge
from plugrad.testing.capture.legal import legal
from plugrad.testing.contract.subject import kind_of

SHAPES = [(), (3,), (9, 11), (0, 4)]


def made(array, name="x", **attrs):
    """An array of what is kept of another."""
    return make(array.shape, array.dtype, look(array), np.random.default_rng(1))


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shape_dtype_and_bounds_are_kept(dtype, shape, rng):
    drawn = rng.uniform(1, 9, shape)
    array = np.asarray(drawn + 1j * drawn if kind_of(dtype) == "c" else drawn).astype(dtype)
    found = made(array)
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    if array.size and kind_of(dtype) != "b":
        wide = np.complex128 if kind_of(dtype) == "c" else np.float64
        before, after = array.astype(wide), found.astype(wide)
        assert before.real.min() <= after.real.min() and after.real.max() <= before.real.max()


def test_draws_are_the_same_in_every_run_and_vary():
    array = np.linspace(-3, 5, 1000)
    one, two = made(array), made(array)
    assert np.array_equal(one, two)
    assert np.unique(one).size == 1000 and abs(one.mean() - array.mean()) < 0.3 and abs(one.std() - array.std()) < 0.5


def test_few_integers_are_kept_by_value_and_many_by_bounds():
    few = np.arange(FEW)[::-1]
    assert np.array_equal(made(few), few)
    many = np.arange(5, 6 + FEW, dtype=np.uint8)
    assert look(many) == {"low": 5, "high": 5 + FEW}
    ends = np.full(100, np.iinfo(np.uint64).max, np.uint64)
    assert np.array_equal(made(ends), ends)


def test_what_is_not_finite_is_kept_as_a_share():
    array = np.zeros(2000, np.float32)
    array[:500], array[500:600], array[600:700] = -np.inf, np.nan, np.inf
    found = made(array)
    assert 0.2 < np.mean(found == -np.inf) < 0.3 and 0.02 < np.isnan(found).mean() < 0.08
    assert 0.02 < np.mean(found == np.inf) < 0.08
    assert np.isnan(made(np.full(5, np.nan))).all()


def test_numbers_near_the_largest_do_not_overflow():
    large = np.finfo(np.float64).max
    found = made(np.array([-large, large] * 50))
    assert np.isfinite(found).all() and np.abs(found).max() > 1e300


def test_floats_that_are_alike_are_made_different_but_a_scalar_stays():
    zeros = made(np.zeros((4, 5), np.float32))
    assert zeros.min() >= 0 and zeros.max() <= 1 and np.unique(zeros).size == 20
    assert made(np.array(1e-5)) == 1e-5


def test_merged_bounds_hold_both_and_the_rest_is_of_the_one_that_varies():
    zeros, wide = np.zeros(100), np.linspace(-1, 3, 100)
    for a, b in ((zeros, wide), (wide, zeros)):
        assert merge(look(a), look(b)) == look(wide)
    narrow = np.full(100, 7.0)
    both = merge(look(wide), look(narrow))
    assert (both["low"], both["high"], both["std"]) == (-1.0, 7.0, look(wide)["std"])
    assert merge(look(np.arange(3)), look(np.arange(1, 4))) == {"values": [0, 1, 2]}
    assert merge({"low": 3, "high": 9}, {"low": 1, "high": 4}) == {"low": 1, "high": 9}
    assert merge({"true": 1.0}, {"true": 0.25}) == {"true": 0.25}
    nothing = look(np.full(4, np.nan))
    assert merge(nothing, look(wide))["high"] == 3.0


@pytest.mark.parametrize("name", ["cholesky", "eigh", "inv", "svd", "solve", "qr"])
@pytest.mark.parametrize("n", [1, 3, 80])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_matrices_are_well_conditioned(name, n, dtype, rng):
    (x,) = legal(name, [np.zeros((2, n, n), dtype)], {}, rng)
    assert x.shape == (2, n, n) and x.dtype == dtype
    assert np.linalg.cond(x).max() < 200
    assert np.linalg.norm(x * (1 - np.eye(n)), 2, axis=(1, 2)).max() < 1.2
    values = np.linalg.svd(x, compute_uv=False)
    assert n == 1 or np.abs(np.diff(values)).min() > 0.05
    if name in ("cholesky", "eigh"):
        assert np.array_equal(x, np.conj(np.swapaxes(x, 1, 2))) and np.isfinite(np.linalg.cholesky(x)).all()


def test_what_the_contract_leaves_open_is_not_asked(rng):
    _, divisor = legal("remainder", [np.arange(4), np.array([0, 2, -1, 0])], {}, rng)
    assert divisor.tolist() == [1, 2, -1, 1]
    _, amount = legal("shift_left", [np.ones(3, np.uint8), np.array([0, 7, 200], np.uint8)], {}, rng)
    assert amount.tolist() == [0, 7, 7] and amount.dtype == np.uint8
    odd = np.array([np.nan, np.inf, -np.inf, 3e9, -5], np.float32)
    (x,) = legal("cast", [odd], {"dtype": np.dtype("int32")}, rng)
    assert np.isfinite(x).all() and np.abs(x).max() < 2**31 and x[4] == -5
    (x,) = legal("cast", [odd], {"dtype": np.dtype("float64")}, rng)
    assert x is odd
    edges, _ = legal("searchsorted", [np.array([3.0, 1.0, 2.0]), np.zeros(2)], {}, rng)
    assert edges.tolist() == [1.0, 2.0, 3.0]
    _, exponent = legal("pow", [np.array([-1.0, 2.0]), np.array([2.3, 2.9])], {}, rng)
    assert exponent.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    "value",
    [None, True, 0, 2**70, -0.0, 1.5, float("inf"), "same", (), (1, (2.0, None)), slice(0, None, -1), 1 + 2j]
    + [np.dtype("float32"), np.dtype(ml_dtypes.bfloat16)],
    ids=repr,
)
def test_an_attribute_comes_back_as_it_was(value):
    found = decode(encode(value))
    assert type(found) is type(value) and repr(found) == repr(value)


def test_nan_and_numbers_of_numpy():
    assert np.isnan(decode(encode(float("nan"))))
    assert type(encode(np.float32(0.5))) is float and type(encode(np.int64(3))) is int
    assert encode(1) != encode("1") and repr(encode(1)) != repr(encode(1.0))


def test_what_has_no_form():
    for value in ([1], {"a": 1}, len, object(), (1, [2])):
        with pytest.raises(NoForm):
            encode(value)
    for form in ({}, {"float": "12"}, {"dtype": "float99"}, {"slice": [1]}, {"a": 1}, {"float": "nan", "b": 1}):
        with pytest.raises(ValueError):
            decode(form)


def test_the_mean_of_numbers_near_the_largest_is_the_middle():
    assert look(np.array([1.0e308, 1.5e308])) == {"low": 1.0e308, "high": 1.5e308, "mean": 1.25e308, "std": 0.25e308}
