"""The affine map of dense layers, as one operation that a backend may fuse."""

from __future__ import annotations

import functools
from typing import Any

from plugrad import Op, Spec, Tensor, add, matmul, matrix_transpose, reshape
from plugrad.errors import ShapeError

from .arguments import floating
from .batching import filled


def _rows(x: Tensor) -> Tensor:
    """All leading axes as one, so that one product does."""
    n = 1
    for d in x.shape[:-1]:
        n *= d
    return x if x.ndim == 2 else reshape(x, (n, x.shape[-1]))


def _check(name: str, x: Any, w: Any) -> None:
    if w.ndim != 2 or x.ndim < 1 or x.shape[-1] != w.shape[1]:
        raise ShapeError(
            f"{name}: input of shape {x.shape} and weight of shape {w.shape}; they must be (..., in) and (out, in)"
        )


class _Linear(Op):
    """y = x w^T + b, for x (..., in), w (out, in), b (out,)."""

    name = "nn.linear"
    dtypes = "float"
    together = (0, 1, 2)
    saves = (0, 1)
    save_output = False

    def spec(self, x: Any, w: Any, b: Any) -> Spec:
        _check(self.name, x, w)
        if b.shape != w.shape[:1]:
            raise ShapeError(
                f"{self.name}: bias of shape {b.shape} for a weight of shape {w.shape}; it must be {w.shape[:1]}"
            )
        return Spec((*x.shape[:-1], w.shape[0]), x.dtype)

    def decompose(self, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        y = matmul(_rows(x), matrix_transpose(w)) + b
        return y if x.ndim == 2 else reshape(y, (*x.shape[:-1], w.shape[0]))

    def vjp(self, g: Tensor, y: Tensor, xs: Any, need: Any) -> Any:
        x, w, _ = xs
        rows = _rows(g)
        gx = reshape(matmul(rows, w), x.shape) if need[0] else None
        gw = matmul(matrix_transpose(rows), _rows(x)) if need[1] else None
        return gx, gw, rows.sum(axis=0) if need[2] else None

    def jvp(self, ts: Any, y: Tensor, xs: Any) -> Tensor:
        x, w, _ = xs
        tx, tw, tb = ts
        terms = [] if tb is None else [tb.broadcast_to(y.shape)]
        if tx is not None:
            terms.append(reshape(matmul(_rows(tx), matrix_transpose(w)), y.shape))
        if tw is not None:
            terms.append(reshape(matmul(_rows(x), matrix_transpose(tw)), y.shape))
        return functools.reduce(add, terms)

    def batch(self, size: int, xs: Any, batched: Any) -> Tensor:
        x, w, b = xs
        if not batched[1] and not batched[2]:
            return self(x, w, b)
        x = filled(size, x, batched[0])
        n = 1
        for d in x.shape[1:-1]:
            n *= d
        y = matmul(reshape(x, (size, n, x.shape[-1])), matrix_transpose(w))
        y = y + (reshape(b, (size, 1, b.shape[1])) if batched[2] else b)
        return reshape(y, (*x.shape[:-1], y.shape[-1]))


LINEAR = _Linear()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x weight^T + bias: (..., in), (out, in), (out,) -> (..., out), of floating dtypes.

    >>> import plugrad
    >>> weight, bias = plugrad.asarray([[1.0, 1.0], [0.0, 3.0]]), plugrad.asarray([0.5, 0.0])
    >>> linear(plugrad.asarray([1.0, 2.0]), weight, bias).tolist()
    [3.5, 6.0]
    """
    x = floating("linear", "x", x, weight)
    weight = floating("linear", "weight", weight, x)
    if bias is not None:
        return LINEAR(x, weight, floating("linear", "bias", bias, x))
    _check("linear", x, weight)
    y = matmul(_rows(x), matrix_transpose(weight))
    return y if x.ndim == 2 else reshape(y, (*x.shape[:-1], weight.shape[0]))
