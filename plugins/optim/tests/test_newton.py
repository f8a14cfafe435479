"""Newton's method on functions whose minima are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError
from plugrad_optim import newton_cg

RNG = np.random.default_rng(3)


def rosenbrock(v: pg.Tensor) -> pg.Tensor:
    return (100.0 * (v[1:] - v[:-1] ** 2) ** 2 + (1.0 - v[:-1]) ** 2).sum()


def test_a_quadratic_needs_one_exact_step_or_few_inexact_ones(device: str):
    m = RNG.normal(size=(5, 5))
    a, b = m @ m.T + np.eye(5), RNG.normal(size=5)
    found = newton_cg(
        lambda x: 0.5 * x @ pg.asarray(a) @ x - x @ pg.asarray(b), pg.asarray(np.zeros(5)), tolerance=1e-10
    )
    assert found.converged and found.iterations < 12 and found.gradient_norm <= 1e-10
    np.testing.assert_allclose(found.x.numpy(), np.linalg.solve(a, b), rtol=1e-8)
    np.testing.assert_allclose(found.value, -0.5 * b @ np.linalg.solve(a, b), rtol=1e-10)


@pytest.mark.parametrize("start", [[-1.2, 1.0], [0.0, 0.0, 0.0, 0.0], [2.0, -1.0, 0.5]])
def test_rosenbrock_through_negative_curvature(device: str, start: list[float]):
    found = newton_cg(rosenbrock, pg.asarray(np.array(start)), tolerance=1e-9)
    assert found.converged
    np.testing.assert_allclose(found.x.numpy(), np.ones(len(start)), rtol=1e-6)


def test_away_from_a_maximum_and_along_a_saddle(device: str):
    """Of (x^2 - 1)^2 + y^2 near its maximum in x: the Hessian is not positive there."""
    found = newton_cg(lambda v: (v[0] ** 2 - 1.0) ** 2 + v[1] ** 2, pg.asarray(np.array([0.05, 1.0])))
    assert found.converged
    np.testing.assert_allclose(found.x.numpy(), [1.0, 0.0], atol=1e-5)


class Line(pg.Module):
    def __init__(self) -> None:
        self.slope, self.offset = pg.Parameter(np.zeros(2)), pg.Parameter(np.zeros(()))
        self.unit = pg.Buffer(np.ones(2))

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return x @ (self.slope * self.unit) + self.offset


def test_trees_and_modules(device: str):
    """Least squares, as NumPy solves it."""
    x, y = RNG.normal(size=(20, 2)), RNG.normal(size=20)
    want = np.linalg.lstsq(np.column_stack([x, np.ones(20)]), y, rcond=None)[0]
    model = Line()

    def loss(m: Any) -> pg.Tensor:
        return ((m(pg.asarray(x)) - pg.asarray(y)) ** 2).mean()

    found = newton_cg(loss, model, tolerance=1e-10)
    assert found.converged and type(found.x) is Line and found.x.unit is model.unit
    np.testing.assert_allclose(found.x.slope.detach().numpy(), want[:2], rtol=1e-7)
    np.testing.assert_allclose(found.x.offset.detach().numpy(), want[2], rtol=1e-7)
    assert isinstance(found.x.slope, pg.Parameter) and model.slope.tolist() == [0.0, 0.0]
    tree = {"a": pg.asarray(np.zeros(2)), "b": [pg.asarray(np.zeros(()))]}
    found = newton_cg(
        lambda t: ((pg.asarray(x) @ t["a"] + t["b"][0] - pg.asarray(y)) ** 2).mean(), tree, tolerance=1e-10
    )
    np.testing.assert_allclose(found.x["a"].numpy(), want[:2], rtol=1e-7)


def test_it_says_when_it_has_not_converged(device: str):
    found = newton_cg(rosenbrock, pg.asarray(np.array([-1.2, 1.0])), iterations=2)
    assert not found.converged and found.iterations == 2
    at_once = newton_cg(rosenbrock, pg.asarray(np.ones(3)), iterations=0)
    assert at_once.converged and at_once.iterations == 0 and at_once.value == 0.0
    flat = newton_cg(lambda v: pg.abs(v).sum(), pg.asarray(np.array([0.3])), iterations=60)
    assert not flat.converged and abs(flat.x.item()) < 1e-3


def test_errors(device: str):
    with pytest.raises(ShapeError, match="newton_cg: params .* hold nothing to train"):
        newton_cg(rosenbrock, {})
    with pytest.raises(DTypeError, match="newton_cg: '0' is complex128"):
        newton_cg(lambda z: pg.real(z).sum(), pg.asarray(np.array([1j]), device="numpy"))
    with pytest.raises(ValueError, match="newton_cg: the function is nan; begin where it is finite"):
        newton_cg(lambda v: pg.log(v).sum(), pg.asarray(np.array([-1.0])))
    with pytest.raises(ValueError, match="newton_cg: tolerance is -1"):
        newton_cg(rosenbrock, pg.asarray(np.ones(3)), tolerance=-1.0)
