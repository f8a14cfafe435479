"""Calls of the elementwise nonlinearities and of the softmaxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from plugrad.errors import ShapeError
from plugrad.testing import OpSample, values

from .operands import apart

_ERF = np.vectorize(math.erf, otypes=[float])
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 40.0, -40.0, 1000.0, -1000.0, np.inf, -np.inf, np.nan])
FINITE = np.array([0.0, 1.0, -1.0, 40.0, -40.0])
LARGE = np.array([[1000.0, 0.0, -1000.0], [1000.0, 1000.0, 999.0], [-1000.0, -1000.0, -1001.0]])
MASKED = np.array([[0.0, -np.inf, 1.0], [-np.inf, -np.inf, 3.0], [np.nan, 0.0, 1.0]])


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0); NaN stays."""
    return np.where(x < 0, 0.0, x)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), by its logarithm."""
    return np.asarray(np.exp(-softplus(-x)))


def silu(x: np.ndarray) -> np.ndarray:
    """x sigmoid(x)."""
    return x * sigmoid(x)


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x))."""
    with np.errstate(invalid="ignore"):  # NaN
        return np.asarray(np.logaddexp(0.0, x))


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function."""
    return np.asarray(0.5 * x * (1.0 + _ERF(x / math.sqrt(2.0))))


def log_softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    """x - log sum exp(x); what all have in common is taken off first."""
    x = x - x.max(axis=axis, keepdims=True)
    with np.errstate(invalid="ignore"):  # NaN
        return x - np.logaddexp.reduce(x, axis=axis, keepdims=True)


def softmax(x: np.ndarray, *, axis: int) -> np.ndarray:
    """exp(x) / sum exp(x), by its logarithm."""
    return np.asarray(np.exp(log_softmax(x, axis=axis)))


def softmax_bwd(g: np.ndarray, y: np.ndarray, *, axis: int) -> np.ndarray:
    """g times the Jacobian, diag(y) - y y^T."""
    g, y = np.moveaxis(g, axis, -1), np.moveaxis(y, axis, -1)
    jacobian = y[..., :, None] * (np.eye(y.shape[-1]) - y[..., None, :])
    return np.moveaxis((g[..., None, :] @ jacobian)[..., 0, :], -1, axis)


def log_softmax_bwd(g: np.ndarray, y: np.ndarray, *, axis: int) -> np.ndarray:
    """g times the Jacobian, 1 - softmax of every column."""
    return g - np.exp(y) * g.sum(axis=axis, keepdims=True)


def samples() -> Iterator[OpSample]:
    """All calls of the family."""
    yield from _relu()
    yield from _smooth("nn.sigmoid", sigmoid, "function", SPECIAL)
    yield from _smooth("nn.silu", silu, "function", FINITE)
    yield from _smooth("nn.softplus", softplus, "function", SPECIAL)
    yield from _smooth("nn.gelu", gelu, "sum", FINITE)
    for axis, shape in _axes():
        yield from _softmaxes(axis, shape)
    yield from _extreme()
    yield from _wrong()


def _relu() -> Iterator[OpSample]:
    for shape in ((3, 4), (), (0, 3), (2, 1, 5)):
        yield OpSample("nn.relu", (apart(*shape),), tolerance="exact", reference=relu)
        yield OpSample("nn.relu_bwd", (values(*shape), apart(*shape)), tolerance="exact", reference=_relu_bwd)
    yield OpSample("nn.relu", (apart(40, 70),), tolerance="exact", reference=relu)
    yield OpSample("nn.relu_bwd", (values(40, 70), apart(40, 70)), tolerance="exact", reference=_relu_bwd)
    yield OpSample("nn.relu_bwd", (values(3, 4), apart(4)), tolerance="exact", reference=_relu_bwd)
    yield OpSample("nn.relu", (SPECIAL,), tolerance="exact", smooth=False, reference=relu)
    infinite = np.array([np.inf, np.inf, -np.inf, 1.0, 1.0]), np.array([0.0, 2.0, 0.0, 0.0, np.inf])
    yield OpSample("nn.relu_bwd", infinite, tolerance="exact", smooth=False, reference=_relu_bwd)
    yield OpSample("nn.relu_bwd", (values(2, 3), apart(2)), raises=ShapeError)


def _relu_bwd(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(y > 0, g, 0.0)


def _smooth(name: str, reference: Callable[..., Any], tolerance: Any, special: np.ndarray) -> Iterator[OpSample]:
    for shape in ((3, 4), (), (0, 3), (2, 1, 5), (40, 70)):
        yield OpSample(name, (values(*shape, low=-3.0, high=3.0),), tolerance=tolerance, reference=reference)
    yield OpSample(name, (special,), tolerance=tolerance, smooth=False, reference=reference)


def _axes() -> Iterator[tuple[int, tuple[int, ...]]]:
    """First, middle and last; of one element; long; without examples."""
    yield from ((0, (5,)), (1, (3, 4)), (0, (3, 4)), (1, (2, 5, 3)), (2, (2, 3, 4)), (3, (2, 1, 3, 2)))
    yield from ((1, (3, 1)), (1, (40, 70)), (0, (40, 70)), (1, (2, 300)), (1, (0, 5)), (0, (5, 0)))


def _softmaxes(axis: int, shape: tuple[int, ...]) -> Iterator[OpSample]:
    attrs, x = {"axis": axis}, np.random.default_rng(1).uniform(-2.0, 2.0, shape)
    y, logs = softmax(x, axis=axis), log_softmax(x, axis=axis)
    yield OpSample("nn.softmax", (values(*shape),), attrs, reference=softmax)
    yield OpSample("nn.log_softmax", (values(*shape),), attrs, "sum", reference=log_softmax)
    yield OpSample("nn.softmax_bwd", (values(*shape), y), attrs, "sum", reference=softmax_bwd)
    yield OpSample("nn.log_softmax_bwd", (values(*shape), logs), attrs, "sum", reference=log_softmax_bwd)


def _extreme() -> Iterator[OpSample]:
    """Where exp alone would overflow, and where some scores are minus infinity: masked."""
    for axis in (0, 1):
        yield OpSample("nn.softmax", (LARGE,), {"axis": axis}, reference=softmax)
        yield OpSample("nn.log_softmax", (LARGE,), {"axis": axis}, "sum", reference=log_softmax)
    yield OpSample("nn.softmax", (MASKED,), {"axis": 1}, smooth=False, reference=softmax)
    yield OpSample("nn.log_softmax", (MASKED,), {"axis": 1}, "sum", smooth=False, reference=log_softmax)


def _wrong() -> Iterator[OpSample]:
    for name in ("nn.softmax", "nn.log_softmax"):
        yield OpSample(name, (values(3, 4),), {"axis": 2}, raises=ShapeError)
        yield OpSample(name, (values(),), {"axis": 0}, raises=ShapeError)
        yield OpSample(name, (values(3, 0),), {"axis": 1}, raises=ShapeError)
        yield OpSample(f"{name}_bwd", (values(3, 4), values(3, 5)), {"axis": 1}, raises=ShapeError)
        yield OpSample(f"{name}_bwd", (values(3, 4), values(1, 4)), {"axis": 1}, raises=ShapeError)
