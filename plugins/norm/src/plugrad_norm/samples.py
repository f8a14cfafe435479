"""Calls of every operation and layer of this package, for the conformance kit, with the formulas of the papers in NumPy
as references. Only the kit imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import LayerSample, OpSample, values

State = Mapping[str, np.ndarray]
Three = tuple[np.ndarray, np.ndarray, np.ndarray]
KEY, KEYS = np.array([3, 4], np.uint32), np.array([[3, 4], [5, 0]], np.uint32)
FAR = {"": 8192.0}
"""For a mean of 1000 deviations: what is left of the precision, which one pass over the data would lose altogether."""


def samples() -> Iterator[OpSample | LayerSample]:
    """All of them."""
    yield from _layer_norm()
    yield from _batch_norm()
    yield from _dropout()
    yield from _layers()


# -- references


def _normal(x: np.ndarray, axes: Any, eps: float) -> Three:
    """What is normalised over some axes, the mean and the variance."""
    mean, var = x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), mean, var


def _along(v: np.ndarray, rank: int, axis: int) -> np.ndarray:
    return v.reshape([-1 if i == axis % rank else 1 for i in range(rank)])


def _others(x: np.ndarray, axis: int) -> tuple[int, ...]:
    return tuple([i for i in range(x.ndim) if i != axis % x.ndim])


def layer_norm(x: np.ndarray, w: np.ndarray, b: np.ndarray, *, eps: float) -> Three:
    """The result, mean and 1 / deviation of each row."""
    h, mean, var = _normal(x, -1, eps)
    return h * w + b, mean, (var + eps) ** -0.5


def batch_norm(x: np.ndarray, w: np.ndarray, b: np.ndarray, *, axis: int, eps: float) -> Three:
    """The result, mean and variance of each channel."""
    h, mean, var = _normal(x, _others(x, axis), eps)
    return h * _along(w, x.ndim, axis) + _along(b, x.ndim, axis), mean.ravel(), var.ravel()


def _normal_bwd(u: np.ndarray, h: np.ndarray, rstd: np.ndarray) -> np.ndarray:
    """The Jacobian of the normalisation of the last axis, (1 - 1/n - h h^T / n) / deviation, applied to ``u``."""
    n = u.shape[-1]
    jacobian = np.eye(n) - 1.0 / n - h[..., :, None] * h[..., None, :] / n
    return (u[..., None, :] @ jacobian)[..., 0, :] * rstd


def layer_norm_bwd(g: np.ndarray, x: np.ndarray, w: np.ndarray, mean: np.ndarray, rstd: np.ndarray) -> Three:
    """Cotangents of x, w and b."""
    h, rows = (x - mean) * rstd, tuple(range(x.ndim - 1))
    return _normal_bwd(g * w, h, rstd), (g * h).sum(axis=rows), g.sum(axis=rows)


def batch_norm_bwd(
    g: np.ndarray, x: np.ndarray, w: np.ndarray, mean: np.ndarray, var: np.ndarray, *, axis: int, eps: float
) -> Three:
    """Cotangents of x, w and b, with the elements of each channel as a row."""
    shape = np.moveaxis(x, axis, 0).shape
    c, v = [np.moveaxis(t, axis, 0).reshape((shape[0], -1)) for t in (g, x)]
    rstd = ((var + eps) ** -0.5)[:, None]
    h = (v - mean[:, None]) * rstd
    dx = _normal_bwd(c * w[:, None], h, rstd).reshape(shape)
    return np.moveaxis(dx, 0, axis), (c * h).sum(axis=1), c.sum(axis=1)


def _philox(low: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Philox4x32-10 at counters (low, 0, 0, 0): four words each (Salmon, Moraes, Dror, Shaw 2011)."""
    word = np.uint64(0xFFFFFFFF)
    a, b, c, d = low.astype(np.uint64), *[np.zeros(low.shape, np.uint64)] * 3
    k, m = int(key[0]), int(key[1])
    for _ in range(10):
        p, q = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b = (q >> np.uint64(32)) ^ b ^ np.uint64(k), q & word
        c, d = (p >> np.uint64(32)) ^ d ^ np.uint64(m), p & word
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return np.stack([a, b, c, d], axis=-1)


