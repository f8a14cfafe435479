"""The update rules against their formulas in NumPy float64: 100 steps, gradients missing, the rate changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad_optim import SGD, Adam

RNG = np.random.default_rng(0)
A, TARGET, START = RNG.normal(size=(20, 6)), RNG.normal(size=20), RNG.normal(size=6)
STEPS = 100


def slope(p: np.ndarray) -> np.ndarray:
    """Of mean((A p - target)^2)."""
    return 2.0 * A.T @ (A @ p - TARGET) / 20.0


class SGDRule:
    """As Sutskever, Martens, Dahl, Hinton (2013) in the form without a look-ahead point."""

    def __init__(
        self,
        momentum: float = 0.0,
        nesterov: bool = False,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        unbiased: bool = False,
    ) -> None:
        self.momentum, self.nesterov, self.unbiased = momentum, nesterov, unbiased
        self.dampening, self.weight_decay = dampening, weight_decay
        self.m: Any = None
        self.t = 0

    def __call__(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        d = g + self.weight_decay * p
        self.t += 1
        if self.momentum == 0.0:
            return p - rate * d
        if self.unbiased:
            self.m = self.momentum * (0.0 if self.m is None else self.m) + (1.0 - self.momentum) * d
            return p - rate * self.m / (1.0 - self.momentum**self.t)
        self.m = d if self.m is None else self.momentum * self.m + (1.0 - self.dampening) * d
        return p - rate * (d + self.momentum * self.m if self.nesterov else self.m)


class AdamRule:
    """Algorithm 1 of Kingma and Ba (2015), algorithm 2 of Loshchilov and Hutter (2019)."""

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.betas, self.eps, self.weight_decay, self.decoupled = betas, eps, weight_decay, decoupled
        self.m = self.v = 0.0
        self.t = 0

    def __call__(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        (b1, b2), self.t = self.betas, self.t + 1
        d = g if self.decoupled else g + self.weight_decay * p
        self.m, self.v = b1 * self.m + (1 - b1) * d, b2 * self.v + (1 - b2) * d * d
        m, v = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        shrunk = p - rate * self.weight_decay * p if self.decoupled else p
        return shrunk - rate * m / (np.sqrt(v) + self.eps)


CASES: list[tuple[Any, Any, dict[str, Any]]] = [
    (SGD, SGDRule, {}),
    (SGD, SGDRule, {"weight_decay": 0.1}),
    (SGD, SGDRule, {"momentum": 0.9}),
    (SGD, SGDRule, {"momentum": 0.9, "weight_decay": 0.1, "dampening": 0.3}),
    (SGD, SGDRule, {"momentum": 0.9, "weight_decay": 0.05, "nesterov": True}),
    (SGD, SGDRule, {"momentum": 0.9, "weight_decay": 0.05, "unbiased": True}),
    (Adam, AdamRule, {}),
    (Adam, AdamRule, {"betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    (Adam, AdamRule, {"weight_decay": 0.1, "decoupled": True}),
]
IDS = [f"{kind.__name__} {options}" for kind, _, options in CASES]


def reference(rule: Any, options: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Two parameters; the second has no gradient at every third step. The rate is halved after step 50."""
    p, q, rate = START.copy(), 2.0 * START, 0.02
    of_p, of_q = rule(**options), rule(**options)
    for i in range(STEPS):
        p = of_p(p, slope(p), rate)
        if i % 3:
            q = of_q(q, slope(q), rate)
        if i == 50:
            rate *= 0.5
    return p, q


def tolerance(dtype: str) -> float:
    return 1e-12 if dtype == "float64" else 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "rule", "options"), CASES, ids=IDS)
def test_step(device: str, kind: Any, rule: Any, options: dict[str, Any], dtype: str):
    p, q = pg.Parameter(START, dtype=dtype), pg.Parameter(2.0 * START, dtype=dtype)
    a, target = pg.asarray(A, dtype=dtype), pg.asarray(TARGET, dtype=dtype)
    optimizer = kind([p, q], learning_rate=0.02, **options)
    for i in range(STEPS):
        optimizer.zero_grad()
        loss = ((a @ p - target) ** 2).mean()
        if i % 3:
            loss = loss + ((a @ q - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        if i == 50:
            optimizer.learning_rate *= 0.5
    for got, want in zip((p, q), reference(rule, options), strict=True):
        assert got.dtype == dtype and got.is_leaf
        np.testing.assert_allclose(got.detach().numpy(), want, rtol=0, atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("kind", "rule", "options"), CASES, ids=IDS)
def test_update(device: str, kind: Any, rule: Any, options: dict[str, Any], dtype: str):
    params = {"p": pg.asarray(START, dtype=dtype), "q": [pg.asarray(2.0 * START, dtype=dtype)]}
    a, target = pg.asarray(A, dtype=dtype), pg.asarray(TARGET, dtype=dtype)
    optimizer = kind(learning_rate=0.02, **options)
    state = optimizer.init(params)
    for i in range(STEPS):
        grads = pg.grad(lambda t: sum(((a @ v - target) ** 2).mean() for v in (t["p"], t["q"][0])))(params)
        if not i % 3:
            grads["q"] = None
        params, state = optimizer.update(grads, state, params, learning_rate=0.02 if i <= 50 else 0.01)
    assert optimizer.learning_rate == 0.02
    for got, want in zip((params["p"], params["q"][0]), reference(rule, options), strict=True):
        np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=tolerance(dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("options", [{}, {"decoupled": True, "weight_decay": 0.1}])
def test_half_precision_keeps_its_moments_in_float32(dtype: str, options: dict[str, Any]):
    """Gradients of 1e-4: their squares vanish in float16, and a step would be of any size."""
    p = pg.Parameter(np.ones(3), dtype=dtype, device="numpy")
    optimizer = Adam([p], learning_rate=0.125, **options)
    p.grad = pg.full((3,), 1e-4, dtype=dtype, device="numpy")
    optimizer.step()
    assert p.dtype == dtype
    assert {str(v.dtype) for k, v in optimizer.state_dict().items() if k.endswith((".m", ".v"))} == {"float32"}
    want = 1.0 - 0.125 - (0.0125 if options else 0.0)
    np.testing.assert_allclose(p.detach().astype("float32").numpy(), want, atol=5e-3)


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}])
def test_half_precision_sgd(options: dict[str, Any]):
    p = pg.Parameter(np.ones(3), dtype="float16", device="numpy")
    optimizer = SGD([p], learning_rate=0.5, **options)
    p.grad = pg.ones(3, dtype="float16", device="numpy")
    optimizer.step()
    assert p.dtype == pg.float16 and p.tolist() == [0.5, 0.5, 0.5]


@pytest.mark.parametrize("make", [lambda: SGD(None, 0.5), lambda: SGD(None, 0.5, momentum=0.9), lambda: Adam(None)])
def test_half_precision_update_keeps_the_dtype(make: Any):
    pure, p = make(), pg.ones(3, dtype="bfloat16", device="numpy")
    new, _ = pure.update(p, pure.init(p), p)
    assert new.dtype == pg.bfloat16


def test_complex_parameters_descend():
    """Towards the minimum of |z - (1 + 2i)|^2."""
    z = pg.Parameter(np.array([0j]), device="numpy")
    optimizer = SGD([z], learning_rate=0.25, momentum=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        d = z - (1 + 2j)
        pg.real(d * d.conj()).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(z.detach().numpy(), [1 + 2j], atol=1e-6)
