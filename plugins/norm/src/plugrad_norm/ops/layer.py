"""``norm.layer_norm`` over the last axis and its backward twin, which a backend may claim one by one.

y = h w + b with h = (x - mean) rstd, rstd = 1 / sqrt(var + eps), mean and biased variance over the last axis.
Source: Ba, Kiros, Hinton, "Layer normalization" (2016).
"""

from __future__ import annotations

from typing import Any

import plugrad as pg
from plugrad import Op, Spec
from plugrad.errors import ShapeError

from .shared import check_vectors, narrow, repeated, wide

Three = tuple[pg.Tensor, pg.Tensor, pg.Tensor]


class _LayerNorm(Op):
    """(y, mean, rstd); mean and rstd keep the last axis at size 1 and exist for the backward."""

    name = "norm.layer_norm"
    dtypes = "float"
    together = (0, 1, 2)
    residuals = (1, 2)
    save_output = (1, 2)

    def spec(self, x: Any, w: Any, b: Any, *, eps: float) -> tuple[Spec, ...]:
        _check_rows(self.name, x)
        check_vectors(self.name, x, x.shape[-1], x.ndim - 1, w=w, b=b)
        row = Spec((*x.shape[:-1], 1), x.dtype)
        return Spec(tuple(x.shape), x.dtype), row, row

    def decompose(self, x: pg.Tensor, w: pg.Tensor, b: pg.Tensor, *, eps: float) -> tuple[pg.Tensor, ...]:
        v = wide(x)
        mean = v.mean(axis=-1, keepdims=True)
        centred = v - mean
        rstd = 1.0 / pg.sqrt((centred * centred).mean(axis=-1, keepdims=True) + eps)
        return narrow(x, centred * rstd * wide(w) + wide(b), mean, rstd)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any, *, eps: float) -> Three:
        return LAYER_NORM_BWD(g[0], xs[0], xs[1], y[1], y[2])

    def batch(self, size: int, xs: Any, batched: Any, *, eps: float) -> Three:
        """Rows are independent, so a batch of x is more rows. Batched weights are applied after the op."""
        x, w, b = xs
        if not (batched[1] or batched[2]):
            return self(x, w, b, eps=eps)
        d = x.shape[-1:]
        h, mean, rstd = self(x, x.ones_like(d), x.zeros_like(d), eps=eps)
        rank = x.ndim + (not batched[0])
        y = h * _spread(w, rank, batched[1]) + _spread(b, rank, batched[2])
        return y, repeated(size, mean, batched[0]), repeated(size, rstd, batched[0])


class _LayerNormBwd(Op):
    """(dx, dw, db): dx = rstd (u - mean(u) - h mean(u h)) with u = g w; dw and db are sums over all rows."""

    name = "norm.layer_norm_bwd"
    dtypes = "float"

    def spec(self, g: Any, x: Any, w: Any, mean: Any, rstd: Any) -> tuple[Spec, ...]:
        _check_rows(self.name, x)
        check_vectors(self.name, x, x.shape[-1], x.ndim - 1, w=w)
        row = (*x.shape[:-1], 1)
        for label, t, shape in (("g", g, tuple(x.shape)), ("mean", mean, row), ("rstd", rstd, row)):
            if tuple(t.shape) != shape:
                raise ShapeError(f"{self.name}: {label} has shape {t.shape}, x {x.shape}; {label} needs shape {shape}")
        vector = Spec((x.shape[-1],), x.dtype)
        return Spec(tuple(x.shape), x.dtype), vector, vector

    def decompose(
        self, g: pg.Tensor, x: pg.Tensor, w: pg.Tensor, mean: pg.Tensor, rstd: pg.Tensor
    ) -> tuple[pg.Tensor, ...]:
        rows = tuple(range(x.ndim - 1))
        scale, c = wide(rstd), wide(g)
        h = (wide(x) - wide(mean)) * scale
        u = c * wide(w)
        dx = scale * (u - u.mean(axis=-1, keepdims=True) - h * (u * h).mean(axis=-1, keepdims=True))
        return narrow(x, dx, (c * h).sum(axis=rows), c.sum(axis=rows))

    def batch(self, size: int, xs: Any, batched: Any) -> tuple[pg.Tensor, ...]:
        """dx by the op itself, its rows being independent; dw and db are one an example, so they are summed here."""
        g, x, mean, rstd = [repeated(size, xs[i], batched[i]) for i in (0, 1, 3, 4)]
        w = xs[2]
        if batched[2]:
            dx = self(g * _spread(w, x.ndim, True), x, x.ones_like(x.shape[-1:]), mean, rstd)[0]
        else:
            dx = self(g, x, w, mean, rstd)[0]
        rows = tuple(range(1, x.ndim - 1))
        c = wide(g)
        h = (wide(x) - wide(mean)) * wide(rstd)
        return dx, *narrow(x, (c * h).sum(axis=rows), c.sum(axis=rows))


def _check_rows(name: str, x: Any) -> None:
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ShapeError(
            f"{name}: x has shape {x.shape}; give it a last axis of at least one element to normalise over"
        )


def _spread(v: pg.Tensor, rank: int, batched: bool) -> pg.Tensor:
    """A batch of vectors, (size, d), so that it broadcasts along a tensor of ``rank`` dimensions, the batch first."""
    return v.reshape((v.shape[0], *(1,) * (rank - 2), v.shape[1])) if batched else v


LAYER_NORM, LAYER_NORM_BWD = _LayerNorm(), _LayerNormBwd()
