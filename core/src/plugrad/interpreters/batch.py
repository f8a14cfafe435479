"""vmap: one example stands for a batch. The batch dimension of a wrapped value is always dimension 0."""

from __future__ import annotations

from typing import Any

from ..op import Op
from ..tensor import Tensor
from .base import Interpreter


class Batch(Interpreter):
    """The level of one ``vmap`` call over ``size`` examples.

    ``draws`` says what a generator gives: error, same or different.
    """

    name = "vmap"
    batched = True

    def __init__(self, size: int, draws: str) -> None:
        self.size, self.draws, self.changes = size, draws, {"draws": draws}

    def wrap(self, value: Tensor) -> Tensor:
        """A value of this level, from one with the batch dimension first."""
        return Tensor(value, value.be, value.dt, value.shape[1:], value.dev, None, self)

    def keeps(self, op: Op) -> bool:
        return op.has_batch()

    def process(self, op: Op, xs: tuple[Tensor, ...], attrs: dict[str, Any], spec: Any) -> Any:
        batched = tuple([x.tr is self for x in xs])
        values = tuple([x.val if b else x for x, b in zip(xs, batched, strict=True)])
        out = op.batch_rule(self.size, values, batched, attrs)
        return tuple([self.wrap(o) for o in out]) if type(out) is tuple else self.wrap(out)
