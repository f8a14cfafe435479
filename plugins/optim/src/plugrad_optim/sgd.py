"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import Any

import plugrad as pg

from .checks import number
from .ops import DESCENT_STEP, SGD_STEP
from .optimizer import Optimizer, Scalars, Slots


class SGD(Optimizer):
    """Descent along p' = p - learning_rate m' with m' = momentum m + (1 - dampening) d and d = g + weight_decay p.

    The first step takes m' = d. ``nesterov`` steps are along d + momentum m' (Sutskever, Martens and others, 2013).
    With ``unbiased`` the momentum is a running average, corrected for its start at zero as Adam's is:
    m' = momentum m + (1 - momentum) d, and step number t is along m' / (1 - momentum^t).

    >>> w = pg.Parameter([3.0])
    >>> optimizer = SGD([w], 0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.tolist()
    [0.0]
    """

    def __init__(
        self,
        params: Any = None,
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        unbiased: bool = False,
    ) -> None:
        self.momentum = number(self.name, "momentum", momentum, 0.0, 1.0)
        self.dampening = number(self.name, "dampening", dampening, 0.0)
        self.weight_decay = number(self.name, "weight_decay", weight_decay, 0.0)
        self.nesterov, self.unbiased = bool(nesterov), bool(unbiased)
        if nesterov and not (self.momentum and not self.dampening and not unbiased):
            raise ValueError("SGD: nesterov needs a momentum above 0, no dampening, and unbiased=False")
        if unbiased and self.dampening:
            raise ValueError("SGD: unbiased momentum has a dampening of its own, 1 - momentum; leave dampening out")
        self.moments = ("momentum",) if self.momentum else ()
        super().__init__(params, learning_rate)

    def scalars(self, rate: pg.Tensor, count: pg.Tensor | None) -> Scalars:
        if count is None:
            return (rate,)
        if self.unbiased:
            t = count.astype(pg.float64)
            return rate / (1.0 - self.momentum**t), t.ones_like() * (1.0 - self.momentum)
        return rate, pg.where(count == 1, 1.0, rate.ones_like() * (1.0 - self.dampening))

    def advance(self, p: pg.Tensor, g: pg.Tensor, slots: Slots, scalars: Scalars) -> tuple[pg.Tensor, Slots]:
        if not self.moments:
            return DESCENT_STEP(p, g, *scalars, weight_decay=self.weight_decay), {}
        new, m = SGD_STEP(
            p,
            g,
            slots["momentum"],
            *scalars,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )
        return new, {"momentum": m}
