"""Forward mode: a value travels with its tangent. A tangent that is None is zero."""

from __future__ import annotations

from typing import Any

from ..op import Op
from ..tensor import Tensor
from .base import Interpreter


class JVP(Interpreter):
    """The level of one ``jvp`` call."""

    name = "jvp"
    has_value = True

    def wrap(self, primal: Tensor, tangent: Tensor | None) -> Tensor:
        """A value of this level."""
        if tangent is None:
            return primal
        return Tensor(primal, primal.be, primal.dt, primal.shape, primal.dev, None, self, tangent)

    def keeps(self, op: Op) -> bool:
        return op.has_jvp()

    def process(self, op: Op, xs: tuple[Tensor, ...], attrs: dict[str, Any], spec: Any) -> Any:
        primals = tuple([x.val if x.tr is self else x for x in xs])
        tangents = [x.aux if x.tr is self else None for x in xs]
        out = op(*primals, **attrs)
        found = op.jvp_rule(tangents, out, primals, attrs) if op.differentiable else None
        if type(out) is tuple:
            return out if found is None else tuple([self.wrap(o, t) for o, t in zip(out, found, strict=True)])
        return self.wrap(out, found)
