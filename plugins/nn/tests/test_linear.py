"""The affine map against NumPy, its derivatives and batching."""

from __future__ import annotations

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap
from plugrad_nn import linear

SHAPES = [(4,), (3, 4), (2, 3, 4), (0, 4)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("biased", [True, False])
def test_value_and_derivatives(rng, shape, biased):
    x, w, b = rng.normal(size=shape), rng.normal(size=(5, 4)), rng.normal(size=5)
    given = [pg.asarray(v) for v in ([x, w, b] if biased else [x, w])]
    np.testing.assert_allclose(linear(*given).numpy(), x @ w.T + (b if biased else 0), rtol=1e-12, atol=1e-12)
    check_derivatives(linear, *given)
    if 0 not in shape:
        check_vmap(linear, *given)
        check_vmap(pg.grad(lambda *xs: pg.sin(linear(*xs)).sum(), argnums=tuple(range(len(given)))), *given)


def test_each_tangent_alone(rng):
    x, w, b = [pg.asarray(rng.normal(size=s)) for s in ((3, 4), (5, 4), (5,))]
    check_derivatives(lambda x: linear(x, w, b), x)
    check_derivatives(lambda w: linear(x, w, b), w)
    check_derivatives(lambda b: linear(x, w, b), b, order=1)


def test_it_stays_whole_under_nested_transformations(rng, spy):
    x, w, b = [pg.asarray(rng.normal(size=s)) for s in ((2, 3, 4), (5, 4), (5,))]
    pg.vmap(lambda x: pg.jvp(pg.grad(lambda w: pg.sin(linear(x, w, b)).sum()), (w,), (w,))[1])(x)
    assert spy.names == {"nn.linear"}
    assert spy.torn == set()


def test_promotion():
    x, w, b = pg.ones((3, 4), dtype="float32"), pg.ones((5, 4), dtype="float64"), pg.ones(5, dtype="float32")
    assert linear(x, w, b).dtype == np.float64
    found = pg.grad(lambda *xs: linear(*xs).sum(), argnums=(0, 1, 2))(x, w, b)
    assert [t.dtype for t in found] == [np.float32, np.float64, np.float32]


@pytest.mark.parametrize(
    ("x", "w", "b", "words"),
    [
        ((3, 4), (5, 3), (5,), ["(3, 4)", "(5, 3)", "(..., in) and (out, in)"]),
        ((3, 4), (5, 3), None, ["(3, 4)", "(5, 3)", "(..., in) and (out, in)"]),
        ((3, 4), (4,), None, ["(4,)"]),
        ((), (5, 4), (5,), ["()"]),
        ((3, 4), (5, 4), (4,), ["bias", "(4,)", "(5, 4)"]),
    ],
)
def test_misfits(x, w, b, words):
    ran = []
    given = [pg.zeros(shape) for shape in (x, w, b) if shape is not None]
    with pg.observe(lambda *event: ran.append(event)), pytest.raises(ShapeError) as caught:
        linear(*given)
    assert "linear: " in str(caught.value)
    assert [word for word in words if word not in str(caught.value)] == []
    assert ran == []


@pytest.mark.parametrize("which", [0, 1, 2])
def test_integers_are_refused(which):
    given = [pg.zeros((3, 4)), pg.zeros((5, 4)), pg.zeros(5)]
    given[which] = given[which].astype("int32")
    with pytest.raises(DTypeError, match=rf"linear: {('x', 'weight', 'bias')[which]} is int32.*astype"):
        linear(*given)
