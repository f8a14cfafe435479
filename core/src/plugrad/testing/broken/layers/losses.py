"""Losses with one fault each."""

from __future__ import annotations

from typing import Any

import plugrad as pg

from ..fault import Fault
from .honest import Squares, fault

LOSSES: list[Fault] = []


@fault(LOSSES, "reference", "layer and reference")
class Summed(Squares):
    """It adds up where it should take the mean."""

    def forward(self, x: pg.Tensor, y: pg.Tensor) -> Any:
        return ((x - y) * (x - y)).sum()


@fault(LOSSES, "reference", "layer and reference")
class MeanOverExamplesOnly(Squares):
    """It divides by the number of examples, where it should by that of elements."""

    def forward(self, x: pg.Tensor, y: pg.Tensor) -> Any:
        return ((x - y) * (x - y)).sum() / x.shape[0]


@fault(LOSSES, "output", "expected shape")
class NotReduced(Squares):
    """It gives one loss an example, where a scalar is declared."""

    def forward(self, x: pg.Tensor, y: pg.Tensor) -> Any:
        return ((x - y) * (x - y)).mean(axis=1)


@fault(LOSSES, "gradients", "central difference")
class TargetIsDetached(Squares):
    """It has no derivative with respect to its second argument."""

    def forward(self, x: pg.Tensor, y: pg.Tensor) -> Any:
        return super().forward(x, pg.stop_gradient(y))
