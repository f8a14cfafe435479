"""The arithmetic of optimizer steps as ops ``optim.*``, which a backend may claim with fused kernels.

What changes from step to step (learning rate, corrections) is a 0-d operand, so that a staged or compiled step need not
be made again; what an optimizer was made with is an attribute. Gradients have the dtype of their parameter; moments and
0-d operands too, but float32 where that is half precision.
"""

from __future__ import annotations

from typing import Any

import plugrad as pg
from plugrad import Op, Spec
from plugrad.errors import DTypeError, ShapeError

_HALF = (pg.float16, pg.bfloat16)


def working_dtype(dtype: Any) -> Any:
    """The dtype of the moments and scalars of a parameter: its own, float32 for half precision."""
    return pg.float32 if dtype in _HALF else dtype


class _Step(Op):
    """Elementwise in its first ``tensors`` operands: parameter, gradient, moments. The others are 0-d."""

    dtypes = "inexact"
    tensors = 2

    def spec(self, *xs: Any, **attrs: Any) -> Any:
        p, work = xs[0], working_dtype(xs[0].dtype)
        for i, x in enumerate(xs[1:], 1):
            shape, dtype = (tuple(p.shape) if i < self.tensors else ()), (p.dtype if i == 1 else work)
            if tuple(x.shape) != shape:
                raise ShapeError(f"{self.name}: operand {i} has shape {x.shape}, the parameter {p.shape}; give {shape}")
            if x.dtype != dtype:
                raise DTypeError(f"{self.name}: operand {i} is {x.dtype}, the parameter {p.dtype}; cast it to {dtype}")
        first = Spec(tuple(p.shape), p.dtype)
        moments = [Spec(tuple(p.shape), work)] * (self.tensors - 2)
        return (first, *moments) if moments else first

    def batch(self, size: int, xs: Any, batched: Any, **attrs: Any) -> Any:
        """A batch of parameters is one larger parameter, unless the scalars differ from example to example."""
        n = self.tensors
        big = [
            x if known else pg.broadcast_to(x.reshape((1, *x.shape)), (size, *x.shape))
            for x, known in zip(xs[:n], batched[:n], strict=True)
        ]
        if not any(batched[n:]):
            return self(*big, *xs[n:], **attrs)
        ones = (1,) * (big[0].ndim - 1)
        scalars = [s.reshape((size, *ones)) if known else s for s, known in zip(xs[n:], batched[n:], strict=True)]
        return self.decompose(*big, *scalars, **attrs)


class _DescentStep(_Step):
    """p' = p - rate (g + weight_decay p)."""

    name = "optim.descent_step"

    def decompose(self, p: pg.Tensor, g: pg.Tensor, rate: pg.Tensor, *, weight_decay: float) -> pg.Tensor:
        q, d = p.astype(rate.dtype), g.astype(rate.dtype)
        if weight_decay:
            d = d + q * weight_decay
        return (q - rate * d).astype(p.dtype)


class _SgdStep(_Step):
    """(p', m'): d = g + weight_decay p, m' = momentum m + gain d, p' = p - rate u, u = m'; nesterov d + momentum m'."""

    name = "optim.sgd_step"
    tensors = 3

    def decompose(
        self,
        p: pg.Tensor,
        g: pg.Tensor,
        m: pg.Tensor,
        rate: pg.Tensor,
        gain: pg.Tensor,
        *,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> tuple[pg.Tensor, pg.Tensor]:
        q, d = p.astype(m.dtype), g.astype(m.dtype)
        if weight_decay:
            d = d + q * weight_decay
        m = m * momentum + gain * d
        direction = d + m * momentum if nesterov else m
        return (q - rate * direction).astype(p.dtype), m


class _AdamStep(_Step):
    """(p', m', v'): p' = q - rate (m' / correction1) / (sqrt(v' / correction2) + eps).

    m' = beta1 m + (1 - beta1) d, v' = beta2 v + (1 - beta2) d^2; a correction is 1 - beta^t at step t.

    Weight decay adds weight_decay p to g, which gives d, or, decoupled, shrinks p: q = p (1 - rate weight_decay).
    """

    name = "optim.adam_step"
    dtypes = "float"
    tensors = 4

    def decompose(
        self,
        p: pg.Tensor,
        g: pg.Tensor,
        m: pg.Tensor,
        v: pg.Tensor,
        rate: pg.Tensor,
        correction1: pg.Tensor,
        correction2: pg.Tensor,
        *,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
        decoupled: bool,
    ) -> tuple[pg.Tensor, pg.Tensor, pg.Tensor]:
        q, d = p.astype(m.dtype), g.astype(m.dtype)
        if weight_decay and decoupled:
            q = q * (1.0 - rate * weight_decay)
        elif weight_decay:
            d = d + q * weight_decay
        m = m * beta1 + d * (1.0 - beta1)
        v = v * beta2 + d * d * (1.0 - beta2)
        size = pg.sqrt(v) * (1.0 / pg.sqrt(correction2)) + eps
        return (q - (rate / correction1) * m / size).astype(p.dtype), m, v


DESCENT_STEP, SGD_STEP, ADAM_STEP = _DescentStep(), _SgdStep(), _AdamStep()
