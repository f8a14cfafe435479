"""unfold against plain loops, fold as its adjoint, derivatives, vmap, errors."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap
from plugrad_nn import conv2d, fold, unfold

# spatial sizes, kernel, stride, padding, dilation
CASES = {
    "sequence": ((7,), (3,), 1, 0, 1),
    "sequence, everything": ((8,), (2,), (3,), (2,), (2,)),
    "image": ((5, 6), (2, 3), 1, 0, 1),
    "image, everything": ((5, 6), (2, 3), (2, 1), (1, 2), (2, 1)),
    "side by side": ((6, 4), (3, 2), (3, 2), 0, 1),
    "gaps": ((7, 7), (2, 1), 3, 1, 1),
    "volume": ((3, 4, 5), (2, 1, 3), (1, 2, 2), (0, 1, 1), (2, 1, 1)),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def each(value, count):
    return value if isinstance(value, tuple) else (value,) * count


def columns(x, kernel, stride, padding, dilation):
    """The definition: one window after the other, channel by channel."""
    count = x.ndim - 2
    stride, padding, dilation = each(stride, count), each(padding, count), each(dilation, count)
    x = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    free = [d - g * (k - 1) for d, k, g in zip(x.shape[2:], kernel, dilation)]
    found = []
    for corner in np.ndindex(*[(f - 1) // s + 1 for f, s in zip(free, stride)]):
        region = [slice(i * s, i * s + g * (k - 1) + 1, g) for i, s, g, k in zip(corner, stride, dilation, kernel)]
        found.append(x[(slice(None), slice(None), *region)].reshape(x.shape[0], -1))
    return np.stack(found, axis=-1)


def calls(case):
    sizes, kernel, stride, padding, dilation = case
    steps = {"stride": stride, "padding": padding, "dilation": dilation}
    return lambda x: unfold(x, kernel, **steps), lambda y: fold(y, sizes, kernel, **steps)


@each_case
def test_unfold(rng, case):
    x = rng.normal(size=(2, 3, *case[0]))
    wanted = columns(x, *case[1:])
    got = calls(case)[0](pg.asarray(x))
    np.testing.assert_array_equal(got.numpy(), wanted)
    np.testing.assert_array_equal(calls(case)[0](pg.asarray(x[1])).numpy(), wanted[1])


@each_case
def test_fold_is_the_adjoint(rng, case):
    f, adjoint = calls(case)
    x = rng.normal(size=(2, 3, *case[0]))
    y = rng.normal(size=f(pg.asarray(x)).shape)
    back = adjoint(pg.asarray(y))
    assert back.shape == x.shape
    assert (back.numpy() * x).sum() == pytest.approx((columns(x, *case[1:]) * y).sum(), rel=1e-12)
    np.testing.assert_array_equal(adjoint(pg.asarray(y[1])).numpy(), back.numpy()[1])
    counts = adjoint(f(pg.ones((1, 1, *case[0]), dtype="float64"))).numpy()  # windows over each element
    np.testing.assert_allclose(adjoint(f(pg.asarray(x))).numpy(), x * counts, rtol=1e-13, atol=1e-13)


@each_case
def test_transformations(rng, case):
    f, adjoint = calls(case)
    x = pg.asarray(rng.normal(size=(2, 2, *case[0])))
    y = pg.asarray(rng.normal(size=f(x).shape))
    for g, given in ((f, x), (adjoint, y)):
        check_derivatives(lambda t, g=g: pg.sin(g(pg.sin(t))), given)
        check_vmap(g, given)
        check_vmap(pg.grad(lambda t, g=g: pg.sin(g(t)).sum()), given)


def test_a_convolution_is_a_product_with_the_columns(rng):
    x, w = pg.asarray(rng.normal(size=(2, 3, 6, 5))), pg.asarray(rng.normal(size=(4, 3, 2, 3)))
    y = pg.reshape(w, (4, -1)) @ unfold(x, (2, 3), stride=2, padding=1)
    wanted = conv2d(x, w, stride=2, padding=1)
    np.testing.assert_allclose(y.reshape(wanted.shape).numpy(), wanted.numpy(), rtol=1e-12, atol=1e-12)


def test_an_integer_is_for_all_spatial_axes(rng):
    x = pg.asarray(rng.normal(size=(1, 2, 4, 5, 4)))
    np.testing.assert_array_equal(unfold(x, 3, padding=1).numpy(), unfold(x, (3, 3, 3), padding=(1, 1, 1)).numpy())
    y = unfold(x, 3)
    np.testing.assert_array_equal(fold(y, (4, 5, 4), 3).numpy(), fold(y, (4, 5, 4), (3, 3, 3)).numpy())


def test_no_examples():
    y = unfold(pg.zeros((0, 2, 4)), 2)
    assert y.shape == (0, 4, 3)
    assert fold(y, (4,), 2).shape == (0, 2, 4)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: unfold(x, 5), ["unfold: the kernel (5, 5)", "(4, 4)"]),
        (lambda x: unfold(x[0, 0, 0], 2), ["unfold: x of shape (4,)"]),
        (lambda x: unfold(x, (2,)), ["unfold: x of shape (1, 2, 4, 4)", "(2,)"]),
        (lambda x: unfold(x, 2, stride=0), ["unfold: stride is 0"]),
        (lambda x: unfold(x, 2, padding=-1), ["unfold: padding is -1"]),
        (lambda x: unfold(x, 2, dilation=(1, 1, 1)), ["unfold: dilation is (1, 1, 1)", "2 spatial axes"]),
        (lambda x: fold(x, 4, 2), ["fold: output_size is 4"]),
        (lambda x: fold(x[0], (4, 4), 2), ["fold: x of shape (2, 4, 4)", "(n, c * 4, 9)"]),
        (lambda x: fold(x, (4, 4), 2), ["fold: x of shape (1, 2, 4, 4)"]),
        (lambda x: fold(x[0], (1, 4), 2), ["fold: the kernel (2, 2)", "(1, 4)"]),
    ],
)
def test_misfits_are_named(call, words):
    with pytest.raises(ShapeError) as caught:
        call(pg.zeros((1, 2, 4, 4)))
    assert [word for word in words if word not in str(caught.value)] == []


def test_integers_are_refused():
    with pytest.raises(DTypeError, match=r"unfold: x is int64.*astype"):
        unfold(pg.zeros((1, 1, 4), dtype="int64"), 2)
    with pytest.raises(DTypeError, match=r"fold: x is int64.*astype"):
        fold(pg.zeros((1, 2, 3), dtype="int64"), (4,), 2)
