"""``norm.dropout``: linear in x, so it is its own backward with the same key. The mask is made again, never kept.

Source: Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout" (2014), in the inverted form.
"""

from __future__ import annotations

from typing import Any

import plugrad as pg
from plugrad import Op, Spec
from plugrad.errors import DTypeError, ShapeError

from .shared import repeated


class _Dropout(Op):
    """x / (1 - p) where the key's draw keeps the element, 0 where it drops it, each with probability ``p``.

    The key is one pair of words, or pairs of shape (..., 2) for the leading dimensions of x: one mask under each key.
    """

    name = "norm.dropout"
    dtypes = "inexact"
    linear = (0,)
    saves = (1,)

    def spec(self, x: Any, key: Any, *, p: float) -> Spec:
        if key.dtype != pg.uint32:
            raise DTypeError(f"{self.name}: the key is {key.dtype}; make a uint32 key with random.key(seed)")
        if key.ndim < 1 or key.shape[-1] != 2 or tuple(key.shape[:-1]) != tuple(x.shape[: key.ndim - 1]):
            raise ShapeError(
                f"{self.name}: x has shape {x.shape}, the key {key.shape}; "
                "a key has shape (2,), or (..., 2) with the leading sizes of x"
            )
        return Spec(tuple(x.shape), x.dtype)

    def decompose(self, x: pg.Tensor, key: pg.Tensor, *, p: float) -> pg.Tensor:
        return _masked(x, pg.random.bernoulli(key, x.shape[key.ndim - 1 :], p=1.0 - p), p)

    def vjp(self, g: pg.Tensor, y: Any, xs: Any, need: Any, *, p: float) -> tuple[Any, None]:
        return self(g, xs[1], p=p), None

    def batch(self, size: int, xs: Any, batched: Any, *, p: float) -> pg.Tensor:
        """A batch of keys: one mask each. One key for all: one mask, as for a single example."""
        x, key = xs
        if batched[1]:
            return self(repeated(size, x, batched[0]), key, p=p)
        return _masked(x, pg.random.bernoulli(key, x.shape[key.ndim :], p=1.0 - p), p)


def _masked(x: pg.Tensor, keep: pg.Tensor, p: float) -> pg.Tensor:
    return pg.where(keep, x * (1.0 / (1.0 - p)), 0.0)


DROPOUT = _Dropout()
