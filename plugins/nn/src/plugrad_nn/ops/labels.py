"""Class numbers: one for each row of logits, each naming a class; said in words, in graphs and programs too."""

from __future__ import annotations

from typing import Any

from plugrad import Op, Spec, Tensor, take, where, zeros
from plugrad.backend import BACKENDS
from plugrad.errors import DTypeError, LeakedTracerError, ShapeError


def check(name: str, logits: Any, labels: Any) -> None:
    """DTypeError for labels that are no integers, ShapeError where there is not one for each row of logits."""
    if labels.dtype.kind not in "iu":
        raise DTypeError(
            f"{name}: labels are {labels.dtype} of shape {labels.shape}; they must be integers, "
            "one class number an example"
        )
    if logits.ndim < 1 or logits.shape[-1] == 0 or labels.shape != logits.shape[:-1]:
        raise ShapeError(
            f"{name}: logits of shape {logits.shape} and labels of shape {labels.shape}; "
            "they must be (..., classes) and (...): one integer for each row of logits"
        )


def check_range(name: str, shape: tuple[int, ...], labels: Tensor) -> None:
    """IndexError for a label that names no class of logits of this shape. Not where a value is unknown, see
    ``NOTHING``, or would have to be waited for: there the loss becomes inf.
    """
    if BACKENDS[labels.be].is_async or labels.size == 0:
        return
    try:
        values = labels.detach().numpy()
    except LeakedTracerError:
        return
    low, high, classes = values.min(), values.max(), shape[-1]
    if low < 0 or high >= classes:
        bad = low if low < 0 else high
        raise IndexError(
            f"{name}: label {bad} is not in 0 to {classes - 1}, the classes of logits {shape}; "
            "correct the labels, or give more logits"
        )


class _Nothing(Op):
    """A zero for each label: what reads it fails for a label that names no class, in a graph as well. Its parts are a
    gather, which every backend checks. Not in the registry, as no kernel is to claim it.
    """

    opaque = True
    has_vjp = differentiable = False
    codes = frozenset(range(64))

    def __init__(self) -> None:
        self.name, self.partials = "nn.check_labels", None

    def __reduce__(self) -> str:
        return "NOTHING"

    def spec(self, labels: Any, *, shape: tuple[int, ...], dtype: Any) -> Spec:
        return Spec(labels.shape, dtype)

    def decompose(self, labels: Tensor, *, shape: tuple[int, ...], dtype: Any) -> Tensor:
        check_range("nn.softmax_cross_entropy", shape, labels)
        position, classes = labels.astype("int64"), shape[-1]
        none = zeros((classes,), dtype=dtype, device=labels.device)
        return take(none, where(position < 0, classes, position))

    def batch(self, size: int, xs: Any, batched: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
        return self(*xs, shape=shape, dtype=dtype)


NOTHING = _Nothing()
