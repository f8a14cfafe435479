"""``norm.batch_norm``, the form that computes its statistics from the batch, and its backward twin.

y = (x - mean) / sqrt(var + eps) w + b with mean and biased variance of each channel over all other axes.
Source: Ioffe, Szegedy, "Batch normalization" (2015).
"""

from __future__ import annotations

from typing import Any

import plugrad as pg
from plugrad import Op, Spec
from plugrad.errors import ShapeError

from .shared import check_vectors, narrow, repeated, wide

Three = tuple[pg.Tensor, pg.Tensor, pg.Tensor]


class _BatchNorm(Op):
    """(y, mean, var); ``axis`` is the channel axis, mean and var have shape (channels,)."""

    name = "norm.batch_norm"
    dtypes = "float"
    together = (0, 1, 2)
    residuals = (1, 2)
    save_output = (1, 2)

    def spec(self, x: Any, w: Any, b: Any, *, axis: int, eps: float) -> tuple[Spec, ...]:
        _check_channels(self.name, x, axis)
        n = x.shape[axis]
        check_vectors(self.name, x, n, axis, w=w, b=b)
        channels = Spec((n,), x.dtype)
        return Spec(tuple(x.shape), x.dtype), channels, channels

    def decompose(self, x: pg.Tensor, w: pg.Tensor, b: pg.Tensor, *, axis: int, eps: float) -> tuple[pg.Tensor, ...]:
        v, others = wide(x), _others(x, axis)
        mean = v.mean(axis=others)
        centred = v - along(mean, x.ndim, axis)
        var = (centred * centred).mean(axis=others)
        scale = wide(w) / pg.sqrt(var + eps)
        y = centred * along(scale, x.ndim, axis) + along(wide(b), x.ndim, axis)
        return narrow(x, y, mean, var)

    def vjp(self, g: Any, y: Any, xs: Any, need: Any, *, axis: int, eps: float) -> Three:
        return BATCH_NORM_BWD(g[0], xs[0], xs[1], y[1], y[2], axis=axis, eps=eps)

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int, eps: float) -> tuple[pg.Tensor, ...]:
        """Channels are independent, so a batch is more channels."""
        x, w, b = [repeated(size, x, known) for x, known in zip(xs, batched, strict=True)]
        y, mean, var = self(_merged(x, axis), w.reshape((-1,)), b.reshape((-1,)), axis=axis, eps=eps)
        return _parted(y, size, axis), mean.reshape(w.shape), var.reshape(w.shape)


class _BatchNormBwd(Op):
    """(dx, dw, db): dx = w rstd (g - mean(g) - h mean(g h)) with h = (x - mean) rstd; dw = sum(g h), db = sum(g)."""

    name = "norm.batch_norm_bwd"
    dtypes = "float"

    def spec(self, g: Any, x: Any, w: Any, mean: Any, var: Any, *, axis: int, eps: float) -> tuple[Spec, ...]:
        _check_channels(self.name, x, axis)
        if tuple(g.shape) != tuple(x.shape):
            raise ShapeError(f"{self.name}: g has shape {g.shape}, x has shape {x.shape}; they must agree")
        check_vectors(self.name, x, x.shape[axis], axis, w=w, mean=mean, var=var)
        channels = Spec((x.shape[axis],), x.dtype)
        return Spec(tuple(x.shape), x.dtype), channels, channels

    def decompose(
        self, g: pg.Tensor, x: pg.Tensor, w: pg.Tensor, mean: pg.Tensor, var: pg.Tensor, *, axis: int, eps: float
    ) -> tuple[pg.Tensor, ...]:
        """The factors of each channel are gathered first, so that few passes go over all of x."""
        others, c = _others(x, axis), wide(g)
        share = x.shape[axis] / x.size
        rstd = 1.0 / pg.sqrt(wide(var) + eps)
        scale = wide(w) * rstd
        centred = wide(x) - along(wide(mean), x.ndim, axis)
        db = c.sum(axis=others)
        dw = (c * centred).sum(axis=others) * rstd
        slope, offset = scale * rstd * dw * -share, scale * db * -share
        dx = c * along(scale, x.ndim, axis) + centred * along(slope, x.ndim, axis) + along(offset, x.ndim, axis)
        return narrow(x, dx, dw, db)

    def batch(self, size: int, xs: Any, batched: Any, *, axis: int, eps: float) -> tuple[pg.Tensor, ...]:
        """As of the forward op."""
        g, x, w, mean, var = [repeated(size, x, known) for x, known in zip(xs, batched, strict=True)]
        vectors = [v.reshape((-1,)) for v in (w, mean, var)]
        dx, dw, db = self(_merged(g, axis), _merged(x, axis), *vectors, axis=axis, eps=eps)
        return _parted(dx, size, axis), dw.reshape(w.shape), db.reshape(w.shape)


def along(v: pg.Tensor, rank: int, axis: int) -> pg.Tensor:
    """A vector so that it broadcasts along one axis of a tensor of ``rank`` dimensions."""
    return v.reshape(tuple([v.shape[0] if i == axis else 1 for i in range(rank)]))


def _check_channels(name: str, x: Any, axis: int) -> None:
    if not 0 <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis} is out of range for x of shape {x.shape}; use 0 to {x.ndim - 1}")
    if 0 in x.shape:
        raise ShapeError(f"{name}: x has shape {x.shape}; a channel needs at least one element to take statistics of")


def _others(x: pg.Tensor, axis: int) -> tuple[int, ...]:
    return tuple([i for i in range(x.ndim) if i != axis])


def _merged(x: pg.Tensor, axis: int) -> pg.Tensor:
    """The batch dimension, at 0, made part of the channel axis (counted without the batch dimension)."""
    moved = pg.moveaxis(x, 0, axis)
    return moved.reshape((*moved.shape[:axis], moved.shape[axis] * moved.shape[axis + 1], *moved.shape[axis + 2 :]))


def _parted(x: pg.Tensor, size: int, axis: int) -> pg.Tensor:
    """Undo ``_merged``."""
    apart = x.reshape((*x.shape[:axis], size, x.shape[axis] // size, *x.shape[axis + 1 :]))
    return pg.moveaxis(apart, axis, 0)


BATCH_NORM, BATCH_NORM_BWD = _BatchNorm(), _BatchNormBwd()
