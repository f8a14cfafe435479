"""Losses as modules, for configurations that name them; the functions do the same."""

from __future__ import annotations

from typing import Any

from plugrad import Module, Tensor

from ..ops import losses as ops
from ..ops.arguments import one_of


class _Loss(Module):
    """A loss of a prediction and a target, with a reduction: mean, sum or none."""

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = one_of(type(self).__name__, "reduction", reduction, ops.REDUCTIONS)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"


class CrossEntropyLoss(_Loss):
    """-log softmax(logits) at integer labels; see ``cross_entropy``."""

    def forward(self, logits: Tensor, labels: Any) -> Tensor:
        """The loss of logits (..., classes) at labels (...)."""
        return ops.cross_entropy(logits, labels, reduction=self.reduction)


class MSELoss(_Loss):
    """Squared differences; see ``mse_loss``."""

    def forward(self, prediction: Tensor, target: Any) -> Tensor:
        """The loss of two tensors of one shape."""
        return ops.mse_loss(prediction, target, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """-log of the probability of a target under sigmoid(logits); see ``binary_cross_entropy_with_logits``."""

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        """The loss of two tensors of one shape."""
        return ops.binary_cross_entropy_with_logits(logits, target, reduction=self.reduction)
