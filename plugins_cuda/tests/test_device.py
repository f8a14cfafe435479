"""The device under plugrad: derivatives, buffers reused, random numbers, fallbacks counted, devices kept apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from device_lab import in_threads

import plugrad as pg
from plugrad.errors import DeviceError, FallbackError, FallbackWarning

pytestmark = pytest.mark.usefixtures("cuda")


@pytest.fixture(autouse=True)
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not native or composed raises."""
    monkeypatch.setenv("PLUGRAD_FALLBACK", "error")


A = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
B = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "product": lambda x, y: pg.sum(pg.tanh(x @ y)),
    "views": lambda x, y: pg.sum(x.T[1:, ::-1] * y[1:] + pg.reshape(x, (4, 3))[1:]),
    "gather": lambda x, y: pg.sum(pg.take(x, [2, 0, 0, -1], axis=1) * y.T[:, [1, 1, 0, 2]]),
    "softmax": lambda x, y: pg.sum(
        pg.exp(x - pg.max(x, axis=1, keepdims=True)) / pg.sum(pg.exp(x), axis=1, keepdims=True) * y.T
    ),
    "statistics": lambda x, y: pg.var(x) * pg.mean(y) + pg.sum(pg.std(x, axis=0)),
    "pieces": lambda x, y: pg.sum(pg.concat([x, y.T], axis=0) ** 2 * pg.pad(x, ((1, 2), (0, 0)))),
    "choice": lambda x, y: pg.sum(pg.where(x > y.T, x * x, pg.maximum(y.T, 0.25))) + pg.max(x),
    "running": lambda x, y: pg.sum(pg.cumulative_sum(x, axis=1) * y.T) + pg.sum(pg.sqrt(x * x + 1)),
}


def both(f: Callable[[str], Any]) -> tuple[np.ndarray, np.ndarray]:
    return f("cuda:0").numpy(), f("numpy").numpy()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name: str) -> None:
    f = FUNCTIONS[name]

    def on(what: Callable[..., Any]) -> Callable[[str], Any]:
        return lambda device: what(pg.asarray(A, device=device), pg.asarray(B, device=device))

    for what in (
        f,
        lambda x, y: pg.grad(f)(x, y),
        lambda x, y: pg.grad(f, 1)(x, y),
        lambda x, y: pg.hvp(lambda x: f(x, y), (x,), (pg.sin(x),)),
        lambda x, y: pg.jvp(f, (x, y), (pg.cos(x), pg.sin(y)))[1],
        lambda x, y: pg.vmap(lambda r: f(r, y))(pg.stack([x, x * 0.5])),
    ):
        got, wanted = both(on(what))
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


def test_the_tape() -> None:
    x = pg.asarray(A, device="cuda:0").requires_grad_()
    pg.sum(x * x * x).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * A * A, rtol=1e-5)
    assert x.grad.device == "cuda:0"


# -- in place


def test_a_sole_owner_s_buffer_is_reused() -> None:
    x, g = pg.asarray(A, device="cuda:0") + 0, pg.asarray(A, device="cuda:0")
    pointer = x.val.pointer
    x += g
    x -= 0.5
    x *= g
    x[1:, ::2] = 7
    x[0] = g[1]
    assert x.val.pointer == pointer
    wanted = (A + A - np.float32(0.5)) * A
    wanted[1:, ::2] = 7
    wanted[0] = A[1]
    np.testing.assert_allclose(x.numpy(), wanted, rtol=1e-6)


def test_a_shared_buffer_is_not() -> None:
    x = pg.asarray(A, device="cuda:0") + 0
    view, same = x[1], x.detach()
    x += 1
    np.testing.assert_array_equal(view.numpy(), A[1])
    np.testing.assert_array_equal(same.numpy(), A)
    y = x.T
    x[0] = 0
    np.testing.assert_allclose(y.numpy(), (A + 1).T)


# -- random numbers


def test_the_same_numbers_as_everywhere() -> None:
    def draws(device: str) -> list[np.ndarray]:
        key = pg.random.key(123, 5, device=device)
        return [
            pg.random.bits(key, (7, 3)).numpy(),
            pg.random.split(key, 5).numpy(),
            pg.random.uniform(key, (1000,)).numpy(),
            pg.random.uniform(key, (9,), dtype="float64").numpy(),
            pg.random.randint(key, (50,), low=-3, high=10).numpy(),
            pg.random.bernoulli(key, (50,), p=0.3).numpy(),
        ]

    for got, wanted in zip(draws("cuda:0"), draws("numpy"), strict=True):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)
    got, wanted = both(lambda device: pg.random.normal(pg.random.key(9, device=device), (300,)))
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


# -- fallbacks


def test_what_has_no_kernel_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    x = pg.asarray(np.array([2, 3, 4]), device="cuda:0")
    with pytest.raises(FallbackError, match=r"pow: cuda.* has no kernel for int64"):
        x**x
    monkeypatch.delenv("PLUGRAD_FALLBACK")
    pg.reset_fallback_report()
    with pytest.warns(FallbackWarning, match=r"pow \(int64\) runs .*cuda"):
        y = x**x
    assert y.tolist() == [4, 27, 256] and y.device == "cuda:0"
    (count,) = pg.fallback_report()
    assert (count.op, count.dtype, count.backend, count.calls) == ("pow", "int64", "cuda", 1)
    pg.reset_fallback_report()


def test_claims_run_as_one_kernel() -> None:
    import plugrad_nn as nn
    from plugrad_cuda import runtime

    device = runtime.of("0")
    x = pg.asarray(A, device="cuda:0")
    for f in (nn.functional.relu, nn.functional.sigmoid, nn.functional.silu):
        f(x)
        before = device.counters.launches
        y = f(x)
        assert device.counters.launches == before + 1
        np.testing.assert_allclose(y.numpy(), f(pg.asarray(A, device="numpy")).numpy(), rtol=1e-6)
        got, wanted = both(lambda where, f=f: pg.grad(lambda x: pg.sum(f(x) * x))(pg.asarray(A, device=where)))
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


# -- devices


def test_devices_are_kept_apart() -> None:
    x, y = pg.asarray(A, device="cuda:0"), pg.asarray(A, device="numpy")
    with pytest.raises(DeviceError, match=r"add: operands on 'cuda:0' and 'numpy', of shapes .*; move one of them"):
        x + y
    with pytest.raises(DeviceError, match=r"zeros: 'cuda:7' does not exist; cuda has cuda:0"):
        pg.zeros(1, device="cuda:7")
    assert (x + y.to("cuda:0")).device == "cuda:0"
    np.testing.assert_array_equal(x.to("numpy").numpy(), A)


def test_a_block_makes_its_tensors_on_the_device() -> None:
    with pg.device("cuda"):
        made = [pg.zeros(2), pg.ones(2), pg.arange(5), pg.full(3, 2.5), pg.eye(3), pg.linspace(0, 1, 4)]
    assert {t.device for t in made} == {"cuda:0"}
    assert made[2].tolist() == [0, 1, 2, 3, 4] and made[4].tolist() == np.eye(3).tolist()


def test_gradients_in_threads() -> None:
    def work(k: int) -> None:
        for _ in range(4):
            x = pg.asarray(A * k, device="cuda:0")
            np.testing.assert_allclose(pg.grad(lambda x: pg.sum(x * x))(x).numpy(), 2 * A * k, rtol=1e-5, atol=1e-8)

    in_threads(5, work)
