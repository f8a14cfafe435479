"""Adam, and with decoupled weight decay AdamW."""

from __future__ import annotations

from typing import Any

import plugrad as pg

from .checks import number
from .ops import ADAM_STEP
from .optimizer import Optimizer, Scalars, Slots


class Adam(Optimizer):
    """Steps of the size of the learning rate, by running averages of the gradient (m) and of its square (v).

    At step t: m' = beta1 m + (1 - beta1) d, v' = beta2 v + (1 - beta2) d^2, and
    p' = p - learning_rate (m' / (1 - beta1^t)) / (sqrt(v' / (1 - beta2^t)) + eps) with d = g + weight_decay p.
    ``decoupled`` weight decay (AdamW) leaves d = g and shrinks p by learning_rate weight_decay p instead.
    Sources: Kingma, Ba (2015); Loshchilov, Hutter (2019).

    >>> w = pg.Parameter([3.0])
    >>> optimizer = Adam([w], learning_rate=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> round(w.item(), 4)
    2.5
    """

    moments = ("m", "v")

    def __init__(
        self,
        params: Any = None,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        if not isinstance(betas, (tuple, list)) or len(betas) != 2:
            raise ValueError(f"{self.name}: betas is {betas!r}; give two numbers, such as (0.9, 0.999)")
        beta1, beta2 = [number(self.name, f"betas[{i}]", beta, 0.0, 1.0) for i, beta in enumerate(betas)]
        self.betas = beta1, beta2
        self.eps = number(self.name, "eps", eps, 0.0)
        self.weight_decay = number(self.name, "weight_decay", weight_decay, 0.0)
        self.decoupled = bool(decoupled)
        super().__init__(params, learning_rate)

    def scalars(self, rate: pg.Tensor, count: pg.Tensor | None) -> Scalars:
        assert count is not None
        t = count.astype(pg.float64)
        return rate, 1.0 - self.betas[0] ** t, 1.0 - self.betas[1] ** t

    def advance(self, p: pg.Tensor, g: pg.Tensor, slots: Slots, scalars: Scalars) -> tuple[pg.Tensor, Slots]:
        new, m, v = ADAM_STEP(
            p,
            g,
            slots["m"],
            slots["v"],
            *scalars,
            beta1=self.betas[0],
            beta2=self.betas[1],
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
        )
        return new, {"m": m, "v": v}
