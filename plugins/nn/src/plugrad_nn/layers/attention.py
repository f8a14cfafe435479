"""Multi-head attention."""

from __future__ import annotations

from typing import Any

import plugrad
from plugrad import Module, Tensor, moveaxis, reshape
from plugrad.errors import ShapeError

from .. import init
from ..ops.arguments import integer
from ..ops.attention import attention
from .initial import Initialiser
from .linear import Linear


class MultiHeadAttention(Module):
    """``heads`` attentions side by side on projections of their inputs, concatenated and projected (Vaswani et al.
    2017).

    Inputs are (..., n, features); every head has features / heads of them. The four projections are ``q``, ``k``,
    ``v`` and ``out``, initialised after Glorot by default; ``causal`` forbids looking ahead.

    >>> import plugrad
    >>> MultiHeadAttention(8, 2)(plugrad.ones((3, 5, 8))).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        features: int,
        heads: int,
        bias: bool = True,
        causal: bool = False,
        *,
        key: Tensor | None = None,
        initialiser: Initialiser = init.xavier_uniform,
        dtype: Any = None,
        device: str | None = None,
    ) -> None:
        name = "MultiHeadAttention"
        self.features, self.heads = integer(name, "features", features, 1), integer(name, "heads", heads, 1)
        if features % heads:
            raise ShapeError(f"{name}: features={features} do not divide into heads={heads}; use a divisor of features")
        self.causal = bool(causal)
        keys = [None] * 4 if key is None else list(plugrad.random.split(key, 4))
        self.q, self.k, self.v, self.out = [
            Linear(features, features, bias, key=k, initialiser=initialiser, dtype=dtype, device=device) for k in keys
        ]

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, mask: Any = None
    ) -> Tensor:
        """What ``query`` finds in ``key`` and ``value`` (by default itself, and ``key``).

        ``mask`` is bool and broadcasts to (..., n, m), the same for every head.
        """
        key = query if key is None else key
        value = key if value is None else value
        q, k, v = self._split(self.q(query)), self._split(self.k(key)), self._split(self.v(value))
        if mask is not None:
            mask = mask if isinstance(mask, Tensor) else plugrad.asarray(mask, device=q.device)
            mask = reshape(mask, (*mask.shape[:-2], 1, *mask.shape[-2:]))
        return self.out(self._join(attention(q, k, v, mask=mask, causal=self.causal)))

    def _split(self, x: Tensor) -> Tensor:
        """(..., n, features) -> (..., heads, n, features / heads)."""
        x = reshape(x, (*x.shape[:-1], self.heads, self.features // self.heads))
        return moveaxis(x, -2, -3)

    def _join(self, x: Tensor) -> Tensor:
        """The inverse of ``_split``."""
        x = moveaxis(x, -3, -2)
        return reshape(x, (*x.shape[:-2], self.features))

    def extra_repr(self) -> str:
        return f"{self.features}, {self.heads}" + (", causal=True" if self.causal else "")
