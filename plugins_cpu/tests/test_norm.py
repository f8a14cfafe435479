"""The claimed layer norm and its backward twin, against formulas in wider floats and against differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plugrad.backend import Spec


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, eps: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, mean, rstd) in the wider float."""
    x, w, b = (a.astype(np.longdouble) for a in (x, w, b))
    mean = x.mean(-1, keepdims=True)
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + eps)
    return (x - mean) * rstd * w + b, mean, rstd


@pytest.mark.parametrize("shape", [(4,), (3, 1), (5, 7), (2, 3, 8), (40, 33), (3, 1000), (0, 4)])
def test_forward(shape: Any, call: Any, kit: Any, rng: Any, floating: Any, layout: str) -> None:
    x = rng.normal(2, 3, size=shape).astype(floating)
    w, b = rng.normal(size=(2, shape[-1])).astype(floating)
    got = call("norm.layer_norm", kit.laid_out(x, layout), kit.laid_out(w, layout), b, eps=1e-5)
    tolerance = 200 * np.finfo(floating).eps
    for out, expected in zip(got, forward(x, w, b, 1e-5), strict=True):
        assert out.shape == expected.shape and out.dtype == floating
        np.testing.assert_allclose(out, expected.astype(floating), rtol=tolerance, atol=tolerance)


def test_a_large_mean_does_not_cancel(call: Any) -> None:
    x = (1000 + np.random.default_rng(0).normal(size=(3, 64))).astype(np.float32)
    y, _, _ = call("norm.layer_norm", x, np.ones(64, np.float32), np.zeros(64, np.float32), eps=1e-5)
    np.testing.assert_allclose(y, forward(x, np.ones(64), np.zeros(64), 1e-5)[0].astype(np.float32), atol=1e-3)


@pytest.mark.parametrize("shape", [(4,), (5, 7), (2, 3, 8), (70, 33), (0, 4)])
def test_backward(shape: Any, call: Any, kit: Any, rng: Any, floating: Any, layout: str) -> None:
    x, g = rng.normal(2, 3, size=(2, *shape)).astype(floating)
    w = rng.normal(size=shape[-1]).astype(floating)
    _, mean, rstd = (a.astype(floating) for a in forward(x, w, w, 1e-5))
    got = call("norm.layer_norm_bwd", kit.laid_out(g, layout), kit.laid_out(x, layout), w, mean, rstd)
    h = (x.astype(np.longdouble) - mean) * rstd
    u = g.astype(np.longdouble) * w
    lead = tuple(range(len(shape) - 1))
    dx = rstd * (u - u.mean(-1, keepdims=True) - h * (u * h).mean(-1, keepdims=True))
    tolerance = 500 * np.finfo(floating).eps
    for out, expected in zip(got, (dx, (g * h).sum(lead), g.astype(np.longdouble).sum(lead)), strict=True):
        assert out.shape == expected.shape and out.dtype == floating
        np.testing.assert_allclose(out, expected.astype(floating), rtol=tolerance, atol=tolerance)


def test_backward_agrees_with_central_differences(call: Any, rng: Any) -> None:
    x, g = rng.normal(size=(2, 3, 6))
    w, b = rng.normal(size=(2, 6))
    _, mean, rstd = call("norm.layer_norm", x, w, b, eps=1e-3)
    dx, dw, db = call("norm.layer_norm_bwd", g, x, w, mean, rstd)
    for array, gradient in ((x, dx), (w, dw), (b, db)):
        for at in np.ndindex(array.shape):
            kept = array[at]
            sides = []
            for step in (1e-6, -1e-6):
                array[at] = kept + step
                sides.append((call("norm.layer_norm", x, w, b, eps=1e-3)[0] * g).sum())
            array[at] = kept
            assert abs((sides[0] - sides[1]) / 2e-6 - gradient[at]) < 1e-7


def test_what_is_not_claimed_is_declined_without_effect(backend: Any, call: Any) -> None:
    x, w = np.ones((2, 3)), np.ones(3)
    kernel = backend.kernels["norm.layer_norm"]
    for bad_x, bad_w in ((x, np.ones((1, 3))), (x, np.ones(2)), (np.ones(()), w), (np.ones((2, 0)), np.ones(0))):
        assert call("norm.layer_norm", bad_x, bad_w, bad_w, eps=1e-5).item() is NotImplemented
        promise = kernel.when(*[Spec(a.shape, a.dtype) for a in (bad_x, bad_w, bad_w)], eps=1e-5)
        assert isinstance(promise, str) and promise.startswith("norm.layer_norm")
    assert kernel.when(*[Spec(a.shape, a.dtype) for a in (x, w, w)], eps=1e-5) is True
    assert call("norm.layer_norm_bwd", x, x, np.ones((1, 3)), x, x).item() is NotImplemented
