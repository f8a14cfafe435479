"""Calls of softmax cross-entropy and of its backward, and the losses as users make them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from plugrad.errors import DTypeError, ShapeError
from plugrad.testing import LayerSample, Operand, OpSample, labels, values

from .activation import LARGE, log_softmax, softmax


def softmax_cross_entropy(logits: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax(logits) at the labels, and the logits' log-sum-exp."""
    at = classes.astype(int)[..., None]
    loss = -np.take_along_axis(log_softmax(logits, axis=-1), at, axis=-1)[..., 0]
    return loss, np.logaddexp.reduce(logits, axis=-1)


def softmax_cross_entropy_bwd(g: np.ndarray, logits: np.ndarray, classes: np.ndarray, total: np.ndarray) -> np.ndarray:
    """g (softmax - onehot)."""
    onehot = np.eye(logits.shape[-1])[classes.astype(int)]
    return g[..., None] * (softmax(logits, axis=-1) - onehot)


def cross_entropy(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """One loss an example."""
    return softmax_cross_entropy(logits, classes)[0]


def squared_error(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The square of each difference."""
    return (prediction - target) ** 2


def binary_cross_entropy(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """-target log p - (1 - target) log(1 - p) with p = sigmoid(logits), by the logarithms."""
    return np.asarray(target * np.logaddexp(0.0, -logits) + (1.0 - target) * np.logaddexp(0.0, logits))


SHAPES = (((4,), 3), ((), 5), ((2, 3), 4), ((3,), 1), ((0,), 3), ((40,), 70))


def samples() -> Iterator[OpSample | LayerSample]:
    """All calls of the family."""
    for lead, classes in SHAPES:
        yield from _pair(np.random.default_rng(4).uniform(-3.0, 3.0, (*lead, classes)), labels(*lead, classes=classes))
    for dtype in ("i4", "u1", "i1"):
        yield from _pair(np.random.default_rng(5).uniform(-3.0, 3.0, (4, 3)), Operand((4,), 0, 2, dtype))
    yield from _pair(LARGE, np.array([0, 2, 1]))
    yield from _pair(LARGE, np.array([2, 0, 2]))
    yield from _masked()
    yield from _wrong()
    yield from _cross_entropy()
    yield from _elementwise("mse", squared_error, values(3, 4), values(3, 4))
    yield from _elementwise("binary_cross_entropy_with_logits", binary_cross_entropy, values(3, 4, low=-4.0, high=4.0))


def _pair(logits: np.ndarray, classes: Any, smooth: bool = True) -> Iterator[OpSample]:
    """The operation, and its backward at what it returned."""
    total, name = np.logaddexp.reduce(logits, axis=-1), "nn.softmax_cross_entropy"
    yield OpSample(name, (logits, classes), {}, "sum", smooth, reference=softmax_cross_entropy)
    known = values(*logits.shape[:-1]), logits, classes, total
    yield OpSample(f"{name}_bwd", known, {}, "derivative", smooth, reference=softmax_cross_entropy_bwd)


def _masked() -> Iterator[OpSample]:
    """Classes whose logit is minus infinity: one that is not the label adds nothing, the label's loss is infinite."""
    logits = np.array([[0.0, -np.inf, 1.0], [-np.inf, 2.0, -np.inf], [0.0, -np.inf, 1.0]])
    yield from _pair(logits, np.array([2, 1, 1]), smooth=False)


def _wrong() -> Iterator[OpSample]:
    name, logits = "nn.softmax_cross_entropy", values(3, 4)
    yield OpSample(name, (logits, labels(4, classes=4)), raises=ShapeError)
    yield OpSample(name, (logits, labels(3, 4, classes=4)), raises=ShapeError)
    yield OpSample(name, (logits, values(3)), raises=DTypeError)
    yield OpSample(name, (values(), labels(classes=1)), raises=ShapeError)
    yield OpSample(name, (values(3, 0), labels(3, classes=1)), raises=ShapeError)
    for g, at, total in (((3, 4), (3,), (3,)), ((3,), (4,), (3,)), ((3,), (3,), (3, 1)), ((1,), (3,), (3,))):
        operands = values(*g), logits, labels(*at, classes=4), values(*total)
        yield OpSample(f"{name}_bwd", operands, raises=ShapeError)
    yield OpSample(f"{name}_bwd", (values(3), logits, values(3), values(3)), raises=DTypeError)


def _reduced(loss: Callable[..., np.ndarray], reduction: str) -> Callable[..., np.ndarray]:
    """A loss of each element or example as what a layer returns."""

    def reference(state: Any, *arrays: np.ndarray) -> np.ndarray:
        found = loss(*arrays)
        return found if reduction == "none" else np.asarray(getattr(np, reduction)(found))

    return reference


def _cross_entropy() -> Iterator[LayerSample]:
    for lead in ((4,), (2, 3)):
        for reduction in ("mean", "sum", "none"):
            yield LayerSample(
                "cross_entropy",
                {"reduction": reduction},
                (values(*lead, 5), labels(*lead, classes=5)),
                lead if reduction == "none" else (),
                kind="loss",
                reference=_reduced(cross_entropy, reduction),
            )
    yield LayerSample("cross_entropy", inputs=(LARGE, np.array([0, 2, 1])), output=(), kind="loss")
    yield LayerSample("cross_entropy", inputs=(values(3, 4), labels(4, classes=4)), kind="loss", raises=ShapeError)
    yield LayerSample("cross_entropy", inputs=(values(3, 4), values(3)), kind="loss", raises=DTypeError)


def _elementwise(
    name: str, loss: Callable[..., np.ndarray], first: Operand, target: Any = None
) -> Iterator[LayerSample]:
    """A loss of two tensors of one shape; the target is a probability if none is given."""
    target = values(*first.shape, low=0.0, high=1.0) if target is None else target
    for reduction in ("mean", "sum", "none"):
        yield LayerSample(
            name,
            {"reduction": reduction},
            (first, target),
            first.shape if reduction == "none" else (),
            kind="loss",
            reference=_reduced(loss, reduction),
        )
    yield LayerSample(name, inputs=(values(), values(low=0.0, high=1.0)), output=(), kind="loss")
    yield LayerSample(name, inputs=(first, values(4, low=0.0, high=1.0)), kind="loss", raises=ShapeError)
