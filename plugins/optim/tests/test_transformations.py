"""``update`` and ``step`` inside grad, jvp, vmap, stage and compile; claims of the ops; one graph for all rates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad.dispatch import add_backend
from plugrad.reference.backend import NumpyBackend
from plugrad_optim import SGD, Adam
from plugrad_optim.ops import ADAM_STEP, DESCENT_STEP, SGD_STEP

RNG = np.random.default_rng(1)
A, START = RNG.normal(size=(6, 3)), RNG.normal(size=3)
MAKERS = [
    lambda p=None: SGD(p, 0.1),
    lambda p=None: SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
    lambda p=None: SGD(p, 0.1, momentum=0.9, unbiased=True),
    lambda p=None: Adam(p, 0.1, eps=1e-2),
    lambda p=None: Adam(p, 0.1, eps=1e-2, weight_decay=0.1, decoupled=True),
]


class Net(pg.Module):
    def __init__(self) -> None:
        self.w = pg.Parameter(START)

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        return (pg.sin(x @ self.w) ** 2).mean()


def train(optimizer: Any, w: pg.Tensor, a: pg.Tensor, rate: Any = None) -> pg.Tensor:
    """The loss after three updates."""
    state = optimizer.init(w)
    for _ in range(3):
        g = pg.grad(lambda v: (pg.sin(a @ v) ** 2).mean())(w)
        w, state = optimizer.update(g, state, w, learning_rate=rate)
    return (pg.sin(a @ w) ** 2).mean()


@pytest.mark.parametrize("make", MAKERS)
def test_derivatives_through_training(device: str, make: Any):
    """With respect to the start and to the learning rate, against central differences, in both modes."""
    optimizer, a = make(), pg.asarray(A)
    d = RNG.normal(size=3)

    def f(w: pg.Tensor) -> pg.Tensor:
        return train(optimizer, w, a)

    want = (f(pg.asarray(START + 1e-6 * d)).item() - f(pg.asarray(START - 1e-6 * d)).item()) / 2e-6
    np.testing.assert_allclose((pg.grad(f)(pg.asarray(START)).numpy() * d).sum(), want, rtol=1e-6)
    np.testing.assert_allclose(pg.jvp(f, (pg.asarray(START),), (pg.asarray(d),))[1].item(), want, rtol=1e-6)

    def h(rate: pg.Tensor) -> pg.Tensor:
        return train(optimizer, pg.asarray(START), a, rate)

    want = (
        h(pg.asarray(0.1 + 1e-6, dtype="float64")).item() - h(pg.asarray(0.1 - 1e-6, dtype="float64")).item()
    ) / 2e-6
    np.testing.assert_allclose(pg.grad(h)(pg.asarray(0.1, dtype="float64")).item(), want, rtol=1e-6)


@pytest.mark.parametrize("make", MAKERS)
def test_gradient_through_the_update_of_a_module(device: str, make: Any):
    """The Parameters of the updated Module stay on the graph of the grad around it."""
    optimizer, a = make(), pg.asarray(A)

    def after(w: pg.Tensor) -> pg.Tensor:
        model = Net()
        grads = pg.grad(lambda m: m(a))(model)
        grads = pg.tree.map(lambda g: g * 0.0 + w, grads)
        new, _ = optimizer.update(grads, optimizer.init(model), model)
        return new(a)

    g = np.array([0.3, -0.2, 0.5])
    d = RNG.normal(size=3)
    want = (after(pg.asarray(g + 1e-6 * d)).item() - after(pg.asarray(g - 1e-6 * d)).item()) / 2e-6
    np.testing.assert_allclose((pg.grad(after)(pg.asarray(g)).detach().numpy() * d).sum(), want, rtol=1e-6)


@pytest.mark.parametrize("make", MAKERS)
def test_vmap_over_starts_and_over_rates(device: str, make: Any):
    optimizer, a = make(), pg.asarray(A)
    starts, rates = RNG.normal(size=(4, 3)), np.array([0.01, 0.1, 0.2, 0.4])
    both = pg.vmap(lambda w, r: train(optimizer, w, a, r))(pg.asarray(starts), pg.asarray(rates))
    same = pg.vmap(lambda w: train(optimizer, w, a))(pg.asarray(starts))
    rated = pg.vmap(lambda r: train(optimizer, pg.asarray(START), a, r))(pg.asarray(rates))
    for i in range(4):
        w, r = pg.asarray(starts[i]), pg.asarray(rates[i])
        np.testing.assert_allclose(both.numpy()[i], train(optimizer, w, a, r).item(), rtol=1e-10)
        np.testing.assert_allclose(same.numpy()[i], train(optimizer, w, a).item(), rtol=1e-10)
        np.testing.assert_allclose(rated.numpy()[i], train(optimizer, pg.asarray(START), a, r).item(), rtol=1e-10)


def eager(make: Any, a: pg.Tensor, rates: list[float]) -> tuple[list[float], np.ndarray]:
    model = Net()
    optimizer = make(model)
    losses = []
    for rate in rates:
        optimizer.learning_rate = rate
        optimizer.zero_grad()
        y = model(a)
        y.backward()
        optimizer.step()
        losses.append(y.item())
    return losses, model.w.detach().numpy()


RATES = [0.1, 0.1, 0.05, 0.2, 0.01]


@pytest.mark.parametrize("transform", ["stage", "compile"])
@pytest.mark.parametrize("make", MAKERS)
def test_one_graph_for_all_rates(device: str, make: Any, transform: str):
    """A whole step staged once: gradients, update and writes. The rate changes from outside, the count goes on."""
    a = pg.asarray(A)
    model = Net()
    optimizer = make(model)

    def step(x: pg.Tensor) -> pg.Tensor:
        y, grads = pg.value_and_grad(lambda m: m(x))(model)
        model.w.grad = grads.w
        optimizer.step()
        model.w.grad = None
        return y

    run = pg.stage(step, a) if transform == "stage" else pg.compile(step)
    losses = []
    for rate in RATES:
        optimizer.learning_rate = rate
        losses.append(run(a).item())
    want, w = eager(make, a, RATES)
    np.testing.assert_allclose(losses, want, rtol=1e-10)
    np.testing.assert_allclose(model.w.detach().numpy(), w, rtol=1e-10)
    if transform == "compile":
        assert len(run.graphs) == 1
    saved = optimizer.state_dict()
    assert all(v == 5 for k, v in saved.items() if k.endswith(".step"))


@pytest.mark.parametrize("make", MAKERS)
def test_stage_of_the_pure_update(device: str, make: Any):
    a, optimizer = pg.asarray(A), make()
    w = pg.asarray(START)
    state = optimizer.init(w)

    def step(w: pg.Tensor, state: Any, x: pg.Tensor) -> Any:
        y, g = pg.value_and_grad(lambda v: (pg.sin(x @ v) ** 2).mean())(w)
        return y, *optimizer.update(g, state, w)

    run = pg.stage(step, w, state, a)
    losses = []
    for rate in RATES:
        optimizer.learning_rate = rate
        y, w, state = run(w, state, a)
        losses.append(y.item())
    np.testing.assert_allclose(losses, eager(make, a, RATES)[0], rtol=1e-10)


def test_a_step_of_the_tape_is_not_recorded(device: str):
    w = pg.Parameter(START)
    optimizer = Adam([w])
    for _ in range(3):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    for t in optimizer.state_dict().values():
        assert not isinstance(t, pg.Tensor) or (t.node is None and not t.requires_grad)
    assert w.is_leaf


# -- claims


def _descent(p: Any, g: Any, rate: Any, *, weight_decay: float) -> Any:
    return p - rate * (g + weight_decay * p)


def _sgd(p: Any, g: Any, m: Any, rate: Any, gain: Any, *, momentum: float, nesterov: bool, weight_decay: float) -> Any:
    d = g + weight_decay * p
    m = momentum * m + gain * d
    return p - rate * (d + momentum * m if nesterov else m), m


def _adam(
    p: Any,
    g: Any,
    m: Any,
    v: Any,
    rate: Any,
    correction1: Any,
    correction2: Any,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> Any:
    d = g if decoupled else g + weight_decay * p
    m, v = beta1 * m + (1 - beta1) * d, beta2 * v + (1 - beta2) * d * d
    q = p * (1 - rate * weight_decay) if decoupled else p
    return q - rate * (m / correction1) / (np.sqrt(v / correction2) + eps), m, v


class Claiming(NumpyBackend):
    """The reference with fused steps."""

    name = "claims_steps"
    kernels = {**NumpyBackend.kernels, DESCENT_STEP.name: _descent, SGD_STEP.name: _sgd, ADAM_STEP.name: _adam}


@pytest.fixture
def claimed() -> Iterator[str]:
    if not any(b.name == Claiming.name for b in pg.backend.BACKENDS):
        add_backend(Claiming())
    with pg.device(Claiming.name):
        yield Claiming.name


@pytest.mark.parametrize("make", MAKERS)
def test_claimed_steps_run_as_one_kernel_and_agree(claimed: str, make: Any):
    ran: list[str] = []
    with pg.observe(lambda op, backend, how: ran.append(op) if op.startswith("optim.") else None):
        losses, w = eager(make, pg.asarray(A), RATES)
        pg.vmap(lambda w: train(make(), w, pg.asarray(A)))(pg.asarray(RNG.normal(size=(4, 3))))
    assert len(ran) == 5 + 3 and len(set(ran)) == 1
    with pg.device("numpy"):
        want = eager(make, pg.asarray(A), RATES)
    np.testing.assert_allclose(losses, want[0], rtol=1e-12)
    np.testing.assert_allclose(w, want[1], rtol=1e-12)


@pytest.mark.parametrize("make", MAKERS)
def test_claimed_steps_are_differentiated_by_their_decomposition(claimed: str, make: Any):
    g = pg.grad(lambda w: train(make(), w, pg.asarray(A)))(pg.asarray(START)).numpy()
    with pg.device("numpy"):
        want = pg.grad(lambda w: train(make(), w, pg.asarray(A)))(pg.asarray(START)).numpy()
    np.testing.assert_allclose(g, want, rtol=1e-10)


def test_errors_of_the_ops(device: str):
    p, s = pg.ones(3), pg.ones(())
    with pytest.raises(
        ValueError, match=r"optim\.descent_step: operand 1 has shape \(2,\), the parameter \(3,\); give \(3,\)"
    ):
        DESCENT_STEP(p, pg.ones(2), s, weight_decay=0.0)
    with pytest.raises(
        TypeError, match=r"optim\.descent_step: operand 2 is float64, the parameter float32; cast it to float32"
    ):
        DESCENT_STEP(p, p, s.astype("float64"), weight_decay=0.0)
    with pytest.raises(
        ValueError, match=r"optim\.sgd_step: operand 3 has shape \(1,\), the parameter \(3,\); give \(\)"
    ):
        SGD_STEP(p, p, p, pg.ones(1), s, momentum=0.5, nesterov=False, weight_decay=0.0)
