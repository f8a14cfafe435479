"""The layers: Modules over the ops of this package. Running statistics are Buffers; draws come from a generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import plugrad as pg
from plugrad.errors import ShapeError

from .functional import batch_norm, check_probability, dropout, layer_norm, normalize

Reduce = Callable[[pg.Tensor], pg.Tensor]


class LayerNorm(pg.Module):
    """Normalises over the trailing dimensions ``shape``: (x - mean) / sqrt(var + eps) * weight + bias, biased variance.

    ``weight`` and ``bias`` have the shape ``shape``; ``affine=False`` leaves them out.

    >>> LayerNorm(4)(pg.ones((2, 4))).shape
    (2, 4)
    """

    def __init__(
        self,
        shape: int | Sequence[int],
        eps: float = 1e-5,
        affine: bool = True,
        *,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        if not self.shape or min(self.shape) < 1:
            raise ShapeError(f"LayerNorm: shape {shape!r} must name the trailing dimensions, one or more, none empty")
        self.eps = _check_eps("LayerNorm", eps)
        self.weight = pg.Parameter(pg.ones(self.shape, dtype=dtype, device=device)) if affine else None
        self.bias = pg.Parameter(pg.zeros(self.shape, dtype=dtype, device=device)) if affine else None

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        """Normalise the last axes of x, whose sizes are those of the layer; the shape stays."""
        n = len(self.shape)
        if tuple(x.shape[-n:]) != self.shape:
            raise ShapeError(
                f"LayerNorm: x has shape {x.shape}, this layer was made for {self.shape}: the last {n} sizes must agree"
            )
        if n == 1:
            return layer_norm(x, self.weight, self.bias, eps=self.eps)
        flat = (math.prod(self.shape),)
        w, b = [None if t is None else t.reshape(flat) for t in (self.weight, self.bias)]
        return layer_norm(x.reshape((*x.shape[:-n], *flat)), w, b, eps=self.eps).reshape(x.shape)

    def extra_repr(self) -> str:
        return f"{self.shape}, eps={self.eps}, affine={self.weight is not None}"


class _BatchNorm(pg.Module):
    """What the batch normalisations share: parameters, running statistics, and when they are written."""

    ranks: tuple[int, ...] = ()
    axes: dict[str, int] = {}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        layout: str = "",
        *,
        reduce: Reduce | None = None,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        name = type(self).__name__
        if num_features < 1:
            raise ShapeError(f"{name}: num_features is {num_features}; give the number of channels, 1 or more")
        if momentum is not None and not 0.0 <= momentum <= 1.0:
            raise ValueError(f"{name}: momentum is {momentum}; it must lie in 0 to 1, or be None for the plain average")
        if layout not in self.axes:
            raise ValueError(f"{name}: layout {layout!r} is unknown; use one of {', '.join(map(repr, self.axes))}")
        self.num_features, self.eps, self.momentum, self.layout = num_features, _check_eps(name, eps), momentum, layout
        ones, zeros = (f(num_features, dtype=dtype, device=device) for f in (pg.ones, pg.zeros))
        self.weight = pg.Parameter(ones) if affine else None
        self.bias = pg.Parameter(zeros) if affine else None
        self.running_mean = self.running_var = self.num_batches = None
        if track_running_stats:
            count = pg.zeros((), dtype=pg.int64, device=device)
            self.running_mean = pg.Buffer(zeros, name=f"{name}.running_mean", reduce=reduce)
            self.running_var = pg.Buffer(ones, name=f"{name}.running_var", reduce=reduce)
            self.num_batches = pg.Buffer(count, name=f"{name}.num_batches", reduce=reduce)

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        """x to the same shape: by its own statistics in training or without running ones, else by the running ones."""
        axis = self._axis(x)
        if self.running_mean is not None and self.running_var is not None and not self.training:
            return normalize(x, self.running_mean, self.running_var, self.weight, self.bias, axis=axis, eps=self.eps)
        count = x.size // self.num_features
        if count < 2:
            raise ShapeError(
                f"{type(self).__name__}: x has shape {x.shape}, {count} value for each channel; "
                "statistics of a batch need at least 2: use a larger batch, or model.eval()"
            )
        y, mean, var = batch_norm(x, self.weight, self.bias, axis=axis, eps=self.eps)
        if self.running_mean is not None:
            self._follow(pg.stop_gradient(mean), pg.stop_gradient(var) * (count / (count - 1)))
        return y

    def _axis(self, x: pg.Tensor) -> int:
        name, axis = type(self).__name__, self.axes[self.layout]
        if x.ndim not in self.ranks:
            ranks = " or ".join(map(str, self.ranks))
            raise ShapeError(f"{name}: x has shape {x.shape}; give {ranks} dimensions, as in {self.layout}")
        axis = axis % x.ndim
        if x.shape[axis] != self.num_features:
            raise ShapeError(
                f"{name}: x has shape {x.shape}, {x.shape[axis]} channels along axis {axis}; "
                f"this layer was made for {self.num_features} channels in the layout {self.layout}"
            )
        return axis

    def _follow(self, mean: pg.Tensor, var: pg.Tensor) -> None:
        """Move the running statistics towards the mean and the unbiased variance of the batch: all of them, or none."""
        assert self.running_mean is not None and self.running_var is not None and self.num_batches is not None
        seen = self.num_batches + 1
        rate = 1.0 / seen.astype(self.running_mean.dtype) if self.momentum is None else self.momentum
        new_mean = self.running_mean + rate * (mean - self.running_mean)
        new_var = self.running_var + rate * (var - self.running_var)
        self.running_mean.assign(new_mean)
        self.running_var.assign(new_var)
        self.num_batches.assign(seen)

    def extra_repr(self) -> str:
        affine, tracked = self.weight is not None, self.running_mean is not None
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={affine}, "
            f"track_running_stats={tracked}, layout={self.layout!r}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of (batch, channels) or (batch, channels, length); see BatchNorm2d.

    >>> BatchNorm1d(3)(pg.arange(6, dtype=pg.float32).reshape((2, 3))).shape
    (2, 3)
    """

    ranks = (2, 3)
    axes = {"NCL": 1, "NLC": -1}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        layout: str = "NCL",
        **options: Any,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, layout, **options)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: (x - mean) / sqrt(var + eps) * weight + bias for each channel.

    In training mean and biased variance are those of the batch, and the Buffers follow:
    running = (1 - momentum) running + momentum batch, the variance unbiased; ``momentum=None`` keeps the plain average
    of all batches. In evaluation the running ones are used. ``layout`` is "NCHW" or "NHWC".

    Under vmap a training layer would get other statistics for each example: call ``eval()``, or say how to reduce a
    batch of statistics, the batch dimension first, to one: ``reduce=lambda t: t.mean(axis=0)``.

    >>> layer = BatchNorm2d(3)
    >>> layer(pg.ones((2, 3, 4, 4))).shape, layer.num_batches.item()
    ((2, 3, 4, 4), 1)
    """

    ranks = (4,)
    axes = {"NCHW": 1, "NHWC": 3}

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        layout: str = "NCHW",
        **options: Any,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, layout, **options)


class Dropout(pg.Module):
    """In training, elements are zero with probability ``p``, else divided by 1 - p; in evaluation the identity.

    Keys come from ``generator``, a ``plugrad.random.Generator``, or from the default one (see ``manual_seed``).

    >>> Dropout(0.5).eval()(pg.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, p: float = 0.5, generator: pg.random.Generator | None = None) -> None:
        if generator is not None and not isinstance(generator, pg.random.Generator):
            raise TypeError(
                f"Dropout: generator is a {type(generator).__name__}; give a plugrad.random.Generator(seed), "
                "or None for the default one"
            )
        self.p, self.generator = check_probability("Dropout", p), generator

    def forward(self, x: pg.Tensor) -> pg.Tensor:
        """x to the same shape."""
        if not self.training:
            return x
        return dropout(x, self.p, self.generator.key() if self.generator is not None and self.p else None)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def _check_eps(name: str, eps: float) -> float:
    if not 0.0 <= eps < math.inf:
        raise ValueError(f"{name}: eps is {eps}; it must be 0 or more, and finite")
    return float(eps)
