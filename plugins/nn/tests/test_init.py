"""Initialisers: fans, moments, and the same numbers on every device."""

from __future__ import annotations

import math

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import ShapeError
from plugrad_nn import init

LINEAR, CONV = (300, 200), (60, 40, 3, 3)


def test_fans():
    assert init.calculate_fans((10, 64)) == (64, 10)
    assert init.calculate_fans((32, 16, 3, 5)) == (16 * 15, 32 * 15)
    with pytest.raises(ShapeError, match=r"calculate_fans: shape \(3,\)"):
        init.calculate_fans((3,))


def test_gains():
    """The gain of a nonlinearity undoes what it does to the second moment of a standard normal, for those where theory
    says so.
    """
    z = np.random.default_rng(0).normal(size=1_000_000)
    assert init.calculate_gain("relu") ** 2 * (np.maximum(z, 0) ** 2).mean() == pytest.approx(1, rel=0.01)
    leaky = np.where(z > 0, z, 0.3 * z)
    assert init.calculate_gain("leaky_relu", 0.3) ** 2 * (leaky**2).mean() == pytest.approx(1, rel=0.01)
    assert (init.calculate_gain("linear"), init.calculate_gain("sigmoid")) == (1.0, 1.0)
    assert init.calculate_gain("tanh") == pytest.approx(5 / 3)
    with pytest.raises(ValueError, match="calculate_gain: nonlinearity is 'selu'; use 'linear'"):
        init.calculate_gain("selu")


@pytest.mark.parametrize("shape", [LINEAR, CONV], ids=["linear", "conv"])
@pytest.mark.parametrize(
    ("f", "options", "variance"),
    [
        (init.xavier_uniform, {}, lambda i, o: 2 / (i + o)),
        (init.xavier_normal, {}, lambda i, o: 2 / (i + o)),
        (init.xavier_normal, {"gain": 3.0}, lambda i, o: 18 / (i + o)),
        (init.kaiming_uniform, {}, lambda i, o: 2 / i),
        (init.kaiming_normal, {}, lambda i, o: 2 / i),
        (init.kaiming_uniform, {"mode": "fan_out"}, lambda i, o: 2 / o),
        (init.kaiming_normal, {"nonlinearity": "linear"}, lambda i, o: 1 / i),
        (init.kaiming_uniform, {"nonlinearity": "leaky_relu", "slope": 1.0}, lambda i, o: 1 / i),
    ],
)
def test_moments(shape, f, options, variance):
    field = math.prod(shape[2:])
    std = math.sqrt(variance(shape[1] * field, shape[0] * field))
    w = f(pg.random.key(3), shape, dtype="float64", **options).numpy() / std
    n = w.size
    assert w.shape == shape
    assert abs(w.mean()) < 5 / math.sqrt(n)
    assert w.var() == pytest.approx(1, abs=5 * math.sqrt(2 / n))
    if "uniform" in f.__name__:
        assert np.abs(w).max() <= math.sqrt(3)
        assert np.abs(w).max() == pytest.approx(math.sqrt(3), rel=1e-3)
    else:
        assert (w**4).mean() == pytest.approx(3, rel=0.1)
        assert np.abs(w).max() > 3


def test_constants():
    assert (init.zeros(None, (2, 3)) == 0).all()
    assert (init.ones(None, (2, 3), dtype="float64") == 1).all()


def test_keys_decide():
    a, b, c = (init.kaiming_normal(pg.random.key(seed), LINEAR).numpy() for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not (a == c).any()


@pytest.mark.parametrize("f", [init.xavier_uniform, init.xavier_normal, init.kaiming_uniform, init.kaiming_normal])
def test_a_key_from_the_default_generator_gives_the_same_on_every_device(f, device):
    """The default generator lives on the reference backend, so the numbers are drawn there and moved."""
    pg.manual_seed(5)
    w = f(pg.random.generator().key(), (6, 5))
    assert w.device == device
    pg.manual_seed(5)
    wanted = f(pg.random.generator().key(), (6, 5), device="numpy")
    assert wanted.device == "numpy"
    np.testing.assert_array_equal(w.numpy(), wanted.numpy())


def test_mode_and_rank():
    with pytest.raises(ValueError, match="kaiming_normal: mode is 'fan_avg'; use 'fan_in' or 'fan_out'"):
        init.kaiming_normal(pg.random.key(0), (3, 4), mode="fan_avg")
    with pytest.raises(ShapeError, match=r"shape \(3,\)"):
        init.xavier_uniform(pg.random.key(0), (3,))
