"""The ops of this package as functions, for models written without layers."""

from __future__ import annotations

import plugrad as pg
from plugrad.errors import DTypeError, ShapeError

from .ops.batch import BATCH_NORM, along
from .ops.drop import DROPOUT
from .ops.layer import LAYER_NORM


def layer_norm(x: pg.Tensor, w: pg.Tensor | None = None, b: pg.Tensor | None = None, *, eps: float = 1e-5) -> pg.Tensor:
    """(x - mean) / sqrt(var + eps) * w + b, mean and biased variance over the last axis; w and b of its size, or None.

    >>> layer_norm(pg.asarray([[-3.0, 3.0], [5.0, 5.0]]), eps=7.0).tolist()
    [[-0.75, 0.75], [0.0, 0.0]]
    """
    if x.ndim < 1:
        raise ShapeError("layer_norm: x is 0-d; it needs a last axis to normalise over")
    w, b = _affine(x, w, b, x.shape[-1])
    return LAYER_NORM(x, w, b, eps=float(eps))[0]


def batch_norm(
    x: pg.Tensor, w: pg.Tensor | None = None, b: pg.Tensor | None = None, *, axis: int = 1, eps: float = 1e-5
) -> tuple[pg.Tensor, pg.Tensor, pg.Tensor]:
    """(y, mean, var): each channel of ``x`` normalised by its own mean and biased variance over all axes but ``axis``.

    w and b have shape (channels,), or are None.

    >>> y, mean, var = batch_norm(pg.asarray([[1.0, 5.0], [3.0, 9.0]]))
    >>> mean.tolist(), var.tolist()
    ([2.0, 7.0], [1.0, 4.0])
    """
    axis = _axis("batch_norm", x, axis)
    w, b = _affine(x, w, b, x.shape[axis])
    return BATCH_NORM(x, w, b, axis=axis, eps=float(eps))


def normalize(
    x: pg.Tensor,
    mean: pg.Tensor,
    var: pg.Tensor,
    w: pg.Tensor | None = None,
    b: pg.Tensor | None = None,
    *,
    axis: int = 1,
    eps: float = 1e-5,
) -> pg.Tensor:
    """Batch normalisation for inference: (x - mean) / sqrt(var + eps) * w + b with given statistics of each channel."""
    axis = _axis("normalize", x, axis)
    scale = 1.0 / pg.sqrt(var + eps)
    if w is not None:
        scale = scale * w
    y = (x - along(mean, x.ndim, axis)) * along(scale, x.ndim, axis)
    return y if b is None else y + along(b, x.ndim, axis)


def dropout(x: pg.Tensor, p: float = 0.5, key: pg.Tensor | None = None) -> pg.Tensor:
    """Elements of ``x`` are zero with probability ``p``, else x / (1 - p), so that the mean is kept.

    The same key drops the same elements on every backend. Without a key the default generator gives one.

    >>> dropout(pg.ones(8), 0.5, pg.random.key(1)).sum().item() in (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0)
    True
    """
    p = check_probability("dropout", p)
    if x.dtype.kind not in "fcV":
        raise DTypeError(f"dropout: not defined for {x.dtype}; cast with .astype('float32')")
    if p == 0.0:
        return x
    if key is None:
        key = pg.random.generator().key(device=x.device)
    return DROPOUT(x, key.to(x.device), p=p)


def check_probability(name: str, p: float) -> float:
    """``p`` as a float in [0, 1); ValueError for anything else."""
    if not 0.0 <= float(p) < 1.0:
        raise ValueError(f"{name}: p is {p}, the probability of dropping an element; it must be at least 0 and below 1")
    return float(p)


def _affine(x: pg.Tensor, w: pg.Tensor | None, b: pg.Tensor | None, n: int) -> tuple[pg.Tensor, pg.Tensor]:
    return x.ones_like((n,)) if w is None else w, x.zeros_like((n,)) if b is None else b


def _axis(name: str, x: pg.Tensor, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"{name}: axis {axis} is out of range for x of shape {x.shape}; use {-x.ndim} to {x.ndim - 1}")
    return axis % x.ndim