def dropout(x: np.ndarray, key: np.ndarray, *, p: float) -> np.ndarray:
    """Element i is kept where the i-th uniform number of the key, of 24 bits, is below 1 - p. One mask a key."""
    if key.ndim > 1:
        rows = [dropout(row, one, p=p) for row, one in zip(x, key, strict=True)]
        return np.stack(rows) if rows else x.copy()
    words = _philox(np.arange(-(-x.size // 4)), key.astype(np.uint64)).ravel()[: x.size]
    uniform = (words >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-24)
    return np.where(uniform.reshape(x.shape) < np.float32(1.0 - p), x / (1.0 - p), 0.0)


# -- operations


def _layer_norm() -> Iterator[OpSample]:
    for shape, eps in (
        ((4, 5), 1e-5),
        ((5,), 1e-5),
        ((2, 3, 4), 0.5),
        ((2, 1, 3, 2), 1e-3),
        ((3, 1), 1e-2),
        ((0, 5), 1e-5),
        ((40, 70), 1e-5),
    ):
        n, attrs = shape[-1], {"eps": eps}
        x = np.random.default_rng(1).uniform(-2.0, 2.0, shape)
        _, mean, rstd = layer_norm(x, np.ones(n), np.zeros(n), eps=eps)
        yield OpSample("norm.layer_norm", (values(*shape), values(n), values(n)), attrs, "sum", reference=layer_norm)
        known = values(*shape), x, values(n), mean, rstd
        yield OpSample("norm.layer_norm_bwd", known, {}, "derivative", reference=layer_norm_bwd)
    operands = values(3, 40, low=1000.0, high=1001.0), values(40), values(40)
    yield OpSample("norm.layer_norm", operands, {"eps": 1e-5}, FAR, smooth=False, reference=layer_norm)
    row = np.array([[1.0, np.nan, 0.0], [1.0, 2.0, 4.0]]), np.ones(3), np.zeros(3)
    yield OpSample("norm.layer_norm", row, {"eps": 1e-5}, "sum", smooth=False, reference=layer_norm)
    wrong = ((3, 4), (5,), (4,)), ((3, 4), (4,), (3,)), ((3, 4), (1, 4), (4,)), ((3, 0), (0,), (0,)), ((), (1,), (1,))
    for x_shape, w, b in wrong:
        operands = values(*x_shape), values(*w), values(*b)
        yield OpSample("norm.layer_norm", operands, {"eps": 1e-5}, raises=ShapeError)
    good = (3, 4), (3, 4), (4,), (3, 1), (3, 1)
    for i, other in ((0, (3, 1)), (2, (3,)), (3, (3,)), (4, (1, 1))):
        yield OpSample("norm.layer_norm_bwd", _with(good, i, other), raises=ShapeError)


def _with(shapes: tuple[tuple[int, ...], ...], i: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Operands of these shapes, one of them replaced."""
    return tuple([values(*s) for s in (*shapes[:i], shape, *shapes[i + 1 :])])


def _batch_norm() -> Iterator[OpSample]:
    for shape, axis, eps in (
        ((6, 3), 1, 1e-5),
        ((3, 6), 0, 1e-5),
        ((4, 3, 5), 1, 1e-3),
        ((4, 5, 3), 2, 1e-5),
        ((2, 3, 4, 5), 1, 1e-5),
        ((2, 4, 5, 3), 3, 0.5),
        ((2, 1, 3, 3), 1, 1e-5),
        ((1, 3), 1, 1e-2),
        ((40, 70), 1, 1e-5),
        ((70, 40), 0, 1e-5),
    ):
        n, attrs = shape[axis], {"axis": axis, "eps": eps}
        x = np.random.default_rng(2).uniform(-2.0, 2.0, shape)
        _, mean, var = batch_norm(x, np.ones(n), np.zeros(n), axis=axis, eps=eps)
        yield OpSample("norm.batch_norm", (values(*shape), values(n), values(n)), attrs, "sum", reference=batch_norm)
        known = values(*shape), x, values(n), mean, var
        yield OpSample("norm.batch_norm_bwd", known, attrs, "derivative", reference=batch_norm_bwd)
    attrs = {"axis": 1, "eps": 1e-5}
    operands = values(40, 3, low=1000.0, high=1001.0), values(3), values(3)
    yield OpSample("norm.batch_norm", operands, attrs, FAR, smooth=False, reference=batch_norm)
    for x_shape, w, b, axis in (
        ((4, 3), (4,), (3,), 1),
        ((4, 3), (3,), (1,), 1),
        ((4, 3), (3,), (3,), 2),
        ((0, 3), (3,), (3,), 1),
    ):
        operands = values(*x_shape), values(*w), values(*b)
        yield OpSample("norm.batch_norm", operands, {**attrs, "axis": axis}, raises=ShapeError)
    good = (4, 3), (4, 3), (3,), (3,), (3,)
    for i, other in ((0, (4, 1)), (2, (4,)), (3, (1, 3)), (4, (1,))):
        yield OpSample("norm.batch_norm_bwd", _with(good, i, other), attrs, raises=ShapeError)


def _dropout() -> Iterator[OpSample]:
    name, tolerance = "norm.dropout", "rounded"
    for shape in ((7,), (3, 4), (), (0, 3), (2, 1, 5), (40, 70)):
        for p in (0.25, 0.5):
            yield OpSample(name, (values(*shape), KEY), {"p": p}, tolerance, reference=dropout)
    yield OpSample(name, (values(3, 4), KEY), {"p": 0.0}, tolerance, reference=dropout)
    yield OpSample(name, (values(3, 4), KEY), {"p": 0.99}, tolerance, reference=dropout)
    yield OpSample(name, (values(2, 9), KEYS), {"p": 0.5}, tolerance, reference=dropout)
    infinite = np.array([np.inf, -np.inf, np.nan, 1.0] * 3)
    yield OpSample(name, (infinite, KEY), {"p": 0.5}, tolerance, smooth=False, reference=dropout)
    yield OpSample(name, (values(3, 4), KEYS), {"p": 0.5}, raises=ShapeError)
    yield OpSample(name, (values(3, 4), np.array([1, 2, 3], np.uint32)), {"p": 0.5}, raises=ShapeError)
    yield OpSample(name, (values(3, 4), np.array([3, 4])), {"p": 0.5}, raises=DTypeError)


# -- layers


def _layer_norm_layer(rank: int, eps: float) -> Callable[..., np.ndarray]:
    def reference(state: State, x: np.ndarray) -> np.ndarray:
        h = _normal(x, tuple(range(-rank, 0)), eps)[0]
        return h * state.get("weight", np.ones(())) + state.get("bias", np.zeros(()))

    return reference


def _batch_norm_layer(axis: int, eps: float = 1e-5) -> Callable[..., np.ndarray]:
    """By the running statistics, or those of the batch where none are kept."""

    def reference(state: State, x: np.ndarray) -> np.ndarray:
        n = x.shape[axis]
        if "running_mean" in state:
            mean, var = [_along(state[f"running_{name}"], x.ndim, axis) for name in ("mean", "var")]
            h = (x - mean) / np.sqrt(var + eps)
        else:
            h = _normal(x, _others(x, axis), eps)[0]
        w, b = state.get("weight", np.ones(n)), state.get("bias", np.zeros(n))
        return h * _along(w, x.ndim, axis) + _along(b, x.ndim, axis)

    return reference


def _layers() -> Iterator[LayerSample]:
    rows: tuple[tuple[dict[str, Any], tuple[int, ...], Any], ...] = (
        ({"shape": 5}, (3, 5), _layer_norm_layer(1, 1e-5)),
        ({"shape": 5, "affine": False, "eps": 0.1}, (5,), _layer_norm_layer(1, 0.1)),
        ({"shape": (3, 4)}, (2, 3, 4), _layer_norm_layer(2, 1e-5)),
        ({"shape": 5}, (0, 5), _layer_norm_layer(1, 1e-5)),
    )
    for config, shape, reference in rows:
        yield LayerSample("layer_norm", config, (values(*shape),), shape, reference=reference)
    yield LayerSample("layer_norm", {"shape": 5}, (values(3, 4),), raises=ShapeError)
    batches: tuple[tuple[str, dict[str, Any], tuple[int, ...], int], ...] = (
        ("batch_norm1d", {}, (4, 3), 1),
        ("batch_norm1d", {}, (4, 3, 5), 1),
        ("batch_norm1d", {"layout": "NLC", "momentum": None}, (4, 5, 3), 2),
        ("batch_norm1d", {"track_running_stats": False, "affine": False}, (4, 3), 1),
        ("batch_norm2d", {}, (2, 3, 4, 5), 1),
        ("batch_norm2d", {"layout": "NHWC", "momentum": 0.5}, (2, 4, 5, 3), 3),
        ("batch_norm2d", {"affine": False}, (2, 3, 2, 2), 1),
        ("batch_norm2d", {"track_running_stats": False}, (2, 3, 4, 5), 1),
    )
    for name, config, shape, axis in batches:
        config, reference = {"num_features": 3, **config}, _batch_norm_layer(axis)
        yield LayerSample(name, config, (values(*shape),), shape, reference=reference)
    for name, x in (("batch_norm1d", values(4, 2)), ("batch_norm1d", values(3)), ("batch_norm2d", values(2, 4, 5, 3))):
        yield LayerSample(name, {"num_features": 3}, (x,), raises=ShapeError)
    for p in (0.5, 0.1, 0.0):
        yield LayerSample(
            "dropout",
            {"p": p},
            (values(8, 9),),
            (8, 9),
            random=p > 0,
            unbiased=True,
            reference=lambda state, x: x,
        )
