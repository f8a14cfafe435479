"""Clipping of gradients and schedules of the learning rate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import plugrad as pg
from plugrad_optim import SGD, clip_grad_norm, clip_grad_norm_, clip_grad_value, clip_grad_value_
from plugrad_optim.schedules import constant, cosine, step_decay

RNG = np.random.default_rng(2)
GRADS = {"a": RNG.normal(size=(3, 2)), "b": [RNG.normal(size=4)]}
NORM = math.sqrt((GRADS["a"] ** 2).sum() + (GRADS["b"][0] ** 2).sum())


def tensors() -> Any:
    return {"a": pg.asarray(GRADS["a"]), "b": [pg.asarray(GRADS["b"][0])], "c": None}


@pytest.mark.parametrize("limit", [0.1, NORM, 100.0])
def test_clip_grad_norm(device: str, limit: float):
    clipped, norm = clip_grad_norm(tensors(), limit)
    factor = min(1.0, limit / NORM)
    np.testing.assert_allclose(norm.item(), NORM, rtol=1e-12)
    np.testing.assert_allclose(clipped["a"].numpy(), GRADS["a"] * factor, rtol=1e-12)
    np.testing.assert_allclose(clipped["b"][0].numpy(), GRADS["b"][0] * factor, rtol=1e-12)
    assert clipped["c"] is None


def test_clip_grad_norm_of_zero_and_of_half_precision():
    clipped, norm = clip_grad_norm([pg.zeros(3, device="numpy")], 1.0)
    assert norm.item() == 0.0 and clipped[0].tolist() == [0.0, 0.0, 0.0]
    clipped, norm = clip_grad_norm([pg.full((4,), 300.0, dtype="float16", device="numpy")], 1.0)
    assert norm.item() == 600.0 and clipped[0].dtype == pg.float16 and clipped[0].tolist() == [0.5] * 4


def test_clip_grad_norm_of_complex_gradients():
    _, norm = clip_grad_norm([pg.asarray(np.array([3 + 4j, 12j]), device="numpy")], 1.0)
    assert norm.item() == 13.0


def test_clip_grad_norm_under_vmap_and_grad(device: str):
    x = pg.asarray(RNG.normal(size=(5, 3)))
    both = pg.vmap(lambda g: clip_grad_norm([g], 1.0)[0][0])(x)
    for i in range(5):
        np.testing.assert_allclose(both.numpy()[i], clip_grad_norm([x[i]], 1.0)[0][0].numpy(), rtol=1e-12)
    v, d = RNG.normal(size=3) * 5.0, RNG.normal(size=3)

    def f(g: pg.Tensor) -> pg.Tensor:
        return (clip_grad_norm([g], 1.0)[0][0] ** 3).sum()

    want = (f(pg.asarray(v + 1e-6 * d)).item() - f(pg.asarray(v - 1e-6 * d)).item()) / 2e-6
    np.testing.assert_allclose((pg.grad(f)(pg.asarray(v)).numpy() * d).sum(), want, rtol=1e-6)


def test_clip_grad_value(device: str):
    clipped = clip_grad_value(tensors(), 0.5)
    np.testing.assert_array_equal(clipped["a"].numpy(), np.clip(GRADS["a"], -0.5, 0.5))


def test_clipping_in_place_before_a_step(device: str):
    p, q, idle = pg.Parameter([3.0]), pg.Parameter([4.0]), pg.Parameter([1.0])
    (p * 30.0 + q * 40.0).sum().backward()
    norm = clip_grad_norm_([p, q, idle], 5.0)
    np.testing.assert_allclose([norm.item(), p.grad.item(), q.grad.item()], [50.0, 3.0, 4.0], rtol=1e-6)
    clip_grad_value_(iter([p, q, idle]), 3.5)
    np.testing.assert_allclose([p.grad.item(), q.grad.item()], [3.0, 3.5], rtol=1e-6)
    assert idle.grad is None
    SGD([p, q, idle], 1.0).step()
    np.testing.assert_allclose([p.item(), q.item(), idle.item()], [0.0, 0.5, 1.0], atol=1e-6)


def test_errors(device: str):
    for f in (clip_grad_norm, clip_grad_value, clip_grad_norm_, clip_grad_value_):
        for bad in (0.0, -1.0, float("nan")):
            with pytest.raises(ValueError, match=f"{f.__name__}: "):
                f([pg.Parameter([1.0])], bad)
    with pytest.raises(ValueError, match=r"clip_grad_norm_: there are no gradients; call backward\(\) first"):
        clip_grad_norm_([pg.Parameter([1.0])], 1.0)


def test_schedules():
    assert [constant(0.3)(k) for k in (0, 10**6)] == [0.3, 0.3]
    assert [step_decay(1.0, 3)(k) for k in (0, 2, 3, 6)] == pytest.approx([1.0, 1.0, 0.1, 0.01])
    rate = cosine(2.0, steps=8, end=1.0)
    assert [rate(k) for k in (0, 2, 4, 8, 20)] == pytest.approx([2.0, 1.5 + 0.5 * math.cos(math.pi / 4), 1.5, 1.0, 1.0])
    warm = cosine(2.0, steps=10, warmup=4)
    assert [warm(k) for k in (0, 1, 3, 4, 10)] == pytest.approx([0.5, 1.0, 2.0, 2.0, 0.0])
    assert all(isinstance(f(3), float) for f in (constant(1), step_decay(1, 2), rate, warm))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: constant(-1.0), "constant: rate is -1"),
        (lambda: step_decay(1.0, 0), "step_decay: every is 0; it must be at least 1"),
        (lambda: cosine(1.0, 0), "cosine: steps is 0"),
        (lambda: cosine(1.0, 10, warmup=10), "cosine: warmup is 10; it must be at least 0 and below 10"),
    ],
)
def test_bad_schedules(make: Any, words: str):
    with pytest.raises(ValueError, match=words):
        make()
