"""Nonlinearities against their definitions written in NumPy, at extremes, and their derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest

import plugrad as pg
import plugrad_nn as nn
from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import check_derivatives, check_vmap

erf = np.vectorize(math.erf)


def sigmoid(x):
    return np.where(x >= 0, 1 / (1 + np.exp(-np.abs(x))), np.exp(-np.abs(x)) / (1 + np.exp(-np.abs(x))))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


ELEMENTWISE = {
    "relu": (nn.relu, lambda x: np.maximum(x, 0)),
    "leaky_relu": (nn.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    "leaky_relu slope": (lambda x: nn.leaky_relu(x, slope=0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
    "sigmoid": (nn.sigmoid, sigmoid),
    "silu": (nn.silu, lambda x: x * sigmoid(x)),
    "softplus": (nn.softplus, lambda x: np.logaddexp(0, x)),
    "gelu": (nn.gelu, lambda x: x * 0.5 * (1 + erf(x / np.sqrt(2)))),
    "gelu tanh": (
        lambda x: nn.gelu(x, approximate="tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
}


@pytest.mark.parametrize(("f", "definition"), ELEMENTWISE.values(), ids=ELEMENTWISE)
def test_elementwise(rng, f, definition):
    x = rng.normal(size=(3, 4)) * 3
    np.testing.assert_allclose(f(pg.asarray(x)).numpy(), definition(x), rtol=1e-12, atol=1e-14)
    check_derivatives(f, pg.asarray(x))
    check_vmap(f, pg.asarray(x))
    check_vmap(pg.grad(lambda x: pg.sin(f(x)).sum()), pg.asarray(x))
    assert f(pg.asarray(x.astype("float32"))).dtype == np.float32


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("transform", ["vjp", "jvp", "vmap"])
def test_relu_keeps_an_unbounded_cotangent_to_its_place(bad, transform):
    """Where the input is negative or 0 the derivative is 0, not 0 times whatever arrives there."""
    x = pg.asarray([-1.0, 0.0, 2.0, -3.0])
    g = pg.asarray([bad, bad, bad, 5.0])
    if transform == "jvp":
        got = pg.jvp(nn.relu, (x,), (g,))[1]
    elif transform == "vjp":
        (got,) = pg.vjp(nn.relu, x)[1](g)
    else:
        got = pg.vmap(lambda x, g: pg.vjp(nn.relu, x)[1](g)[0])(x, g)
    np.testing.assert_array_equal(got.numpy(), np.asarray([0, 0, bad, 0], "float32"))


def test_relu_twice():
    """The derivative of the backward in the cotangent is the same selection, and in the input 0."""
    x = pg.asarray([-1.0, 0.0, 2.0])
    (gg,) = pg.vjp(lambda g: pg.vjp(nn.relu, x)[1](g)[0], pg.ones((3,)))[1](pg.asarray([math.inf, math.nan, 7.0]))
    assert gg.tolist() == [0.0, 0.0, 7.0]
    assert pg.grad(lambda x: (pg.grad(lambda x: (nn.relu(x) ** 2).sum())(x)).sum())(x).tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax])
def test_softmaxes(rng, f, axis):
    x = rng.normal(size=(3, 4, 2)) * 3
    wanted = softmax(x, axis)
    wanted = np.log(wanted) if f is nn.log_softmax else wanted
    np.testing.assert_allclose(f(pg.asarray(x), axis=axis).numpy(), wanted, rtol=1e-12)
    check_derivatives(lambda x: f(x, axis=axis), pg.asarray(x))
    check_vmap(lambda x: f(x, axis=axis), pg.asarray(x))
    check_vmap(pg.grad(lambda x: pg.sin(f(x, axis=axis)).sum()), pg.asarray(x))


def test_the_backward_of_softmaxes_under_vmap(rng):
    x, g = pg.asarray(rng.normal(size=(3, 4))), pg.asarray(rng.normal(size=(3, 4)))
    for f in (nn.softmax, nn.log_softmax):
        check_vmap(lambda g, f=f: pg.vjp(f, x)[1](g)[0], g)


def test_operations_stay_whole_under_nested_transformations(rng, spy):
    x = pg.asarray(rng.normal(size=(2, 3, 4)))

    def f(x):
        return nn.softmax(nn.log_softmax(nn.gelu(nn.silu(nn.sigmoid(nn.softplus(nn.relu(x)))))))

    pg.vmap(lambda x: pg.jvp(pg.grad(lambda x: pg.sin(f(x)).sum()), (x,), (x,))[1])(x)
    assert spy.names >= {
        f"nn.{name}" for name in ("relu", "relu_bwd", "softmax", "log_softmax", "gelu", "silu", "sigmoid")
    }
    assert spy.torn <= {"nn.softmax_bwd", "nn.log_softmax_bwd"}


def test_relu_at_zero_and_nan():
    x = pg.asarray([0.0, -0.0, 3.0, -2.0])
    assert pg.grad(lambda x: nn.relu(x).sum())(x).tolist() == [0.0, 0.0, 1.0, 0.0]
    assert np.isnan(nn.relu(pg.asarray([np.nan])).numpy()).all()


def test_relu_keeps_its_output_only():
    """The node of relu holds no second array: its input is kept as shape and dtype."""
    x = pg.ones(5).requires_grad_()
    node = nn.relu(x * 2).node
    assert node.inputs[0].val is None
    assert node.outputs[0].val is not None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extremes(dtype):
    x = pg.asarray([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype)
    assert nn.softplus(x).tolist()[-2:] == [100.0, 1e4]
    assert nn.sigmoid(x).tolist()[0] == 0.0
    assert nn.sigmoid(x).tolist()[-1] == 1.0
    tail = {"float32": [-20.0, -80.0], "float64": [-20.0, -700.0]}[dtype]
    np.testing.assert_allclose(nn.sigmoid(pg.asarray(tail, dtype=dtype)).numpy(), np.exp(tail), rtol=1e-5)
    for f in (nn.relu, nn.sigmoid, nn.silu, nn.softplus, nn.gelu, nn.softmax, nn.log_softmax):
        assert np.isfinite(f(x).numpy()).all()
        assert np.isfinite(pg.grad(lambda x, f=f: f(x).sum())(x).numpy()).all()


def test_masked_scores():
    x = pg.asarray([0.0, -np.inf, 0.0])
    assert nn.softmax(x).tolist() == [0.5, 0.0, 0.5]
    gradient = pg.grad(lambda x: nn.softmax(x)[0])(x).numpy()
    np.testing.assert_allclose(gradient, [0.25, 0.0, -0.25])


@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax])
def test_bad_axes(f):
    with pytest.raises(ShapeError, match=rf"{f.__name__}: axis 2 .*\(3, 4\).*use -2 to 1"):
        f(pg.zeros((3, 4)), axis=2)
    with pytest.raises(ShapeError, match=rf"{f.__name__}: axis -1 of shape \(3, 0\) is empty"):
        f(pg.zeros((3, 0)))


@pytest.mark.parametrize(
    "f", [nn.relu, nn.leaky_relu, nn.sigmoid, nn.silu, nn.softplus, nn.gelu, nn.softmax, nn.log_softmax]
)
def test_integers_are_refused(f):
    with pytest.raises(DTypeError, match=rf"{f.__name__}: x is int64 of shape \(3,\); cast"):
        f(pg.arange(3))


def test_unknown_approximation():
    with pytest.raises(ValueError, match="gelu: approximate is 'erf'; use 'none' or 'tanh'"):
        nn.gelu(pg.zeros(3), approximate="erf")
