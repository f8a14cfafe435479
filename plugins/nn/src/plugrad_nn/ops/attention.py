"""Scaled dot-product attention as one operation, whose log-sum-exp is all that its backward needs beside operands and
result (Vaswani et al. 2017; for the backward without stored weights Dao et al. 2022)."""

from __future__ import annotations

from typing import Any

from plugrad import (
    Op,
    Spec,
    Tensor,
    arange,
    asarray,
    broadcast_to,
    exp,
    expand_dims,
    log,
    matmul,
    matrix_transpose,
    max,
    stop_gradient,
    where,
)
from plugrad.errors import DTypeError, ShapeError

from .arguments import floating
from .batching import filled

_LOWEST = -float("inf")


def _scores(q: Tensor, k: Tensor, mask: tuple[Tensor, ...], scale: float, causal: bool) -> Tensor:
    """Scaled products of every query with every key; minus infinity where a query must not look."""
    scores = matmul(q, matrix_transpose(k)) * scale
    if causal:
        n, m = scores.shape[-2:]
        rows = expand_dims(arange(n, device=q.device), 1)
        scores = where(arange(m, device=q.device) <= rows, scores, _LOWEST)
    return where(mask[0], scores, _LOWEST) if mask else scores


def _finite(x: Tensor) -> Tensor:
    """Zero in place of minus infinity: what a query that may look nowhere subtracts."""
    return where(x == _LOWEST, 0, x)


def _specs(name: str, q: Any, k: Any, v: Any, mask: tuple[Any, ...]) -> tuple[Spec, Spec]:
    """The result and the log-sum-exp; ShapeError where the operands do not fit."""
    fits = q.ndim >= 2 and q.ndim == k.ndim == v.ndim and q.shape[:-2] == k.shape[:-2] == v.shape[:-2]
    if not fits or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ShapeError(
            f"{name}: query {q.shape}, key {k.shape} and value {v.shape} must be (..., n, d), (..., m, d) and "
            "(..., m, e) with the same leading axes"
        )
    if k.shape[-2] == 0 or q.shape[-1] == 0:
        raise ShapeError(f"{name}: query {q.shape} and key {k.shape}: there is nothing to attend to")
    wanted = (*q.shape[:-1], k.shape[-2])
    if mask and (mask[0].shape != wanted or mask[0].dtype.kind != "b"):
        raise ShapeError(f"{name}: the mask is {mask[0].dtype} {mask[0].shape}; it must be bool {wanted}")
    return Spec((*q.shape[:-1], v.shape[-1]), q.dtype), Spec(q.shape[:-1], q.dtype)


class _Attention(Op):
    """y = softmax(scale * q k^T) v, and the log-sum-exp of each query's scores.

    q (..., n, d), k (..., m, d), v (..., m, e), all with the same leading axes; optionally a bool mask (..., n, m).
    """

    name = "nn.attention"
    dtypes = "float"
    together = (0, 1, 2)
    residuals = (1,)

    def spec(self, q: Any, k: Any, v: Any, *mask: Any, scale: float, causal: bool) -> tuple[Spec, Spec]:
        return _specs(self.name, q, k, v, mask)

    def decompose(
        self, q: Tensor, k: Tensor, v: Tensor, *mask: Tensor, scale: float, causal: bool
    ) -> tuple[Tensor, Tensor]:
        scores = _scores(q, k, mask, scale, causal)
        top = _finite(stop_gradient(max(scores, axis=-1, keepdims=True)))
        weights = exp(scores - top)
        total = weights.sum(axis=-1, keepdims=True)
        y = matmul(weights, v) / where(total == 0, 1, total)
        return y, (log(total) + top).reshape(q.shape[:-1])

    def vjp(self, g: Any, y: Any, xs: Any, need: Any, **attrs: Any) -> Any:
        found = ATTENTION_BWD(g[0], *xs[:3], *y, *xs[3:], **attrs)
        return (*found, *[None] * (len(xs) - 3))

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Any:
        return self(*[filled(size, x, b) for x, b in zip(xs, batched, strict=True)], **attrs)


class _AttentionBwd(Op):
    """Cotangents of query, key and value, from that of the result; the weights are computed again."""

    name = "nn.attention_bwd"
    dtypes = "float"

    def spec(
        self, g: Any, q: Any, k: Any, v: Any, y: Any, total: Any, *mask: Any, scale: float, causal: bool
    ) -> tuple[Spec, ...]:
        of_y, of_total = _specs(self.name, q, k, v, mask)
        if not g.shape == y.shape == of_y.shape or total.shape != of_total.shape:
            raise ShapeError(
                f"{self.name}: the cotangent has shape {g.shape}, the result {y.shape}, the log-sum-exp {total.shape}; "
                f"query {q.shape}, key {k.shape} and value {v.shape} give {of_y.shape} and {of_total.shape}"
            )
        return Spec(q.shape, q.dtype), Spec(k.shape, k.dtype), Spec(v.shape, v.dtype)

    def decompose(
        self,
        g: Tensor,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        y: Tensor,
        total: Tensor,
        *mask: Tensor,
        scale: float,
        causal: bool,
    ) -> tuple[Tensor, ...]:
        weights = exp(_scores(q, k, mask, scale, causal) - expand_dims(_finite(total), -1))
        of_weights = matmul(g, matrix_transpose(v))
        of_scores = weights * (of_weights - (g * y).sum(axis=-1, keepdims=True)) * scale
        return (
            matmul(of_scores, k),
            matmul(matrix_transpose(of_scores), q),
            matmul(matrix_transpose(weights), g),
        )

    def batch(self, size: int, xs: Any, batched: Any, /, **attrs: Any) -> Any:
        return self(*[filled(size, x, b) for x, b in zip(xs, batched, strict=True)], **attrs)


ATTENTION, ATTENTION_BWD = _Attention(), _AttentionBwd()


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Any = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale * query key^T) value: (..., n, d), (..., m, d), (..., m, e) -> (..., n, e).

    ``scale`` is 1 / sqrt(d) by default. ``mask`` is bool and broadcasts to (..., n, m): True where a query may look.
    ``causal`` lets query i look at keys 0 to i only. A query that may look nowhere gets zeros. Floating dtypes;
    ShapeError for shapes that do not fit, DTypeError for a mask that is not bool.

    >>> import plugrad
    >>> q, k = plugrad.zeros((1, 2)), plugrad.zeros((2, 2))
    >>> attention(q, k, plugrad.asarray([[1.0], [3.0]])).tolist()
    [[2.0]]
    """
    name = "attention"
    query = floating(name, "query", query)
    key, value = floating(name, "key", key, query), floating(name, "value", value, query)
    if query.ndim < 2 or key.ndim < 2:
        raise ShapeError(
            f"{name}: query {query.shape} and key {key.shape} need two axes or more, (..., n, d) and (..., m, d)"
        )
    factor = (query.shape[-1] or 1) ** -0.5 if scale is None else float(scale)
    if mask is None:
        return ATTENTION(query, key, value, scale=factor, causal=bool(causal))[0]
    mask = mask if isinstance(mask, Tensor) else asarray(mask, device=query.device)
    if mask.dtype.kind != "b":
        raise DTypeError(f"{name}: mask is {mask.dtype}; it must be bool, True where a query may look")
    mask = broadcast_to(mask, (*query.shape[:-1], key.shape[-2]))
    return ATTENTION(query, key, value, mask, scale=factor, causal=bool(causal))[0]
