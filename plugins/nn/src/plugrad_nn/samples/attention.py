"""Calls of scaled dot-product attention and of its backward."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from plugrad.errors import ShapeError
from plugrad.testing import OpSample, flags, values

Arrays = tuple[np.ndarray, ...]


def weights(q: np.ndarray, k: np.ndarray, mask: Arrays, scale: float, causal: bool) -> tuple[np.ndarray, np.ndarray]:
    """What each query gives to each key, zeros for a query that may look nowhere; and the scores' log-sum-exp."""
    scores = scale * np.einsum("...nd,...md->...nm", q, k)
    allowed = np.ones(scores.shape, bool) if not mask else mask[0].astype(bool)
    if causal:
        allowed = allowed & (np.tri(*scores.shape[-2:]) > 0)
    scores = np.where(allowed, scores, -np.inf)
    total = np.logaddexp.reduce(scores, axis=-1)
    some = np.isfinite(total)
    found = np.where(some[..., None], np.exp(scores - np.where(some, total, 0.0)[..., None]), 0.0)
    return found, total


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, *mask: np.ndarray, scale: float, causal: bool) -> Arrays:
    """softmax(scale q k^T) v."""
    found, total = weights(q, k, mask, scale, causal)
    return found @ v, total


def attention_bwd(
    g: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    y: np.ndarray,
    total: np.ndarray,
    *mask: np.ndarray,
    scale: float,
    causal: bool,
) -> Arrays:
    """By the Jacobian of the softmax of each query."""
    p, _ = weights(q, k, mask, scale, causal)
    jacobian = p[..., :, None] * (np.eye(p.shape[-1]) - p[..., None, :])
    of_scores = np.einsum("...nm,...nml->...nl", np.einsum("...ne,...me->...nm", g, v), jacobian) * scale
    return (
        np.einsum("...nm,...md->...nd", of_scores, k),
        np.einsum("...nm,...nd->...md", of_scores, q),
        np.einsum("...nm,...ne->...me", p, g),
    )


Case = tuple[tuple[int, ...], int, int, int, int]
CASES: tuple[Case, ...] = (  # leading axes, n, m, d, e
    ((), 3, 4, 2, 5),
    ((2,), 4, 4, 3, 3),
    ((2, 3), 2, 5, 4, 1),
    ((1, 1), 1, 1, 1, 1),
    ((2,), 5, 3, 2, 2),
    ((0,), 3, 4, 2, 2),
    ((2,), 0, 4, 2, 2),
)


def samples() -> Iterator[OpSample]:
    """All calls of the family."""
    for lead, n, m, d, e in CASES:
        for causal in (False, True):
            for masked in (False, True):
                yield from _pair(lead, n, m, d, e, causal, _sighted(*lead, n, m) if masked else None)
    yield from _pair((2,), 40, 70, 16, 9, False, None, smooth=False)
    yield from _pair((), 70, 70, 8, 33, True, None, smooth=False)
    blind = np.array([[True, False, True], [False, False, False]])
    yield from _pair((), 2, 3, 2, 2, False, blind, smooth=False)
    large = np.array([[40.0, 0.0], [-40.0, 0.0]])
    operands = large, large, values(2, 3)
    yield OpSample("nn.attention", operands, {"scale": 1.0, "causal": False}, "sum", smooth=False, reference=attention)
    yield from _wrong()


def _sighted(*shape: int) -> np.ndarray:
    """A mask in which every query may look at the first key."""
    mask = np.random.default_rng(2).random(shape) < 0.5
    mask[..., 0] = True
    return mask


def _pair(
    lead: tuple[int, ...], n: int, m: int, d: int, e: int, causal: bool, mask: np.ndarray | None, smooth: bool = True
) -> Iterator[OpSample]:
    """The operation and its backward at what it returned."""
    attrs: dict[str, Any] = {"scale": d**-0.5, "causal": causal}
    rng = np.random.default_rng(3)
    q, k, v = [rng.uniform(-2.0, 2.0, (*lead, *shape)) for shape in ((n, d), (m, d), (m, e))]
    rest = () if mask is None else (mask,)
    y, total = attention(q, k, v, *rest, **attrs)
    operands = values(*q.shape), values(*k.shape), values(*v.shape), *rest
    yield OpSample("nn.attention", operands, attrs, "sum", smooth, reference=attention)
    known = values(*y.shape), q, k, v, y, total, *rest
    yield OpSample("nn.attention_bwd", known, attrs, "derivative", smooth, reference=attention_bwd)


def _wrong() -> Iterator[OpSample]:
    attrs = {"scale": 1.0, "causal": False}
    shapes: tuple[tuple[tuple[int, ...], ...], ...] = (
        ((2, 3), (4, 5), (4, 2)),
        ((2, 3), (4, 3), (5, 2)),
        ((1, 2, 3), (2, 4, 3), (2, 4, 2)),
        ((2, 3), (1, 4, 3), (1, 4, 2)),
        ((3,), (3,), (3,)),
        ((2, 3), (0, 3), (0, 2)),
    )
    for three in shapes:
        yield OpSample("nn.attention", tuple([values(*shape) for shape in three]), attrs, raises=ShapeError)
    q, k, v = values(2, 3), values(4, 3), values(4, 5)
    yield OpSample("nn.attention", (q, k, v, flags(4)), attrs, raises=ShapeError)
    yield OpSample("nn.attention", (q, k, v, values(2, 4)), attrs, raises=ShapeError)
    good = values(2, 5), q, k, v, values(2, 5), values(2)
    for i, shape in ((0, (2, 4)), (4, (5,)), (5, (2, 1)), (3, (3, 5))):
        operands = (*good[:i], values(*shape), *good[i + 1 :])
        yield OpSample("nn.attention_bwd", operands, attrs, raises=ShapeError)
    yield OpSample("nn.attention_bwd", (*good, flags(4)), attrs, raises=ShapeError)
