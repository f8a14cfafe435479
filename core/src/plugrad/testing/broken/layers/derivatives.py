"""Layers with a fault in their derivatives."""

from __future__ import annotations

from typing import Any

import plugrad as pg

from ..fault import Fault
from .honest import Dense, Norm, fault

DERIVATIVES: list[Fault] = []


@pg.custom_vjp
def _negated(x: Any) -> Any:
    return pg.tanh(x)


_negated.defvjp(lambda x: (pg.tanh(x), pg.tanh(x)), lambda y, g: (-g * (1.0 - y * y),))


@pg.custom_vjp
def _once(x: Any) -> Any:
    return pg.tanh(x)


_once.defvjp(lambda x: (pg.tanh(x), pg.tanh(x)), lambda y, g: (g * pg.stop_gradient(1.0 - y * y),))


@fault(DERIVATIVES, "gradients", "central difference")
class GradientIsNegated(Dense):
    """Its derivative rule has the wrong sign, and is consistent in itself."""

    def forward(self, x: pg.Tensor) -> Any:
        return _negated(x @ self.w + self.b)


@fault(DERIVATIVES, "gradients", "central difference", reference=None)
class FactorIsDetached(Dense):
    """One of two factors that depend on the input has no derivative."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x) * pg.stop_gradient(x[:, :1])


@fault(DERIVATIVES, "gradients", "central difference")
class BatchMeanIsDetached(Norm):
    """In training mode the mean of the batch counts as a constant."""

    def forward(self, x: pg.Tensor) -> Any:
        if not self.training:
            return super().forward(x)
        self.follow(x)
        return (x - pg.stop_gradient(x.mean(axis=0))) * self.scale


@fault(DERIVATIVES, "every_parameter_is_used gradients", "depends on b")
class BiasIsDetached(Dense):
    """The gradient of the bias is forgotten."""

    def forward(self, x: pg.Tensor) -> Any:
        return pg.tanh(x @ self.w + self.b.detach())


@fault(DERIVATIVES, "every_parameter_is_used", "unused")
class ParameterIsIdle(Dense):
    """It has a Parameter that it does not use."""

    def __init__(self, n: int, m: int) -> None:
        super().__init__(n, m)
        self.unused = pg.Parameter(pg.ones(2))


@fault(DERIVATIVES, "second", "central difference")
class SecondDerivativeIsCut(Dense):
    """The backward of its custom_vjp keeps a factor off the tape, so that gradients of gradients lack a term."""

    def forward(self, x: pg.Tensor) -> Any:
        return _once(x @ self.w + self.b)


@fault(DERIVATIVES, "backward_and_grad_agree", "first call, w")
class WeightIsCutOnTheTape(Dense):
    """``backward`` gives its weights no gradient where the input wants one; ``grad`` does."""

    def forward(self, x: pg.Tensor) -> Any:
        w = self.w.detach() if x.requires_grad else self.w
        return pg.tanh(x @ w + self.b)


@fault(DERIVATIVES, "backward_and_grad_agree", "input 0")
class InputIsCutOnTheTape(Dense):
    """``backward`` gives its input no gradient; ``grad`` does."""

    def forward(self, x: pg.Tensor) -> Any:
        return super().forward(x.detach() if x.requires_grad else x)
