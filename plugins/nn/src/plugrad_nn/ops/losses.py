"""Losses: softmax cross-entropy as one stable operation, mean squared error, and the logistic loss."""

from __future__ import annotations

from typing import Any

from plugrad import Op, Spec, Tensor, arange, asarray, equal, exp, log, max, reshape, stop_gradient, where
from plugrad.backend import BACKENDS
from plugrad.errors import ShapeError

from .activation import softplus
from .arguments import floating, one_of
from .batching import filled
from .labels import NOTHING, check, check_range

REDUCTIONS = ("mean", "sum", "none")


def _last(x: Tensor) -> Tensor:
    """With a last axis of size 1."""
    return reshape(x, (*x.shape, 1))


def _hits(labels: Tensor, classes: int) -> Tensor:
    """Whether a class is the label: bool, (..., classes)."""
    return equal(_last(labels), arange(classes, dtype=labels.dtype, device=labels.device))


class _SoftmaxCrossEntropy(Op):
    """For logits x (..., classes) and integer labels (...): the loss log(sum_j exp(x_j)) - x_label, and for its
    backward the first term. A kernel that claims it raises IndexError for a label that names no class.
    """

    name = "nn.softmax_cross_entropy"
    dtypes = "float"
    residuals = (1,)

    def __call__(self, logits: Any, labels: Any, **attrs: Any) -> Any:
        if isinstance(logits, Tensor) and isinstance(labels, Tensor):
            check(self.name, logits, labels)
            check_range(self.name, logits.shape, labels)
        return super().__call__(logits, labels, **attrs)

    def spec(self, logits: Any, labels: Any) -> tuple[Spec, Spec]:
        check(self.name, logits, labels)
        return Spec(labels.shape, logits.dtype), Spec(labels.shape, logits.dtype)

    def decompose(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        top = stop_gradient(max(logits, axis=-1, keepdims=True))
        shifted = logits - top
        total = log(exp(shifted).sum(axis=-1))
        if not (labels.known or BACKENDS[labels.be].is_async):
            total = total + NOTHING(labels, shape=logits.shape, dtype=logits.dtype)  # all that is asked for reads it
        picked = max(where(_hits(labels, logits.shape[-1]), shifted, -float("inf")), axis=-1)
        return total - picked, total + reshape(top, labels.shape)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any) -> Any:
        logits, labels = xs
        return SOFTMAX_CROSS_ENTROPY_BWD(g[0], logits, labels, y[1]), None

    def jvp(self, ts: Any, y: Any, xs: Any) -> Any:
        t, (logits, labels) = ts[0], xs
        total = (exp(logits - _last(y[1])) * t).sum(axis=-1)
        return total - where(_hits(labels, logits.shape[-1]), t, 0).sum(axis=-1), total

    def batch(self, size: int, xs: Any, batched: Any) -> Any:
        return self(*[filled(size, x, b) for x, b in zip(xs, batched, strict=True)])


class _SoftmaxCrossEntropyBwd(Op):
    """(softmax - onehot) * g, from the logits and their log-sum-exp."""

    name = "nn.softmax_cross_entropy_bwd"
    dtypes = "float"

    def spec(self, g: Any, logits: Any, labels: Any, total: Any) -> Spec:
        check(self.name, logits, labels)
        if not g.shape == total.shape == labels.shape:
            raise ShapeError(
                f"{self.name}: the cotangent has shape {g.shape}, the log-sum-exp {total.shape}; "
                f"logits of shape {logits.shape} need {labels.shape}"
            )
        return Spec(logits.shape, logits.dtype)

    def decompose(self, g: Tensor, logits: Tensor, labels: Tensor, total: Tensor) -> Tensor:
        softmax = exp(logits - _last(total))
        return (softmax - _hits(labels, logits.shape[-1]).astype(logits.dtype)) * _last(g)

    def batch(self, size: int, xs: Any, batched: Any) -> Any:
        return self(*[filled(size, x, b) for x, b in zip(xs, batched, strict=True)])


SOFTMAX_CROSS_ENTROPY, SOFTMAX_CROSS_ENTROPY_BWD = _SoftmaxCrossEntropy(), _SoftmaxCrossEntropyBwd()


def _reduced(name: str, loss: Tensor, reduction: str) -> Tensor:
    one_of(name, "reduction", reduction, REDUCTIONS)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def cross_entropy(logits: Tensor, labels: Any, *, reduction: str = "mean") -> Tensor:
    """-log softmax(logits) at the labels: logits (..., classes), integer labels (...); averaged, summed or one an
    example.

    The classes are the last axis. Labels must lie in 0 to classes - 1: IndexError. DTypeError for labels that are no
    integers, ShapeError for shapes that do not fit.

    >>> import plugrad
    >>> cross_entropy(plugrad.asarray([[0.0, 1000.0]]), [1]).item()
    0.0
    """
    one_of("cross_entropy", "reduction", reduction, REDUCTIONS)
    logits = floating("cross_entropy", "logits", logits)
    labels = labels if isinstance(labels, Tensor) else asarray(labels, device=logits.device)
    return _reduced("cross_entropy", SOFTMAX_CROSS_ENTROPY(logits, labels)[0], reduction)


def _same_shape(name: str, prediction: Any, target: Any) -> tuple[Tensor, Tensor]:
    prediction = floating(name, "prediction", prediction, target)
    target = target if isinstance(target, Tensor) else asarray(target, device=prediction.device)
    if prediction.shape != target.shape:
        raise ShapeError(
            f"{name}: prediction has shape {prediction.shape}, target {target.shape}; "
            "they must agree, nothing is broadcast: reshape one of them"
        )
    return prediction, target


def mse_loss(prediction: Tensor, target: Any, *, reduction: str = "mean") -> Tensor:
    """Squared differences of two tensors of one shape, averaged over all elements, summed or each.

    >>> import plugrad
    >>> mse_loss(plugrad.asarray([1.0, 3.0]), plugrad.asarray([1.0, 1.0])).item()
    2.0
    """
    one_of("mse_loss", "reduction", reduction, REDUCTIONS)
    prediction, target = _same_shape("mse_loss", prediction, target)
    difference = prediction - target
    return _reduced("mse_loss", difference * difference, reduction)


def binary_cross_entropy_with_logits(logits: Tensor, target: Any, *, reduction: str = "mean") -> Tensor:
    """-log of the probability of ``target`` (0 to 1) under sigmoid(logits), elementwise and stable; averaged, summed or
    each.

    >>> import plugrad
    >>> binary_cross_entropy_with_logits(plugrad.asarray([1000.0]), plugrad.asarray([1.0])).item()
    0.0
    """
    name = "binary_cross_entropy_with_logits"
    one_of(name, "reduction", reduction, REDUCTIONS)
    logits, target = _same_shape(name, logits, target)
    return _reduced(name, softplus(logits) - logits * target, reduction)
